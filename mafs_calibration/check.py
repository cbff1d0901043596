"""Whether a calibration still holds for what the cameras show now."""

from __future__ import annotations

from dataclasses import dataclass

from mafs_calibration.recordings import Pair, Recording, Stills
from mafs_calibration.time_offset import measure
from mafs_model.calibration.calibration import Calibration
from mafs_model.calibration.registration_monitor import (
    MIN_PAIRS,
    RegistrationMonitor,
    RegistrationState,
)
from mafs_model.calibration.rig_registration import create_registration
from mafs_model.errors import CalibrationError
from mafs_model.images.registration import Registration
from mafs_model.types import Size

_PAIRS = 24
# From a shift of 2 px at 640 on, fusion shows double edges; what a scene tells is sure to 1.5.
_MAX_SHIFT = 4 / 640
_MAX_OFFSET_CHANGE_S = 0.010


@dataclass(frozen=True)
class Verdict:
    """
    Whether a calibration holds.

    Attributes:
        registration: what the images say, None: too few pairs.
        registration_holds: None where it cannot be told.
        registration_text: the sentence for people.
        offset_s: the time offset measured now, None where it cannot be told.
        time_holds: None where it cannot be told or is not in the file.
        time_text: the sentence for people.

    """

    registration: RegistrationState | None
    registration_holds: bool | None
    registration_text: str
    offset_s: float | None
    time_holds: bool | None
    time_text: str

    @property
    def holds(self) -> bool:
        """Return whether nothing speaks against the calibration and something for it."""
        verdicts = (self.registration_holds, self.time_holds)
        return False not in verdicts and True in verdicts


def check(
    calibration: Calibration, source: Stills | Recording, distance_m: float | None = None
) -> Verdict:
    """
    Compare a calibration with recordings.

    Args:
        calibration: to be judged.
        source: what the cameras show.
        distance_m: of the plane, see `create_registration`.

    Raises:
        ImageError: the images have other proportions than the calibrated ones.
        ConfigError: a distance, but no extrinsics.

    """
    registration = create_registration(calibration, distance_m)
    latency = calibration.latency
    offset_s, time_holds, time_text = None, None, 'time offset: single pictures cannot tell'
    if isinstance(source, Recording):
        try:
            found = measure(source, None if registration.is_identity else registration)
        except CalibrationError as error:
            time_text = f'time offset: cannot be told: {error}'
        else:
            offset_s = found.latency.offset_s
            now = f'{1e3 * offset_s:+.1f} +- {1e3 * found.latency.interval_s:.1f} ms'
            if latency is None:
                time_text = f'time offset: {now}, the file has none'
            else:
                allowed = max(_MAX_OFFSET_CHANGE_S, found.latency.interval_s + latency.interval_s)
                time_holds = abs(offset_s - latency.offset_s) <= allowed
                time_text = (
                    f'time offset: {now}, the file has {1e3 * latency.offset_s:+.1f} ms: '
                    + ('holds' if time_holds else 'DOES NOT HOLD')
                )
    known = latency.offset_s if latency is not None else 0.0
    pairs = source.pairs(_PAIRS, known if offset_s is None else offset_s)
    state = _judge(pairs, registration)
    if state is None:
        return Verdict(
            None,
            None,
            f'registration: {len(pairs)} pairs, expected at least {MIN_PAIRS}',
            offset_s,
            time_holds,
            time_text,
        )
    holds = None
    if state.turned is not None:
        holds = False
    elif state.off_px is not None:
        holds = state.off_px <= _MAX_SHIFT * pairs[0].visible.shape[1]
    text = f'registration: {state.sentence()} (agreement {state.agreement:.2f})'
    text += {None: '', True: ': holds', False: ': DOES NOT HOLD'}[holds]
    return Verdict(state, holds, text, offset_s, time_holds, time_text)


def _judge(pairs: list[Pair], registration: Registration) -> RegistrationState | None:
    """Return what all pairs together say about a registration."""
    monitor = RegistrationMonitor(max(MIN_PAIRS, len(pairs)))
    for pair in pairs:
        size: Size = pair.visible.shape[0], pair.visible.shape[1]
        own: Size = pair.thermal.shape[0], pair.thermal.shape[1]
        monitor.add_pair(
            pair.visible,
            registration.warp(pair.thermal, size),
            registration.coverage(own, size),
        )
    return monitor.state()
