"""Outlines of objects in the pictures of a report."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
from mafs_training.datasets.boxes import Box
from mafs_training.evaluation.html.page import legend
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Color = tuple[int, int, int]

# Blue, yellow and vermilion of Okabe and Ito: told apart by everybody, on dark and on bright.
GOOD: Color = (86, 180, 233)
WEAK: Color = (240, 228, 66)
BAD: Color = (213, 94, 0)


def outline(
    picture: Picture, left: float, top: float, right: float, bottom: float, color: Color
) -> None:
    """Draw a rectangle into an RGB picture, wider in larger ones; `picture` is changed."""
    corners = [(int(x), int(y)) for x, y in ((left, top), (right, bottom))]
    cv2.rectangle(picture, corners[0], corners[1], color, max(1, round(picture.shape[1] / 320)))


def outline_box(picture: Picture, box: Box, color: Color) -> None:
    """Draw a box into an RGB picture; `picture` is changed."""
    half = box.width / 2, box.height / 2
    outline(picture, box.x - half[0], box.y - half[1], box.x + half[0], box.y + half[1], color)


def outline_legend(colors: Mapping[str, Color]) -> str:
    """Return what the colours mean."""
    return legend(list(colors), [f'rgb{color}' for color in colors.values()])
