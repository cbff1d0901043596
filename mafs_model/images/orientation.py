"""The way up of photographs: phones and cameras store it beside the pixels (EXIF)."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TAG = 0x0112
UPRIGHT = 1


def read_orientation(data: bytes) -> int:
    """
    Return the EXIF orientation of a JPEG, PNG, WebP or TIFF stream: 1 to 8, 1 = upright.

    Damaged or absent metadata count as upright: the pixels are what matters.
    """
    if b'Exif' not in data[:65536] and b'eXIf' not in data and data[:2] not in {b'II', b'MM'}:
        return UPRIGHT
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            value = image.getexif().get(_TAG, UPRIGHT)
    except Exception:  # noqa: BLE001 - parsers of metadata raise whatever they stumble over
        return UPRIGHT
    return value if isinstance(value, int) and 1 <= value <= 8 else UPRIGHT


def turn_upright(image: NDArray[Any], orientation: int) -> NDArray[Any]:
    """
    Return an image the right way up.

    Args:
        image: [H,W] or [H,W,C].
        orientation: EXIF orientation, 1 to 8.

    Returns:
        The image itself if it is upright, else a contiguous copy; 5 to 8 swap the sides.

    """
    if orientation == UPRIGHT:
        return image
    if orientation in {5, 6, 7, 8}:
        image = image.swapaxes(0, 1)
    if orientation in {3, 4, 7, 8}:
        image = image[::-1]
    if orientation in {2, 3, 6, 7}:
        image = image[:, ::-1]
    return np.ascontiguousarray(image)
