"""Counting and logging of repeated events without flooding the log."""

from __future__ import annotations

from collections.abc import Callable
import threading
import time

from mafs_ros.statistics import Statistics

NOTICE_PERIOD_S = 60.0  # of a fault that lasts: it must not fill the log


class Reporter:
    """
    Says the first of many equal events at once, the following ones at most every few seconds.

    The throttle of rclpy counts per line of code; here every reason has its own, so that one
    kind of bad image does not hide another. Used by the executor and by the worker thread.

    Args:
        warn: writes one line to the log.
        statistics: where drops and events are counted.
        period_s: shortest time between two lines about one reason.
        clock: steady time in s, exchangeable for tests.

    """

    def __init__(
        self,
        warn: Callable[[str], object],
        statistics: Statistics,
        period_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._warn = warn
        self.statistics = statistics
        self._period_s = period_s
        self._clock = clock
        self._lock = threading.Lock()
        self._last: dict[str, float] = {}
        self._suppressed: dict[str, int] = {}
        self._last_text: dict[str, str] = {}

    def drop(self, reason: str, text: str, count: int = 1) -> None:
        """Count dropped images or pairs by reason, and say so."""
        self.statistics.dropped(reason, count)
        self.say(reason, text)

    def note(self, event: str, text: str) -> None:
        """Count something that dropped nothing, and say so."""
        self.statistics.noted(event)
        self.say(event, text)

    def say(self, reason: str, text: str, period_s: float | None = None) -> None:
        """Log text unless the same reason was logged a moment (or `period_s`) ago."""
        now = self._clock()
        with self._lock:
            self._last_text[reason] = text
            last = self._last.get(reason)
            if last is not None and now - last < (period_s or self._period_s):
                self._suppressed[reason] = self._suppressed.get(reason, 0) + 1
                return
            self._last[reason] = now
            suppressed = self._suppressed.pop(reason, 0)
        more = f' ({suppressed} more like this since the last message)' if suppressed else ''
        self._warn(f'[{reason}] {text}{more}')

    def last_text(self, reason: str) -> str:
        """Return the newest text about a reason, '' if there was none."""
        with self._lock:
            return self._last_text.get(reason, '')

    def reset(self) -> None:
        """Forget what was said."""
        with self._lock:
            self._last.clear()
            self._suppressed.clear()
            self._last_text.clear()
