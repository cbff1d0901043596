"""The executor's side of the active node: from received images to pairs in the mailbox."""

from __future__ import annotations

from mafs_model.pairing.nearest import DROP_REASONS
from mafs_ros.alignment import Alignment, Job
from mafs_ros.conversions import Frame
from mafs_ros.inference import Pipeline
from mafs_ros.mailbox import Worker
from mafs_ros.parameter_handler import ParameterHandler
from mafs_ros.parameters import Settings
from mafs_ros.processor import PairProcessor
from mafs_ros.reporting import Reporter
from mafs_ros.statistics import Statistics
from mafs_ros.subscriptions import CameraInputs
from mafs_ros.sync import load_message_filters
from rclpy.lifecycle import LifecycleNode

# Without a partner is normal for cameras of different rates; these are not.
_UNUSUAL = ('duplicate', 'late', 'overflow', 'outlier')
_OVERTAKEN_PERIOD_S = 60.0  # Normal where the network is slower than the cameras.


class Intake:
    """
    Receives, pairs and hands over; takes over changed parameters and jumps of the clock.

    Threads: everything runs in the node's default callback group, one callback at a time, apart
    from `request_reset`, which may come from another thread and only leaves a note.

    Args:
        node: the node that subscribes.
        settings: validated parameters.
        handler: where changed parameters come from.
        pipeline: is told about changes.
        processor: works on the pairs.
        statistics: counts.
        reporter: logs.

    Raises:
        ConfigError: the policy needs a package that is not installed.

    """

    def __init__(
        self,
        node: LifecycleNode,
        settings: Settings,
        handler: ParameterHandler,
        pipeline: Pipeline,
        processor: PairProcessor,
        statistics: Statistics,
        reporter: Reporter,
    ) -> None:
        self.settings = settings
        self._handler = handler
        self._pipeline = pipeline
        self._processor = processor
        self._statistics = statistics
        self._reporter = reporter
        self._time_jumped = False
        self._received_at_tick = 0
        self._alignment = Alignment(settings)
        self._worker: Worker[Job] = Worker(
            processor.process, self._on_overtaken, processor.on_error
        )
        processor.pair_waiting = lambda: self._worker.waiting
        self._worker.start()
        try:
            self._inputs = CameraInputs(
                node,
                settings,
                statistics,
                reporter,
                self._on_frame,
                processor.set_camera_info,
                load_message_filters().Subscriber if settings.sync_policy != 'nearest' else None,
            )
        except BaseException:
            self._worker.stop(0.0)
            raise

    def stop(self, timeout_s: float) -> bool:
        """Unsubscribe and end the worker; return whether it ended within the time."""
        self._inputs.destroy()
        return self._worker.stop(timeout_s)

    @property
    def time_offset_ns(self) -> int:
        """Return what is added to thermal stamps now."""
        return self._alignment.time_offset_ns

    @property
    def topics(self) -> dict[str, str]:
        """Return the names of the image topics."""
        return self._inputs.topics

    def publisher_counts(self) -> dict[str, int]:
        """Return how many publishers each image topic has."""
        return self._inputs.publisher_counts()

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
        self._submit(self._alignment.add(stream, frame))

    def _submit(self, jobs: list[Job]) -> None:
        """Count pairs and drops; put pairs into the mailbox."""
        if self._alignment.jumped_back():
            self._pipeline.request_reset()
            self._reporter.note('clock_jump', 'stamps jumped back: pairing starts again')
        self._count_drops(self._alignment.new_drops())
        for job in jobs:
            self._statistics.paired(job.offset_s)
            self._worker.put(job)

    def _count_drops(self, drops: dict[str, int]) -> None:
        """Count images that found no partner, by reason."""
        for reason, count in drops.items():
            if reason in _UNUSUAL:
                self._reporter.drop(
                    reason, f'{count} image(s) not paired: {DROP_REASONS[reason]}', count
                )
            else:
                self._statistics.dropped(reason, count)

    def _on_overtaken(self, job: Job) -> None:
        """Count a pair that a newer one replaced while the worker was busy."""
        self._statistics.dropped('overtaken')
        self._reporter.say(
            'overtaken',
            'pairs come faster than they are processed: the newest goes first, '
            'older ones are skipped',
            _OVERTAKEN_PERIOD_S,
        )

    def _take_changes(self) -> None:
        """Take over changed parameters and a jump of the clock, between two images."""
        if self._time_jumped:
            self._time_jumped = False
            self._alignment.reset()
            self._pipeline.request_reset()
            self._statistics.dropped('clock_jump', int(self._worker.clear()))
            self._reporter.note('clock_jump', 'the clock jumped: pairing starts again')
        settings = self._handler.take_update()
        if settings is not None:
            self.settings = settings
            self._inputs.settings = settings
            self._processor.update(settings)
            self._count_drops(self._alignment.update(settings))
