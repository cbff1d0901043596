"""Drawing of round limbs and thin rods on a small sheet, shaded from above."""

from __future__ import annotations

import cv2
from mafs_synthetic.sprite import Bytes, Float, Sprite
from mafs_synthetic.textures import fractal_noise
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_SCALE = 96  # px per metre


class Pen:
    """
    A sheet whose lower edge is the ground; across 0 is its middle.

    Args:
        width_m: width, m.
        height_m: height, m.

    """

    def __init__(self, width_m: float, height_m: float) -> None:
        self.width_m, self.height_m = width_m, height_m
        h, w = round(height_m * _SCALE), round(width_m * _SCALE)
        self._pixels: Float = np.zeros((h, w, 4), np.float32)
        self._cover: Float = np.zeros((h, w), np.float32)
        self._labels: Bytes = np.zeros((h, w), np.uint8)

    def limb(self, points: Array, radii: Array, albedo: Array, kelvin: float, label: int) -> None:
        """
        Draw a tube.

        Args:
            points: (across, up) of its joints, m, [N, 2].
            radii: at the joints, m, [N].
            albedo: RGB [3].
            kelvin: temperature in its middle, K.
            label: class id.

        """
        path = self._px(points)
        thick = np.asarray(radii) * _SCALE
        mask, origin = self._sheet(path, float(thick.max()))
        path = path - origin
        for a, b, ra, rb in zip(path, path[1:], thick, thick[1:], strict=False):
            along = b - a
            normal = np.array((-along[1], along[0])) / max(float(np.hypot(*along)), 1e-6)
            corners = np.array(
                [a + normal * ra, b + normal * rb, b - normal * rb, a - normal * ra]
            )
            cv2.fillConvexPoly(mask, _fixed(corners), 255, cv2.LINE_AA, 4)
        for centre, radius in zip(_fixed(path), thick, strict=True):
            middle = int(centre[0]), int(centre[1])
            cv2.circle(mask, middle, round(float(radius) * 16), 255, -1, cv2.LINE_AA, 4)
        self._lay(mask, origin, albedo, kelvin, float(np.max(radii)), label)

    def line(
        self,
        points: Array,
        width_m: float,
        albedo: Array,
        kelvin: float,
        label: int,
        strength: int = 255,
    ) -> None:
        """Draw a thin line through points (across, up), m, [N, 2]; strength 255 is opaque."""
        path = self._px(points)
        mask, origin = self._sheet(path, width_m * _SCALE)
        thick = max(1, round(width_m * _SCALE))
        cv2.polylines(mask, [_fixed(path - origin)], False, strength, thick, cv2.LINE_AA, 4)
        self._lay(mask, origin, albedo, kelvin, width_m / 2, label)

    def _px(self, points: Array) -> Array:
        return np.stack(
            [
                (points[:, 0] + self.width_m / 2) * _SCALE,
                (self.height_m - points[:, 1]) * _SCALE,
            ],
            axis=1,
        )

    def _sheet(self, path: Array, radius: float) -> tuple[Bytes, NDArray[np.int64]]:
        """Return an empty mask around points, and its top left corner on the sheet."""
        h, w = self._cover.shape
        margin = 2 + 1.5 * radius
        low = np.clip(np.floor(path.min(axis=0) - margin), 0, (w - 1, h - 1)).astype(np.int64)
        high = np.clip(np.ceil(path.max(axis=0) + margin), low + 1, (w, h)).astype(np.int64)
        return np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8), low

    def _lay(
        self,
        mask: Bytes,
        origin: NDArray[np.int64],
        albedo: Array,
        kelvin: float,
        radius: float,
        label: int,
    ) -> None:
        """Put a shape over what is there, shaded as if it were round."""
        soft = cv2.GaussianBlur(mask, (0, 0), max(0.8, 0.5 * radius * _SCALE))
        slope = cv2.Sobel(soft, cv2.CV_32F, 0, 1, ksize=3) * (radius * _SCALE / 255)
        edge = soft.astype(np.float32) / 255
        shade = np.clip(0.62 + 0.35 * edge + 0.45 * slope, 0.35, 1.4)
        colour = np.dstack(
            [shade[..., None] * albedo.astype(np.float32), kelvin - 1.6 * (1 - edge)]
        )
        weight = mask.astype(np.float32) / 255
        area = (
            slice(origin[1], origin[1] + mask.shape[0]),
            slice(origin[0], origin[0] + mask.shape[1]),
        )
        self._pixels[area] *= 1 - weight[..., None]
        self._pixels[area] += colour * weight[..., None]
        self._cover[area] += (1 - self._cover[area]) * weight
        self._labels[area][mask >= 64] = label

    def finish(self, rng: np.random.Generator, folds_k: float) -> Sprite:
        """
        Add creases and make a sprite.

        Args:
            rng: draws the creases.
            folds_k: how much they differ in temperature, K.

        """
        h, w = self._cover.shape
        folds = fractal_noise(rng, h, w, 15, 3)
        body = self._pixels
        body /= np.maximum(self._cover, 1e-6)[..., None]
        bare = self._cover < 0.02
        body[bare] = body[~bare].mean(axis=0)
        body[..., :3] *= 1 + 0.09 * folds[..., None]
        body[..., 3] += folds_k * folds * (self._labels != 0)
        alpha = np.round(self._cover * 255).astype(np.uint8)
        # Coverage decides what is labelled; the ids reach beyond it at every reduced size.
        grown = cv2.dilate(self._labels, np.ones((17, 17), np.uint8))
        labels = np.where(self._labels == 0, grown, self._labels)
        return Sprite(body, alpha, labels, self.width_m, self.height_m)


def _fixed(points: Array) -> NDArray[np.int32]:
    """Pixels as fixed point numbers of 4 fractional bits."""
    return np.round(points * 16).astype(np.int32)
