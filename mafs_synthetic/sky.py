"""The sky with clouds, and the skyline far behind the street."""

from __future__ import annotations

import cv2
from mafs_synthetic.config import SceneConfig
from mafs_synthetic.geometry import Camera
from mafs_synthetic.sprite import Float
from mafs_synthetic.textures import fractal_noise
import numpy as np

_NIGHT, _NIGHT_GLOW = np.array((0.009, 0.011, 0.020)), np.array((0.052, 0.037, 0.025))
_DAY, _DAY_GLOW = np.array((0.33, 0.53, 0.90)), np.array((0.45, 0.36, 0.16))


class Sky:
    """
    What is too far away to come nearer.

    Args:
        config: the scene.
        turn: how far the camera turns to either side, as the tangent of the angle.

    Attributes:
        veil: radiance of the air before far things, RGB [3].

    """

    def __init__(self, config: SceneConfig, turn: float) -> None:
        rng = np.random.default_rng([config.seed, 6])
        self._width = config.width
        self._margin = int(np.ceil(turn * Camera.FOCAL * config.width)) + 1
        size = config.height, config.width + 2 * self._margin
        self._pixels = _air(rng, config, size)
        horizon = min(int(Camera.HORIZON * config.height), config.height - 1)
        self.veil = self._pixels[horizon, 0, :3].astype(np.float64)
        _skyline(rng, config, self._pixels, horizon)

    def view(self, camera: Camera) -> Float:
        """Return radiance RGB and temperature, K, [H, W, 4] in the direction of a camera."""
        shift = round(camera.turn * camera.focal)
        first = int(np.clip(self._margin + shift, 0, 2 * self._margin))
        return self._pixels[:, first : first + self._width]


def _air(rng: np.random.Generator, config: SceneConfig, size: tuple[int, int]) -> Float:
    """Paint the sky, bright and warm towards the horizon; below it goes on as just above."""
    h, w = size
    up = np.clip(1 - np.arange(h) / (Camera.HORIZON * h), 0, 1)[:, None]
    low = (1 - up)[..., None]
    night = _NIGHT + low**3 * _NIGHT_GLOW
    day = _DAY + low**2 * _DAY_GLOW
    colour = night * (1 - config.daylight) + day * config.daylight
    clouds = cv2.resize(rng.standard_normal((24, 24)), (w, h), interpolation=cv2.INTER_CUBIC)
    clouds = cv2.GaussianBlur(clouds, (0, 0), w / 40)
    clouds /= max(float(clouds.std()), 1e-6)
    colour = colour * np.clip(1 + 0.16 * clouds, 0.5, 2)[..., None]
    kelvin = config.ambient_k - 3 - 9 * up**0.7 + 1.0 * clouds * up
    return np.dstack([colour, kelvin]).astype(np.float32)


def _skyline(rng: np.random.Generator, config: SceneConfig, pixels: Float, horizon: int) -> None:
    """Put roofs, tree tops and a few lit windows on the horizon."""
    h, w = pixels.shape[:2]
    noise = fractal_noise(rng, 8, w, max(4.0, w / 60), 4)[0]
    tops = 0.016 * h + 0.007 * h * noise
    column = 0
    while column < w:
        wide = int(rng.uniform(0.012, 0.06) * w) + 1
        if rng.random() < 0.7:
            tops[column : column + wide] = np.maximum(
                tops[column : column + wide], rng.uniform(0.015, 0.085) * h
            )
        column += wide + int(rng.uniform(0, 0.03) * w)
    rows = horizon + 1 - np.arange(h)[:, None]
    cover = np.clip(tops[None] - rows, 0, 1)[..., None] * (np.arange(h) <= horizon)[:, None, None]
    dark = np.array((0.005, 0.006, 0.008)) * (1 - config.daylight) + config.daylight * np.array(
        (0.22, 0.26, 0.31)
    )
    far = np.array([*(0.6 * dark + 0.25 * pixels[horizon, 0, :3]), config.ambient_k - 1.2])
    pixels += ((far - pixels) * cover).astype(np.float32)
    if config.daylight > 0.3:
        return
    count = int(0.08 * w)
    for u, share in zip(rng.integers(0, w, count), rng.uniform(0.25, 0.9, count), strict=True):
        v = int(horizon - share * tops[u])
        level = rng.uniform(0.1, 0.6) * (1 - 3 * config.daylight)
        pixels[v, u, :3] += np.float32(level) * np.array((1.0, 0.78, 0.46), np.float32)
