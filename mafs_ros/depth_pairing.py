"""Which depth image belongs to which results."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

from mafs_model.pairing.nearest import NearestPairer
from mafs_model.streams import NS_PER_S, STREAMS
from mafs_ros.parameters import SettingsBox
from sensor_msgs.msg import Image

# Results that wait for their depth image: it comes within a few pairs or not at all.
MAX_WAITING = 4

T = TypeVar('T')


class DepthPairing(Generic[T]):
    """
    Pairs results with depth images by mutually nearest stamps, as cameras are paired.

    Memory: `sync.queue_size` depth images and `MAX_WAITING` results wait at most.

    Threads: depth images come from the executor, results from the worker.

    Args:
        settings: what is in force.

    Attributes:
        missed: results that found no depth image, since the last `clear`.
        missed_in_a_row: those since the last that did.

    """

    def __init__(self, settings: SettingsBox) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self.clear()

    def _rules_now(self) -> tuple[float, int, float]:
        s = self._settings.current
        return s.points_slop, s.sync_queue_size, s.stamps_jump_back

    def _new_pairer(self) -> NearestPairer:
        slop_s, queue_size, jump_back_s = self._rules_now()
        return NearestPairer(
            round(slop_s * NS_PER_S), queue_size, jump_back_ns=round(jump_back_s * NS_PER_S)
        )

    def clear(self) -> None:
        """Forget everything that waits."""
        with self._lock:
            self._waiting: dict[int, T] = {}  # the oldest first
            self.missed = self.missed_in_a_row = 0
            self._rules, self._pairer = self._rules_now(), self._new_pairer()

    def add_depth(self, stamp_ns: int, image: Image) -> list[tuple[T, Image]]:
        """Add a depth image; return what belongs together now."""
        with self._lock:
            return self._add(1, stamp_ns, image)

    def add_results(self, stamp_ns: int, results: T) -> list[tuple[T, Image]]:
        """Add results with the stamp of their visible image; return what belongs together now."""
        with self._lock:
            self._waiting[stamp_ns] = results
            found = self._add(0, stamp_ns, None)
            if len(self._waiting) > MAX_WAITING:
                self._give_up_oldest()
            return found

    def _give_up_oldest(self) -> None:
        del self._waiting[next(iter(self._waiting))]
        self.missed += 1
        self.missed_in_a_row += 1

    def _add(self, stream: int, stamp_ns: int, image: Image | None) -> list[tuple[T, Image]]:
        if self._rules != self._rules_now():
            self._rules, self._pairer = self._rules_now(), self._new_pairer()
        found = []
        for pair in self._pairer.add_frame(STREAMS[stream], stamp_ns, image):
            stamp_ns = pair.visible.stamp_ns
            if stamp_ns not in self._waiting:  # given up
                continue
            while next(iter(self._waiting)) != stamp_ns:  # older ones find none any more
                self._give_up_oldest()
            found.append((self._waiting.pop(stamp_ns), pair.thermal.payload))
            self.missed_in_a_row = 0
        return found
