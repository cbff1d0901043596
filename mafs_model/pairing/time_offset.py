"""Online estimate of the constant time offset between two camera streams."""

from __future__ import annotations

from bisect import bisect_left, insort
import cmath
from collections import deque
import math
from statistics import median

_RECENT = 64
# A full window changes little from frame to frame: it is evaluated again after this many.
_EVALUATE_EVERY = 8


class OffsetEstimator:
    """
    Median distance from a thermal stamp to the visible stamp nearest to it.

    The result is what `thermal.time_offset: auto` adds to thermal stamps. It is known only up
    to whole frame periods (two periodic streams look alike when shifted by one): the value
    within half a visible period of zero is returned. Offsets are unwrapped around their
    circular mean before the median is taken, so that a latency near half a period, where the
    nearest visible frame alternates between the one before and the one after, does not
    average to zero.

    Args:
        window: number of thermal frames the median is taken over.
        minimum: number of thermal frames before there is an estimate.

    """

    def __init__(self, window: int = 301, minimum: int = 15) -> None:
        """Start without an estimate."""
        if not 1 <= minimum <= window:
            raise ValueError(f'minimum is {minimum}, expected 1 to window ({window})')
        self._minimum = minimum
        self._offsets: deque[int] = deque(maxlen=window)
        self._intervals: deque[int] = deque(maxlen=_RECENT)
        self._visible: list[int] = []
        self._waiting: list[int] = []
        self._cached: int | None = None
        self._fresh = 0  # offsets that the cached estimate does not know

    def reset(self) -> None:
        """Forget everything, as after a clock jump."""
        self._offsets.clear()
        self._intervals.clear()
        self._visible.clear()
        self._waiting.clear()
        self._cached = None

    def add(self, stream: str, stamp_ns: int) -> None:
        """
        Take note of a stamp.

        Args:
            stream: 'visible' or 'thermal'.
            stamp_ns: the stamp as the camera gave it, in nanoseconds, no offset added.

        Raises:
            ValueError: for an unknown stream.

        """
        if stream == 'visible':
            self._add_visible(stamp_ns)
        elif stream == 'thermal':
            insort(self._waiting, stamp_ns)
            del self._waiting[:-_RECENT]
        else:
            raise ValueError(f"stream is {stream!r}, expected 'visible' or 'thermal'")
        self._measure()

    def _add_visible(self, stamp_ns: int) -> None:
        if self._visible and stamp_ns > self._visible[-1]:
            self._intervals.append(stamp_ns - self._visible[-1])
        insort(self._visible, stamp_ns)
        del self._visible[:-_RECENT]

    def _measure(self) -> None:
        """Measure the waiting thermal frames that have a visible frame on both sides."""
        if not self._visible:
            return
        newest = self._visible[-1]
        while self._waiting and self._waiting[0] <= newest:
            stamp_ns = self._waiting.pop(0)
            index = bisect_left(self._visible, stamp_ns)
            if index == 0:
                continue  # nothing before it: the nearest one may be missing
            before, after = self._visible[index - 1] - stamp_ns, self._visible[index] - stamp_ns
            self._offsets.append(after if after < -before else before)
            self._fresh += 1

    @property
    def samples(self) -> int:
        """Return the number of offsets in the window."""
        return len(self._offsets)

    @property
    def offset_ns(self) -> int | None:
        """Return what to add to thermal stamps, in nanoseconds; None before `minimum` frames."""
        if len(self._offsets) < self._minimum or not self._intervals:
            return None
        outdated = self._fresh >= min(_EVALUATE_EVERY, 1 + len(self._offsets) // 16)
        if self._cached is None or outdated:
            self._fresh = 0
            period = median(self._intervals)
            turns = [offset / period for offset in self._offsets]
            total = sum(cmath.exp(2j * math.pi * turn) for turn in turns)
            pivot = cmath.phase(total) / (2 * math.pi) * period
            unwrapped = [
                offset - round((offset - pivot) / period) * period for offset in self._offsets
            ]
            middle = median(unwrapped)
            middle -= round(middle / period) * period
            self._cached = int(middle)
        return self._cached
