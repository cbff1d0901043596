"""House fronts with windows and shops, and the plain gables at their ends."""

from __future__ import annotations

from dataclasses import dataclass

from mafs_synthetic.config import SceneConfig
from mafs_synthetic.sprite import Float, Sprite
from mafs_synthetic.textures import fractal_noise, stack
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_PX_PER_M = 20
_GABLE_M = 9.0
_STOREY_M = 3.1
_WALLS = np.array(
    [
        (0.36, 0.27, 0.21),
        (0.42, 0.38, 0.32),
        (0.27, 0.28, 0.30),
        (0.46, 0.33, 0.24),
        (0.33, 0.36, 0.33),
    ]
)
_ROOM_TONES = np.array([(1.0, 0.72, 0.38), (1.0, 0.86, 0.62), (0.72, 0.85, 1.0)])
_GLASS = np.array((0.06, 0.07, 0.085))


@dataclass
class _Wall:
    """A wall while it is built: albedo [h, w, 3], temperature [h, w], emission [h, w, 3]."""

    base: Array
    albedo: Array
    temperature: Array
    emission: Float
    warm_k: float

    def sprite(self) -> Sprite:
        """Return it with eaves and a darker foot."""
        h, w = self.temperature.shape
        self.albedo[: round(0.25 * _PX_PER_M)] *= 0.6
        self.albedo[-round(0.7 * _PX_PER_M) :] *= 0.7
        opaque, unlabelled = np.full((h, w), 255, np.uint8), np.zeros((h, w), np.uint8)
        return Sprite(
            stack(self.albedo, self.temperature),
            opaque,
            unlabelled,
            w / _PX_PER_M,
            h / _PX_PER_M,
            self.emission,
        )


def house(
    rng: np.random.Generator, config: SceneConfig, width_m: float, height_m: float
) -> tuple[Sprite, Sprite]:
    """Build the front of a house, some of its windows lit, and its gable."""
    base = _WALLS[rng.integers(len(_WALLS))] * rng.uniform(0.8, 1.15)
    front = _wall(rng, config, base, width_m, height_m)
    night = 1 - min(1.0, 2.5 * config.daylight)
    bay = float(rng.uniform(2.1, 3.2))
    lit_share = rng.uniform(0.15, 0.5)
    shop = rng.random() < 0.3
    for floor in range(int(height_m // _STOREY_M)):
        if floor == 0 and shop:
            _shop(rng, front, night)
            continue
        for column in range(int(width_m // bay)):
            left = (width_m % bay) / 2 + 0.25 * bay + column * bay
            bottom = floor * _STOREY_M + 0.85
            _window(rng, front, (left, bottom, 0.5 * bay, 1.5), night, lit_share)
    return front.sprite(), _wall(rng, config, 0.85 * base, _GABLE_M, height_m).sprite()


def _wall(
    rng: np.random.Generator, config: SceneConfig, base: Array, width_m: float, height_m: float
) -> _Wall:
    """Lay bricks; above the street lamps the wall is darker."""
    h, w = round(height_m * _PX_PER_M), round(width_m * _PX_PER_M)
    dirt = fractal_noise(rng, h, w, 70) * 0.06 + fractal_noise(rng, h, w, 4, 2) * 0.05
    albedo = base * (1 + dirt[..., None])
    albedo[np.arange(h) % round(0.25 * _PX_PER_M) == 0] *= 0.87
    up = height_m - (np.arange(h) + 0.5) / _PX_PER_M
    dark = min(1.0, 3 * config.daylight)
    albedo *= (dark + (1 - dark) / (1 + (up / 8.5) ** 3))[:, None, None]
    warm = config.ambient_k + 0.4 + 7 * config.daylight
    temperature = warm + 0.35 * fractal_noise(rng, h, w, 90) - np.linspace(0.8, 0, h)[:, None]
    return _Wall(base, albedo, temperature, np.zeros((h, w, 3), np.float32), warm)


def _box(wall: _Wall, place: tuple[float, float, float, float]) -> tuple[slice, slice]:
    """Return pixels of (left, bottom, width, height), m."""
    left, bottom, width, height = (value * _PX_PER_M for value in place)
    foot = wall.temperature.shape[0] - bottom
    return slice(int(foot - height), int(foot)), slice(int(left), int(left + width))


def _window(
    rng: np.random.Generator,
    wall: _Wall,
    place: tuple[float, float, float, float],
    night: float,
    lit_share: float,
) -> None:
    """Put in one window with a frame."""
    rows, columns = _box(wall, place)
    frame = (
        slice(max(0, rows.start - 2), rows.stop + 3),
        slice(max(0, columns.start - 2), columns.stop + 2),
    )
    wall.albedo[frame] = 1.45 * wall.base * wall.albedo[rows].mean() / max(wall.base.mean(), 0.05)
    wall.temperature[frame] += 0.8
    wall.albedo[rows, columns] = _GLASS
    wall.temperature[rows, columns] = wall.warm_k - 1.4 + rng.normal(0, 0.7)
    if rng.random() < lit_share:
        tone = _ROOM_TONES[rng.choice(3, p=[0.5, 0.38, 0.12])]
        room = np.linspace(1.25, 0.65, rows.stop - rows.start)[:, None, None]
        wall.emission[rows, columns] = night * rng.uniform(0.15, 0.7) * room * tone
        wall.temperature[rows, columns] += 2.4
    middle = (columns.start + columns.stop) // 2
    wall.albedo[rows, middle : middle + 1] = wall.base
    wall.emission[rows, middle : middle + 1] = 0


def _shop(rng: np.random.Generator, wall: _Wall, night: float) -> None:
    """Put in shop windows with goods, and a lit sign above them."""
    width_m = wall.temperature.shape[1] / _PX_PER_M
    open_late = rng.random() < 0.6
    tone = _ROOM_TONES[rng.integers(1, 3)]
    sign = np.array([(0.9, 0.12, 0.10), (0.1, 0.5, 0.9), (0.95, 0.75, 0.2), (0.2, 0.8, 0.35)])
    left = 0.5
    while left + 2.2 < width_m:
        wide = float(rng.uniform(1.6, 2.2))
        rows, columns = _box(wall, (left, 0.35, wide, 2.0))
        h, w = rows.stop - rows.start, columns.stop - columns.start
        wall.albedo[rows, columns] = _GLASS
        wall.temperature[rows, columns] = wall.warm_k - 0.5 + 1.8 * open_late
        goods = np.clip(0.8 + 0.2 * fractal_noise(rng, h, w, 9, 3), 0.1, 1.6)[..., None]
        level = 0.9 if open_late else 0.12
        wall.emission[rows, columns] = night * level * goods * tone
        left += wide + 0.25
    rows, columns = _box(wall, (0.8, 2.5, max(1.5, width_m - 1.6), 0.45))
    colour = sign[rng.integers(len(sign))]
    wall.albedo[rows, columns] = 0.6 * colour
    if open_late:
        wall.emission[rows, columns] = night * 0.8 * colour
