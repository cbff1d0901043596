"""Messages of bag files that have lost their end: what is there, read front to back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
import sqlite3
import struct
import sys
from typing import Any, BinaryIO

from mafs_model.bags.sqlite_salvage import read_rows
from mafs_model.errors import BagError

_MAGIC = b'\x89MCAP0\r\n'
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _DATA_END = 0x03, 0x04, 0x05, 0x06, 0x0F


@dataclass
class SalvagedFile:
    """
    One storage file, read without its index.

    Args:
        path: an .mcap or .db3 file.
        topics: topic name to message type, complete after the first pass.
        counts: topic name to number of readable messages, likewise.
        damage: why reading ended early; None where it did not.

    """

    path: Path
    topics: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    damage: str | None = None

    def scan(self) -> None:
        """Read the file once to learn its topics and counts."""
        self.counts = {}
        for topic, _, _, _ in self.messages():
            self.counts[topic] = self.counts.get(topic, 0) + 1
        for topic in self.topics:
            self.counts.setdefault(topic, 0)

    def messages(self) -> Iterator[tuple[str, str, int, bytes]]:
        """Yield (topic, type, receive time in ns, serialised message) in file order."""
        read = _read_mcap if self.path.suffix == '.mcap' else _read_sqlite
        yield from read(self)


class _EarlyEndError(Exception):
    """The file ends inside a record."""


def _take(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise _EarlyEndError
    return data


def _text(data: bytes, at: int) -> tuple[str, int]:
    (size,) = struct.unpack_from('<I', data, at)
    return data[at + 4 : at + 4 + size].decode('utf-8', 'replace'), at + 4 + size


class _McapState:
    """Schemas and channels met so far."""

    def __init__(self, file: SalvagedFile) -> None:
        self._file = file
        self._schemas: dict[int, str] = {}
        self._channels: dict[int, tuple[str, str]] = {}

    def take(self, kind: int, body: bytes) -> tuple[str, str, int, bytes] | None:
        """Digest a record; return it if it is a message of a known channel."""
        if kind == _SCHEMA:
            self._schemas[struct.unpack_from('<H', body)[0]] = _text(body, 2)[0]
        elif kind == _CHANNEL:
            channel, schema = struct.unpack_from('<HH', body)
            topic, _ = _text(body, 4)
            self._channels[channel] = topic, self._schemas.get(schema, 'unknown')
            self._file.topics[topic] = self._channels[channel][1]
        elif kind == _MESSAGE:
            channel, _, receive_ns = struct.unpack_from('<HIQ', body)
            if channel in self._channels:
                return *self._channels[channel], receive_ns, body[22:]
        return None


def _read_mcap(file: SalvagedFile) -> Iterator[tuple[str, str, int, bytes]]:
    state = _McapState(file)
    size = file.path.stat().st_size
    with file.path.open('rb') as stream:
        if stream.read(len(_MAGIC)) != _MAGIC:
            raise BagError(f'{file.path} is not an MCAP file')
        try:
            while True:
                kind, length = struct.unpack('<BQ', _take(stream, 9))
                body = stream.read(min(length, size))
                if kind == _DATA_END:
                    return
                for inner_kind, inner in _records(kind, body, len(body) == length):
                    message = state.take(inner_kind, inner)
                    if message is not None:
                        yield message
        except (_EarlyEndError, struct.error):
            file.damage = f'{file.path.name} ends inside a record, {size} bytes from its start'


def _records(kind: int, body: bytes, complete: bool) -> Iterator[tuple[int, bytes]]:
    """Yield the record itself, or those inside a chunk as far as it goes."""
    if kind == _CHUNK:
        compression, at = _text(body, 28)
        data = _decompress(compression, body[at + 8 :])
        at = 0
        while at < len(data):
            inner_kind, length = struct.unpack_from('<BQ', data, at)
            inner = data[at + 9 : at + 9 + length]
            if len(inner) < length:
                raise _EarlyEndError
            yield inner_kind, inner
            at += 9 + length
    elif complete:
        yield kind, body
    if not complete:
        raise _EarlyEndError


def _decompress(compression: str, data: bytes) -> bytes:
    """Decompress a chunk, or the beginning of one, by the libraries that rosbags brings along."""
    if compression == '':
        return data
    try:
        if compression == 'lz4':
            return bytes(import_module('lz4.frame').LZ4FrameDecompressor().decompress(data))
        if compression == 'zstd':
            return bytes(_zstd().ZstdDecompressor().decompress(data))
    except ImportError as error:
        raise BagError(
            f'a chunk is compressed with {compression}, which needs the package {error.name}'
        ) from error
    except Exception as error:  # each library has its own error type
        raise _EarlyEndError from error
    raise BagError(f'a chunk is compressed with {compression!r}, expected zstd or lz4')


def _zstd() -> Any:
    return import_module('compression.zstd' if sys.version_info >= (3, 14) else 'backports.zstd')


def decompress_zstd(data: bytes) -> bytes:
    """Decompress one zstd frame; raises BagError if it is damaged."""
    zstd = _zstd()
    try:
        return bytes(zstd.decompress(data))
    except zstd.ZstdError as error:
        raise BagError(f'a zstd frame is damaged: {error}') from None


def _read_sqlite(file: SalvagedFile) -> Iterator[tuple[str, str, int, bytes]]:
    connection = sqlite3.connect(f'{file.path.resolve().as_uri()}?mode=ro', uri=True)
    topics: dict[int, tuple[str, str]] = {}
    try:
        # Tolerates index pages that lie beyond the end of a truncated file.
        connection.execute('PRAGMA writable_schema = ON')
        for key, name, kind in connection.execute('SELECT id, name, type FROM topics'):
            topics[key] = str(name), str(kind)
            file.topics[str(name)] = str(kind)
        for key, receive_ns, data in read_rows(file.path):
            if key in topics:
                yield *topics[key], receive_ns, data
    except sqlite3.DatabaseError as error:
        file.damage = f'{file.path.name} is damaged: {error}'
    finally:
        connection.close()
