"""Which pixels lie near a mask: exact, and the same with every version of OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def within(mask: Mask, radius_px: float) -> Mask:
    """
    Return the pixels whose nearest pixel of a mask is at most a radius away.

    The mask is dilated by the disc of all whole offsets (y, x) with y^2 + x^2 <= radius^2. A
    distance transform would say the same, but OpenCV's approximates it differently from version
    to version.

    Args:
        mask: [H, W].
        radius_px: Euclidean distance in pixels.

    """
    offsets = np.arange(-int(radius_px), int(radius_px) + 1)
    disc = (offsets[:, None] ** 2 + offsets**2 <= radius_px**2).astype(np.uint8)
    return np.asarray(cv2.dilate(mask.astype(np.uint8), disc) > 0)
