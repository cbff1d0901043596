"""The picture being painted, far to near: radiance, temperature and label of every pixel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
from mafs_synthetic.sprite import Bytes, Float, Shade, Sprite
import numpy as np
from numpy.typing import NDArray


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
        self.pixels[area] = cv2.blendLinear(patch, self.pixels[area], alpha, 1 - alpha)
        covered = alpha >= 0.5
        region = self.labels[area]
        region[covered] = label if isinstance(label, int) else label[covered]

    def quad(self, corners: NDArray[np.float64], sprite: Sprite, shade: Shade) -> None:
        """
        Paint a sprite onto a quadrilateral in perspective; its first label counts for all of it.

        Args:
            corners: pixels (u, v) of the sprite's top left, top right, bottom right and bottom
                left corner, [4, 2].
            sprite: texture.
            shade: light on it and air before it.

        """
        box = self.clip(*corners.min(axis=0), *(corners.max(axis=0) + 1))
        if box is None:
            return
        left, top, right, bottom = box
        h, w = sprite.alpha.shape
        source = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32) - 0.5
        target = (corners - 0.5 - (left, top)).astype(np.float32)
        matrix = cv2.getPerspectiveTransform(source, target)
        warp = partial(cv2.warpPerspective, M=matrix, dsize=(right - left, bottom - top))
        self._paint(left, top, sprite, shade, warp, int(sprite.labels[0, 0]))

    def upright(
        self, u0: float, v0: float, u1: float, v1: float, sprite: Sprite, shade: Shade
    ) -> None:
        """
        Paint a sprite into an upright box.

        Args:
            u0: left edge, px.
            v0: top edge, px.
            u1: right edge, px.
            v1: bottom edge, px.
            sprite: texture.
            shade: light on it and air before it.

        """
        box = self.clip(u0, v0, u1, v1)
        if box is None or u1 - u0 < 0.5 or v1 - v0 < 0.5:
            return
        left, top, right, bottom = box
        h, w = sprite.alpha.shape
        fx, fy = (u1 - u0) / w, (v1 - v0) / h
        affine = np.array(
            [[fx, 0, u0 - left + 0.5 * fx - 0.5], [0, fy, v0 - top + 0.5 * fy - 0.5]]
        )
        warp = partial(cv2.warpAffine, M=affine, dsize=(right - left, bottom - top))
        labels = warp(sprite.labels, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
        rows = np.arange(top, bottom, dtype=np.float32) + np.float32(0.5)
        up_m = (np.float32(v1) - rows) * np.float32(sprite.height_m / (v1 - v0))
        self._paint(left, top, sprite, shade, warp, labels, up_m)

    def _paint(
        self,
        left: int,
        top: int,
        sprite: Sprite,
        shade: Shade,
        warp: Callable[..., NDArray[Any]],
        label: int | Bytes,
        up_m: Float | None = None,
    ) -> None:
        """Bring a sprite into the picture, then light what is in view of it."""
        patch = warp(sprite.albedo, borderMode=cv2.BORDER_REPLICATE)
        emission = None if sprite.emission is None else warp(sprite.emission)
        cover = warp(sprite.alpha).astype(np.float32)
        cover *= np.float32(1 / 255)
        self.blend(left, top, shade.apply(patch, emission, up_m), cover, label)

    def glow(
        self,
        u: float,
        v: float,
        reach: tuple[float, float],
        colour: NDArray[np.float64],
        spread: float = 60.0,
    ) -> None:
        """
        Add a soft light.

        Args:
            u: its middle, px.
            v: its middle, px.
            reach: how far it reaches to the sides and up and down, px.
            colour: radiance RGB in the middle, [3].
            spread: how much brighter the middle is than the rest; 0: an even spot.

        """
        box = self.clip(u - reach[0], v - reach[1], u + reach[0], v + reach[1])
        if box is None or min(reach) < 0.3:
            return
        left, top, right, bottom = box
        x = (np.arange(left, right, dtype=np.float32) + np.float32(0.5 - u)) / np.float32(reach[0])
        y = (np.arange(top, bottom, dtype=np.float32) + np.float32(0.5 - v)) / np.float32(reach[1])
        away = x[None] ** 2 + y[:, None] ** 2
        # Bright in the middle with a long tail, and nothing at the edge.
        shape = np.clip(1 - away, 0, 1) ** 2 / (1 + np.float32(spread) * away) ** 1.5
        self.pixels[top:bottom, left:right, :3] += shape[..., None] * np.asarray(
            colour, np.float32
        )
