"""The limit on how many pairs a second go on to inference."""

from __future__ import annotations

import math


class RateLimit:
    """
    Lets items pass so that there are no more than so many a second.

    It keeps a schedule rather than a smallest distance: of 30 images a second with jitter, a
    distance of 100 ms would let 7.5 pass where 10 are allowed. Over any time of t seconds no more
    than rate * t + 2 pass.

    """

    def __init__(self) -> None:
        self._due_s = -math.inf  # when the next may pass
        self._last_s = -math.inf  # when the last one passed

    def passes(self, now_s: float, rate_hz: float) -> bool:
        """
        Return whether an item may pass, and count it if so.

        Args:
            now_s: steady time, s.
            rate_hz: items per second; 0: no limit.

        """
        if rate_hz <= 0.0:
            self._due_s = self._last_s = now_s
            return True
        period_s = 1.0 / rate_hz
        # A limit that was raised counts at once: nothing waits longer than its period.
        self._due_s = min(self._due_s, self._last_s + period_s)
        if now_s < self._due_s:
            return False
        self._due_s, self._last_s = max(self._due_s + period_s, now_s), now_s
        return True
