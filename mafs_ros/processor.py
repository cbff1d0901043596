"""What the worker thread does with a pair: convert, compute, publish, account."""

from __future__ import annotations

from collections.abc import Callable
import time
import traceback

from mafs_model.errors import DeviceError, ImageError, MafsError
from mafs_model.prediction import Prediction
from mafs_ros.alignment import Job
from mafs_ros.conversions import Frame, NS_PER_S, thermal_array, visible_array
from mafs_ros.inference import overlay_style, Pipeline
from mafs_ros.parameters import Settings
from mafs_ros.publishers import OutputPublishers
from mafs_ros.reporting import Reporter
from mafs_ros.statistics import Statistics
from mafs_ros.status import make_status
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header


class PairProcessor:
    """
    Processes pairs, one after the other.

    Threads: `process` and `on_error` run in the worker thread. The executor calls `update` and
    `set_camera_info`; both replace one reference, so that the worker sees the old or the new
    object. `fault` and `device_failed` are written here and read by the executor.

    Args:
        pipeline: what computes.
        outputs: the publishers.
        settings: validated parameters.
        statistics: counts what went through.
        reporter: logs and counts what did not.
        now_ns: ROS time in nanoseconds.

    """

    def __init__(
        self,
        pipeline: Pipeline,
        outputs: OutputPublishers,
        settings: Settings,
        statistics: Statistics,
        reporter: Reporter,
        now_ns: Callable[[], int],
    ) -> None:
        self._pipeline = pipeline
        self._outputs = outputs
        self._settings = settings
        self._statistics = statistics
        self._reporter = reporter
        self._now_ns = now_ns
        self._camera_info: CameraInfo | None = None
        self.fault = ''
        self.device_failed = False
        self.pair_waiting: Callable[[], bool] = lambda: False

    def update(self, settings: Settings) -> None:
        """Take over new settings before the next pair."""
        self._settings = settings
        self._pipeline.update(settings)

    def set_camera_info(self, info: CameraInfo) -> None:
        """Keep the newest calibration of the visible camera."""
        self._camera_info = info

    def process(self, job: Job) -> None:
        """
        Convert, compute and publish one pair.

        Raises:
            MafsError: an image cannot be used, or the device failed.

        """
        started = time.monotonic()
        settings = self._settings
        wanted = self._outputs.wanted(overlay_style(settings))
        results, size, converted_ms = Prediction(), _declared_size(job.visible), 0.0
        if wanted.any:
            visible, thermal = visible_array(job.visible), thermal_array(job.thermal)
            converted_ms = 1e3 * (time.monotonic() - started)
            results = self._pipeline.process(visible, thermal, wanted)
            size = (visible.shape[0], visible.shape[1])
        computed = time.monotonic()
        reference = job.visible if settings.reference == 'rgb' else job.thermal
        header = Header(stamp=reference.header.stamp, frame_id=reference.header.frame_id)
        self._outputs.publish_images(results, header)
        self._publish_camera_info(settings.output_size or size, header)
        published = time.monotonic()
        self.fault = ''
        latency_ms = self._latency_ms(job)
        self._statistics.processed(results.timings_ms.get('inference'), latency_ms)
        self._publish_status(
            job,
            header,
            results,
            converted_ms=converted_ms,
            latency_ms=latency_ms,
            wait_ms=1e3 * (started - max(job.visible.received_s, job.thermal.received_s)),
            publish_ms=1e3 * (published - computed),
        )

    def clear_fault(self) -> None:
        """Forget an earlier failure: the next pair shows whether it is gone."""
        self.fault, self.device_failed = '', False

    def on_error(self, error: Exception) -> None:
        """Count and report a pair that could not be processed; the next one is tried."""
        if isinstance(error, ImageError):
            self._reporter.drop(error.reason, str(error))
            return
        self.fault = str(error) or repr(error)
        self.device_failed = self.device_failed or isinstance(error, DeviceError)
        if isinstance(error, MafsError):
            self._reporter.drop('inference', self.fault)
        else:
            text = ''.join(traceback.format_exception(error)).rstrip()
            self._reporter.drop('internal', f'unexpected error, please report it:\n{text}')

    def _latency_ms(self, job: Job) -> float:
        """Return the time since the later of the two images was taken."""
        thermal_ns = job.thermal.stamp_ns + round(job.time_offset_s * NS_PER_S)
        return (self._now_ns() - max(job.visible.stamp_ns, thermal_ns)) / 1e6

    def _publish_camera_info(self, size: tuple[int, int] | None, header: Header) -> None:
        """Publish the calibration for the size of the outputs; size None: not known."""
        info = self._camera_info
        if info is None:
            return
        try:
            self._outputs.publish_camera_info(info, size or (info.height, info.width), header)
        except ImageError as error:
            self._reporter.drop(error.reason, str(error))

    def _publish_status(
        self,
        job: Job,
        header: Header,
        results: Prediction,
        *,
        converted_ms: float,
        latency_ms: float,
        wait_ms: float,
        publish_ms: float,
    ) -> None:
        """Publish the account of one pair, if somebody listens."""
        if not self._outputs.status_wanted():
            return
        status = make_status(job, header, results, self._statistics.counters())
        status.wait_ms = wait_ms
        status.preprocess_ms += converted_ms
        status.publish_ms = publish_ms
        status.latency_ms = latency_ms
        status.pair_waiting = self.pair_waiting()
        predictor = self._pipeline.predictor
        status.device, status.backend = predictor.device, predictor.backend
        status.weights_id = predictor.weights_id
        self._outputs.publish_status(status)


def _declared_size(frame: Frame) -> tuple[int, int] | None:
    """Return (height, width) of an image as its message says, None for a compressed one."""
    message = frame.message
    return (message.height, message.width) if hasattr(message, 'height') else None
