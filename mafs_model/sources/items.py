"""What a source of pairs is, whatever it reads from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from mafs_model.types import ThermalImage, UInt8Image

Camera = Literal['visible', 'thermal']


class Images(NamedTuple):
    """
    The images of one pair.

    Attributes:
        visible: uint8 [H,W,3] RGB, None if this camera is missing.
        thermal: uint8, uint16 or float32 [h,w], None if this camera is missing.

    """

    visible: UInt8Image | None
    thermal: ThermalImage | None


@dataclass(frozen=True)
class Item:
    """
    One pair that can be read.

    Attributes:
        name: name for results, without suffix and without folders.
        read: reads the images; raises ImageError where they are unusable.
        time_s: moment in the recording, None for single pictures.

    """

    name: str
    read: Callable[[], Images]
    time_s: float | None = None


class PairSource(Protocol):
    """
    A stream of pairs, opened and checked before anything is computed.

    Attributes:
        names: the names of all pairs, None where they are not known ahead.
        count: the number of pairs, None where only reading tells.
        is_sequence: whether the pairs are moments of one recording.
        is_live: whether the pairs come from a camera, without an end of their own.
        rate_hz: pairs per second of the recording, None for single pictures.
        problems: one line for each input that cannot become a pair; grows while reading.
        files: the files that are read, which results must not replace.

    """

    is_sequence: bool
    is_live: bool
    rate_hz: float | None
    problems: list[str]

    @property
    def files(self) -> Sequence[Path]:
        """Return the files that are read."""

    @property
    def names(self) -> list[str] | None:
        """Return the names of all pairs."""

    @property
    def count(self) -> int | None:
        """Return the number of pairs."""

    def __iter__(self) -> Iterator[Item]:
        """Yield the pairs in order."""

    def first(self) -> Images | None:
        """Return the first readable pair as it is stored, None if there is none to look at."""

    def close(self) -> None:
        """Free files and cameras; may be repeated."""


@dataclass
class StillPairs:
    """
    Single pictures; see :class:`PairSource`.

    Args:
        items: the pairs in order.
        problems: one line for each file without a partner.
        look: reads the first pair in the colours it is stored in.
        files: the files of all pairs.

    """

    items: list[Item]
    problems: list[str] = field(default_factory=list)
    is_sequence: bool = False
    is_live: bool = False
    rate_hz: float | None = None

    look: Callable[[], Images | None] = lambda: None
    files: Sequence[Path] = ()

    @property
    def names(self) -> list[str] | None:
        """Return the names of all pairs."""
        return [item.name for item in self.items]

    @property
    def count(self) -> int | None:
        """Return the number of pairs."""
        return len(self.items)

    def __iter__(self) -> Iterator[Item]:
        """Yield the pairs in order."""
        return iter(self.items)

    def first(self) -> Images | None:
        """Return the first readable pair as it is stored, None if there is none."""
        return self.look()

    def close(self) -> None:
        """Do nothing: files are closed after reading."""
