"""Compressed messages and chunks of bags, by the libraries that rosbags brings along."""

from __future__ import annotations

from importlib import import_module
import sys
from typing import Any

from mafs_model.errors import BagError
from mafs_model.extras import how_to_install


def _zstd() -> Any:
    return import_module('compression.zstd' if sys.version_info >= (3, 14) else 'backports.zstd')


def decompress_zstd(data: bytes) -> bytes:
    """Decompress one zstd frame; raises BagError if it is damaged."""
    zstd = _zstd()
    try:
        return bytes(zstd.decompress(data))
    except zstd.ZstdError as error:
        raise BagError(f'a zstd frame is damaged: {error}') from None


def decompress_beginning(compression: str, data: bytes, most: int) -> bytes:
    """
    Decompress a chunk as far as it goes.

    Args:
        compression: as the chunk names it: 'zstd', 'lz4' or nothing.
        data: the chunk's content, or its beginning.
        most: bytes to return at most.

    Raises:
        BagError: there is no such compression, or its library is missing.
        ValueError: the data is not what this compression writes.

    """
    if compression == '':
        return data
    try:
        if compression == 'lz4':
            decompressor = import_module('lz4.frame').LZ4FrameDecompressor()
        elif compression == 'zstd':
            decompressor = _zstd().ZstdDecompressor()
        else:
            raise BagError(f'a chunk is compressed with {compression!r}, expected zstd or lz4')
    except ImportError as error:
        advice = how_to_install(error.name or compression)
        raise BagError(f'a chunk is compressed with {compression}: {advice}') from error
    try:
        return bytes(decompressor.decompress(data, max_length=most))
    except Exception as error:  # each library has its own error type
        raise ValueError(f'a chunk of {compression} is damaged: {error}') from error
