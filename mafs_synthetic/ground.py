"""The street seen from above: asphalt, markings, kerbs, bumps, and its view from the camera."""

from __future__ import annotations

import cv2
from mafs_synthetic.canvas import Canvas
from mafs_synthetic.config import CLASS_IDS, SceneConfig
from mafs_synthetic.geometry import Camera, CAMERA_HEIGHT_M, EGO_X_M, FAR_M
from mafs_synthetic.lighting import Lighting
from mafs_synthetic.sprite import Float
from mafs_synthetic.textures import fractal_noise
import numpy as np

LOOP_M = 100.0
HALF_WIDTH_M = 20.0
CELL_M = 0.05
LANE_M = 3.5
KERB_X_M = (-4.1, 5.9)
PAVEMENT_M = 3.0
KERB_M = 0.22
_LEVELS = 7
# Grain of the asphalt, a tile for what is nearer than this.
_GRAIN_FROM_M = 13.0
_GRAIN_M = 5.0  # divides LOOP_M
_GRAIN_PX = 400


class Ground:
    """
    Plane of the street.

    The texture repeats every LOOP_M metres. It is kept at several lengths per pixel, because a
    row near the horizon covers metres.

    Args:
        config: the scene.
        lighting: its light.

    """

    def __init__(self, config: SceneConfig, lighting: Lighting) -> None:
        self.lighting = lighting
        albedo, temperature, labels = _texture(config)
        rows, columns = labels.shape
        s = (np.arange(rows) + 0.5) * CELL_M
        x = (np.arange(columns) + 0.5) * CELL_M - HALF_WIDTH_M
        coarse = lighting.ambient + lighting.lamps(s[::10, None], x[None, ::10])
        light = cv2.resize(
            coarse.astype(np.float32), (columns, rows), interpolation=cv2.INTER_LINEAR
        )
        lit = np.dstack([albedo * light, temperature]).astype(np.float32)
        # Four channels as well: whole pixels are added much faster than parts of them.
        plain = np.dstack([albedo, np.zeros_like(temperature)]).astype(np.float32)
        self._lit, self._albedo = _pyramid(lit), _pyramid(plain)
        self._labels = labels
        rng = np.random.default_rng([config.seed, 7])
        stones = fractal_noise(rng, _GRAIN_PX, _GRAIN_PX, 5, 3)
        self._grain = (0.09 * stones).astype(np.float32)
        self._view: tuple[object, ...] | None = None

    def paint(self, canvas: Canvas, camera: Camera) -> None:
        """Paint everything below the horizon."""
        top, depth, right, own = self._static(canvas, camera)
        x = right + EGO_X_M - camera.bend(depth)[:, None]
        columns = np.clip((x + HALF_WIDTH_M) / CELL_M, 0, self._labels.shape[1] - 1)
        rows = np.mod(camera.s + depth, LOOP_M) / CELL_M
        footprint = depth**2 / (camera.focal * CAMERA_HEIGHT_M) / CELL_M
        level = np.clip(np.round(np.log2(np.maximum(footprint, 1))), 0, _LEVELS - 1).astype(int)
        for number in np.unique(level):
            chosen = np.flatnonzero(level == number)
            first, last = int(chosen[0]), int(chosen[-1]) + 1
            band = slice(first, last)
            lit, albedo = self._lit[number], self._albedo[number]
            fy = lit.shape[0] / self._labels.shape[0]
            fx = lit.shape[1] / self._labels.shape[1]
            map_x = (columns[band] * fx - 0.5).astype(np.float32)
            map_y = np.broadcast_to((rows[band] * fy - 0.5)[:, None], map_x.shape).astype(
                np.float32
            )
            out = cv2.remap(lit, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
            shade = cv2.remap(albedo, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
            shade *= own[band]
            out += shade
            canvas.pixels[top + first : top + last] = out
        self._roughen(canvas, camera, top, depth, x)
        map_x = (columns - 0.5).astype(np.float32)
        map_y = np.broadcast_to((rows - 0.5)[:, None], map_x.shape).astype(np.float32)
        canvas.labels[top:] = cv2.remap(
            self._labels, map_x, map_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_WRAP
        )

    def _roughen(self, canvas: Canvas, camera: Camera, top: int, depth: Float, x: Float) -> None:
        """Show the grain of the surface where it is near."""
        first = int(np.argmax(depth < _GRAIN_FROM_M))
        if depth[first] >= _GRAIN_FROM_M:
            return
        scale = _GRAIN_PX / _GRAIN_M
        map_x = (x[first:] * scale).astype(np.float32)
        map_y = np.broadcast_to(
            (np.mod(camera.s + depth[first:], LOOP_M) * scale)[:, None], map_x.shape
        ).astype(np.float32)
        grain = cv2.remap(self._grain, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        grain *= np.clip(1.4 * (1 - depth[first:] / _GRAIN_FROM_M), 0, 1)[:, None].astype(
            np.float32
        )
        grain += 1
        canvas.pixels[top + first :] *= cv2.merge([grain, grain, grain, np.ones_like(grain)])

    def _static(self, canvas: Canvas, camera: Camera) -> tuple[int, Float, Float, Float]:
        """Return what stays while driving: first row, depths, right and own light."""
        if self._view is None:
            top = int(np.floor(camera.horizon)) + 1
            v = np.arange(top, canvas.height) + 0.5
            depth = np.minimum(camera.focal * CAMERA_HEIGHT_M / (v - camera.horizon), FAR_M * 1.5)
            across = (np.arange(canvas.width) + 0.5 - camera.cx) / camera.focal
            right = across[None] * depth[:, None]
            grazing = np.minimum(1.0, 5.0 / depth)[:, None, None]
            own = self.lighting.headlights(depth[:, None], right) * grazing
            own = np.dstack([own, np.zeros_like(right)])
            self._view = top, depth, right, own.astype(np.float32)
        return self._view  # type: ignore[return-value]


def _pyramid(texture: Float) -> list[Float]:
    """Reduce a texture to 1, 2, 4, ... cells per row, and more slowly in its width."""
    rows, columns = texture.shape[:2]
    sizes = [
        (max(2, columns >> max(0, level - 1)), max(2, rows >> level)) for level in range(_LEVELS)
    ]
    return [
        np.ascontiguousarray(cv2.resize(texture, size, interpolation=cv2.INTER_AREA))
        if level
        else texture
        for level, size in enumerate(sizes)
    ]


def _texture(config: SceneConfig) -> tuple[Float, Float, np.ndarray]:
    """Albedo [R, C, 3], temperature [R, C], K, and labels [R, C] of one loop of the street."""
    rng = np.random.default_rng([config.seed, 2])
    rows, columns = round(LOOP_M / CELL_M), round(2 * HALF_WIDTH_M / CELL_M)
    x = (np.arange(columns) + 0.5) * CELL_M - HALF_WIDTH_M
    stains = fractal_noise(rng, rows // 4, columns // 4, 60)
    stains = cv2.resize(stains, (columns, rows), interpolation=cv2.INTER_LINEAR)
    grit = fractal_noise(rng, rows, columns, 4, 2)
    warm = config.ambient_k + 0.8 + 14 * config.daylight

    grey = 0.115 + 0.018 * stains + 0.016 * grit
    np.maximum(grey, 0.02, out=grey)
    albedo = cv2.merge([grey, 0.985 * grey, 0.96 * grey])
    temperature = np.float32(warm) + 0.5 * stains + 0.15 * grit
    wheel = np.exp(-(((np.abs(np.abs(x) - 1.75) - 0.78) / 0.28) ** 2)) * (np.abs(x) < LANE_M)
    albedo *= (1 - 0.16 * wheel).astype(np.float32)[None, :, None]
    temperature += (0.4 * wheel).astype(np.float32)[None]
    labels = np.zeros((rows, columns), np.uint8)

    _cracks(rng, albedo, temperature)
    _pavements(rng, x, albedo, temperature, labels, warm, stains, grit)
    _markings(rng, x, albedo, temperature)
    _bump(rng, x, albedo, temperature, labels)
    return albedo.astype(np.float32), temperature.astype(np.float32), labels


def _cracks(rng: np.random.Generator, albedo: Float, temperature: Float) -> None:
    """Draw tar-filled cracks and manhole covers."""
    rows, columns = temperature.shape
    mask = np.zeros((rows, columns), np.uint8)
    for _ in range(12):
        steps = np.cumsum(rng.normal(0, 9, (40, 2)) + rng.normal(0, 5, 2), axis=0)
        start = rng.uniform((columns * 0.4, 0), (columns * 0.64, rows))
        cv2.polylines(mask, [np.int32(steps + start)], False, 255, 1, cv2.LINE_AA)
    weight = mask.astype(np.float32) / 255
    albedo *= (1 - 0.4 * weight)[..., None]
    temperature += 0.5 * weight
    for _ in range(4):
        centre = (int(rng.uniform(0.42, 0.62) * columns), int(rng.uniform(0, rows)))
        cv2.circle(albedo, centre, 6, (0.07, 0.065, 0.06), -1, cv2.LINE_8)
        cv2.circle(temperature, centre, 6, float(temperature.mean() + 2.5), -1)


def _pavements(
    rng: np.random.Generator,
    x: np.ndarray,
    albedo: Float,
    temperature: Float,
    labels: np.ndarray,
    warm: float,
    stains: Float,
    grit: Float,
) -> None:
    """Lay slabs beside the road, kerbs at its edges and soil behind."""
    s = (np.arange(labels.shape[0]) + 0.5) * CELL_M
    joint = ((s % 0.8) < 0.05)[:, None] | ((np.abs(x) % 0.8) < 0.05)[None]
    slab = rng.normal(0, 0.012, (int(LOOP_M / 0.8) + 1, int(2 * HALF_WIDTH_M / 0.8) + 1))
    shade = slab[(s // 0.8).astype(int)[:, None], ((x + HALF_WIDTH_M) // 0.8).astype(int)[None]]
    for side, kerb in zip((-1, 1), KERB_X_M, strict=True):
        beyond = side * (x - kerb)
        on_kerb = _strip((beyond >= 0) & (beyond < KERB_M))
        on_slabs = _strip((beyond >= KERB_M) & (beyond < PAVEMENT_M))
        behind = _strip(beyond >= PAVEMENT_M)
        lit = 0.21 + shade[on_slabs] - 0.06 * joint[on_slabs]
        lit += 0.012 * stains[on_slabs] + 0.01 * grit[on_slabs]
        albedo[on_slabs] = cv2.merge([lit, 0.98 * lit, 0.95 * lit])
        soil = np.maximum(0.075 + 0.03 * stains[behind] + 0.03 * grit[behind], 0.01)
        albedo[behind] = cv2.merge([0.85 * soil, soil, 0.62 * soil])
        stone = 0.34 + 0.03 * grit[on_kerb] - 0.12 * ((s % 1.0) < 0.05)[:, None]
        albedo[on_kerb] = stone[..., None]
        temperature[on_slabs] -= 1.2 + 0.2 * joint[on_slabs]
        temperature[behind] = warm - 2.0 + 0.6 * (stains[behind] + 0.5 * grit[behind])
        temperature[on_kerb] -= 1.8
        labels[on_kerb] = CLASS_IDS['curve']


def _strip(columns: np.ndarray) -> tuple[slice, slice]:
    """Return the columns of a mask, which are neighbours, as slices of a texture."""
    found = np.flatnonzero(columns)
    return slice(None), slice(int(found[0]), int(found[-1]) + 1)


def _markings(rng: np.random.Generator, x: np.ndarray, albedo: Float, temperature: Float) -> None:
    """Paint a dashed centre line, edge lines, and a crossing."""
    rows = albedo.shape[0]
    s = (np.arange(rows) + 0.5) * CELL_M
    centre = ((s % 6.25) < 2.8)[:, None] & (np.abs(x) < 0.075)[None]
    edge = (np.abs(np.abs(x) - (LANE_M - 0.1)) < 0.06)[None] & np.ones((rows, 1), bool)
    start = rng.uniform(20, 60)
    stripes = ((s > start) & (s < start + 3.2))[:, None]
    stripes = stripes & ((np.abs(x) < LANE_M - 0.3) & ((x % 1.0) < 0.5))[None]
    paint = centre | edge | stripes
    wear = cv2.resize(fractal_noise(rng, rows // 4, x.size // 4, 12), (x.size, rows))
    weight = paint * np.clip(0.85 + 0.25 * wear, 0.1, 1)
    albedo += (0.55 - albedo) * weight[..., None]
    temperature -= 0.9 * weight


def _bump(
    rng: np.random.Generator, x: np.ndarray, albedo: Float, temperature: Float, labels: np.ndarray
) -> None:
    """Lay one speed bump of yellow and black rubber across both lanes."""
    at = round(rng.uniform(70, 92) / CELL_M)
    length = round(0.55 / CELL_M)
    on_road = np.abs(x) < LANE_M - 0.25
    yellow = np.where((x % 0.9) < 0.45, 1.0, 0.0)[on_road, None] * (0.62, 0.47, 0.06)
    rise = np.sin(np.linspace(0.15, np.pi - 0.15, length))[:, None]
    rows = slice(at, at + length)
    albedo[rows, on_road] = (yellow + 0.045)[None] * (0.6 + 0.5 * rise[..., None])
    temperature[rows, on_road] += 1.5 * rise
    labels[rows, on_road] = CLASS_IDS['bump']
