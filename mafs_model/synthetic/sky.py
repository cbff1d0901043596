"""The sky: bright and warm towards the horizon, with clouds."""

from __future__ import annotations

import cv2
from mafs_model.synthetic.config import SceneConfig
from mafs_model.synthetic.geometry import Camera
from mafs_model.synthetic.sprite import Float
import numpy as np

_NIGHT, _NIGHT_GLOW = np.array((0.012, 0.015, 0.028)), np.array((0.05, 0.036, 0.024))
_DAY, _DAY_GLOW = np.array((0.33, 0.53, 0.90)), np.array((0.45, 0.36, 0.16))


def sky(config: SceneConfig) -> Float:
    """
    Paint the sky; below the horizon goes on what is just above it.

    Args:
        config: the scene.

    Returns:
        Radiance RGB and temperature, K, [H, W, 4].

    """
    rng = np.random.default_rng([config.seed, 6])
    h, w = config.height, config.width
    up = np.clip(1 - np.arange(h) / (Camera.HORIZON * h), 0, 1)[:, None]
    low = (1 - up)[..., None]
    night = _NIGHT + low ** 3 * _NIGHT_GLOW
    day = _DAY + low ** 2 * _DAY_GLOW
    colour = night * (1 - config.daylight) + day * config.daylight
    clouds = cv2.resize(rng.standard_normal((24, 24)), (w, h), interpolation=cv2.INTER_CUBIC)
    clouds = cv2.GaussianBlur(clouds, (0, 0), w / 40)
    clouds /= max(float(clouds.std()), 1e-6)
    colour = colour * np.clip(1 + 0.16 * clouds, 0.5, 2)[..., None]
    kelvin = config.ambient_k - 4 - 14 * up ** 0.7 + 1.6 * clouds * up
    return np.dstack([colour, kelvin]).astype(np.float32)
