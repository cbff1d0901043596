"""Objects of a label image against boxes: found ones, missed ones, and regions in no box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
from mafs_training.datasets.boxes import Box
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Rectangle = tuple[int, int, int, int]

# A box is found if more than this share of it is filled with its class.
FILLED = 0.2
# A region of a class counts from this size in pixels, and is right if more than this share of it
# lies in boxes that are enlarged by a margin in pixels.
LEAST_REGION = 40
INSIDE = 0.5
ENLARGED_PX = 6


@dataclass(frozen=True)
class ObjectHits:
    """
    What a label image says of the objects of one class.

    Attributes:
        found: for each box whether it is found.
        right: number of regions that lie in boxes.
        wrong: left, top, width and height in pixels of those that do not.

    """

    found: tuple[bool, ...]
    right: int
    wrong: tuple[Rectangle, ...]


def object_hits(mask: Mask, boxes: Sequence[Box]) -> ObjectHits:
    """
    Compare the pixels of one class with its boxes.

    A box is found if more than 20 % of it are pixels of the class. A region (8-connected, at
    least 40 pixels) is right if more than half of it lies in boxes, enlarged by 6 pixels.

    Args:
        mask: pixels of the class [H, W].
        boxes: boxes of the class.

    """
    near = np.zeros(mask.shape, bool)
    found = []
    for box in boxes:
        left, top = max(0, int(box.x - box.width / 2)), max(0, int(box.y - box.height / 2))
        right, bottom = int(box.x + box.width / 2) + 1, int(box.y + box.height / 2) + 1
        part = mask[top : max(0, bottom), left : max(0, right)]
        found.append(bool(part.size and part.mean() > FILLED))
        near[
            max(0, top - ENLARGED_PX) : max(0, bottom + ENLARGED_PX),
            max(0, left - ENLARGED_PX) : max(0, right + ENLARGED_PX),
        ] = True
    count, regions, table, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=8
    )
    right_ones, wrong = 0, []
    for index in range(1, count):
        x, y, width, height, pixels = (int(value) for value in table[index])
        if pixels < LEAST_REGION:
            continue
        window = np.s_[y : y + height, x : x + width]
        if near[window][regions[window] == index].mean() > INSIDE:
            right_ones += 1
        else:
            wrong.append((x, y, width, height))
    return ObjectHits(tuple(found), right_ones, tuple(wrong))
