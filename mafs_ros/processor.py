"""What the worker thread does with a pair or a single image: convert, compute, publish, count."""

from __future__ import annotations

import threading
import time
import traceback

from builtin_interfaces.msg import Time
from mafs_model.errors import DeviceError, ImageError, MafsError, ModeError
from mafs_model.images.dead import FrozenCamera
from mafs_model.prediction import Prediction
from mafs_model.streams import NS_PER_S, OTHER_STREAM
from mafs_model.types import ThermalImage, UInt8Image
from mafs_ros.alignment import Job
from mafs_ros.conversions import Frame, thermal_array, visible_array
from mafs_ros.image_watch import RegistrationWatch, SwapWatch
from mafs_ros.inference import Inference, overlay_style
from mafs_ros.mailbox import Worker
from mafs_ros.parameters import SettingsBox
from mafs_ros.point_outputs import Origin
from mafs_ros.publishers import make_status, OutputPublishers
from mafs_ros.reporting import NOTICE_PERIOD_S, Reporter
from rclpy.clock import Clock
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

_ONCE_S = 86_400.0
_SATURATED_SHARE = 0.25
_OVERTAKEN_PERIOD_S = 60.0  # Normal where the network is slower than the cameras.


class PairProcessor:
    """
    Processes pairs in a thread of its own, the newest first.

    Threads: pairs are processed in the worker thread, between `start` and `stop`. Everything
    public is called by the executor; whoever holds `between_pairs` may change what computes;
    `fault`, `device_failed` and `mode` are written by the worker.

    Args:
        inference: what computes.
        outputs: the publishers.
        settings: what is in force.
        reporter: counts what went through, says what did not.
        clock: of the node.

    """

    def __init__(
        self,
        inference: Inference,
        outputs: OutputPublishers,
        settings: SettingsBox,
        reporter: Reporter,
        clock: Clock,
    ) -> None:
        self._inference = inference
        self._outputs = outputs
        self._settings = settings
        self._reporter = reporter
        self._statistics = reporter.statistics
        self._clock = clock
        self._camera_info: CameraInfo | None = None
        self._worker: Worker[Job] | None = None
        self.between_pairs = threading.Lock()  # free while no pair is in work
        self._frozen = self._new_frozen()
        self.watch = RegistrationWatch(inference.registration)
        self.swap = SwapWatch()
        self._frame_id = ''  # of the reference camera, once it was seen
        self._visible_frame_id = ''  # of the visible camera, once it was seen
        self.fault = ''
        self.device_failed = False
        self.mode = ''

    def _new_frozen(self) -> FrozenCamera:
        camera = self._inference.camera
        return FrozenCamera(camera.frozen_after_s, camera.still_after_s)

    def start(self) -> None:
        """Start the worker, with the faults and the past forgotten."""
        self.fault, self.device_failed, self.mode = '', False, ''
        self.watch = RegistrationWatch(self._inference.registration)
        self.swap = SwapWatch()
        self.request_reset()
        self._worker = Worker(self._work, self._on_overtaken, self._on_error)
        self._worker.start()

    def stop(self, timeout_s: float) -> bool:
        """End the worker after its present pair; return whether it ended within the time."""
        worker, self._worker = self._worker, None
        return worker is None or worker.stop(timeout_s)

    def submit(self, job: Job) -> None:
        """Hand over a pair, in place of the one that waits."""
        if self._worker is not None:
            self._worker.put(job)

    def discard_waiting(self) -> int:
        """Throw away the pair that waits; return how many that were."""
        return int(self._worker is not None and self._worker.clear())

    def request_reset(self) -> None:
        """Forget the past (scaling limits) before the next pair, as after a jump in time."""
        self._frozen = self._new_frozen()
        self._inference.request_reset()

    def set_camera_info(self, info: CameraInfo) -> None:
        """Keep the newest calibration of the visible camera."""
        self._camera_info = info

    def _work(self, job: Job) -> None:
        """Process one pair, while what computes it stays what it is."""
        with self.between_pairs:
            self._process(job)

    def _process(self, job: Job) -> None:
        """
        Convert, compute and publish one pair.

        Raises:
            MafsError: an image cannot be used, or the device failed.

        """
        started = time.monotonic()
        settings = self._settings.current
        wanted = self._outputs.wanted(overlay_style(settings))
        results, size, converted_ms = Prediction(), _declared_size(job.visible), 0.0
        visible = thermal = None
        if wanted.any:
            visible = None if job.visible is None else visible_array(job.visible)
            thermal = self._thermal(job)
            visible, thermal = self._without_frozen(job, visible, thermal)
            converted_ms = 1e3 * (time.monotonic() - started)
            apart = self.watch.off and settings.on_misregistration == 'visible_only'
            if apart and visible is not None:
                apart = not self._inference.why_alone_not('visible')
            used = None if apart and visible is not None else thermal
            results = self._inference.predict(visible, used, wanted)
            self._say_notices(results)
            size = size if visible is None else (visible.shape[0], visible.shape[1])
            self.mode = results.mode
        computed = time.monotonic()
        header = self._header(job, 'visible' if settings.reference == 'rgb' else 'thermal')
        self._outputs.publish_images(results, header)
        if results.detections is not None:
            self._outputs.publish_detections(results.detections, header)
        self._publish_points(job, results, header)
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
            wait_ms=1e3 * (started - job.received_s),
            publish_ms=1e3 * (published - computed),
        )
        if visible is not None and thermal is not None:
            self.watch.look(visible, thermal)
            if job.thermal is not None:
                self.swap.look(visible, job.thermal)

    def _thermal(self, job: Job) -> ThermalImage | None:
        """Return the thermal image of a pair; say once what was found out about its frames."""
        if job.thermal is None:
            return None
        decode = self._inference.decode_thermal
        image = thermal_array(job.thermal, decode)
        for note in decode.notes:
            self._reporter.say(note, note, _ONCE_S)
        return image

    def _without_frozen(
        self, job: Job, visible: UInt8Image | None, thermal: ThermalImage | None
    ) -> tuple[UInt8Image | None, ThermalImage | None]:
        """Return the images without one that stands still while the other one moves."""
        if visible is None or thermal is None:
            self._frozen.reset()
            return visible, thermal
        stream = self._frozen.check(visible, thermal, job.stamp_ns('visible') / NS_PER_S)
        if stream is not None:
            other = OTHER_STREAM[stream]
            why = self._inference.why_alone_not(other)
            self._statistics.noted('frozen')
            self._reporter.say(
                'frozen',
                f'{stream} image has not changed for {self._frozen.age_s[stream]:.1f} s while the '
                f'{other} one has; '
                + (f'it is used all the same: {why}' if why else f'the {other} one alone is used'),
                NOTICE_PERIOD_S,
            )
            stream = None if why else stream
        if self._frozen.shutter:
            self._statistics.noted('shutter')
            wanted = self._settings.current.thermal_on_shutter == 'visible_only'
            alone = wanted and not self._inference.why_alone_not('visible')
            self._reporter.say(
                'shutter',
                'the thermal camera has closed its shutter: '
                f'{self._frozen.age_s["thermal"]:.1f} s without a new picture while the visible '
                'one changes; '
                + ('the visible one alone is used' if alone else 'the last picture is held'),
                _ONCE_S,
            )
            thermal = None if alone else thermal
        return None if stream == 'visible' else visible, None if stream == 'thermal' else thermal

    def _say_notices(self, results: Prediction) -> None:
        """Say what is wrong with the images of a pair."""
        for notice in results.notices:
            self._statistics.noted('dead_image')
            self._reporter.say('dead_image', notice, NOTICE_PERIOD_S)
        saturated = self._inference.predictor.thermal_scaler.saturated
        if saturated > _SATURATED_SHARE:
            self._statistics.noted('saturated')
            self._reporter.say(
                'saturated',
                f'{saturated:.0%} of the thermal pixels lie beyond thermal.range_low and '
                'thermal.range_high: are limits and thermal.unit right?',
                NOTICE_PERIOD_S,
            )

    def _on_overtaken(self, job: Job) -> None:
        """Count a pair that a newer one replaced while the worker was busy."""
        self._statistics.dropped('overtaken')
        self._reporter.say(
            'overtaken',
            'pairs come faster than they are processed: the newest goes first, '
            'older ones are skipped',
            _OVERTAKEN_PERIOD_S,
        )

    def _on_error(self, error: Exception) -> None:
        """Count and report a pair that could not be processed; the next one is tried."""
        if not self._outputs.usable:
            return  # ROS was shut down by somebody else: the end, not an error
        if isinstance(error, ImageError):
            self._reporter.drop(error.reason, str(error))
            return
        if isinstance(error, ModeError):
            self._reporter.drop('unserved', str(error))
            return
        self.fault = str(error) or repr(error)
        self.device_failed = self.device_failed or isinstance(error, DeviceError)
        if isinstance(error, MafsError):
            self._reporter.drop('inference', self.fault)
        else:
            text = ''.join(traceback.format_exception(error)).rstrip()
            self._reporter.drop('internal', f'unexpected error, please report it:\n{text}')

    def _latency_ms(self, job: Job) -> float:
        """Return the time since the later of the images was taken."""
        offset_ns = 0 if job.visible is None else max(0, round(job.offset_s * NS_PER_S))
        return (self._clock.now().nanoseconds - job.stamp_ns('visible') - offset_ns) / 1e6

    def _header(self, job: Job, reference: str) -> Header:
        """Return the header of all outputs: that of the reference camera, or as it would be."""
        frame = job.visible if reference == 'visible' else job.thermal
        if frame is not None:
            self._frame_id = frame.header.frame_id
            return Header(stamp=frame.header.stamp, frame_id=self._frame_id)
        # The outputs keep the geometry and the clock that they have with both cameras.
        frame_id = self._frame_id or job.frames[0].header.frame_id
        stamp_ns = job.stamp_ns(reference)
        stamp = Time(sec=stamp_ns // NS_PER_S, nanosec=stamp_ns % NS_PER_S)
        return Header(stamp=stamp, frame_id=frame_id)

    def _publish_camera_info(self, size: tuple[int, int] | None, header: Header) -> None:
        """Publish the calibration for the size of the outputs; size None: not known."""
        info = self._camera_info
        if info is None:
            return
        try:
            self._outputs.publish_camera_info(info, size or (info.height, info.width), header)
        except ImageError as error:
            self._reporter.drop(error.reason, str(error))

    def _publish_points(self, job: Job, results: Prediction, header: Header) -> None:
        """Publish points in the frame of the visible camera, with the stamp of the labels."""
        if job.visible is not None:
            self._visible_frame_id = job.visible.header.frame_id
        origin = Origin(header.stamp, self._visible_frame_id or header.frame_id)
        stamp_ns = job.stamp_ns('visible')
        self._outputs.publish_points(results, origin, stamp_ns, self._camera_info)

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
        status.pair_waiting = self._worker is not None and self._worker.waiting
        predictor = self._inference.predictor
        status.device, status.backend = predictor.device, predictor.backend
        status.weights_id = predictor.weights_id
        self._outputs.publish_status(status)


def _declared_size(frame: Frame | None) -> tuple[int, int] | None:
    """Return (height, width) of an image as its message says, None for a compressed one."""
    if frame is None or not hasattr(frame.message, 'height'):
        return None
    return frame.message.height, frame.message.width
