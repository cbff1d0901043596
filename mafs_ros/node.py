"""The lifecycle node `fusion_node`: transitions and wiring."""

from __future__ import annotations

from collections.abc import Callable
import traceback

import cv2
from mafs_model.errors import ConfigError, MafsError
from mafs_model.topics import DIAGNOSTICS_TOPIC, NODE_NAME
from mafs_ros import diagnostics, qos, ros_logging
from mafs_ros.bond import Bond
from mafs_ros.health import assess, Context, Level
from mafs_ros.inference import Inference
from mafs_ros.intake import Intake
from mafs_ros.parameter_handler import describe, ParameterHandler
from mafs_ros.parameters import RENAMED
from mafs_ros.processor import PairProcessor
from mafs_ros.publishers import OutputPublishers, overridable_publishers
from mafs_ros.reporting import Reporter
from mafs_ros.services import Services
from mafs_ros.standby import Standby
from mafs_ros.statistics import Statistics
from mafs_ros.subscriptions import overridable_subscriptions
from mafs_ros.sync import load_message_filters
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.clock import Clock, ClockType, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

# An inference on a slow CPU takes seconds; one that takes longer than this is stuck.
STOP_TIMEOUT_S = 10.0


class FusionNode(LifecycleNode):
    """
    Fuses a thermal and a visible camera stream and labels every pixel.

    Threads: every callback (images, timers, parameters, lifecycle services) is in the default
    callback group, which is mutually exclusive, so the executor runs one at a time and they
    share state without locks. The only other thread is the worker, between activate and
    deactivate. What both touch is safe by itself: `Statistics`, `Reporter` and the mailbox lock,
    the `SettingsBox` is replaced by one assignment, publishers are made before the worker starts
    and destroyed after it ended.

    Args:
        name: name of the node.
        kwargs: passed to `LifecycleNode` (parameter overrides, context, ...).

    """

    def __init__(self, name: str = NODE_NAME, **kwargs: object) -> None:
        super().__init__(name, **kwargs)
        self._handler = ParameterHandler(self)
        self._statistics = Statistics()
        self._reporter = Reporter(self.get_logger().warning, self._statistics)
        # Between configure and cleanup:
        self._inference: Inference | None = None
        self._standby = self._new_standby()
        self._outputs: OutputPublishers | None = None
        self._processor: PairProcessor | None = None
        self._log_handler: ros_logging.RosLogHandler | None = None
        # Between activate and deactivate:
        self._intake: Intake | None = None
        self._bond = Bond(self)
        self._answers = Services(self, self._handler, self._describe, self._exchange_weights)
        self._state_label = 'unconfigured'
        self.stop_timeout_s = STOP_TIMEOUT_S
        self._last_error = ''
        self._level = Level.OK
        self._jump_handle = self.get_clock().create_jump_callback(
            JumpThreshold(
                min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True
            ),
            post_callback=self._on_time_jump,
        )
        self._diagnostics = self.create_publisher(
            diagnostics.DiagnosticArray, DIAGNOSTICS_TOPIC, 10
        )
        # Steady time: diagnostics must speak even while simulated time stands still.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(diagnostics.PERIOD_S, self._on_tick, clock=self._steady)
        self._autostart_timer = None
        if self.get_parameter('autostart').value is True:
            self._autostart_timer = self.create_timer(0.0, self._autostart, clock=self._steady)
        for unknown in self._handler.unknown_names():
            known = RENAMED.get(unknown)
            advice = f"it is called '{known}' now" if known else 'is it misspelt?'
            self.get_logger().warning(f"parameter '{unknown}' is unknown and ignored: {advice}")

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
        self._bond.start()
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

    def describe_parameter(self, name: str) -> ParameterDescriptor:
        """Return what `ros2 param describe` shows."""
        return describe(super().describe_parameter(name))

    def _succeeds(self, what: str, step: Callable[[], None]) -> bool:
        """Run a step of a transition; log why it fails, because rclpy does not."""
        try:
            step()
        except MafsError as error:
            self._last_error = f'{what} failed: {error}'
            self.get_logger().error(self._last_error)
            return False
        except ModuleNotFoundError as error:
            # Built by colcon alone, without what rosdep cannot install.
            self._last_error = (
                f"{what} failed: the Python package '{error.name}' is missing: run 'make setup' "
                "in the folder of mafs_ros and '. scripts/env.sh' in this shell, or set weights "
                "to 'classical'"
            )
            self.get_logger().error(self._last_error)
            return False
        except Exception as error:  # noqa: BLE001 - rclpy would swallow it without a word
            self._last_error = f'{what} failed: {error!r}'
            self.get_logger().error(f'{self._last_error}\n{traceback.format_exc()}')
            return False
        self._last_error = ''
        return True

    def _configure(self) -> None:
        self._log_handler = ros_logging.attach(self.get_logger())
        settings = self._handler.load()
        for problem in qos.check_overrides(
            self._handler.overrides,
            overridable_publishers(self),
            overridable_subscriptions(self, settings),
        ):
            self.get_logger().warning(problem)
        if settings.sync_policy != 'nearest':
            load_message_filters()
        self._inference = Inference(self._handler.settings)
        self._inference.warm_up()
        self._standby = self._new_standby()
        self._outputs = OutputPublishers(self, self._handler.settings, self._reporter)
        self._processor = PairProcessor(
            self._inference,
            self._outputs,
            self._handler.settings,
            self._reporter,
            self.get_clock(),
        )
        self._handler.locked = True
        predictor = self._inference.predictor
        self.get_logger().info(
            f'configured: weights {predictor.weights_id or "none"}, device {predictor.device}, '
            f'backend {predictor.backend}, {len(predictor.classes)} classes of '
            f'{predictor.classes.dataset}'
        )
        if self._inference.registration.is_identity:
            self.get_logger().info(
                'no thermal.homography: thermal images are only resized to the visible ones'
            )

    def _new_standby(self) -> Standby:
        return Standby(self.get_logger().info, self.get_logger().warning)

    def _cleanup(self) -> None:
        self._handler.locked = False
        self._answers.stop(self.stop_timeout_s)
        if self._inference is not None:  # first: weights that are still loaded find it closed
            self._inference.close()
            self._inference = None
        self._standby.stop(self.stop_timeout_s)
        if self._outputs is not None:
            self._outputs.destroy()
            self._outputs = None
        self._processor = None
        if self._log_handler is not None:
            ros_logging.detach(self._log_handler)
            self._log_handler = None

    def _activate(self) -> None:
        assert self._outputs is not None
        assert self._inference is not None
        assert self._processor is not None
        # What was set while inactive counts from the first image on.
        settings = self._handler.load()
        if self._processor.device_failed:
            self._inference.restart()
        self._statistics.reset()
        self._reporter.reset()
        classes = self._inference.predictor.classes
        self._outputs.publish_classes(classes, self.get_clock().now().to_msg())
        self._processor.start()
        self._intake = Intake(
            self,
            self._handler,
            self._processor,
            self._reporter,
            self._inference,
            self._standby,
        )
        topics = self._intake.topics
        self.get_logger().info(
            f'active: pairing {topics["visible"]} with {topics["thermal"]} '
            f'({settings.sync_policy}, slop {1e3 * settings.sync_slop:g} ms)'
        )

    def _deactivate(self) -> None:
        self._bond.stop()
        intake, self._intake = self._intake, None
        if intake is not None:
            intake.stop()
        timeout_s = self.stop_timeout_s
        ended = self._processor is None or self._processor.stop(timeout_s)
        if self._outputs is not None:
            self._outputs.stop(timeout_s)
        if not ended:
            raise RuntimeError(f'the inference did not end within {timeout_s:g} s')

    def release(self) -> None:
        """
        Undo everything that is done.

        Raises:
            RuntimeError: the inference did not end in time; all else is undone.

        """
        try:
            self._deactivate()
        finally:
            self._cleanup()

    def destroy_node(self) -> None:
        """Undo everything and destroy the node."""
        self._jump_handle.unregister()
        self.stop_timeout_s = 0.8  # the process is about to end
        try:
            self.release()
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

    def _on_time_jump(self, jump: TimeJump) -> None:
        """Leave a note; this may run in another callback group, that of /clock."""
        intake = self._intake
        if intake is not None:
            intake.request_reset()

    # -- once per second ------------------------------------------------------------------------

    def _on_tick(self) -> None:
        """Publish diagnostics, and log when the state gets worse or better."""
        if self._intake is not None:
            self._intake.tick()
            if self._inference is not None and self._inference.may_be_alone:
                self._standby.tick(self._inference.predictor)
            if self._outputs is not None:
                self._outputs.tick()
        self._answers.tick()
        message, level, sentence = self._assess()
        if self._intake is not None and level != self._level:
            text = f'state {level.name}: {sentence}'
            if level is Level.OK:
                self.get_logger().info(text)
            else:
                self.get_logger().warning(text)
        self._level = level
        self._diagnostics.publish(message)

    def _assess(self) -> tuple[diagnostics.DiagnosticArray, Level, str]:
        """Return the diagnostics of this moment, with their level and sentence."""
        snapshot = self._statistics.snapshot()
        now = self.get_clock().now()
        level, sentence = assess(
            snapshot,
            self._health_context(
                now.nanoseconds, [*snapshot.recent_drops, *snapshot.recent_events]
            ),
        )
        name = self.get_fully_qualified_name()
        message = diagnostics.message(name, now.to_msg(), snapshot, level, sentence, self._setup())
        return message, level, sentence

    def _exchange_weights(self, weights: str) -> str:
        """
        Load weights beside those in use and change over between two pairs; return what is in use.

        Called in a thread of its own.

        Raises:
            MafsError: they cannot be used; nothing has changed.

        """
        inference, processor, outputs = self._inference, self._processor, self._outputs
        if inference is None or processor is None or outputs is None:
            raise ConfigError('the node is not configured: set the parameter weights')
        predictor = inference.load(weights)

        def announce() -> None:
            if self._intake is not None:  # else activate does it
                outputs.publish_classes(predictor.classes, self.get_clock().now().to_msg())

        try:
            with processor.between_pairs:
                inference.replace(predictor, announce)
        except BaseException:
            predictor.close()
            raise
        return predictor.weights_id

    def _describe(self) -> dict[str, object]:
        """Return what diagnostics say, for files."""
        message, level, sentence = self._assess()
        values = {value.key: value.value for value in message.status[0].values}
        return {'level': level.name, 'message': sentence, **values}

    def _health_context(self, now_ns: int, reasons: list[str]) -> Context:
        """Return what the judgement of the state needs."""
        intake, processor, inference = self._intake, self._processor, self._inference
        if intake is None or processor is None or inference is None:
            return Context(state=self._state_label, last_error=self._last_error)
        return Context(
            state=self._state_label,
            fault=processor.fault,
            alone=intake.alone,
            publishers=intake.publisher_counts(),
            topics=intake.topics,
            beside=intake.beside(),
            last_texts={reason: self._reporter.last_text(reason) for reason in reasons},
            settings=self._handler.settings.current,
            clock_is_zero=now_ns == 0,
            registration=processor.watch.sentence,
            swapped=processor.swap.swapped,
            notices=inference.notices,
            unserved=self._standby.lacking,
        )

    def _setup(self) -> dict[str, str]:
        """Return facts about the set-up for diagnostics."""
        setup = {'state': self._state_label}
        if self._inference is not None:
            predictor = self._inference.predictor
            setup |= {
                'device': predictor.device,
                'backend': predictor.backend,
                'weights': predictor.weights_id or 'none',
                'sync policy': self._handler.settings.current.sync_policy,
                'one camera alone': self._standby.state,
            }
        if self._intake is not None:
            setup['mode'] = self._processor.mode or '-' if self._processor is not None else '-'
            setup['thermal time offset'] = self._intake.time_offset
        return setup


def create() -> FusionNode:
    """Return the node of a process of its own."""
    # Measured at 640x480 and 1920x1080: a pool of OpenCV threads makes nothing here faster, and
    # waking it costs up to a millisecond of CPU per pair. Networks have threads of their own.
    cv2.setNumThreads(1)
    return FusionNode()
