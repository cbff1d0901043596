"""The recent stamps of one camera stream, sorted, for the pairing of two streams."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass
from typing import Any

# A learned lower bound of the frame interval is this share of the smallest recent interval: a
# camera that doubles its rate (exposure control at dusk) still keeps the bound.
_BOUND_SHARE = 0.5
_BOUND_WINDOW = 64
_BOUND_MINIMUM_SAMPLES = 8


@dataclass(frozen=True, slots=True)
class Stamped:
    """
    One frame of a stream.

    Args:
        stamp_ns: time of exposure in nanoseconds.
        payload: whatever the caller wants back with the pair.

    """

    stamp_ns: int
    payload: Any


class Entry:
    """A frame in a track; once decided only its stamp stays, as a neighbour to compare with."""

    __slots__ = ('frame', 'matched_cost', 'stamp_ns')

    def __init__(self, frame: Stamped) -> None:
        """Hold an undecided frame."""
        self.stamp_ns = frame.stamp_ns
        self.frame: Stamped | None = frame
        self.matched_cost: int | None = None

    @property
    def waiting(self) -> bool:
        """Tell whether the frame is still undecided."""
        return self.frame is not None


class IntervalBound:
    """
    Lower bound of the time to the next frame, declared or learned.

    Args:
        declared_ns: bound the caller vouches for; None learns half of the smallest of the
            last 64 intervals (0 until 8 were seen).

    """

    def __init__(self, declared_ns: int | None) -> None:
        """Start without knowledge."""
        self._declared_ns = declared_ns
        self.reset()

    def reset(self) -> None:
        """Forget the learned intervals."""
        self._count = 0
        self._minima: deque[tuple[int, int]] = deque()  # (index, interval), intervals ascending

    def add_interval(self, interval_ns: int) -> None:
        """Learn one interval between neighbouring frames of the stream (ns, > 0)."""
        while self._minima and self._minima[-1][1] >= interval_ns:
            self._minima.pop()
        self._minima.append((self._count, interval_ns))
        self._count += 1
        if self._minima[0][0] <= self._count - 1 - _BOUND_WINDOW:
            self._minima.popleft()

    @property
    def value_ns(self) -> int:
        """Return the bound in nanoseconds; 0 is 'nothing known'."""
        if self._declared_ns is not None:
            return self._declared_ns
        if self._count < _BOUND_MINIMUM_SAMPLES:
            return 0
        return int(self._minima[0][1] * _BOUND_SHARE)


class StampTrack:
    """
    Sorted stamps of one stream: undecided frames and the recent decided ones.

    Args:
        capacity: number of stamps kept at least; at most twice as many are held.
        reorder_ns: how far behind the newest stamp a frame may still arrive.
        min_interval_ns: see `IntervalBound`.

    """

    def __init__(self, capacity: int, reorder_ns: int, min_interval_ns: int | None) -> None:
        """Create an empty track."""
        self._capacity = capacity
        self._reorder_ns = reorder_ns
        self._bound = IntervalBound(min_interval_ns)
        self.clear()

    def clear(self) -> None:
        """Forget every stamp."""
        self._stamps: list[int] = []
        self._entries: list[Entry] = []
        self._first = 0  # no waiting entry lies before this index
        self._bound.reset()
        self.newest_ns: int | None = None
        self.forgotten_ns: int | None = None
        self.waiting = 0

    def insert(self, frame: Stamped) -> Entry | None:
        """Add a frame; None if its stamp is already there."""
        stamp_ns = frame.stamp_ns
        index = bisect_left(self._stamps, stamp_ns)
        if index < len(self._stamps) and self._stamps[index] == stamp_ns:
            return None
        entry = Entry(frame)
        self._stamps.insert(index, stamp_ns)
        self._entries.insert(index, entry)
        self._first = min(self._first, index)
        self.waiting += 1
        if self.newest_ns is None or stamp_ns > self.newest_ns:
            if self.newest_ns is not None:
                self._bound.add_interval(stamp_ns - self.newest_ns)
            self.newest_ns = stamp_ns
        return entry

    def oldest_waiting(self) -> Entry | None:
        """Return the undecided frame with the smallest stamp."""
        while self._first < len(self._entries):
            entry = self._entries[self._first]
            if entry.waiting:
                return entry
            self._first += 1
        return None

    def decide(self, entry: Entry, matched_cost: int | None = None) -> None:
        """Mark a frame as decided and let its payload go."""
        entry.frame = None
        entry.matched_cost = matched_cost
        self.waiting -= 1

    def neighbours(self, stamp_ns: int) -> list[Entry]:
        """Return the entries just before and at or after a stamp (0 to 2 of them)."""
        index = bisect_left(self._stamps, stamp_ns)
        return self._entries[max(index - 1, 0) : index + 1]

    def earliest_next_ns(self) -> int | None:
        """Return the smallest stamp that may still come; None while nothing is known."""
        if self.newest_ns is None:
            return None
        if self._reorder_ns:
            return self.newest_ns - self._reorder_ns
        return self.newest_ns + max(1, self._bound.value_ns)

    def forget_old(self) -> None:
        """Drop the oldest decided stamps once twice the capacity is held (amortised O(1))."""
        if len(self._stamps) < 2 * self._capacity:
            return
        head = self.oldest_waiting()
        limit = self._first if head is not None else len(self._stamps)
        count = min(len(self._stamps) - self._capacity, limit)
        if count:
            self.forgotten_ns = self._stamps[count - 1]
            del self._stamps[:count]
            del self._entries[:count]
            self._first -= count

    def __len__(self) -> int:
        """Return the number of stamps held."""
        return len(self._stamps)
