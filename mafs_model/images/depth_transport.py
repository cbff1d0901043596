"""
Images of the depth transport of image_transport: a header, then PNG or RVL.

RVL is the run-length and variable-length code of Wilson, "Fast Lossless Depth Image Compression"
(2017): zeros and non-zeros alternate in runs, the latter as differences, all in groups of three
bits with one that says whether more follow.
"""

from __future__ import annotations

import struct

from mafs_model.errors import ImageError
from mafs_model.images.compressed import CompressedHeader
from mafs_model.images.compressed import read_header as read_image_header
import numpy as np
from numpy.typing import NDArray

HEADER_BYTES = 12  # format of the depth and two parameters of its quantisation
_RVL_SIZE = struct.Struct('<II')  # columns, rows


def is_depth_transport(image_format: str) -> bool:
    """Return whether a message's format names the depth transport."""
    return 'compressedDepth' in image_format


def read_header(image_format: str, stream: bytes) -> CompressedHeader:
    """
    Return the header of an image of the depth transport.

    Raises:
        ImageError: 'encoding' for quantised float depth; 'decode' for a damaged stream.

    """
    if '32FC1' in image_format:
        raise ImageError(
            'encoding', f'format is {image_format!r}: quantised float depth is not a thermal image'
        )
    if not image_format.rstrip().endswith('rvl'):
        return read_image_header(stream[HEADER_BYTES:])
    if len(stream) < HEADER_BYTES + _RVL_SIZE.size:
        raise ImageError('decode', f'RVL is truncated: {len(stream)} bytes without its size')
    width, height = _RVL_SIZE.unpack_from(stream, HEADER_BYTES)
    return CompressedHeader('rvl', height, width, 1, 16)


def decode_rvl(stream: bytes, header: CompressedHeader) -> NDArray[np.uint16]:
    """
    Decode an RVL image.

    Args:
        stream: header of the transport, size and code.
        header: the size, checked by the caller.

    Returns:
        uint16 [H,W].

    Raises:
        ImageError: 'decode', the code does not fill the image exactly.

    """
    code = stream[HEADER_BYTES + _RVL_SIZE.size :]
    count = header.height * header.width
    values = _variable_lengths(code[: len(code) // 4 * 4])
    image = np.zeros(count, np.uint16)
    done, at, previous = 0, 0, 0
    while done < count:
        if at + 2 > len(values):
            raise ImageError('decode', f'RVL is truncated: {done} of {count} pixels')
        zeros, others = int(values[at]), int(values[at + 1])
        at += 2
        if zeros + others == 0 or others > len(values) - at or zeros + others > count - done:
            raise ImageError('decode', f'RVL is corrupt after {done} of {count} pixels')
        done += zeros
        if others:
            folded = values[at : at + others]
            differences = (folded >> 1) ^ -(folded & 1)
            differences[0] += previous
            run = np.cumsum(differences)
            image[done : done + others] = run & 0xFFFF
            previous = int(run[-1])
            done += others
            at += others
    return image.reshape(header.height, header.width)


def _variable_lengths(code: bytes) -> NDArray[np.int64]:
    """Return the numbers in words of eight groups of four bits, the first group on top."""
    words = np.frombuffer(code, '<u4')
    shifts = np.arange(28, -4, -4, dtype=np.uint32)
    groups = ((words[:, None] >> shifts) & 0xF).astype(np.int64).ravel()
    ends = np.flatnonzero(groups < 8)
    if not len(ends):
        return np.zeros(0, np.int64)
    groups = groups[: ends[-1] + 1]
    starts = np.concatenate([[0], ends[:-1] + 1])
    # A number of 64 bits would need more groups than any honest one has.
    place = np.arange(len(groups)) - np.repeat(starts, ends - starts + 1)
    parts = np.where(place < 11, (groups & 7) << 3 * np.minimum(place, 11), 0)
    return np.add.reduceat(parts, starts)
