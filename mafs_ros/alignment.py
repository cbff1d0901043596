"""Pairing of frames after the constant latency of the thermal camera was taken out."""

from __future__ import annotations

from dataclasses import dataclass

from mafs_model.pairing.nearest import OffsetEstimator, Pair
from mafs_ros.conversions import Frame
from mafs_ros.parameters import AUTO, Settings
from mafs_ros.sync import create_synchronizer, NS_PER_S, Synchronizer


@dataclass(frozen=True)
class Job:
    """
    One pair on its way to the worker, with what was true when it was formed.

    Attributes:
        visible: frame of the visible camera.
        thermal: frame of the thermal camera.
        offset_s: thermal minus visible stamp after the time offset was added.
        time_offset_s: what was added to the thermal stamp.
        estimated: whether the time offset is an estimate.
        queued: frames of each stream that still waited for a partner.

    """

    visible: Frame
    thermal: Frame
    offset_s: float
    time_offset_s: float
    estimated: bool
    queued: dict[str, int]


class Alignment:
    """
    Feeds a synchroniser with corrected stamps.

    Threads: called by the executor only, one callback at a time.

    Args:
        settings: validated parameters.

    Raises:
        ConfigError: the policy needs a package that is not installed.

    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._estimator = OffsetEstimator()
        self._synchronizer = self._create()
        self._drops_reported: dict[str, int] = {}
        self._restarts_reported = 0

    def _create(self) -> Synchronizer:
        s = self._settings
        return create_synchronizer(
            s.sync_policy, s.sync_slop, s.sync_queue_size, s.stamps_jump_back
        )

    @property
    def estimated(self) -> bool:
        """Return whether the time offset is estimated."""
        return self._settings.thermal_time_offset == AUTO

    @property
    def time_offset_ns(self) -> int:
        """Return what is added to thermal stamps now."""
        configured = self._settings.thermal_time_offset
        if isinstance(configured, str):
            return self._estimator.offset_ns or 0
        return round(configured * NS_PER_S)

    def update(self, settings: Settings) -> dict[str, int]:
        """
        Take over new settings.

        Returns:
            Frames dropped because the synchroniser had to be made anew, by reason.

        """
        changed = settings.changed_from(self._settings)
        self._settings = settings
        dropped: dict[str, int] = {}
        if {'sync.slop', 'stamps.jump_back'} & set(changed):
            self._synchronizer.reset()
            dropped = self.new_drops()
            self._synchronizer = self._create()
            self._drops_reported = {}
            self._restarts_reported = 0
        return dropped

    def add(self, stream: str, frame: Frame) -> list[Job]:
        """Add a frame of 'visible' or 'thermal'; return the pairs that became certain."""
        stamp_ns = frame.stamp_ns
        if self.estimated:
            self._estimator.add(stream, stamp_ns)
        if stream == 'thermal':
            stamp_ns += self.time_offset_ns
        return self._jobs(self._synchronizer.add(stream, stamp_ns, frame))

    def settle(self) -> list[Job]:
        """Return pairs that still wait for certainty, when both streams have gone silent."""
        return self._jobs(self._synchronizer.settle())

    def reset(self) -> None:
        """Forget all waiting frames and the estimate, as after a jump of the clock."""
        self._synchronizer.reset()
        self._estimator.reset()

    def new_drops(self) -> dict[str, int]:
        """Return frames that left without partner since the last call, by reason."""
        total = self._synchronizer.dropped()
        new = {
            reason: count - self._drops_reported.get(reason, 0) for reason, count in total.items()
        }
        self._drops_reported = total
        return {reason: count for reason, count in new.items() if count > 0}

    def jumped_back(self) -> bool:
        """Return whether stamps jumped back since the last call."""
        restarts = self._synchronizer.restarts()
        jumped, self._restarts_reported = restarts > self._restarts_reported, restarts
        if jumped:
            self._estimator.reset()
        return jumped

    def _jobs(self, pairs: list[Pair]) -> list[Job]:
        if not pairs:
            return []
        queued = {stream: self._synchronizer.queued(stream) for stream in ('visible', 'thermal')}
        return [
            Job(
                visible=pair.visible.payload,
                thermal=pair.thermal.payload,
                offset_s=pair.offset_ns / NS_PER_S,
                # As it was when this thermal stamp was corrected, not as it is now.
                time_offset_s=(pair.thermal.stamp_ns - pair.thermal.payload.stamp_ns) / NS_PER_S,
                estimated=self.estimated,
                queued=queued,
            )
            for pair in pairs
        ]
