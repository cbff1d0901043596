"""The services of the node besides those of its lifecycle and its parameters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
import os
from pathlib import Path
from typing import Any

from mafs_model.errors import ConfigError, MafsError
from mafs_model.topics import RECORD_SERVICE, SET_WEIGHTS_SERVICE, SNAPSHOT_SERVICE
from mafs_ros.background import in_background
from mafs_ros.parameter_handler import ParameterHandler
from mafs_ros.parameters import BY_NAME
from mafs_ros.record import Recording
from mafs_ros.snapshot import Collector, software, write_snapshot
from mafs_ros.srv import SetWeights
from mafs_ros.tap import Tap
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.lifecycle import LifecycleNode
from std_srvs.srv import SetBool, Trigger

_MAX_PATH = 4096  # of Linux


class Services:
    """
    Answers requests without holding up images.

    Threads: each service has a callback group of its own, so that one request at a time is worked
    on while images go on; what takes long is done by a thread that the callback awaits.

    Args:
        node: the node.
        parameters: its parameters.
        describe: returns what diagnostics say.
        exchange: loads weights, puts them in use and returns their identification; called in a
            thread.

    """

    def __init__(
        self,
        node: LifecycleNode,
        parameters: ParameterHandler,
        describe: Callable[[], dict[str, object]],
        exchange: Callable[[str], str],
    ) -> None:
        self._node = node
        self._parameters = parameters
        self._describe = describe
        self._exchange = exchange
        self._recording: Recording | None = None
        self._tap: Tap | None = None  # of the recording
        self._create(Trigger, SNAPSHOT_SERVICE, self._snapshot)
        self._create(SetBool, RECORD_SERVICE, self._record)
        self._create(SetWeights, SET_WEIGHTS_SERVICE, self._set_weights)

    def _create(self, kind: Any, name: str, answer: Callable[[Any, Any], Awaitable[str]]) -> None:
        """Create a service whose response has `success` and `message`."""

        async def callback(request: Any, response: Any) -> Any:
            try:
                response.message = await answer(request, response)
                response.success = True
            except MafsError as error:
                response.message = str(error)
            except Exception as error:  # noqa: BLE001 - a request must never end the node
                response.message = f'unexpected error, please report it: {error!r}'
            # One line of code for each level: the logger of rclpy refuses another level there.
            if response.success:
                self._node.get_logger().info(f'{name}: {response.message}')
            else:
                self._node.get_logger().warning(f'{name}: {response.message}')
            return response

        self._node.create_service(
            kind, name, callback, callback_group=MutuallyExclusiveCallbackGroup()
        )

    async def _snapshot(self, request: Any, response: Any) -> str:
        """Write one pair and what belongs to it into a new folder; return its name."""
        folder = self._new_path('snapshot')
        collector = Collector()
        tap = Tap(self._node, self._parameters.settings.current, collector.put)
        try:
            taken = await in_background(self._node, collector.wait, 'snapshot')
        finally:
            tap.destroy()
        status = {'time': datetime.now().astimezone().isoformat(), 'software': software()}
        status |= {'diagnostics': self._describe()}
        status |= {'topics': {c.topic: c.type_name for c in tap.channels}}
        parameters = self._parameters.values()

        def write() -> None:
            write_snapshot(folder, taken, parameters, status)

        await in_background(self._node, write, 'snapshot')
        return f'{folder}: {len(taken)} messages'

    async def _set_weights(self, request: SetWeights.Request, response: Any) -> str:
        """Use other weights from the next pair on; return what is in use."""
        weights = request.weights
        if not weights.strip() or len(weights) > _MAX_PATH or '\0' in weights:
            raise ConfigError(
                f'weights: got {weights[:40]!r}, expected {BY_NAME["weights"].expected}'
            )

        def exchange() -> str:
            return self._exchange(weights)

        response.weights_id = await in_background(self._node, exchange, 'weights_loader')
        # After a restart of the network, and for whoever asks, they are the ones in use.
        if self._parameters.locked:
            self._parameters.follow('weights', weights)
        return f'weights {response.weights_id} in use'

    async def _record(self, request: SetBool.Request, response: Any) -> str:
        """Start or stop a bag of inputs and outputs; return its name and what is in it."""
        if not request.data:
            return await self._stop_recording()
        if self._recording is not None and not self._recording.ended:
            raise ConfigError(f'{self._recording.path} is being recorded: stop it first')
        path = self._new_path('record')
        warn = self._node.get_logger().warning

        def start() -> Recording:
            return Recording(path, lambda line: warn(f'{RECORD_SERVICE}: {line}'))

        recording = await in_background(self._node, start, 'recorder_start')
        if not self._parameters.locked:
            recording.stop()
            raise ConfigError('the node has been cleaned up meanwhile')
        self._recording = recording
        self._tap = Tap(self._node, self._parameters.settings.current, recording.put)
        return f'{path}: {len(self._tap.channels)} topics'

    async def _stop_recording(self) -> str:
        recording, self._recording = self._recording, None
        self._end_tap()
        if recording is None:
            raise ConfigError('nothing is being recorded')
        await in_background(self._node, recording.stop, 'recorder_stop')
        if recording.fault:
            raise ConfigError(recording.summary)
        return recording.summary

    def tick(self) -> None:
        """Listen no longer for a recording that has ended by itself."""
        if self._recording is not None and self._recording.ended:
            self._end_tap()

    def stop(self, timeout_s: float) -> None:
        """End what needs a configured node: a recording becomes a bag."""
        recording, self._recording = self._recording, None
        self._end_tap()
        if recording is not None and not recording.ended:
            done = recording.stop(timeout_s)
            text = recording.summary if done else f'{recording.path}: not closed in time'
            self._node.get_logger().info(f'{RECORD_SERVICE}: {text}')

    def _end_tap(self) -> None:
        tap, self._tap = self._tap, None
        if tap is not None:
            tap.destroy()

    def _new_path(self, kind: str) -> Path:
        """
        Return a name in `record.folder` that is not taken.

        Raises:
            ConfigError: the node is not configured.

        """
        if not self._parameters.locked:
            raise ConfigError('the node is not configured: its topics are not known')
        return folder_of(self._parameters.settings.current.record_folder) / stamped(kind)


def folder_of(chosen: str) -> Path:
    """Return the folder that `record.folder` means."""
    if chosen:
        return Path(chosen).expanduser().absolute()
    home = os.environ.get('ROS_HOME') or '~/.ros'
    return Path(home).expanduser().absolute() / 'mafs_ros'


def stamped(kind: str) -> str:
    """Return a name with the present time in milliseconds."""
    return f'{kind}_{datetime.now():%Y%m%d_%H%M%S_%f}'[:-3]
