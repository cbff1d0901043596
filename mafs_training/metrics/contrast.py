"""Contrast of labelled objects against what surrounds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
from mafs_model.errors import ImageError
from mafs_training.metrics.nearness import within
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]

RING_PX = 15
MIN_OBJECT_PX = 30
MIN_RING_PX = 30


@dataclass(frozen=True)
class ObjectContrast:
    """
    One object in several images.

    Attributes:
        top: first row of the object.
        left: first column of the object.
        pixels: size of the object.
        ring_pixels: size of its surroundings.
        difference: image name to mean of the object minus mean of the ring, grey levels.
        michelson: image name to that difference over the sum of both means, -1..1; not a number
            where both are black.

    """

    top: int
    left: int
    pixels: int
    ring_pixels: int
    difference: dict[str, float]
    michelson: dict[str, float]


def object_contrasts(
    labels: NDArray[np.integer],
    images: Mapping[str, Grey],
    class_id: int,
    *,
    ignore_index: int = 255,
    ring_px: int = RING_PX,
) -> list[ObjectContrast]:
    """
    Measure every object of a class in every image.

    An object is an 8-connected region of the class with at least 30 pixels. Its ring are the
    pixels at most `ring_px` away (Euclidean, from the nearest pixel of the object) that belong
    neither to the class nor to `ignore_index`; an object whose ring has fewer than 30 pixels is
    left out.

    Args:
        labels: class ids [H, W].
        images: name to luminance, uint8 [H, W].
        class_id: class of the objects.
        ignore_index: label of pixels without a class.
        ring_px: width of the ring in pixels.

    Returns:
        Objects from top to bottom.

    Raises:
        ImageError: sizes differ or an image is not 8-bit grey.

    """
    for name, image in images.items():
        if image.dtype != np.uint8 or image.shape != labels.shape:
            raise ImageError(
                'size',
                f'{name}: expected uint8 {list(labels.shape)} as the labels, got {image.dtype} '
                f'{list(image.shape)}',
            )
    members = (labels == class_id).astype(np.uint8)
    free = (members == 0) & (labels != ignore_index)
    count, regions, boxes, _ = cv2.connectedComponentsWithStats(members, connectivity=8)
    found = []
    for index in range(1, count):
        left, top, width, height, pixels = (int(v) for v in boxes[index])
        if pixels < MIN_OBJECT_PX:
            continue
        window = (
            slice(max(0, top - ring_px), top + height + ring_px),
            slice(max(0, left - ring_px), left + width + ring_px),
        )
        inside = regions[window] == index
        ring = within(inside, ring_px) & free[window]
        ring_pixels = int(ring.sum())
        if ring_pixels < MIN_RING_PX:
            continue
        found.append(_measure(images, window, inside, ring, (top, left, pixels, ring_pixels)))
    return found


def _measure(
    images: Mapping[str, Grey],
    window: tuple[slice, slice],
    inside: NDArray[np.bool_],
    ring: NDArray[np.bool_],
    place: tuple[int, int, int, int],
) -> ObjectContrast:
    """Return the contrasts of one object."""
    difference, michelson = {}, {}
    for name, image in images.items():
        part = image[window]
        own, around = float(part[inside].mean()), float(part[ring].mean())
        difference[name] = own - around
        michelson[name] = (own - around) / (own + around) if own + around else float('nan')
    return ObjectContrast(*place, difference, michelson)
