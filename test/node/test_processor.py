"""What the worker does with a pair, without middleware: fake outputs, fake inference."""

from __future__ import annotations

from dataclasses import replace
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('mafs_ros.msg')

from builtin_interfaces.msg import Time
from mafs_model.errors import DeviceError, ImageError, ModeError
from mafs_model.images.cameras import CameraProfile
from mafs_model.images.registration import Registration
from mafs_model.images.thermal import ThermalScaler
from mafs_model.prediction import Outputs, Prediction
from mafs_ros.alignment import Job
from mafs_ros.conversions import Frame
from mafs_ros.parameters import Settings, SettingsBox
from mafs_ros.point_outputs import Origin
from mafs_ros.processor import PairProcessor
from mafs_ros.reporting import Reporter
from mafs_ros.statistics import Statistics
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

NS = 1_000_000_000
T0 = 1_700_000_000
DEADLINE_S = 60.0


class FakeOutputs:
    """Keeps what would be published."""

    def __init__(self) -> None:
        self.outputs = Outputs()
        self.usable = True
        self.images: list[tuple[Prediction, Header]] = []
        self.statuses: list[Any] = []
        self.infos: list[tuple[tuple[int, int], Header]] = []
        self.points: list[tuple[Origin, int, Any]] = []
        self.done = threading.Event()

    def wanted(self, style: Any) -> Outputs:
        return self.outputs

    def publish_images(self, results: Prediction, header: Header) -> None:
        self.images.append((results, header))

    def publish_points(
        self, results: Prediction, origin: Origin, stamp_ns: int, info: Any
    ) -> None:
        self.points.append((origin, stamp_ns, info))

    def publish_camera_info(self, info: Any, size: tuple[int, int], header: Header) -> None:
        self.infos.append((size, header))

    def status_wanted(self) -> bool:
        return True

    def publish_status(self, status: Any) -> None:
        self.statuses.append(status)
        self.done.set()


class FakeInference:
    """Returns grey images; can be told to fail."""

    def __init__(self) -> None:
        self.registration, self.camera = Registration(), CameraProfile('generic')
        self.predictor = SimpleNamespace(
            device='cpu', backend='fake', weights_id='none', thermal_scaler=ThermalScaler()
        )
        self.error: Exception | None = None
        self.unserved = ''
        self.seen: list[tuple[Any, Any, Outputs]] = []
        self.resets = 0

    @staticmethod
    def decode_thermal(image: Any, *unused: Any) -> Any:
        return image

    def request_reset(self) -> None:
        self.resets += 1

    def why_alone_not(self, stream: str) -> str:
        return self.unserved

    def predict(self, visible: Any, thermal: Any, outputs: Outputs) -> Prediction:
        self.seen.append((visible, thermal, outputs))
        if self.error is not None:
            raise self.error
        mode = 'fusion' if visible is not None and thermal is not None else 'visible_only'
        image = np.full((6, 8, 3), 90, np.uint8)
        return Prediction(fused=image, mode=mode, timings_ms={'inference': 3.0})


class Bench:
    """A processor between fakes; pairs are processed in this thread."""

    def __init__(self, **values: Any) -> None:
        self.log: list[str] = []
        self.outputs, self.inference = FakeOutputs(), FakeInference()
        self.inference.decode_thermal = lambda *images: images[0]  # type: ignore[method-assign]
        self.inference.decode_thermal.notes = ()  # type: ignore[attr-defined]
        self.statistics = Statistics()
        self.settings = SettingsBox(
            Settings.from_values({name.replace('__', '.'): v for name, v in values.items()})
        )
        self.clock = SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=(T0 + 1) * NS))
        self.processor = PairProcessor(
            self.inference,  # type: ignore[arg-type]
            self.outputs,  # type: ignore[arg-type]
            self.settings,
            Reporter(self.log.append, self.statistics),
            self.clock,  # type: ignore[arg-type]
        )

    def run(self, job: Job) -> Any:
        """Process a job as the worker does; return the last status."""
        try:
            self.processor._process(job)
        except Exception as error:  # noqa: BLE001 - as the worker hands it on
            self.processor._on_error(error)
        return self.outputs.statuses[-1] if self.outputs.statuses else None


def frame(stream: str, late_ms: float = 0.0) -> Frame:
    stamp_ns = T0 * NS + round(late_ms * 1e6)
    visible = stream == 'visible'
    message = Image(height=6, width=8, encoding='rgb8' if visible else 'mono8')
    message.step = 24 if visible else 8
    pixels = np.random.default_rng(round(late_ms)).integers(0, 256, 6 * message.step, np.uint8)
    message.data = pixels.tobytes()
    message.header.frame_id = f'{stream}_frame'
    message.header.stamp = Time(sec=stamp_ns // NS, nanosec=stamp_ns % NS)
    return Frame(message.header, stamp_ns, 0.0, message)


def job(visible: bool = True, thermal: bool = True, offset_ms: float = 10.0, **more: Any) -> Job:
    values = {
        'visible': frame('visible') if visible else None,
        'thermal': frame('thermal', offset_ms) if thermal else None,
        'offset_s': offset_ms / 1e3 if visible and thermal else 0.0,
        'time_offset_s': 0.0,
        'estimated': False,
        'queued': {'visible': 1, 'thermal': 2},
    }
    return Job(**(values | more))


def test_pair_is_published_with_its_account() -> None:
    bench = Bench()
    status = bench.run(job())
    results, header = bench.outputs.images[0]
    assert results.fused is not None
    assert header.frame_id == 'visible_frame'
    assert header.stamp == frame('visible').header.stamp
    assert status.header == header
    assert status.latency_ms == pytest.approx(990.0), 'since the later of the two'
    assert status.inference_ms == pytest.approx(3.0)
    assert (status.visible_queued, status.thermal_queued) == (1, 2)
    assert status.processed == 1
    assert (status.device, status.backend) == ('cpu', 'fake')


def test_reference_chooses_stamp_and_frame() -> None:
    bench = Bench(reference='thermal')
    bench.run(job())
    header = bench.outputs.images[0][1]
    assert header.frame_id == 'thermal_frame'
    assert header.stamp == frame('thermal', 10.0).header.stamp


def test_missing_camera_keeps_clock_and_frame_of_the_reference() -> None:
    bench = Bench(reference='thermal')
    bench.run(job())
    status = bench.run(job(thermal=False, time_offset_s=-0.25))
    assert status.header.frame_id == 'thermal_frame'
    assert status.header.stamp.nanosec == 250_000_000, 'as the thermal camera would have it'
    assert (status.thermal_stamp.sec, status.thermal_stamp.nanosec) == (0, 0)
    assert bench.processor.mode == 'visible_only'


def test_points_are_in_the_visible_frame_with_the_stamp_of_the_labels() -> None:
    bench = Bench(reference='thermal')
    both = bench.run(job())
    alone = bench.run(job(visible=False))
    for status, (origin, _, info) in zip((both, alone), bench.outputs.points, strict=True):
        assert origin == (status.header.stamp, 'visible_frame')
        assert info is None
    taken = [stamp_ns for _, stamp_ns, _ in bench.outputs.points]
    assert taken == [frame('visible').stamp_ns, frame('thermal', 10.0).stamp_ns]
    info = CameraInfo(height=12, width=16)
    bench.processor.set_camera_info(info)
    bench.run(job())
    assert bench.outputs.points[-1][2] is info


def test_nobody_listens_nothing_is_converted_or_computed() -> None:
    bench = Bench()
    bench.outputs.outputs = Outputs(fused=False, labels=False, confidence=False)
    broken = job()
    broken.visible.message.data = b''  # type: ignore[union-attr]
    status = bench.run(broken)
    assert bench.inference.seen == []
    assert status.mode == type(status).MODE_IDLE
    assert status.processed == 1


def test_calibration_goes_out_for_the_size_of_the_outputs() -> None:
    bench = Bench()
    bench.processor.set_camera_info(CameraInfo(height=12, width=16))
    bench.run(job())
    bench.settings.current = Settings.from_values({'output.size': '32x24'})
    bench.run(job())
    assert [size for size, _ in bench.outputs.infos] == [(6, 8), (24, 32)]


def test_bad_image_is_counted_by_its_reason_and_no_fault() -> None:
    bench = Bench()
    bench.inference.error = ImageError('decode', 'not a JPEG')
    bench.run(job())
    assert bench.statistics.counters().drops == {'decode': 1}
    assert bench.processor.fault == ''


def test_lost_device_is_a_fault_until_a_pair_works() -> None:
    bench = Bench()
    bench.inference.error = DeviceError('gpu lost')
    bench.run(job())
    assert bench.processor.fault == 'gpu lost'
    assert bench.processor.device_failed
    assert bench.statistics.counters().drops == {'inference': 1}
    bench.inference.error = None
    bench.run(job())
    assert bench.processor.fault == ''


def test_mistake_of_ours_is_logged_with_its_traceback() -> None:
    bench = Bench()
    bench.inference.error = ZeroDivisionError('oops')
    bench.run(job())
    assert 'please report it' in bench.log[0]
    assert 'ZeroDivisionError: oops' in bench.log[0]


def test_whatever_fails_after_ros_has_ended_is_the_end_and_no_error() -> None:
    bench = Bench()
    bench.outputs.usable = False
    bench.inference.error = RuntimeError('context invalid')
    bench.run(job())
    assert bench.log == []
    assert bench.processor.fault == ''


def test_thermal_image_that_lies_wrong_is_left_out_on_request() -> None:
    bench = Bench(on_misregistration='visible_only')
    bench.processor.watch.off = True
    bench.run(job())
    assert bench.inference.seen[-1][1] is None
    bench.settings.current = Settings.from_values({})
    bench.run(job())
    assert bench.inference.seen[-1][1] is not None, 'a warning only'


def test_image_that_cannot_be_left_out_stays_and_the_log_says_why() -> None:
    bench = Bench(thermal__on_shutter='visible_only', on_misregistration='visible_only')
    bench.inference.camera = CameraProfile('generic')
    bench.processor.request_reset()
    bench.inference.unserved = 'w cannot be computed for the visible camera alone'
    bench.processor.watch.off = True
    still = frame('thermal')
    for index in range(40):
        bench.run(replace(job(), visible=frame('visible', 100.0 * index), thermal=still))
    assert bench.processor.mode == 'fusion'
    assert all(thermal is not None for _, thermal, _ in bench.inference.seen)
    assert set(bench.statistics.snapshot().events) == {'shutter', 'frozen'}
    assert any('the last picture is held' in line for line in bench.log)
    assert any('it is used all the same: w cannot be' in line for line in bench.log)


def test_image_alone_that_the_weights_do_not_serve_is_a_drop_and_no_fault() -> None:
    bench = Bench()
    bench.inference.error = ModeError('w cannot be computed for the visible camera alone')
    bench.run(replace(job(), thermal=None))
    assert bench.statistics.counters().drops == {'unserved': 1}
    assert bench.processor.fault == ''
    assert 'visible camera alone' in bench.log[0]


@pytest.mark.parametrize(
    ('values', 'modes'),
    [
        ({}, ['fusion'] * 12),
        (
            {'thermal__on_shutter': 'visible_only'},
            ['fusion'] * 3 + ['visible_only'] * 8 + ['fusion'],
        ),
    ],
)
def test_closed_shutter_is_counted_and_its_picture_held_or_left_out(
    values: dict[str, Any], modes: list[str]
) -> None:
    bench = Bench(**values)
    before = frame('thermal').message
    found = []
    for index in range(12):
        thermal = frame('thermal', 100.0 * index)
        if index < 11:  # then the shutter has opened
            thermal.message.data = before.data
        bench.run(replace(job(), visible=frame('visible', 100.0 * index), thermal=thermal))
        found.append(bench.processor.mode)
    assert found == modes
    assert bench.statistics.snapshot().events == {'shutter': 8}
    (line,) = [line for line in bench.log if 'shutter' in line]
    assert '0.3 s without a new picture' in line


def test_picture_that_stands_still_for_longer_is_frozen() -> None:
    bench = Bench()
    bench.inference.camera = CameraProfile('generic', shutter_s=0.0)
    bench.processor.request_reset()
    still = frame('thermal')
    for index in range(40):
        bench.run(replace(job(), visible=frame('visible', 100.0 * index), thermal=still))
    events = bench.statistics.snapshot().events
    assert events == {'frozen': 9}, 'after 3 s, and no shutter before'


def test_worker_takes_the_newest_and_ends() -> None:
    bench = Bench()
    bench.processor.submit(job())  # before start: nobody is there
    bench.processor.start()
    assert bench.inference.resets == 1
    bench.processor.submit(job())
    assert bench.outputs.done.wait(DEADLINE_S)
    assert bench.processor.discard_waiting() == 0
    assert bench.processor.stop(DEADLINE_S)
    assert bench.processor.stop(0.0), 'nothing to stop'
    assert len(bench.outputs.statuses) == 1
