"""
Rows of the `messages` table of a damaged rosbag2 database, taken from its pages.

SQLite itself gives up when an inner page of a table's tree is missing, and in a file that only
grows the inner pages come late: of a truncated bag it would often return nothing. The leaf pages
are all there up to the cut, and say what they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import struct
from typing import BinaryIO

_TABLE_LEAF = 0x0D
_INTEGER_SIZES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_COLUMNS = 4  # id, topic_id, timestamp, data


class _IncompleteError(Exception):
    """A row reaches beyond the end of the file, or is none."""


def read_rows(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """
    Yield (topic id, timestamp in ns, data) of every complete message in the file.

    Args:
        path: the database; header and pages as the SQLite file format defines them.

    """
    size = path.stat().st_size
    with path.open('rb') as stream:
        header = stream.read(100)
        if len(header) < 100:
            return
        (page_size,) = struct.unpack_from('>H', header, 16)
        page_size = 65536 if page_size == 1 else page_size
        usable = page_size - header[20]
        if page_size < 512:
            return
        rows: list[tuple[int, int, int, bytes]] = []
        for number in range(2, size // page_size + 1):
            stream.seek((number - 1) * page_size)
            page = stream.read(page_size)
            if page[0] != _TABLE_LEAF:
                continue
            rows.clear()
            for cell in range(struct.unpack_from('>H', page, 3)[0]):
                try:
                    (start,) = struct.unpack_from('>H', page, 8 + 2 * cell)
                    rows.append(_row(stream, page, start, page_size, usable))
                except (_IncompleteError, struct.error, IndexError):
                    continue
            for _, topic, timestamp, data in sorted(rows, key=lambda row: row[0]):
                yield topic, timestamp, data


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(9):
        byte = data[at + index]
        if index == 8:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + index + 1
    raise _IncompleteError


def _row(
    stream: BinaryIO,
    page: bytes,
    start: int,
    page_size: int,
    usable: int,
) -> tuple[int, int, int, bytes]:
    """Return (row id, topic id, timestamp, data) of the cell at `start`."""
    payload_size, at = _varint(page, start)
    row_id, at = _varint(page, at)
    payload = _payload(stream, page, at, payload_size, page_size, usable)
    header_size, at = _varint(payload, 0)
    kinds = []
    while at < header_size:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    if len(kinds) != _COLUMNS or kinds[3] < 12 or kinds[3] % 2:
        raise _IncompleteError
    numbers = []
    for kind in kinds[:3]:
        size = _INTEGER_SIZES.get(kind, 0)
        constant = kind - 8 if kind in (8, 9) else 0
        numbers.append(int.from_bytes(payload[at : at + size], 'big', signed=True) or constant)
        at += size
    data = payload[at : at + (kinds[3] - 12) // 2]
    return row_id, numbers[1], numbers[2], data


def _payload(
    stream: BinaryIO,
    page: bytes,
    at: int,
    size: int,
    page_size: int,
    usable: int,
) -> bytes:
    """Return the bytes of a row, those on overflow pages included."""
    if size <= usable - 35:
        return page[at : at + size]
    least = (usable - 12) * 32 // 255 - 23
    local = least + (size - least) % (usable - 4)
    local = local if local <= usable - 35 else least
    parts = [page[at : at + local]]
    (following,) = struct.unpack_from('>I', page, at + local)
    missing = size - local
    while missing > 0:
        stream.seek((following - 1) * page_size)
        overflow = stream.read(page_size)
        if not following or len(overflow) < page_size:
            raise _IncompleteError
        (following,) = struct.unpack_from('>I', overflow)
        parts.append(overflow[4 : 4 + min(missing, usable - 4)])
        missing -= usable - 4
    return b''.join(parts)
