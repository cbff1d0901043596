"""The picture being painted, far to near: radiance, temperature and label of every pixel."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Bytes = NDArray[np.uint8]


class Canvas:
    """
    Radiance RGB and temperature, float32 [H, W, 4], and class ids, uint8 [H, W].

    Everything is painted over what is there, so that labels follow occlusion exactly: a pixel
    belongs to what covers at least half of it.

    Args:
        width: px.
        height: px.

    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.pixels: Float = np.zeros((height, width, 4), np.float32)
        self.labels: Bytes = np.zeros((height, width), np.uint8)

    def clip(self, u0: float, v0: float, u1: float, v1: float) -> tuple[int, int, int, int] | None:
        """Whole pixels of a box that are inside the image, or None."""
        left, top = max(0, int(np.floor(u0))), max(0, int(np.floor(v0)))
        right, bottom = min(self.width, int(np.ceil(u1))), min(self.height, int(np.ceil(v1)))
        return (left, top, right, bottom) if left < right and top < bottom else None

    def blend(self, left: int, top: int, patch: Float, alpha: Float, label: int | Bytes) -> None:
        """
        Paint a patch.

        Args:
            left: column of the patch; the patch is inside the image.
            top: row of the patch.
            patch: radiance and temperature [h, w, 4].
            alpha: coverage [h, w], 0..1.
            label: class id, or ids [h, w].

        """
        h, w = alpha.shape
        area = (slice(top, top + h), slice(left, left + w))
        below = self.pixels[area]
        below += (patch - below) * alpha[..., None]
        covered = alpha >= 0.5
        region = self.labels[area]
        region[covered] = label if isinstance(label, int) else label[covered]

    def quad(self, corners: NDArray[np.float64], texture: Float, alpha: Bytes, label: int) -> None:
        """
        Paint a texture onto a quadrilateral in perspective.

        Args:
            corners: pixels (u, v) of the texture's top left, top right, bottom right and bottom
                left corner, [4, 2].
            texture: radiance and temperature [h, w, 4].
            alpha: coverage [h, w], 0..255.
            label: class id.

        """
        box = self.clip(*corners.min(axis=0), *(corners.max(axis=0) + 1))
        if box is None:
            return
        left, top, right, bottom = box
        h, w = alpha.shape
        source = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32) - 0.5
        target = (corners - 0.5 - (left, top)).astype(np.float32)
        matrix = cv2.getPerspectiveTransform(source, target)
        size = (right - left, bottom - top)
        patch = cv2.warpPerspective(texture, matrix, size, flags=cv2.INTER_LINEAR,
                                    borderMode=cv2.BORDER_REPLICATE)
        cover = cv2.warpPerspective(alpha, matrix, size, flags=cv2.INTER_LINEAR)
        self.blend(left, top, patch, cover.astype(np.float32) / 255, label)

    def sprite(self, u0: float, v0: float, u1: float, v1: float, texture: Float, alpha: Bytes,
               labels: Bytes) -> None:
        """
        Paint a texture onto an upright box (u0, v0)..(u1, v1), px, anti-aliased.

        Args:
            u0: left edge.
            v0: top edge.
            u1: right edge.
            v1: bottom edge.
            texture: radiance and temperature [h, w, 4].
            alpha: coverage [h, w], 0..255.
            labels: class ids [h, w].

        """
        box = self.clip(u0, v0, u1, v1)
        if box is None or u1 - u0 < 0.5 or v1 - v0 < 0.5:
            return
        left, top, right, bottom = box
        h, w = alpha.shape
        affine = np.array([[(u1 - u0) / w, 0, u0 - left + 0.5 * (u1 - u0) / w - 0.5],
                           [0, (v1 - v0) / h, v0 - top + 0.5 * (v1 - v0) / h - 0.5]])
        size = (right - left, bottom - top)
        patch = cv2.warpAffine(texture, affine, size, flags=cv2.INTER_LINEAR,
                               borderMode=cv2.BORDER_REPLICATE)
        cover = cv2.warpAffine(alpha, affine, size, flags=cv2.INTER_LINEAR)
        ids = cv2.warpAffine(labels, affine, size, flags=cv2.INTER_NEAREST,
                             borderMode=cv2.BORDER_REPLICATE)
        self.blend(left, top, patch, cover.astype(np.float32) / 255, ids)

    def glow(self, u: float, v: float, radius: float, colour: tuple[float, float, float]) -> None:
        """Add a soft round light of the given radius, px."""
        box = self.clip(u - radius, v - radius, u + radius, v + radius)
        if box is None or radius < 0.3:
            return
        left, top, right, bottom = box
        x = np.arange(left, right, dtype=np.float32) + 0.5 - u
        y = np.arange(top, bottom, dtype=np.float32) + 0.5 - v
        away = (x[None] ** 2 + y[:, None] ** 2) / np.float32(radius ** 2)
        # Bright in the middle with a long tail, and nothing at the radius.
        shape = np.clip(1 - away, 0, 1) ** 2 / (1 + 60 * away) ** 1.5
        self.pixels[top:bottom, left:right, :3] += shape[..., None] * np.array(colour, np.float32)

