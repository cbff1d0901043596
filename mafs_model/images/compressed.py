"""Headers and integrity of JPEG and PNG streams, checked before a decoder sees them."""

from __future__ import annotations

from dataclasses import dataclass
import re
import struct
import zlib

from mafs_model.errors import ImageError

_PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 1, 6: 3}  # colour type -> channels without alpha
# Inside a scan 0xFF is followed by a stuffed zero, a restart marker or a fill byte; anything
# else is a marker that ends the scan.
_JPEG_SCAN_END = re.compile(rb'\xff[^\x00\xd0-\xd7\xff]')
_JPEG_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True)
class CompressedHeader:
    """
    What the header of a compressed image says.

    Args:
        codec: 'jpeg' or 'png'.
        height: rows.
        width: columns.
        channels: 1 for grey, 3 for colour (alpha not counted).
        bit_depth: bits per sample.

    """

    codec: str
    height: int
    width: int
    channels: int
    bit_depth: int


def read_header(data: bytes) -> CompressedHeader:
    """
    Check a JPEG or PNG stream from its first to its last byte and return its header.

    Decoders fill what is missing from a truncated stream with grey or with old memory and
    report success, so completeness is checked here: every chunk and checksum of a PNG, the
    marker structure of a JPEG up to its end marker.

    Raises:
        ImageError: reason 'decode' for anything but a complete JPEG or PNG.

    """
    if data.startswith(_PNG_SIGNATURE):
        return _read_png(data)
    if data.startswith(b'\xff\xd8'):
        return _read_jpeg(data)
    start = data[:4].hex(' ') if data else 'nothing'
    raise ImageError('decode', f'compressed image starts with {start}, expected JPEG or PNG')


def _read_png(data: bytes) -> CompressedHeader:
    header: CompressedHeader | None = None
    position = len(_PNG_SIGNATURE)
    view = memoryview(data)
    while position + 8 <= len(data):
        length, kind = struct.unpack_from('>I4s', data, position)
        end = position + 12 + length
        if end > len(data):
            break
        (checksum,) = struct.unpack_from('>I', data, end - 4)
        if zlib.crc32(view[position + 4 : end - 4]) != checksum:
            name = kind.decode('ascii', 'replace')
            raise ImageError('decode', f'PNG is corrupt: checksum of chunk {name!r} is wrong')
        if header is None:
            header = _png_header(kind, bytes(view[position + 8 : end - 4]))
        if kind == b'IEND':
            return header
        position = end
    raise ImageError('decode', f'PNG is truncated: {len(data)} bytes without its end chunk')


def _png_header(kind: bytes, body: bytes) -> CompressedHeader:
    if kind != b'IHDR' or len(body) != 13:
        raise ImageError('decode', 'PNG is corrupt: it does not begin with an IHDR chunk')
    width, height, bit_depth, colour_type = struct.unpack_from('>IIBB', body)
    channels = _PNG_CHANNELS.get(colour_type)
    if channels is None:
        raise ImageError('decode', f'PNG is corrupt: colour type is {colour_type}')
    return CompressedHeader('png', height, width, channels, bit_depth)


def _read_jpeg(data: bytes) -> CompressedHeader:
    header: CompressedHeader | None = None
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            raise ImageError('decode', f'JPEG is corrupt: no marker at byte {position}')
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker == 0xD9:
            break
        (length,) = struct.unpack_from('>H', data, position + 2)
        body = data[position + 4 : position + 2 + length]
        if length < 2 or len(body) < length - 2:
            break
        position += 2 + length
        if marker in _JPEG_FRAME_MARKERS:
            if len(body) < 6:
                raise ImageError('decode', 'JPEG is corrupt: its frame header is too short')
            bit_depth, height, width, components = struct.unpack_from('>BHHB', body)
            header = CompressedHeader(
                'jpeg', height, width, 1 if components == 1 else 3, bit_depth
            )
        elif marker == 0xDA:
            scan_end = _JPEG_SCAN_END.search(data, position)
            if scan_end is None:
                break
            position = scan_end.start()
            if data[position + 1] == 0xD9:
                if header is None:
                    raise ImageError('decode', 'JPEG is corrupt: it has no frame header')
                return header
    raise ImageError('decode', f'JPEG is truncated: {len(data)} bytes without its end marker')
