"""The way up of photographs: phones and cameras store it beside the pixels (EXIF)."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

UPRIGHT = 1
_TAG = 0x0112
_SHORT = 3
_MAX_ENTRIES = 512  # of the first directory; cameras write a dozen
# Where the metadata begin in JPEG, PNG and WebP: a mark, and the bytes from it to them.
_MARKS = ((b'Exif\x00\x00', 6), (b'eXIf', 4), (b'EXIF', 8))
_ORDERS = {b'II*\x00': '<', b'MM\x00*': '>'}


def read_orientation(data: bytes) -> int:
    """
    Return the EXIF orientation of a JPEG, PNG, WebP or TIFF stream: 1 to 8, 1 = upright.

    Damaged or absent metadata count as upright: the pixels are what matters.
    """
    if data[:4] in _ORDERS:
        return _read_directory(data)
    for mark, length in _MARKS:
        place = data.find(mark)
        if place >= 0 and data[place + length : place + length + 4] in _ORDERS:
            return _read_directory(data[place + length : place + length + (1 << 16)])
    return UPRIGHT


def _read_directory(data: bytes) -> int:
    """Return the orientation that the first directory of TIFF metadata holds."""
    order = _ORDERS[data[:4]]
    try:
        (start,) = struct.unpack_from(f'{order}I', data, 4)
        (count,) = struct.unpack_from(f'{order}H', data, start)
        for index in range(min(count, _MAX_ENTRIES)):
            entry = struct.unpack_from(f'{order}HHIH', data, start + 2 + 12 * index)
            if entry[:3] == (_TAG, _SHORT, 1):
                return entry[3] if 1 <= entry[3] <= 8 else UPRIGHT
    except struct.error:
        pass  # It ends too early.
    return UPRIGHT


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
