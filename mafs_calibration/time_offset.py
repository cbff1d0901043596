"""Latency of the thermal camera from what both streams see move."""

from __future__ import annotations

from dataclasses import dataclass

from mafs_calibration.recordings import Recording
from mafs_model.calibration.calibration import Latency
from mafs_model.calibration.content_offset import (
    CLOCK_DIFFERENCE_S,
    ContentOffset,
    estimate_offset,
)
from mafs_model.calibration.image_motion import (
    CELLS,
    COARSE_CELLS,
    MIN_LAG_S,
    MotionSamples,
    MotionTrack,
    on_visible,
)
from mafs_model.errors import CalibrationError
from mafs_model.images.registration import Registration
from mafs_model.types import Size, UInt8Image
import numpy as np

_WINDOW_S = 25.0  # Drift is seen between windows of this length.
_MIN_WINDOWS = 3
_WINDOW_REACH_S = 0.3
_MIN_FRAMES = 40


@dataclass(frozen=True)
class TimeResult:
    """
    The time offset of a recording.

    Attributes:
        latency: offset with interval, and drift where the recording is long enough.
        content: of the whole recording, after the difference of the clocks was taken out.
        clock_difference_s: what the receive times say alone.
        period_s: the longer frame period.

    """

    latency: Latency
    content: ContentOffset
    clock_difference_s: float
    period_s: float


def measure(recording: Recording, registration: Registration | None = None) -> TimeResult:
    """
    Return the time offset.

    Args:
        recording: two streams with stamps.
        registration: how the thermal image lies on the visible one; None: not known, motion is
            then compared in coarse cells.

    Raises:
        CalibrationError: too short, not enough motion, or ambiguous; the message says which.

    """
    difference = recording.clock_difference_s()
    if abs(difference) < CLOCK_DIFFERENCE_S:
        difference = 0.0
    period = recording.period_s()
    visible, thermal = _motion(recording, registration, max(period, MIN_LAG_S), difference)
    content = estimate_offset(visible, thermal)
    if content is None:
        raise CalibrationError(
            'the two streams have less than 4 s in common: expected 15 s and more with motion'
            + (f' (after {difference:+.2f} s between the clocks)' if difference else '')
        )
    if content.doubt is not None:
        raise CalibrationError(content.doubt)
    drift = _drift(visible, thermal, content)
    return TimeResult(
        Latency(difference + content.offset_s, content.interval_s, *drift),
        content,
        difference,
        period,
    )


def rough_offset(recording: Recording) -> float:
    """Return what brings the images of a recording together well enough to pair them, s."""
    try:
        return measure(recording).latency.offset_s
    except CalibrationError:
        difference = recording.clock_difference_s()
        return difference if abs(difference) >= CLOCK_DIFFERENCE_S else 0.0


def _motion(
    recording: Recording, registration: Registration | None, lag_s: float, difference_s: float
) -> tuple[MotionSamples, MotionSamples]:
    """Return the motion of both streams, in cells of the visible image."""
    cells = COARSE_CELLS if registration is None else CELLS
    tracks = {camera: MotionTrack(lag_s, cells) for camera in ('visible', 'thermal')}
    visible_size: Size | None = None
    waiting: list[tuple[float, UInt8Image]] = []
    for frame in recording.frames():
        if frame.camera == 'visible':
            visible_size = frame.image.shape[0], frame.image.shape[1]
            tracks['visible'].add_image(frame.stamp_s, frame.image)
        else:
            waiting.append((frame.stamp_s + difference_s, frame.image))
        if visible_size is None:
            del waiting[:-_MIN_FRAMES]  # Streams rarely begin together.
            continue
        for stamp, image in waiting:
            if registration is not None:
                image = on_visible(registration, image, visible_size)
            tracks['thermal'].add_image(stamp, image)
        waiting.clear()
    return tracks['visible'].samples(), tracks['thermal'].samples()


def _drift(
    visible: MotionSamples, thermal: MotionSamples, content: ContentOffset
) -> tuple[float | None, float | None]:
    """Return the growth of the offset in us per s and half of its 95 % interval, or None."""
    times = thermal.times_s
    count = int((times[-1] - times[0]) / _WINDOW_S)
    if count < _MIN_WINDOWS:
        return None, None
    moments, offsets, weights = [], [], []
    for window in np.array_split(np.arange(len(times)), count):
        part = MotionSamples(times[window], thermal.energy[window])
        found = estimate_offset(visible, part, content.offset_s, _WINDOW_REACH_S)
        if found is not None and found.doubt is None:
            moments.append(float(part.times_s.mean()))
            offsets.append(found.offset_s)
            weights.append(1 / max(found.interval_s, 1e-3) ** 2)
    if len(moments) < _MIN_WINDOWS:
        return None, None
    moment, offset, weight = (np.array(v) for v in (moments, offsets, weights))
    centred = moment - np.average(moment, weights=weight)
    level = np.average(offset, weights=weight)
    spread = float(np.sum(weight * centred**2))
    slope = float(np.sum(weight * centred * (offset - level)) / spread)
    rest = offset - level - slope * centred
    variance = float(np.sum(weight * rest**2)) / (len(moments) - 2) / spread
    return 1e6 * slope, 1e6 * 2.0 * float(np.sqrt(max(variance, 1 / spread / 4)))
