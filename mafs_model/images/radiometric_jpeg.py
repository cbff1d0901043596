"""
JPEG files of thermal cameras that hold more than the picture one sees.

What one sees is painted: false colours, a logo, a scale. FLIR's files hold the counts and often a
visible image besides; the library flyr takes them out. DJI's counts only DJI's own library reads.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any, Literal

from mafs_model.errors import ImageError
import numpy as np
from numpy.typing import NDArray

Maker = Literal['flir', 'dji']
_SOI, _APP1, _APP3, _START_OF_SCAN = 0xD8, 0xE1, 0xE3, 0xDA


def maker_of(data: bytes) -> Maker | None:
    """
    Return whose radiometric JPEG it is, None for any other file.

    Args:
        data: the file; no more than its markers are looked at.

    """
    if not data.startswith(b'\xff\xd8'):
        return None
    flir = dji = counts = False
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == _START_OF_SCAN:
            break
        length = int.from_bytes(data[position + 2 : position + 4], 'big')
        content = data[position + 4 : position + 4 + min(length, 1024)]
        flir = flir or (marker == _APP1 and content.startswith(b'FLIR\0'))
        dji = dji or (marker == _APP1 and content.startswith(b'Exif') and b'DJI' in content)
        counts = counts or marker == _APP3
        position += 2 + max(2, length)
    if dji and (flir or counts):
        return 'dji'
    return 'flir' if flir else None


def read_radiometric(data: bytes, maker: Maker) -> NDArray[np.float32]:
    """
    Return the temperatures in a radiometric JPEG, float32 [H,W] degrees Celsius.

    Raises:
        ImageError: 'encoding' for DJI and where flyr is not installed; 'decode'.

    """
    if maker == 'dji':
        raise ImageError(
            'encoding',
            'radiometric JPEG of DJI: its counts are in a form that only the DJI Thermal SDK '
            'reads, and the picture in it is painted; convert it with that to a 16-bit TIFF',
        )
    celsius = np.asarray(_unpack(data).celsius, dtype=np.float32)
    if celsius.ndim != 2:
        raise ImageError('decode', f'radiometric JPEG of FLIR: {celsius.shape}, expected an image')
    return celsius


def read_embedded_visible(data: bytes) -> NDArray[np.uint8]:
    """
    Return the visible image inside a radiometric JPEG of FLIR, uint8 [H,W,3] RGB.

    Raises:
        ImageError: 'encoding' where there is none or flyr is not installed; 'decode'.

    """
    optical = _unpack(data).optical
    if optical is None:
        raise ImageError(
            'encoding',
            'radiometric JPEG of FLIR without a visible image inside: is it the thermal image?',
        )
    return np.ascontiguousarray(optical[..., :3], dtype=np.uint8)


def _unpack(data: bytes) -> Any:
    """Return what flyr makes of a file of FLIR."""
    try:
        import flyr  # type: ignore[import-untyped,import-not-found]
    except ImportError:
        raise ImageError(
            'encoding',
            "radiometric JPEG of FLIR: package 'flyr' is not installed, install "
            'mafs_ros[radiometric]',
        ) from None
    try:
        return flyr.unpack(BytesIO(data))
    except Exception as error:  # noqa: BLE001 - any error of any layer below
        reason = ' '.join(str(error).split())[:100] or type(error).__name__
        raise ImageError(
            'decode', f'radiometric JPEG of FLIR is damaged or of an unknown kind: {reason}'
        ) from None
