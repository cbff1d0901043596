"""Flat textures of upright things, reduced once for every distance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# Low light below this is spread evenly: nobody sees the difference.
_FAINT = 0.006

Float = NDArray[np.float32]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Shade:
    """
    What light and air make of a texture: ``clear * (albedo * light + emission) + veil``.

    Args:
        light: irradiance RGB.
        low: more irradiance RGB, full at the ground and fading upwards (dipped headlights).
        clear: share of the light that comes through the air, 0..1.
        veil: light of the air itself, RGB.

    """

    light: NDArray[Any]
    low: NDArray[Any] = field(default_factory=lambda: np.zeros(3))
    clear: float = 1.0
    veil: NDArray[Any] = field(default_factory=lambda: np.zeros(3))

    def apply(self, albedo: Float, emission: Float | None, up_m: Float | None = None) -> Float:
        """
        Return radiance and temperature, in place.

        Args:
            albedo: reflectance RGB and temperature, [h, w, 4].
            emission: radiance RGB [h, w, 3], or None.
            up_m: height of every row above the ground, m, [h]; None: low light everywhere.

        """
        if up_m is None or self.clear * self.low.max() < _FAINT:
            light = self.clear * (self.light + (0.4 if up_m is not None else 1.0) * self.low)
            cv2.multiply(albedo, (*map(float, light), 1.0), albedo)
        else:
            fade = np.clip(1.1 - 0.75 * up_m, 0.14, 1)[:, None]
            rows = np.ones((len(up_m), 1, 4), np.float32)
            rows[:, 0, :3] = self.clear * (self.light + self.low * fade)
            cv2.multiply(albedo, np.repeat(rows, albedo.shape[1], axis=1), albedo)
        if emission is not None:
            albedo[..., :3] += np.float32(self.clear) * emission
        cv2.add(albedo, (*map(float, self.veil), 0.0), albedo)
        return albedo


@dataclass
class Sprite:
    """
    Something flat and upright, at full size and at halves of it.

    Args:
        albedo: reflectance RGB and temperature, K, [h, w, 4].
        alpha: coverage [h, w], 0..255.
        labels: class ids [h, w].
        width_m: width, m.
        height_m: height, m.
        emission: radiance RGB that needs no light, [h, w, 3], or None.

    """

    albedo: Float
    alpha: Bytes
    labels: Bytes
    width_m: float
    height_m: float
    emission: Float | None = None
    _half: Sprite | None = field(default=None, repr=False)

    def sized(self, width_px: float, height_px: float) -> Sprite:
        """Return it reduced to between one and two times a size; drawn smaller it flickers."""
        h, w = self.alpha.shape
        if w < 2 * width_px or h < 2 * height_px or min(h, w) < 8:
            return self
        if self._half is None:
            self._half = self._halve()
        return self._half.sized(width_px, height_px)

    def columns(self, start: float, end: float) -> Sprite:
        """Return the part from start to end of the width, 0..1."""
        w = self.alpha.shape[1]
        part = slice(min(round(start * w), w - 2), max(round(start * w) + 2, round(end * w)))
        return Sprite(
            self.albedo[:, part],
            np.ascontiguousarray(self.alpha[:, part]),
            self.labels[:, part],
            self.width_m,
            self.height_m,
            None if self.emission is None else self.emission[:, part],
        )

    def _halve(self) -> Sprite:
        h, w = self.alpha.shape
        size = ((w + 1) // 2, (h + 1) // 2)
        # A transparent pixel has a colour too, with next to no weight.
        weight = self.alpha.astype(np.float32) / 255 + np.float32(1e-3)

        def mean(image: Float) -> Float:
            total = cv2.resize(image * weight[..., None], size, interpolation=cv2.INTER_AREA)
            return total / cv2.resize(weight, size, interpolation=cv2.INTER_AREA)[..., None]

        alpha = cv2.resize(self.alpha, size, interpolation=cv2.INTER_AREA)
        labels = cv2.resize(self.labels, size, interpolation=cv2.INTER_NEAREST)
        emission = None if self.emission is None else mean(self.emission)
        return Sprite(mean(self.albedo), alpha, labels, self.width_m, self.height_m, emission)
