"""Messages of bag files that have lost their end: what is there, read front to back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
import sqlite3

from mafs_model.bags.sqlite_salvage import read_rows
from mafs_model.errors import BagError
from mafs_model.extras import how_to_install


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


def _read_mcap(file: SalvagedFile) -> Iterator[tuple[str, str, int, bytes]]:
    try:
        from mafs_model.bags.mcap_salvage import DamagedMcapError, read_messages
    except ImportError as error:
        raise BagError(
            f'{file.path} has lost its end; to read what is left: {how_to_install("mcap")}'
        ) from error
    try:
        yield from read_messages(file.path, file.topics)
    except DamagedMcapError as error:
        file.damage = str(error)


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
