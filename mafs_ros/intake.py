"""The executor's side of the active node: from received images to pairs for the worker."""

from __future__ import annotations

from mafs_model.pairing.nearest import DROP_REASONS
from mafs_model.streams import STREAMS
from mafs_ros.alignment import Alignment, Job
from mafs_ros.conversions import Frame
from mafs_ros.image_watch import Pictures
from mafs_ros.inference import Inference
from mafs_ros.parameter_handler import ParameterHandler
from mafs_ros.processor import PairProcessor
from mafs_ros.rate_limit import RateLimit
from mafs_ros.reporting import Reporter
from mafs_ros.standby import Standby
from mafs_ros.subscriptions import CameraInputs
from mafs_ros.sync import load_message_filters
from rclpy.lifecycle import LifecycleNode

# Without a partner is normal for cameras of different rates; these are not.
_UNUSUAL = ('duplicate', 'late', 'overflow', 'outlier')


class Intake:
    """
    Receives, pairs and hands over; takes over changed parameters and jumps of the clock.

    Threads: everything runs in the node's default callback group, one callback at a time, apart
    from `request_reset`, which may come from another thread and only leaves a note.

    Args:
        node: the node that subscribes.
        parameters: keeps the settings up to date.
        processor: works on the pairs.
        reporter: counts and logs.
        inference: knows the calibration and what the thermal camera sends.
        standby: knows which camera cannot be computed alone.

    Raises:
        ConfigError: the policy needs a package that is not installed.

    """

    def __init__(
        self,
        node: LifecycleNode,
        parameters: ParameterHandler,
        processor: PairProcessor,
        reporter: Reporter,
        inference: Inference,
        standby: Standby,
    ) -> None:
        self._parameters = parameters
        self._processor = processor
        self._reporter = reporter
        self._statistics = reporter.statistics
        self._time_jumped = False
        self._received_at_tick = 0
        self._rate = RateLimit()
        settings = parameters.settings
        self._alignment = Alignment(
            settings,
            inference.calibrated_offset_s,
            Pictures(inference.camera),
            inference.registration,
            lambda text: node.get_logger().info(f'thermal.time_offset: {text}'),
            lambda stream: stream not in standby.lacking,
        )
        by_filters = settings.current.sync_policy != 'nearest'
        self._inputs = CameraInputs(
            node,
            settings,
            reporter,
            self._on_frame,
            processor.set_camera_info,
            load_message_filters().Subscriber if by_filters else None,
        )

    def stop(self) -> None:
        """Unsubscribe."""
        self._inputs.destroy()

    @property
    def time_offset(self) -> str:
        """Return what is added to thermal stamps now, and how well that is known."""
        return self._alignment.describe_time_offset()

    @property
    def alone(self) -> str:
        """Return the stream that is worked with while the other one is missing, '' for pairs."""
        return self._alignment.alone

    @property
    def topics(self) -> dict[str, str]:
        """Return the names of the image topics."""
        return self._inputs.topics

    def publisher_counts(self) -> dict[str, int]:
        """Return how many publishers each image topic has."""
        return self._inputs.publisher_counts()

    def beside(self) -> dict[str, str]:
        """Return topics of the other transport that are published, by stream."""
        return self._inputs.beside()

    def request_reset(self) -> None:
        """Start pairing again before the next image: the clock jumped."""
        self._time_jumped = True

    def tick(self) -> None:
        """Take over changes, and emit pairs that wait although both cameras have gone silent."""
        self._take_changes()
        received = sum(self._statistics.counters().received.values())
        if received == self._received_at_tick:
            self._submit(self._alignment.settle())
        self._received_at_tick = received

    def _on_frame(self, stream: str, frame: Frame) -> None:
        """Pair a checked image and hand a pair to the worker."""
        self._take_changes()
        self._submit(self._alignment.add_frame(stream, frame))

    def _submit(self, jobs: list[Job]) -> None:
        """Count pairs and drops; hand pairs to the worker."""
        if self._alignment.jumped_back():
            self._processor.request_reset()
            self._reporter.note('clock_jump', 'stamps jumped back: pairing starts again')
        self._count_drops(self._alignment.new_drops())
        limit_hz = self._parameters.settings.current.rate_limit
        for job in jobs:
            if len(job.frames) == len(STREAMS):
                self._statistics.paired(job.offset_s)
            if self._rate.passes(job.received_s, limit_hz):
                self._processor.submit(job)
            else:
                self._statistics.dropped('rate')

    def _count_drops(self, drops: dict[str, int]) -> None:
        """Count images that found no partner, by reason."""
        for reason, count in drops.items():
            if reason in _UNUSUAL:
                self._reporter.drop(
                    reason, f'{count} image(s) not paired: {DROP_REASONS[reason]}', count
                )
            else:
                self._statistics.dropped(reason, count)

    def _take_changes(self) -> None:
        """Take over changed parameters and a jump of the clock, between two images."""
        self._parameters.refresh()
        if self._time_jumped:
            self._time_jumped = False
            self._alignment.reset()
            self._processor.request_reset()
            self._statistics.dropped('clock_jump', self._processor.discard_waiting())
            self._reporter.note('clock_jump', 'the clock jumped: pairing starts again')
