"""Time offset of two live cameras from what both see move: running, and off until it is sure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from statistics import median
from typing import Any

from mafs_model.calibration.content_offset import (
    CLOCK_DIFFERENCE_S,
    ContentOffset,
    estimate_offset,
)
from mafs_model.calibration.image_motion import COARSE_CELLS, MIN_LAG_S, MotionTrack, on_visible
from mafs_model.images.preprocessing import luminance
from mafs_model.images.registration import Registration
from mafs_model.images.thermal import ThermalScaler
from mafs_model.streams import STREAMS
from mafs_model.types import Size, UInt8Image
import numpy as np
from numpy.typing import NDArray

# What is kept, what is needed before the first look, and how often it is looked at.
WINDOW_S = 30.0
LEARNING_S = 10.0
LOOK_EVERY_S = 3.0
# Latencies drift by microseconds a second: after one measurement, of a whole window or as sharp as
# `MIN_CHANGE_S`, nothing is looked at for so long.
REST_S = 60.0
# Motion is compared over MIN_LAG_S and more: images nearer than this add cost only.
_MIN_GAP_S = 0.045
# An offset is not changed by less: it is no better known, and pairing does not depend on it.
MIN_CHANGE_S = 0.005
_LAG_GROWTH = 1.25
_REMEMBERED = 64
_ROWS = 240  # of what is looked at; taller images are thinned out first


class RunningOffset:
    """
    Keeps the motion of both cameras and looks now and then where it agrees.

    An offset counts when it stands out as `ContentOffset.doubt` asks, and when the next look
    finds it again. One in force stays as long as the interval of a new one holds it: correct
    stamps (0 to begin with) are left alone.

    Not thread-safe: one caller at a time. Time is that of arrival, so that a recording decides
    alike at any speed.

    Args:
        registration: how the thermal image lies on the visible one; None: not known.

    """

    def __init__(self, registration: Registration | None = None) -> None:
        known = registration is not None and not registration.is_identity
        self._registration = registration if known else None
        self._scaler = ThermalScaler(smoothing=0.0)
        self.reset()

    def reset(self) -> None:
        """Forget everything, as after a jump of a clock."""
        self.offset_s = 0.0
        self.interval_s: float | None = None
        self.doubt = 'not enough images yet'
        self._rest_until_s: float | None = None
        self._start_over(MIN_LAG_S)

    def _start_over(self, lag_s: float) -> None:
        """Begin a measurement; what is in force stays."""
        self._lag_s = lag_s
        self._tracks = {s: MotionTrack(lag_s, COARSE_CELLS, WINDOW_S) for s in STREAMS}
        self._stamps_s: dict[str, deque[float]] = {s: deque(maxlen=_REMEMBERED) for s in STREAMS}
        self._delays_s: dict[str, deque[float]] = {s: deque(maxlen=_REMEMBERED) for s in STREAMS}
        self._visible_size: Size | None = None
        self._began_s = 0.0
        self._next_look_s: float | None = None
        self._found: ContentOffset | None = None

    @property
    def is_known(self) -> bool:
        """Return whether the offset was measured; else it is 0."""
        return self.interval_s is not None

    def sentence(self) -> str:
        """Return what a person should know about the offset, without its value."""
        if self.interval_s is not None:
            return f'measured from motion, +-{1e3 * self.interval_s:.0f} ms'
        return f'not measured: {self.doubt}; from the stamps alone it is ambiguous by a period'

    def add_image(
        self, stream: str, stamp_s: float, received_s: float, picture: Callable[[], NDArray[Any]]
    ) -> bool:
        """
        Take note of an image.

        Args:
            stream: 'visible' or 'thermal'.
            stamp_s: as the camera gave it, no offset added.
            received_s: when it arrived, by one clock for both cameras.
            picture: returns it as uint8 [H,W,3] RGB, or [H,W] uint8, uint16 or float32; called
                only where the image is looked at.

        Returns:
            Whether the offset in force has changed.

        Raises:
            ImageError: the image cannot be used.

        """
        if self._rest_until_s is not None:
            if received_s < self._rest_until_s:
                return False
            self._rest_until_s = None
            self._start_over(self._lag_s)
        stamps = self._stamps_s[stream]
        if stamps and stamp_s - stamps[-1] < _MIN_GAP_S:
            return False
        image = self._grey(picture())
        stamps.append(stamp_s)
        self._delays_s[stream].append(received_s - stamp_s)
        if stream == 'visible':
            self._visible_size = image.shape[0], image.shape[1]
        elif self._registration is not None:
            if self._visible_size is None:
                return False
            image = on_visible(self._registration, image, self._visible_size)
        self._tracks[stream].add_image(stamp_s, image)
        if self._next_look_s is None:
            self._began_s = received_s
            self._next_look_s = received_s + LEARNING_S
        if received_s < self._next_look_s:
            return False
        self._next_look_s = received_s + LOOK_EVERY_S
        return self._look(received_s)

    def _grey(self, image: NDArray[Any]) -> UInt8Image:
        """Return an image as uint8 [h,w], thinned out."""
        step = max(1, image.shape[0] // _ROWS)
        thin = image[::step, ::step]
        if thin.ndim == 3:
            return luminance(thin)
        return thin if thin.dtype == np.uint8 else self._scaler(thin)

    def _look(self, now_s: float) -> bool:
        """Estimate from what is kept; return whether the offset in force has changed."""
        if any(len(stamps) < 2 for stamps in self._stamps_s.values()):
            self.doubt = 'one of the cameras does not deliver'
            return False
        period_s = max(
            median(b - a for a, b in zip(list(stamps)[:-1], list(stamps)[1:], strict=True))
            for stamps in self._stamps_s.values()
        )
        if period_s > _LAG_GROWTH * self._lag_s:
            self._start_over(period_s)
            return False
        around_s = median(self._delays_s['thermal']) - median(self._delays_s['visible'])
        found = estimate_offset(
            self._tracks['visible'].samples(),
            self._tracks['thermal'].samples(),
            around_s if abs(around_s) >= CLOCK_DIFFERENCE_S else 0.0,
        )
        before, self._found = self._found, None
        if found is None or found.doubt is not None:
            self.doubt = 'not enough images yet' if found is None else str(found.doubt)
            return False
        self._found = found
        tolerance_s = max(found.interval_s, MIN_CHANGE_S)
        if before is None or abs(found.offset_s - before.offset_s) > tolerance_s:
            self.doubt = 'found once, waits to be found again'
            return False
        self.interval_s = found.interval_s
        if found.interval_s <= MIN_CHANGE_S or now_s - self._began_s >= WINDOW_S:
            self._rest_until_s = now_s + REST_S
        if abs(found.offset_s - self.offset_s) <= tolerance_s:
            return False
        self.offset_s = found.offset_s
        return True
