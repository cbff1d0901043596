"""The lifecycle node `fusion_node`: transitions and wiring."""

from __future__ import annotations

from collections.abc import Callable
import sys
import time
import traceback

from mafs_model.errors import ImageError, MafsError
from mafs_ros import diagnostics, ros_logging
from mafs_ros.alignment import Alignment, Job
from mafs_ros.conversions import Frame, thermal_array, visible_array
from mafs_ros.health import Context
from mafs_ros.inputs import CameraInputs
from mafs_ros.outputs import OutputPublishers
from mafs_ros.parameter_handler import ParameterHandler
from mafs_ros.parameters import Settings
from mafs_ros.pipeline import Pipeline, Results
from mafs_ros.reporting import Reporter
from mafs_ros.statistics import Statistics
from mafs_ros.status import idle_results, make_status
from mafs_ros.sync import load_message_filters
from mafs_ros.worker import Worker
from rclpy.clock import Clock, ClockType, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_msgs.msg import Header

NODE_NAME = 'mafs_fusion'
# An inference on a slow CPU takes seconds; one that takes longer than this is stuck.
STOP_TIMEOUT_S = 10.0


class FusionNode(LifecycleNode):
    """
    Fuses a thermal and a visible camera stream and labels every pixel.

    Threads: every callback (images, timers, parameters, lifecycle services) is in the default
    callback group, which is mutually exclusive, so the executor runs one at a time and they
    share state without locks. The only other thread is the worker, between activate and
    deactivate. What both touch is safe by itself: `Statistics` and `Reporter` lock, the mailbox
    locks, `Pipeline` takes new settings over by one assignment, publishers are made before the
    worker starts and destroyed after it ended.

    Args:
        name: name of the node.
        kwargs: passed to `LifecycleNode` (parameter overrides, context, ...).

    """

    def __init__(self, name: str = NODE_NAME, **kwargs: object) -> None:
        super().__init__(name, **kwargs)
        self._handler = ParameterHandler(self)
        self._statistics = Statistics()
        self._reporter = Reporter(self.get_logger().warning, self._statistics)
        self._settings: Settings | None = None
        self._pipeline: Pipeline | None = None
        self._outputs: OutputPublishers | None = None
        self._inputs: CameraInputs | None = None
        self._alignment: Alignment | None = None
        self._worker: Worker[Job] | None = None
        self._log_handler: ros_logging.RosLogHandler | None = None
        self._state_label = 'unconfigured'
        self._configure_error = ''
        self._fault = ''
        self._seen_at_tick = 0
        self._time_jumped = False
        self._jump_handle = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1),
                          on_clock_change=True), post_callback=self._on_time_jump)
        self._diagnostics = self.create_publisher(
            diagnostics.DiagnosticArray, diagnostics.TOPIC, 10)
        # Steady time: diagnostics must speak even while simulated time stands still.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(diagnostics.PERIOD_S, self._on_tick, clock=self._steady)
        self._autostart_timer = None
        if self.get_parameter('autostart').value is True:
            self._autostart_timer = self.create_timer(0.0, self._autostart, clock=self._steady)
        for unknown in self._handler.unknown_names():
            self.get_logger().warning(
                f"parameter '{unknown}' is unknown and ignored: is it misspelt?")

    # -- lifecycle: each step undoes exactly one other ------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Validate parameters, load weights, warm up, create publishers; undone by cleanup."""
        if not self._succeeds('configure', self._configure):
            self._cleanup()
            return TransitionCallbackReturn.FAILURE
        self._state_label = 'inactive'
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the worker and subscribe; undone by deactivate."""
        result = super().on_activate(state)
        if not self._succeeds('activate', self._activate):
            self._deactivate()
            super().on_deactivate(state)
            return TransitionCallbackReturn.FAILURE
        self._state_label = 'active'
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe and end the worker."""
        if not self._succeeds('deactivate', self._deactivate):
            return TransitionCallbackReturn.ERROR
        self._state_label = 'inactive'
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Destroy publishers and free the network."""
        result = super().on_cleanup(state)
        if not self._succeeds('clean up', self._cleanup):
            return TransitionCallbackReturn.ERROR
        self._state_label = 'unconfigured'
        return result

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Undo everything that is done, from whatever state."""
        result = super().on_shutdown(state)
        self._succeeds('shut down', self.release)
        self._state_label = 'finalized'
        return result

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Undo everything that is done, so that another configure works."""
        result = super().on_error(state)
        self._succeeds('recover from the error', self.release)
        self._state_label = 'unconfigured'
        return result

    def _succeeds(self, what: str, step: Callable[[], None]) -> bool:
        """Run a step of a transition; log why it fails, because rclpy does not."""
        try:
            step()
        except MafsError as error:
            self._configure_error = f'{what} failed: {error}'
            self.get_logger().error(self._configure_error)
            return False
        except Exception as error:  # noqa: BLE001 - rclpy would swallow it without a word
            self._configure_error = f'{what} failed: {error!r}'
            self.get_logger().error(f'{self._configure_error}\n{traceback.format_exc()}')
            return False
        self._configure_error = ''
        return True

    def _configure(self) -> None:
        self._log_handler = ros_logging.attach(self.get_logger())
        settings = self._handler.read()
        if settings.sync_policy != 'nearest':
            load_message_filters()
        self._pipeline = Pipeline(settings)
        self._pipeline.warm_up()
        self._outputs = OutputPublishers(self)
        self._settings = settings
        self._handler.locked = True
        predictor = self._pipeline.predictor
        self.get_logger().info(
            f'configured: weights {predictor.weights_id or "none"}, device {predictor.device}, '
            f'backend {predictor.backend}, {len(self._pipeline.classes)} classes of '
            f'{self._pipeline.classes.dataset}')
        if self._pipeline.registration.is_identity:
            self.get_logger().info(
                'no thermal.homography: thermal images are only resized to the visible ones')

    def _cleanup(self) -> None:
        self._handler.locked = False
        if self._outputs is not None:
            self._outputs.destroy()
            self._outputs = None
        if self._pipeline is not None:
            self._pipeline.close()
            self._pipeline = None
        self._settings = None
        if self._log_handler is not None:
            ros_logging.detach(self._log_handler)
            self._log_handler = None

    def _activate(self) -> None:
        assert self._settings is not None
        assert self._outputs is not None
        assert self._pipeline is not None
        self._statistics.reset()
        self._reporter.reset()
        self._fault = ''
        self._pipeline.request_reset()
        self._outputs.publish_classes(self._pipeline.classes, self.get_clock().now().to_msg())
        self._alignment = Alignment(self._settings)
        self._worker = Worker(self._process, self._on_overtaken, self._on_worker_error)
        self._worker.start()
        subscriber = None
        if self._settings.sync_policy != 'nearest':
            subscriber = load_message_filters().Subscriber
        self._inputs = CameraInputs(
            self, self._settings, self._statistics, self._reporter, self._on_frame, subscriber)

    def _deactivate(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        if self._inputs is not None:
            self._inputs.destroy()
            self._inputs = None
        self._alignment = None
        worker, self._worker = self._worker, None
        if worker is not None and not worker.stop(timeout_s):
            raise RuntimeError(f'the inference did not end within {timeout_s:g} s')

    def release(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """
        Undo everything that is done.

        Args:
            timeout_s: how long to wait for a running inference.

        Raises:
            RuntimeError: the inference did not end in time; all else is undone.

        """
        try:
            self._deactivate(timeout_s)
        finally:
            self._cleanup()

    def destroy_node(self) -> None:
        """Undo everything and destroy the node."""
        self._jump_handle.unregister()
        try:
            self.release(timeout_s=1.0)
        except RuntimeError as error:
            self.get_logger().error(str(error))
        super().destroy_node()

    def _autostart(self) -> None:
        """Configure and activate once, from the executor."""
        assert self._autostart_timer is not None
        self.destroy_timer(self._autostart_timer)
        self._autostart_timer = None
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    # -- frames in: executor --------------------------------------------------------------------

    def _on_frame(self, stream: str, frame: Frame) -> None:
        """Pair a checked frame and hand a pair to the worker."""
        self._take_changes()
        assert self._alignment is not None
        self._submit(self._alignment.add(stream, frame))

    def _submit(self, jobs: list[Job]) -> None:
        """Count pairs and put them into the mailbox."""
        assert self._alignment is not None
        assert self._worker is not None
        for reason, count in self._alignment.new_drops().items():
            self._statistics.dropped(reason, count)
        for job in jobs:
            self._statistics.paired(job.offset_s)
            self._worker.put(job)

    def _on_overtaken(self, job: Job) -> None:
        """Count a pair that a newer one replaced while the worker was busy."""
        self._statistics.dropped('overtaken')

    def _on_time_jump(self, jump: TimeJump) -> None:
        # May run in another callback group (/clock): only leave a note.
        self._time_jumped = True

    def _take_changes(self) -> None:
        """Take over changed parameters and a jump of the clock, between two frames."""
        assert self._alignment is not None
        assert self._pipeline is not None
        if self._time_jumped:
            self._time_jumped = False
            self._alignment.reset()
            self._pipeline.request_reset()
            if self._worker is not None and self._worker.clear():
                self._statistics.dropped('clock_jump')
            self._reporter.say('clock_jump', 'time jumped: pairing starts again')
        settings = self._handler.take_update()
        if settings is not None and self._inputs is not None:
            self._settings = settings
            self._inputs.settings = settings
            self._pipeline.update(settings)
            for reason, count in self._alignment.update(settings).items():
                self._statistics.dropped(reason, count)

    # -- pairs: worker thread -------------------------------------------------------------------

    def _process(self, job: Job) -> None:
        """Convert, infer and publish one pair."""
        started = time.monotonic()
        assert self._outputs is not None
        assert self._pipeline is not None
        assert self._settings is not None
        wanted = self._outputs.wanted()
        reference = job.visible if self._settings.reference == 'rgb' else job.thermal
        header = Header(stamp=reference.header.stamp, frame_id=reference.header.frame_id)
        results = idle_results()
        converted_ms = 0.0
        size = self._settings.output_size
        if wanted.any:
            visible, thermal = visible_array(job.visible), thermal_array(job.thermal)
            converted_ms = 1e3 * (time.monotonic() - started)
            results = self._pipeline.process(visible, thermal, wanted)
            size = size or (visible.shape[0], visible.shape[1])
        computed = time.monotonic()
        self._publish(results, job, header, size)
        published = time.monotonic()
        later_ns = max(job.visible.stamp_ns,
                       job.thermal.stamp_ns + round(job.time_offset_s * 1e9))
        latency_ms = (self.get_clock().now().nanoseconds - later_ns) / 1e6
        self._statistics.processed(results.inference_ms if wanted.any else None, latency_ms)
        self._fault = ''
        status = make_status(job, header, results, self._statistics.snapshot())
        status.wait_ms = 1e3 * (started - max(job.visible.received_s, job.thermal.received_s))
        status.preprocess_ms += converted_ms
        status.publish_ms = 1e3 * (published - computed)
        status.latency_ms = latency_ms
        worker = self._worker
        status.pair_waiting = worker is not None and worker.waiting
        predictor = self._pipeline.predictor
        status.device, status.backend = predictor.device, predictor.backend
        status.weights_id = predictor.weights_id
        self._outputs.publish_status(status)

    def _publish(self, results: Results, job: Job, header: Header,
                 size: tuple[int, int] | None) -> None:
        """Publish images and calibration of one pair."""
        assert self._outputs is not None
        self._outputs.publish_images(results, header)
        inputs = self._inputs
        info = None if inputs is None else inputs.camera_info
        if info is None:
            return
        if size is None:  # nothing was computed
            message = job.visible.message
            size = (getattr(message, 'height', info.height), getattr(message, 'width', info.width))
        try:
            self._outputs.publish_camera_info(info, size, header)
        except ImageError as error:
            self._reporter.drop(error.reason, str(error))

    def _on_worker_error(self, error: Exception) -> None:
        """Count and report a pair that could not be computed; the next one is tried."""
        if isinstance(error, ImageError):
            self._reporter.drop(error.reason, str(error))
            return
        self._fault = str(error) or repr(error)
        if isinstance(error, MafsError):
            self._reporter.drop('inference', self._fault)
        else:
            text = ''.join(traceback.format_exception(error)).rstrip()
            self._reporter.drop('internal', f'unexpected error, please report it:\n{text}')

    # -- once per second: executor --------------------------------------------------------------

    def _on_tick(self) -> None:
        """Publish diagnostics, and pairs that wait although both cameras have gone silent."""
        if self._alignment is not None:
            self._take_changes()
        snapshot = self._statistics.snapshot()
        received = sum(stream.received for stream in snapshot.streams.values())
        if self._alignment is not None and received == self._seen_at_tick:
            self._submit(self._alignment.settle())
        self._seen_at_tick = received
        now = self.get_clock().now()
        self._diagnostics.publish(diagnostics.message(
            self.get_fully_qualified_name(), now.to_msg(), snapshot,
            self._health_context(now.nanoseconds, snapshot.recent_drops), self._setup()))

    def _health_context(self, now_ns: int, reasons: dict[str, int]) -> Context:
        """Return what the judgement of the state needs."""
        settings = self._settings
        context = Context(
            state=self._state_label, configure_error=self._configure_error, fault=self._fault)
        if settings is None or self._inputs is None or self._pipeline is None:
            return context
        return Context(
            state=self._state_label, configure_error=self._configure_error, fault=self._fault,
            publishers=self._inputs.publisher_counts(), topics=self._inputs.topics,
            last_errors={reason: self._reporter.last_text(reason) for reason in reasons},
            stale_after_s=settings.diagnostics_stale_after,
            min_pair_rate_hz=settings.diagnostics_min_pair_rate, slop_s=settings.sync_slop,
            clock_is_zero=now_ns == 0, notices=self._pipeline.notices)

    def _setup(self) -> dict[str, str]:
        """Return facts about the set-up for diagnostics."""
        setup = {'state': self._state_label}
        if self._pipeline is not None and self._settings is not None:
            predictor = self._pipeline.predictor
            setup |= {'device': predictor.device, 'backend': predictor.backend,
                      'weights': predictor.weights_id or 'none',
                      'sync policy': self._settings.sync_policy}
        if self._alignment is not None:
            setup['thermal time offset'] = f'{self._alignment.time_offset_ns / 1e6:.1f} ms'
        return setup


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to end; return the exit code."""
    from mafs_ros.process import run

    return run(FusionNode, args)


if __name__ == '__main__':
    sys.exit(main())
