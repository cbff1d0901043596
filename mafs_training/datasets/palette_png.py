"""Palette PNG files as the ids they hold: an image library shows the colours instead."""

from __future__ import annotations

import struct
import zlib

from mafs_model.errors import DatasetError
import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b'\x89PNG\r\n\x1a\n'
_GREY, _PALETTE = 0, 3
_DROPPED = (b'PLTE', b'tRNS', b'bKGD', b'sBIT', b'hIST')  # wrong in a grey image


def is_palette_png(data: bytes) -> bool:
    """Return whether a file is a PNG whose pixels are indices into a palette."""
    return data[:8] == _SIGNATURE and len(data) > 25 and data[25] == _PALETTE


def palette_indices(data: bytes, where: str) -> NDArray[np.uint8]:
    """
    Read the indices of a palette PNG.

    The same file is declared to be grey, whose samples are the indices, and decoded.

    Args:
        data: the file, see `is_palette_png`.
        where: for the message.

    Returns:
        uint8 [H,W].

    Raises:
        DatasetError: a damaged file.

    """
    import cv2

    out, place = bytearray(_SIGNATURE), 8
    while place + 12 <= len(data):
        (length,) = struct.unpack_from('>I', data, place)
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        place += 12 + length
        if kind == b'IHDR' and len(body) == 13:
            body = body[:9] + bytes([_GREY]) + body[10:]
        if kind not in _DROPPED:
            out += struct.pack('>I', len(body)) + kind + body
            out += struct.pack('>I', zlib.crc32(kind + body))
    try:
        grey = cv2.imdecode(np.frombuffer(bytes(out), np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        grey = None
    if grey is None or grey.dtype != np.uint8 or grey.ndim != 2:
        raise DatasetError(f'{where}: damaged palette PNG')
    bits = data[24]
    return grey if bits == 8 else grey // np.uint8(255 // (2**bits - 1))
