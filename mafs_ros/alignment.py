"""Pairing of frames after the constant latency of the thermal camera was taken out, or none."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from statistics import median
from typing import Any

from mafs_model.calibration.running_offset import RunningOffset
from mafs_model.errors import ImageError
from mafs_model.images.registration import Registration
from mafs_model.pairing.nearest import Pair
from mafs_model.streams import NS_PER_S, OTHER_STREAM, STREAMS
from mafs_ros.conversions import Frame
from mafs_ros.parameters import AUTO, SettingsBox
from mafs_ros.sync import create_synchronizer, Synchronizer
from numpy.typing import NDArray

# Intervals of a camera without an image until it is missing rather than slow.
_MISSED_INTERVALS = 3.0


@dataclass(frozen=True)
class Job:
    """
    One pair, or one image alone, on its way to the worker, with what was true when it was formed.

    Attributes:
        visible: frame of the visible camera; None: it is missing.
        thermal: frame of the thermal camera; None: it is missing.
        offset_s: thermal minus visible stamp after the time offset was added.
        time_offset_s: what was added to the thermal stamp.
        estimated: whether the time offset was measured while running.
        queued: frames of each stream that still waited for a partner.

    """

    visible: Frame | None
    thermal: Frame | None
    offset_s: float
    time_offset_s: float
    estimated: bool
    queued: dict[str, int]

    @property
    def frames(self) -> tuple[Frame, ...]:
        """Return the frames that are there."""
        return tuple(frame for frame in (self.visible, self.thermal) if frame is not None)

    @property
    def received_s(self) -> float:
        """Return the steady time at which the later of its frames arrived."""
        return max(frame.received_s for frame in self.frames)

    def stamp_ns(self, clock: str) -> int:
        """Return the stamp of 'visible' or 'thermal', on its clock also where it is missing."""
        offset_ns = round(self.time_offset_s * NS_PER_S)
        if clock == 'visible':
            if self.visible is not None:
                return self.visible.stamp_ns
            assert self.thermal is not None
            return max(0, self.thermal.stamp_ns + offset_ns)
        if self.thermal is not None:
            return self.thermal.stamp_ns
        assert self.visible is not None
        return max(0, self.visible.stamp_ns - offset_ns)


class Presence:
    """
    Which camera is missing while the other one delivers.

    Silence counts from the first image of the other camera after the last of this one: a pause
    of both (a player that halts, a busy machine) is no absence. It is measured against the usual
    interval of the camera, so that a slow one is not taken for a dead one.
    """

    def __init__(self) -> None:
        self._last_s: dict[str, float] = {}
        self._silent_since_s: dict[str, float] = {}
        self._intervals_s: dict[str, deque[float]] = {
            stream: deque(maxlen=5) for stream in STREAMS
        }

    def arrived(self, stream: str, now_s: float) -> None:
        """Note a usable image at a steady time."""
        if stream in self._last_s:
            self._intervals_s[stream].append(now_s - self._last_s[stream])
        self._last_s[stream] = now_s
        self._silent_since_s.pop(stream, None)
        self._silent_since_s.setdefault(OTHER_STREAM[stream], now_s)

    def is_missing(self, stream: str, now_s: float, after_s: float) -> bool:
        """Return whether the other camera has gone on without this one for too long."""
        since_s = self._silent_since_s.get(stream)
        if since_s is None:
            return False
        intervals = self._intervals_s[stream]
        usual_s = median(intervals) if intervals else 0.0
        return now_s - since_s > max(after_s, _MISSED_INTERVALS * usual_s)


class Alignment:
    """
    Feeds a synchroniser with corrected stamps.

    Threads: called by the executor only, one callback at a time.

    Args:
        settings: what is in force.
        calibrated_offset_s: what a calibration adds to thermal stamps, None without one.
        picture: returns the image of a frame of a stream, for `RunningOffset`.
        registration: how the thermal image lies on the visible one.
        on_measured: told the sentence about a time offset that was measured anew.
        serves: returns whether a stream can be computed alone.

    Raises:
        ConfigError: the policy needs a package that is not installed.

    """

    def __init__(
        self,
        settings: SettingsBox,
        calibrated_offset_s: float | None = None,
        picture: Callable[[str, Frame], NDArray[Any]] | None = None,
        registration: Registration | None = None,
        on_measured: Callable[[str], None] | None = None,
        serves: Callable[[str], bool] = lambda stream: True,
    ) -> None:
        self._settings = settings
        self._calibrated_offset_s = calibrated_offset_s
        self._picture = picture
        self._on_measured = on_measured
        self._serves = serves
        self._running = RunningOffset(registration)
        self._rules = self._wanted_rules()
        self._synchronizer = create_synchronizer(*self._rules)
        self._earlier_drops: Counter[str] = Counter()  # of synchronisers that were replaced
        self._drops_reported: Counter[str] = Counter()
        self._restarts_reported = 0
        self._presence = Presence()
        self.alone = ''  # the stream that is worked with while the other one is missing

    def _wanted_rules(self) -> tuple[str, float, int, float]:
        """Return what a synchroniser is made of."""
        s = self._settings.current
        return s.sync_policy, s.sync_slop, s.sync_queue_size, s.stamps_jump_back

    def _current_synchronizer(self) -> Synchronizer:
        """Return the synchroniser, made anew where the settings ask for another one."""
        rules = self._wanted_rules()
        if rules != self._rules:
            self._synchronizer.reset()
            self._earlier_drops.update(self._synchronizer.dropped())
            self._synchronizer = create_synchronizer(*rules)
            self._rules = rules
            self._restarts_reported = 0
        return self._synchronizer

    @property
    def _is_automatic(self) -> bool:
        """Return whether the time offset is to be measured while running."""
        automatic = self._settings.current.thermal_time_offset == AUTO
        return automatic and self._calibrated_offset_s is None

    @property
    def estimated(self) -> bool:
        """Return whether the time offset was measured while running."""
        return self._is_automatic and self._running.is_known

    @property
    def time_offset_ns(self) -> int:
        """Return what is added to thermal stamps now."""
        configured = self._settings.current.thermal_time_offset
        if self._calibrated_offset_s is not None and configured in (0.0, AUTO):
            return round(self._calibrated_offset_s * NS_PER_S)
        if isinstance(configured, str):
            return round(self._running.offset_s * NS_PER_S)
        return round(configured * NS_PER_S)

    def describe_time_offset(self) -> str:
        """Return what is added to thermal stamps, and how well that is known."""
        value = f'{self.time_offset_ns / 1e6:.1f} ms'
        return f'{value}, {self._running.sentence()}' if self._is_automatic else value

    def add_frame(self, stream: str, frame: Frame) -> list[Job]:
        """Add a frame of 'visible' or 'thermal'; return what is to be done now."""
        self._presence.arrived(stream, frame.received_s)
        if self._is_alone(stream, frame):
            return [self._single(stream, frame)]
        stamp_ns = frame.stamp_ns
        if self._is_automatic:
            self._measure(stream, frame)
        if stream == 'thermal':
            stamp_ns += self.time_offset_ns
        return self._jobs(self._current_synchronizer().add_frame(stream, stamp_ns, frame))

    def _measure(self, stream: str, frame: Frame) -> None:
        """Take note of motion; where the offset changes, pairing starts again with the new one."""
        picture = self._picture
        if picture is None:
            return
        # An image that cannot be decoded is reported where it is to be fused.
        with suppress(ImageError):
            stamp_s = frame.stamp_ns / NS_PER_S
            if self._running.add_image(
                stream, stamp_s, frame.received_s, lambda: picture(stream, frame)
            ):
                self._current_synchronizer().reset()
                if self._on_measured is not None:
                    self._on_measured(self.describe_time_offset())

    def _is_alone(self, stream: str, frame: Frame) -> bool:
        """Return whether a frame is to be worked with although the other camera is missing."""
        settings = self._settings.current
        alone = (
            settings.on_missing == 'single'
            and self._serves(stream)
            and self._presence.is_missing(
                OTHER_STREAM[stream], frame.received_s, settings.single_after
            )
        )
        if alone and self.alone != stream:
            # What waits is older than what goes out alone now: outputs never go back in time.
            self._current_synchronizer().reset()
        self.alone = stream if alone else ''
        return alone

    def _single(self, stream: str, frame: Frame) -> Job:
        return Job(
            visible=frame if stream == 'visible' else None,
            thermal=frame if stream == 'thermal' else None,
            offset_s=0.0,
            time_offset_s=self.time_offset_ns / NS_PER_S,
            estimated=self.estimated,
            queued=dict.fromkeys(STREAMS, 0),
        )

    def settle(self) -> list[Job]:
        """Return pairs that still wait for certainty, when both streams have gone silent."""
        return self._jobs(self._synchronizer.settle())

    def reset(self) -> None:
        """Forget all waiting frames and the estimate, as after a jump of the clock."""
        self._synchronizer.reset()
        self._running.reset()

    def new_drops(self) -> dict[str, int]:
        """Return frames that left without partner since the last call, by reason."""
        total = self._earlier_drops + Counter(self._synchronizer.dropped())
        new = total - self._drops_reported
        self._drops_reported = total
        return dict(new)

    def jumped_back(self) -> bool:
        """Return whether stamps jumped back since the last call."""
        restarts = self._synchronizer.restarts()
        jumped, self._restarts_reported = restarts > self._restarts_reported, restarts
        if jumped:
            self._running.reset()
        return jumped

    def _jobs(self, pairs: list[Pair]) -> list[Job]:
        if not pairs:
            return []
        queued = {stream: self._synchronizer.queued(stream) for stream in STREAMS}
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
