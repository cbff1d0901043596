"""Contrast of boxed objects against what surrounds them, in the fused image and its sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
from mafs_model.errors import ImageError
from mafs_training.datasets.boxes import Box
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Mask = NDArray[np.bool_]

# Boxes of fewer rows are left out, and those with fewer pixels inside or around.
LEAST_HEIGHT = 16
LEAST_INSIDE = 20
LEAST_RING = 40
# Half axes of the ellipse inside a box, of that around it, and of what belongs to an object, as
# shares of its width and height; the ring is wider by some pixels.
INNER = (0.36, 0.46)
OUTER = (0.6, 0.55)
OWN = (0.55, 0.55)
WIDER_PX = 8

# Contrasts in grey levels: enough in itself, the share of the better camera's, and too little.
ENOUGH = 32
OF_BETTER = 0.8
LOST = 10


@dataclass(frozen=True)
class Clearness:
    """
    How an object stands out in a fused image.

    Attributes:
        clear: its contrast is at least min(32 grey levels, 0.8 of the better camera's).
        kept: its contrast is at least 0.8 of the better camera's.
        lost: its contrast is below 10 grey levels.

    """

    clear: bool
    kept: bool
    lost: bool


@dataclass(frozen=True)
class BoxContrast:
    """A boxed object and its contrast in grey levels, by name of the image."""

    box: Box
    contrast: dict[str, float]


def clearness(fused: float, visible: float, thermal: float) -> Clearness:
    """Judge a contrast in the fused image by those in the sources, all in grey levels."""
    better = OF_BETTER * max(visible, thermal)
    return Clearness(fused >= min(ENOUGH, better), fused >= better, fused < LOST)


def box_contrasts(images: Mapping[str, Grey], boxes: Sequence[Box]) -> list[BoxContrast]:
    """
    Measure the objects of one class in several images.

    The contrast is |mean inside - mean of the ring|: inside is the ellipse of 0.36 of the width
    and 0.46 of the height of the box, the ring that of 0.6 width + 8 px and 0.55 height + 8 px
    without the ellipses (0.55) of all boxes of the class.

    Args:
        images: name to luminance, uint8 [H, W], of one size.
        boxes: boxes of the class; those of fewer than 16 rows, or with hardly a pixel inside or
            around, are left out.

    Returns:
        The measured boxes in their order.

    Raises:
        ImageError: sizes differ or an image is not 8-bit grey.

    """
    shapes = {image.shape for image in images.values()}
    if len(shapes) != 1 or any(i.ndim != 2 or i.dtype != np.uint8 for i in images.values()):
        listed = ', '.join(f'{n} {i.dtype} {list(i.shape)}' for n, i in images.items())
        raise ImageError('size', f'expected 8-bit grey images of one size, got {listed}')
    shape = next(iter(shapes))
    objects = np.zeros(shape, bool)
    for box in boxes:
        objects |= _ellipse(shape, box, OWN)
    found = []
    for box in boxes:
        if box.height < LEAST_HEIGHT:
            continue
        inside = _ellipse(shape, box, INNER)
        ring = _ellipse(shape, box, OUTER, WIDER_PX) & ~objects
        if inside.sum() >= LEAST_INSIDE and ring.sum() >= LEAST_RING:
            contrast = {
                name: abs(float(image[inside].mean() - image[ring].mean()))
                for name, image in images.items()
            }
            found.append(BoxContrast(box, contrast))
    return found


def _ellipse(
    shape: tuple[int, ...], box: Box, axes: tuple[float, float], wider: float = 0.0
) -> Mask:
    """Return the pixels of an upright ellipse around the middle of a box."""
    mask = np.zeros(shape, np.uint8)
    middle = (int(box.x), int(box.y))
    half = (
        max(1, int(axes[0] * box.width + wider)),
        max(1, int(axes[1] * box.height + wider)),
    )
    cv2.ellipse(mask, middle, half, 0, 0, 360, 1, -1)
    return mask > 0
