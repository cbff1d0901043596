"""Pairs of images out of a bag, formed by the same pairing as in the node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from mafs_model.bags.reader import BagImage, BagReader
from mafs_model.calibration.running_offset import RunningOffset
from mafs_model.defaults import QUEUE_SIZE, SLOP_S
from mafs_model.errors import ImageError
from mafs_model.pairing.nearest import NearestPairer, Pair
from mafs_model.streams import NS_PER_S

# As the node's parameter stamps.jump_back.
JUMP_BACK_NS = NS_PER_S


@dataclass(frozen=True)
class PairingSettings:
    """
    How frames become pairs; the defaults are the node's.

    Attributes:
        slop_ns: largest offset of a pair.
        queue_size: frames a stream may wait.
        time_offset_ns: added to thermal stamps; None: estimated as the node's 'auto'.

    """

    slop_ns: int = round(1e9 * SLOP_S)
    queue_size: int = QUEUE_SIZE
    time_offset_ns: int | None = 0


@dataclass
class IntakeCounts:
    """What came out of the bag and what could not be used."""

    frames: Counter[str] = field(default_factory=Counter)
    unusable: dict[str, Counter[str]] = field(
        default_factory=lambda: {'visible': Counter(), 'thermal': Counter()}
    )
    first_ns: int | None = None
    last_ns: int | None = None

    def note_time(self, stamp_ns: int) -> None:
        """Widen the recorded time by a stamp."""
        self.first_ns = stamp_ns if self.first_ns is None else min(self.first_ns, stamp_ns)
        self.last_ns = stamp_ns if self.last_ns is None else max(self.last_ns, stamp_ns)

    @property
    def duration_s(self) -> float:
        """Return the time between the first and the last stamp."""
        if self.first_ns is None or self.last_ns is None:
            return 0.0
        return (self.last_ns - self.first_ns) / NS_PER_S


@dataclass(frozen=True)
class BagPair:
    """
    A visible and a thermal image that belong together.

    Attributes:
        visible: the visible image.
        thermal: the thermal image.
        visible_ns: its stamp.
        thermal_ns: its stamp as recorded.
        offset_ns: thermal minus visible stamp after the time offset was added.
        restart: the stamps jumped back before this pair: forget what was learnt.

    """

    visible: BagImage
    thermal: BagImage
    visible_ns: int
    thermal_ns: int
    offset_ns: int
    restart: bool = False


class BagPairing:
    """
    Iterates over the pairs of a bag in the order in which they become certain.

    Args:
        reader: the open bag.
        visible: topic of the visible images.
        thermal: topic of the thermal images.
        settings: how frames become pairs.

    """

    def __init__(
        self, reader: BagReader, visible: str, thermal: str, settings: PairingSettings
    ) -> None:
        self.counts = IntakeCounts()
        self._reader = reader
        self._streams = {visible: 'visible', thermal: 'thermal'}
        self._settings = settings
        self._pairer = NearestPairer(
            settings.slop_ns, settings.queue_size, jump_back_ns=JUMP_BACK_NS
        )
        self._running = RunningOffset()
        self._jumps = 0

    @property
    def time_offset_ns(self) -> int:
        """Return what is added to thermal stamps now."""
        fixed = self._settings.time_offset_ns
        return round(self._running.offset_s * NS_PER_S) if fixed is None else fixed

    def __iter__(self) -> Iterator[BagPair]:
        kinds: dict[str, Any] = dict(self._streams)
        for image in self._reader.images(kinds=kinds):
            stream = self._streams[image.topic]
            self.counts.frames[stream] += 1
            if isinstance(image.image, ImageError):
                self.counts.unusable[stream][str(image.image)] += 1
                continue
            # A driver that does not stamp leaves zero: the time of recording is the best there is.
            stamp_ns = image.stamp_ns or image.receive_ns
            self.counts.note_time(stamp_ns)
            if self._settings.time_offset_ns is None:
                yield from self._note(stream, stamp_ns, image)
            shifted = stamp_ns + (self.time_offset_ns if stream == 'thermal' else 0)
            yield from self._ready(self._pairer.add_frame(stream, shifted, image))
        yield from self._ready(self._pairer.flush())

    def _note(self, stream: str, stamp_ns: int, image: BagImage) -> Iterator[BagPair]:
        """Take note of motion; where the offset changes, pairing starts again with the new one."""
        picture = image.image
        assert not isinstance(picture, ImageError)
        with suppress(ImageError):
            times_s = stamp_ns / NS_PER_S, image.receive_ns / NS_PER_S
            if self._running.add_image(stream, *times_s, lambda: picture):
                yield from self._ready(self._pairer.flush())
                self._pairer.reset()

    def _ready(self, pairs: list[Pair]) -> Iterator[BagPair]:
        jumped = self._pairer.statistics.clock_jumps > self._jumps
        if jumped:
            self._jumps = self._pairer.statistics.clock_jumps
            self._running.reset()
        for pair in pairs:
            visible, thermal = pair.visible.payload, pair.thermal.payload
            yield BagPair(
                visible,
                thermal,
                pair.visible.stamp_ns,
                thermal.stamp_ns or thermal.receive_ns,
                pair.offset_ns,
                jumped,
            )
            jumped = False

    def summary(self) -> dict[str, Any]:
        """Return the statistics of the pairing for the document."""
        statistics = self._pairer.statistics
        return {
            'frames': dict(self.counts.frames),
            'unusable': {s: dict(c) for s, c in self.counts.unusable.items()},
            'pairs': statistics.pairs,
            'match_rate': statistics.match_rate,
            'dropped': {s: dict(c) for s, c in statistics.dropped.items()},
            'offset_mean_ms': statistics.mean_abs_offset_ns / 1e6,
            'offset_max_ms': statistics.max_abs_offset_ns / 1e6,
            'largest_gap_ms': statistics.largest_gap_ns / 1e6,
            'clock_jumps': statistics.clock_jumps,
            'time_offset_ms': self.time_offset_ns / 1e6,
            'duration_s': self.counts.duration_s,
        }
