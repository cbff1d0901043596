"""Registration of a recording whose cameras are not of one time: each helps to find the other."""

from __future__ import annotations

from mafs_calibration.recordings import Pair, Recording
from mafs_calibration.scene import PAIRS, register, SceneRegistration
from mafs_calibration.time_offset import measure
from mafs_model.errors import CalibrationError
from mafs_model.images.registration import Registration

_ROUNDS = 4
_SETTLED_S = 0.01  # Nothing that a registration depends on moves far in less.


def register_recording(
    source: Recording, offset_s: float
) -> tuple[SceneRegistration, list[Pair], float]:
    """
    Return how the thermal images lie on the visible ones.

    Pairs that are a moment apart give, in a drive, a scale that is wrong by what the car went in
    between; with it, motion tells the time nearly right, and right times give the right pairs.

    Args:
        source: the recording.
        offset_s: what is added to thermal stamps, as far as it is known.

    Returns:
        The registration, its pairs, and the time offset with which they were chosen.

    Raises:
        CalibrationError: nothing sure; the message says what the images look like instead.

    """
    for round_ in range(_ROUNDS):
        pairs = source.pairs(PAIRS, offset_s)
        found = register([pair.visible for pair in pairs], [pair.thermal for pair in pairs])
        if round_ == _ROUNDS - 1:
            break
        try:
            latency = measure(source, Registration(found.homography)).latency
        except CalibrationError:  # too little motion for a time, and for its being wrong to matter
            break
        if abs(latency.offset_s - offset_s) <= max(_SETTLED_S, latency.interval_s):
            break
        offset_s = latency.offset_s
    return found, pairs, offset_s
