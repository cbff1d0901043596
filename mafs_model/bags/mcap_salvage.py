"""
Messages of an MCAP file that has lost its end, read front to back by the library `mcap`.

The library passes over what is cut, with all that its chunk holds: hundreds of messages of a short
recording. So the last chunk is decompressed here as far as it goes.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import io
from pathlib import Path
import struct

from mafs_model.bags.compression import decompress_beginning
from mafs_model.errors import BagError
from mcap.data_stream import ReadDataStream
from mcap.exceptions import InvalidMagic, McapError
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, DataEnd, McapRecord, Message, Schema
from mcap.stream_reader import read_magic, StreamReader

# Bytes of a record or chunk. Recorders begin a chunk anew after about a megabyte; damaged ones may
# name any size.
_LARGEST = 1 << 28
# Records that are passed over before a file, or what a chunk holds, is given up: each may ask for
# all that follows it.
_MOST_DAMAGED = 20
# What the library raises at bytes that are no MCAP.
_DAMAGE = (McapError, OverflowError, ValueError, struct.error)


class DamagedMcapError(Exception):
    """The file cannot be read any further; the text says where it ends."""


class _Source(io.BufferedReader):
    """Bytes to read: asked for more than there are, as damaged records do, none are allocated."""

    def __init__(self, raw: io.RawIOBase | io.BytesIO, size: int) -> None:
        super().__init__(raw)  # type: ignore[arg-type]  # BytesIO is no RawIOBase, but serves
        self.size = size
        self.limit = min(size, _LARGEST)

    def read(self, size: int | None = -1) -> bytes:
        return super().read(max(0, min(self.limit if size is None else size, self.limit)))


def read_messages(path: Path, topics: dict[str, str]) -> Iterator[tuple[str, str, int, bytes]]:
    """
    Yield (topic, type, receive time in ns, serialised message) of every complete message.

    Args:
        path: an .mcap file.
        topics: takes topic name to type of all there are, also of those without a message.

    Raises:
        BagError: it is none, or its chunks are compressed with what is not known here.
        DamagedMcapError: it ends early, after what could be read.

    """
    types: dict[int, str] = {}
    channels: dict[int, tuple[str, str]] = {}
    size = path.stat().st_size
    with _Source(io.FileIO(path), size) as source:
        try:
            for record in _records(source):
                if isinstance(record, Schema):
                    types[record.id] = record.name
                elif isinstance(record, Channel):
                    topics[record.topic] = types.get(record.schema_id, 'unknown')
                    channels[record.id] = record.topic, topics[record.topic]
                elif isinstance(record, Message) and record.channel_id in channels:
                    yield *channels[record.channel_id], record.log_time, record.data
                elif isinstance(record, DataEnd):
                    return
        except InvalidMagic:
            raise BagError(f'{path} is not an MCAP file') from None
        except _DAMAGE:
            raise DamagedMcapError(
                f'{path.name} ends inside a record, {size} bytes from its start'
            ) from None


def _records(source: _Source) -> Iterator[McapRecord]:
    """Yield the readable records of a file, of chunks what they hold."""
    read_magic(ReadDataStream(source))
    for record in _outer_records(source):
        if not isinstance(record, Chunk):
            yield record
            continue
        # Further chunks have their own beginning: one that is damaged does not end the file.
        with contextlib.suppress(*_DAMAGE):
            data = decompress_beginning(record.compression, record.data, _LARGEST)
            # Not opened further: chunks hold no chunks, but hostile ones.
            yield from _outer_records(_Source(io.BytesIO(data), len(data)))


def _outer_records(source: _Source) -> Iterator[McapRecord]:
    """
    Yield the records that can be read, of a chunk that is cut its beginning.

    Damaged records whose length fits into the file are passed over. One that reaches beyond the
    end, or one too many, raises what the library raises.
    """
    end = source.tell()  # of the last record
    damaged = 0
    while end < source.size:
        reader = StreamReader(
            source, skip_magic=True, emit_chunks=True, record_size_limit=source.limit
        )
        try:
            for record in reader.records:
                end = source.tell()
                yield record
            return
        except _DAMAGE:
            if end == source.size:
                return
            source.seek(end)
            head = ReadDataStream(source)
            kind, length = head.read1(), head.read8()
            end += 9 + length
            damaged += 1
            if end > source.size or damaged > _MOST_DAMAGED:
                if kind == Opcode.CHUNK:
                    yield Chunk.read(head)
                raise
            source.seek(end)
