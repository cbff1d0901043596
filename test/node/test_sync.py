"""The synchronisers behind their interface, and the correction of thermal stamps."""

from __future__ import annotations

from collections.abc import Callable
import math
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')

from mafs_model.errors import ConfigError, ImageError
from mafs_model.streams import OTHER_STREAM
from mafs_ros import sync
from mafs_ros.alignment import Alignment
from mafs_ros.conversions import Frame
from mafs_ros.parameters import Settings, SettingsBox

pytestmark = pytest.mark.ros
MS = 1_000_000
T0 = 1_700_000_000 * sync.NS_PER_S


class FakeSimpleFilter:
    """The part of message_filters.SimpleFilter that we use."""

    def __init__(self) -> None:
        self.callbacks: list[Callable[[Any], None]] = []

    def registerCallback(self, callback: Callable[[Any], None]) -> None:  # noqa: N802
        self.callbacks.append(callback)

    def signalMessage(self, message: Any) -> None:  # noqa: N802
        for callback in self.callbacks:
            callback(message)


class FakeTimeSynchronizer:
    """Pairs equal stamps; evicts the oldest stamp of a full queue, as the real one does."""

    slop_ns = 0

    def __init__(self, filters: list[FakeSimpleFilter], queue_size: int) -> None:
        self.queues: list[dict[int, Any]] = [{}, {}]
        self.queue_size = queue_size
        self.callback: Callable[[Any, Any], None] | None = None
        for index, source in enumerate(filters):
            source.registerCallback(lambda message, index=index: self.add(index, message))

    def registerCallback(self, callback: Callable[[Any, Any], None]) -> None:  # noqa: N802
        self.callback = callback

    def add(self, index: int, message: Any) -> None:
        stamp = message.header.stamp
        stamp_ns = stamp.sec * sync.NS_PER_S + stamp.nanosec
        own, other = self.queues[index], self.queues[1 - index]
        own[stamp_ns] = message
        while len(own) > self.queue_size:
            del own[min(own)]
        near = [s for s in other if abs(s - stamp_ns) <= self.slop_ns]
        if stamp_ns in own and near:
            best = min(near, key=lambda s: abs(s - stamp_ns))
            pair = [own.pop(stamp_ns), other.pop(best)]
            assert self.callback is not None
            self.callback(*(pair if index == 0 else pair[::-1]))


class FakeApproximate(FakeTimeSynchronizer):
    """The same within a slop in seconds."""

    def __init__(self, filters: list[FakeSimpleFilter], queue_size: int, slop: float) -> None:
        super().__init__(filters, queue_size)
        self.slop_ns = round(slop * sync.NS_PER_S)


FAKE = SimpleNamespace(
    SimpleFilter=FakeSimpleFilter,
    TimeSynchronizer=FakeTimeSynchronizer,
    ApproximateTimeSynchronizer=FakeApproximate,
)


def message_filters() -> Any:
    """Return the real package, skip where it is not installed."""
    return pytest.importorskip('message_filters')


@pytest.fixture(params=['nearest', 'fake approximate', 'approximate'])
def synchronizer(request: pytest.FixtureRequest) -> sync.Synchronizer:
    if request.param == 'nearest':
        return sync.create_synchronizer('nearest', 0.02, 10, 1.0)
    module = FAKE if request.param.startswith('fake') else message_filters()
    return sync.MessageFilterSynchronizer('approximate', 20 * MS, 10, 1000 * MS, module)


def run(synchronizer: sync.Synchronizer, frames: list[tuple[str, int]]) -> list[tuple[int, int]]:
    pairs = []
    for stream, stamp_ns in frames:
        pairs += synchronizer.add_frame(stream, T0 + stamp_ns, f'{stream}@{stamp_ns}')
    return [(p.visible.stamp_ns - T0, p.thermal.stamp_ns - T0) for p in pairs]


def cameras(count: int, start_ns: int = 0, offset_ns: int = 4 * MS) -> list[tuple[str, int]]:
    frames = []
    for i in range(count):
        stamp = start_ns + i * 33 * MS
        frames += [('visible', stamp), ('thermal', stamp + offset_ns)]
    return frames


def test_two_cameras_pair_frame_by_frame(synchronizer: sync.Synchronizer) -> None:
    pairs = run(synchronizer, cameras(30))
    pairs += [(p.visible.stamp_ns - T0, p.thermal.stamp_ns - T0) for p in synchronizer.settle()]
    assert pairs == [(i * 33 * MS, i * 33 * MS + 4 * MS) for i in range(30)]


def test_offset_has_the_sign_of_thermal_minus_visible(synchronizer: sync.Synchronizer) -> None:
    synchronizer.add_frame('thermal', T0 + 4 * MS, 't')
    pairs = synchronizer.add_frame('visible', T0, 'v') + synchronizer.settle()
    assert [p.offset_ns for p in pairs] == [4 * MS]
    assert pairs[0].visible.payload == 'v'
    assert pairs[0].thermal.payload == 't'


def test_pairing_goes_on_after_a_jump_back(synchronizer: sync.Synchronizer) -> None:
    run(synchronizer, cameras(30, start_ns=100 * sync.NS_PER_S))
    pairs = run(synchronizer, cameras(30))
    assert len(pairs) >= 28
    assert synchronizer.restarts() >= 1


def test_reset_forgets_waiting_frames(synchronizer: sync.Synchronizer) -> None:
    for i in range(3):
        synchronizer.add_frame('visible', T0 + i * 33 * MS, None)
    assert synchronizer.queued('visible') == 3
    synchronizer.reset()
    assert synchronizer.queued('visible') == 0
    assert synchronizer.dropped() == {'flushed': 3}
    assert synchronizer.add_frame('thermal', T0, None) == []


def test_queue_is_bounded_and_drops_are_counted(synchronizer: sync.Synchronizer) -> None:
    for i in range(100):
        synchronizer.add_frame('visible', T0 + i * 33 * MS, None)
    assert synchronizer.queued('visible') <= 10
    assert sum(synchronizer.dropped().values()) == 100 - synchronizer.queued('visible')


@pytest.mark.parametrize('module', [FAKE, None], ids=['fake', 'real'])
def test_exact_pairs_equal_stamps_only(module: Any) -> None:
    module = module or message_filters()
    exact = sync.MessageFilterSynchronizer('exact', 20 * MS, 10, 1000 * MS, module)
    assert run(exact, cameras(5)) == []
    exact.reset()
    assert run(exact, cameras(5, offset_ns=0)) == [(i * 33 * MS, i * 33 * MS) for i in range(5)]


def test_missing_package_is_said_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named '{name}'")

    monkeypatch.setattr(sync.importlib, 'import_module', missing)
    with pytest.raises(ConfigError, match=r'^sync\.policy: .*message_filters is not installed'):
        sync.create_synchronizer('approximate', 0.02, 10, 1.0)


def box(values: dict[str, Any]) -> SettingsBox:
    return SettingsBox(Settings.from_values(values))


class TestAlignment:
    """Correction of thermal stamps, and what a job carries."""

    def frame(self, stamp_ns: int) -> Frame:
        return Frame(None, T0 + stamp_ns, 0.0, None)

    def feed(self, alignment: Alignment, count: int, latency_ns: int) -> list[Any]:
        jobs = []
        for i in range(count):
            stamp = i * 33 * MS
            jobs += alignment.add_frame('visible', self.frame(stamp))
            jobs += alignment.add_frame('thermal', self.frame(stamp + latency_ns))
        return jobs

    def test_constant_offset_is_added_to_thermal_stamps(self) -> None:
        alignment = Alignment(box({'thermal.time_offset': -0.012}))
        jobs = self.feed(alignment, 20, 12 * MS)
        assert len(jobs) == 20
        assert {job.offset_s for job in jobs} == {0.0}
        assert {job.time_offset_s for job in jobs} == {-0.012}
        assert not jobs[0].estimated
        assert jobs[3].thermal.stamp_ns == T0 + 99 * MS + 12 * MS, 'the frame keeps its stamp'

    @pytest.mark.parametrize(
        ('configured', 'offset_ms'), [(0.0, -120), ('auto', -120), (-0.05, -50)]
    )
    def test_calibration_wins_over_what_nobody_chose(
        self, configured: Any, offset_ms: int
    ) -> None:
        alignment = Alignment(box({'thermal.time_offset': configured}), -0.12)
        assert alignment.time_offset_ns == offset_ms * MS
        assert not alignment.estimated
        jobs = self.feed(alignment, 20, -offset_ms * MS)
        assert jobs[-1].offset_s == pytest.approx(0.0, abs=1e-9)

    def play_moving(self, alignment: Alignment, seconds: int, latency_ns: int) -> list[Any]:
        """Feed cameras that see a spot on a path of its own, with times of arrival."""
        jobs = []
        for i in range(30 * seconds):
            stamp = i * 33 * MS
            for stream, late in (('visible', 0), ('thermal', latency_ns)):
                received = (T0 + stamp + late) / sync.NS_PER_S
                jobs += alignment.add_frame(stream, Frame(None, T0 + stamp + late, received, i))
        return jobs

    @staticmethod
    def spot(stream: str, frame: Frame) -> np.ndarray:
        """Return what a camera sees in the frame of a number."""
        t = frame.message * 0.033
        image = np.random.default_rng(frame.message).integers(0, 20, (60, 80)).astype(np.uint8)
        for k in range(4):
            x = 40 + 34 * math.sin(0.9 * t + 0.31 * k * t + k * k)
            y = 30 + 24 * math.sin(0.7 * t + 0.43 * k * t + 2 * k)
            cv2.circle(image, (round(16 * x), round(16 * y)), 64, 200, -1, cv2.LINE_AA, 4)
        return image

    def test_auto_measures_the_latency_and_pairing_goes_on(self) -> None:
        told: list[str] = []
        settings = box({'thermal.time_offset': 'auto'})
        alignment = Alignment(settings, picture=self.spot, on_measured=told.append)
        jobs = self.play_moving(alignment, 16, 120 * MS)
        assert not jobs[0].estimated
        assert jobs[0].time_offset_s == 0.0, 'off until it is sure'
        assert jobs[-1].estimated
        assert jobs[-1].time_offset_s == pytest.approx(-0.12, abs=0.008)
        assert abs(jobs[-1].offset_s) < 0.008
        assert jobs[-1].visible.message == jobs[-1].thermal.message
        assert not alignment.jumped_back(), 'a new offset is no jump of the clock'
        assert alignment.estimated
        assert len(told) >= 1
        assert 'measured from motion' in told[0]
        alignment.reset()
        assert not alignment.estimated

    def test_auto_looks_at_nothing_where_a_calibration_is(self) -> None:
        def picture(stream: str, frame: Frame) -> np.ndarray:
            raise AssertionError('looked at')

        alignment = Alignment(box({'thermal.time_offset': 'auto'}), -0.12, picture)
        assert len(self.play_moving(alignment, 2, 120 * MS)) == 60

    def test_auto_passes_over_images_that_cannot_be_decoded(self) -> None:
        def picture(stream: str, frame: Frame) -> np.ndarray:
            raise ImageError('encoding', 'no such thing')

        alignment = Alignment(box({'thermal.time_offset': 'auto'}), picture=picture)
        assert len(self.play_moving(alignment, 2, 0)) == 60
        assert 'ambiguous by a period' in alignment.describe_time_offset()

    def test_narrower_slop_takes_effect(self) -> None:
        settings = box({'sync.slop': 0.03})
        alignment = Alignment(settings)
        assert len(self.feed(alignment, 10, 5 * MS)) == 10
        settings.current = Settings.from_values({'sync.slop': 0.002})
        assert self.feed(alignment, 10, 5 * MS) == []

    def test_other_changes_keep_waiting_frames(self) -> None:
        settings = box({})
        alignment = Alignment(settings)
        alignment.add_frame('visible', self.frame(0))
        settings.current = Settings.from_values({'overlay.opacity': 0.1})
        assert len(alignment.add_frame('thermal', self.frame(0)) + alignment.settle()) == 1

    def test_drops_are_reported_once(self) -> None:
        alignment = Alignment(box({'sync.queue_size': 2}))
        for i in range(20):
            alignment.add_frame('visible', self.frame(i * 33 * MS))
        first = alignment.new_drops()
        assert sum(first.values()) >= 10
        assert alignment.new_drops() == {}

    def test_drops_of_a_replaced_synchroniser_are_reported(self) -> None:
        settings = box({'sync.slop': 0.03})
        alignment = Alignment(settings)
        for i in range(3):
            alignment.add_frame('visible', self.frame(i * 33 * MS))
        settings.current = Settings.from_values({'sync.slop': 0.02})
        alignment.add_frame('visible', self.frame(99 * MS))
        assert alignment.new_drops() == {'flushed': 3}
        assert alignment.new_drops() == {}

    def test_jump_back_is_reported_once(self) -> None:
        alignment = Alignment(box({}))
        self.feed(alignment, 10, 0)
        for i in range(3):
            alignment.add_frame('visible', self.frame(-100 * sync.NS_PER_S + i * 33 * MS))
        assert alignment.jumped_back()
        assert not alignment.jumped_back()


class TestOneCameraAlone:
    """When a camera counts as missing, and what is done with the other one then."""

    PERIOD_S = 1 / 30

    def frame(self, seconds: float) -> Frame:
        return Frame(None, T0 + round(seconds * sync.NS_PER_S), 100.0 + seconds, None)

    def play(
        self,
        alignment: Alignment,
        seconds: tuple[float, float],
        streams: tuple[str, ...] = sync.STREAMS,
        period_s: float = PERIOD_S,
    ) -> list[Any]:
        jobs = []
        for index in range(round((seconds[1] - seconds[0]) / period_s)):
            for stream in streams:
                jobs += alignment.add_frame(stream, self.frame(seconds[0] + index * period_s))
        return jobs

    @pytest.mark.parametrize('alone', sync.STREAMS)
    def test_it_is_worked_with_until_the_other_is_back(self, alone: str) -> None:
        alignment = Alignment(box({'thermal.time_offset': -0.005}))
        other = OTHER_STREAM[alone]
        assert all(len(job.frames) == 2 for job in self.play(alignment, (0, 2)))
        single = self.play(alignment, (2, 5), (alone,))
        assert alignment.alone == alone
        assert len(single) == pytest.approx((3 - 0.5) * 30, abs=3)
        assert all(getattr(job, other) is None for job in single)
        assert all(getattr(job, alone) is not None for job in single)
        pairs = self.play(alignment, (5, 7))
        assert alignment.alone == ''
        # The first image after the return may come before the one that returns.
        assert all(len(job.frames) == 2 for job in pairs[1:])
        assert len(pairs) >= 55
        stamps = [job.stamp_ns(alone) for job in single + pairs]
        assert stamps == sorted(set(stamps)), 'outputs never go back in time, nor repeat'

    def test_wait_waits(self) -> None:
        alignment = Alignment(box({'on_missing': 'wait'}))
        self.play(alignment, (0, 2))
        assert self.play(alignment, (2, 5), ('visible',)) == []
        assert alignment.alone == ''

    def test_camera_that_never_came_is_missing_too(self) -> None:
        alignment = Alignment(box({}))
        assert len(self.play(alignment, (0, 3), ('thermal',))) > 60

    def test_limit_follows_the_parameter(self) -> None:
        settings = box({'single_after': 5.0})
        alignment = Alignment(settings)
        self.play(alignment, (0, 2))
        assert self.play(alignment, (2, 4), ('visible',)) == []
        settings.current = Settings.from_values({'single_after': 1.0})
        assert len(self.play(alignment, (4, 5), ('visible',))) == 30

    def test_slow_camera_is_not_missing(self) -> None:
        alignment = Alignment(box({}))
        jobs = []
        for second in range(10):
            jobs += alignment.add_frame('thermal', self.frame(second))
            jobs += self.play(alignment, (second, second + 1), ('visible',))
        assert all(len(job.frames) == 2 for job in jobs[60:]), 'from the third image on'

    def test_pause_of_both_is_no_absence(self) -> None:
        alignment = Alignment(box({}))
        self.play(alignment, (0, 2))
        jobs = alignment.add_frame('visible', self.frame(60)) + alignment.add_frame(
            'thermal', self.frame(60)
        )
        assert all(len(job.frames) == 2 for job in jobs + alignment.settle())
        assert alignment.alone == ''

    def test_missing_stamp_is_on_the_clock_of_its_camera(self) -> None:
        alignment = Alignment(box({'thermal.time_offset': -0.2}))
        thermal = self.play(alignment, (0, 3), ('thermal',))[-1]
        assert thermal.stamp_ns('visible') == thermal.thermal.stamp_ns - 200 * MS
        alignment = Alignment(box({'thermal.time_offset': -0.2}))
        visible = self.play(alignment, (0, 3), ('visible',))[-1]
        assert visible.stamp_ns('thermal') == visible.visible.stamp_ns + 200 * MS
