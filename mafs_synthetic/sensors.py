"""The two cameras: what they make of radiance and temperature."""

from __future__ import annotations

import cv2
from mafs_synthetic.config import SceneConfig
from mafs_synthetic.sprite import Float
import numpy as np
from numpy.typing import NDArray

# Thermal counts are centikelvin, the linear radiometric format of common cameras.
COUNTS_PER_KELVIN = 100.0
_NETD_K = 0.05
_MARGIN_PX = 64
_GAIN = 1.45
_CURVE_STEPS = 1400.0


def _signal(root: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of the full well, 0..1, for the square root of the exposure."""
    return 1 - np.exp(-1.25 * root**2)


def _encode(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the value, 0..255, of a signal: a curve that keeps dark parts dark."""
    s = np.minimum(signal, 1.0)
    return 255 * (0.35 * s**0.5 + 0.15 * s + 0.5 * s**1.25)


_CURVE = _encode(_signal(np.arange(4096) / _CURVE_STEPS)).astype(np.float32)


class VisibleCamera:
    """
    Exposure, bloom, vignetting, shot and read noise.

    Args:
        config: the scene.

    """

    def __init__(self, config: SceneConfig) -> None:
        rng = np.random.default_rng([config.seed, 3])
        size = (config.height + _MARGIN_PX, config.width + _MARGIN_PX, 3)
        grain = rng.standard_normal(size, np.float32)
        self._noise = config.noise * (0.8 * grain + 0.7 * cv2.GaussianBlur(grain, (0, 0), 0.9))
        y, x = np.mgrid[-1 : 1 : config.height * 1j, -1 : 1 : config.width * 1j]
        fall = _GAIN * (1 - 0.22 * (x**2 + y**2) / 2)
        self._vignette = np.repeat(fall.astype(np.float32)[..., None], 3, axis=2)
        # Shot and read noise of the signal, as they are after the curve.
        signal = _signal(np.arange(_CURVE.size) / _CURVE_STEPS)
        read = 7e-5 if config.daylight < 0.2 else 2e-5
        sigma = np.sqrt(0.0006 * signal + read)
        spread = _encode(signal + sigma) - _encode(np.maximum(signal - sigma, 0))
        self._sigma = (0.5 * spread).astype(np.float32)
        self._width = config.width
        self._seed = config.seed

    def expose(self, radiance: Float, frame: int) -> NDArray[np.uint8]:
        """Radiance RGB [H, W, 3] to an image uint8 [H, W, 3]."""
        light = cv2.multiply(np.ascontiguousarray(radiance), self._vignette)
        light = self._bloom(light)
        light += np.float32(0.004) * light.mean()  # stray light in the lens
        # The curve by a table over the square root, which spreads the dark values.
        # One number for each channel: of OpenCV 4.6 a single one is that of the first.
        index = cv2.multiply(cv2.sqrt(light), (_CURVE_STEPS,) * 4, dtype=cv2.CV_16U)
        np.minimum(index, _CURVE.size - 1, out=index)
        noise = cv2.multiply(
            self._sigma.take(index), _window(self._noise, frame, self._seed, index.shape)
        )
        noise += _CURVE.take(index)
        return cv2.convertScaleAbs(np.maximum(noise, 0, out=noise))

    def _bloom(self, light: Float) -> Float:
        """Spread strong lights as lens and sensor do: a core, a halo and a wide veil."""
        h, w = light.shape[:2]
        small = cv2.resize(light, (max(8, w // 4), max(8, h // 4)), interpolation=cv2.INTER_AREA)
        strong = np.minimum(np.maximum(small - 0.8, 0), 40.0)
        if not strong.any():
            return light
        size = (strong.shape[1], strong.shape[0])
        tiny = cv2.resize(strong, (max(4, w // 16), max(4, h // 16)), interpolation=cv2.INTER_AREA)
        unit = max(1.0, self._width / 640)
        glare = 0.30 * cv2.GaussianBlur(strong, (0, 0), 1.3 * unit)
        glare += 0.22 * cv2.resize(cv2.GaussianBlur(tiny, (0, 0), 1.4 * unit), size)
        glare += 0.16 * cv2.resize(cv2.GaussianBlur(tiny, (0, 0), 5.0 * unit), size)
        return light + cv2.resize(glare, (w, h), interpolation=cv2.INTER_LINEAR)


class ThermalCamera:
    """
    Softness, temporal noise, column and pixel pattern, counts.

    Args:
        config: the scene.

    """

    def __init__(self, config: SceneConfig) -> None:
        rng = np.random.default_rng([config.seed, 4])
        h, w = config.height, config.width
        self._noise = rng.standard_normal((h + _MARGIN_PX, w + _MARGIN_PX), np.float32)
        pattern = 0.5 * rng.standard_normal((1, w)) + 0.35 * rng.standard_normal((h, w))
        y, x = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
        drift = 0.5 * (x**2 + y**2) * rng.uniform(-0.5, 0.5)
        self._pattern = (config.noise * _NETD_K * pattern + drift).astype(np.float32)
        self._sigma = config.noise * _NETD_K
        self._blur = max(0.55, w / 900)
        self._seed = config.seed

    def expose(self, temperature: Float, frame: int) -> NDArray[np.uint16]:
        """Temperature [H, W], K, to counts uint16 [H, W] in centikelvin."""
        soft = cv2.GaussianBlur(temperature, (0, 0), self._blur)
        soft += self._pattern
        soft += self._sigma * _window(self._noise, frame, self._seed + 1, soft.shape)
        return np.clip(np.round(soft * COUNTS_PER_KELVIN), 0, 65535).astype(np.uint16)


def _window(noise: Float, frame: int, seed: int, shape: tuple[int, ...]) -> Float:
    """Return a part of a noise field, another one in every frame."""
    mixed = (frame * 2654435761 + seed * 40503) & 0xFFFFFFFF
    mixed ^= mixed >> 15
    top, left = mixed % _MARGIN_PX, (mixed >> 8) % _MARGIN_PX
    return noise[top : top + shape[0], left : left + shape[1]]
