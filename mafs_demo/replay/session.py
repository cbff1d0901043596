"""One run of the demo: node, recorder and cameras from start to end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
import json
from pathlib import Path
import queue
import re
import shutil
import sys
import time
from typing import Any

from mafs_demo.replay.children import Child, child_environment, DemoError
from mafs_demo.replay.sources import Sequence
from mafs_demo.replay.store import FrameStore
from mafs_demo.topics import INPUT_DEPTH, INPUT_TOPICS
from mafs_demo.workspace import Workspace
from mafs_model.detections import Detection, Temperature
from mafs_model.errors import ConfigError

# A new network is exported and measured on every backend when it is configured for the first time.
_READY_TIMEOUT_S = 300.0
_LOG_PREFIX = re.compile(r'^(\[[^]]*\] *)*:? *')
_SHOWN_CHARACTERS = 60
# After the last frame the run goes on until nothing more arrives for this long; once a second
# the node also emits pairs that would wait for frames which never come.
_SILENCE_S = 1.5
# Everything has been recorded by then: a busy machine may take its time.
_FINISH_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class NodeOptions:
    """
    How the node is started.

    Args:
        weights: file, 'default' or 'classical'.
        device: 'auto', 'cpu', 'cuda', ...
        parameters: further parameters, name to value as on a ROS command line.

    """

    weights: str = 'default'
    device: str = 'auto'
    parameters: dict[str, str] = field(default_factory=dict)

    def command(self) -> list[str]:
        """Return the module and the arguments of the node's process."""
        # A core that is busy elsewhere for a moment must not cost frames: a longer queue than
        # the default of live cameras, where old frames are worth nothing.
        depths = {
            f'qos_overrides.{topic}.subscription.depth': str(INPUT_DEPTH)
            for topic in INPUT_TOPICS.values()
        }
        values = {
            'autostart': 'true',
            'weights': self.weights,
            'device': self.device,
            **depths,
            **self.parameters,
        }
        arguments = [part for name, value in values.items() for part in ('-p', f'{name}:={value}')]
        return ['mafs_ros', '--ros-args', *arguments]


@dataclass(frozen=True)
class Recording:
    """
    What a run left behind.

    Args:
        spool: file with the serialised messages.
        index: (topic, type, receive time in ns, offset, size) of each.
        statuses: the fields of every status message.
        sent: (stream, frame number, stamp in ns) of every published frame.
        late_ms_p99: how late the player published, 99th percentile.
        classes: the class table that the node published, as a dict.
        objects: the objects of the pairs by the stamp of the outputs in ns.

    """

    spool: Path
    index: list[tuple[str, str, int, int, int]]
    statuses: list[dict[str, Any]]
    sent: list[tuple[str, int, int]]
    late_ms_p99: float
    classes: dict[str, Any]
    objects: dict[int, tuple[Detection, ...]] = field(default_factory=dict)


def _detection(values: dict[str, Any]) -> Detection:
    """Return an object as the recorder has written it."""
    measured = values['temperature']
    temperature = None if measured is None else Temperature(*measured)
    return Detection(**{**values, 'temperature': temperature})


class Session:
    """
    Runs the three processes.

    Args:
        sequence: what the cameras show.
        node: how the node is started.
        space: where logs and intermediate files go.
        progress: called with (phase, done, total, text) now and then.

    """

    def __init__(
        self,
        sequence: Sequence,
        node: NodeOptions,
        space: Workspace,
        progress: Callable[[str, int, int, str], None],
    ) -> None:
        self._sequence = sequence
        self._node = node
        self._work = space.work
        self._logs = space.logs
        self._progress = progress
        self._events: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
        self._children: dict[str, Child] = {}
        self._latest: dict[tuple[str, str], dict[str, Any]] = {}

    def run(self) -> Recording:
        """
        Play the sequence through the node.

        Raises:
            DemoError: a process failed, with the end of its log.

        """
        schedule = self._work / 'schedule.json'
        self._sequence.schedule.save(schedule)
        spool, index, sent = (
            self._work / name for name in ('messages.bin', 'messages.json', 'sent.json')
        )
        self._check_disk()
        try:
            self._start('fusion_node', self._node.command())
            self._start(
                'recorder',
                ['mafs_demo.replay.recorder', '--spool', str(spool), '--index', str(index)],
            )
            self._start(
                'cameras',
                [
                    'mafs_demo.replay.player',
                    '--schedule',
                    str(schedule),
                    '--store',
                    str(self._sequence.store),
                    '--log',
                    str(sent),
                ],
            )
            self._await_ready()
            self._play()
            self._drain()
            self._finish()
        finally:
            self._end_all()
        recorded = json.loads(index.read_text(encoding='utf-8'))
        played = json.loads(sent.read_text(encoding='utf-8'))
        return Recording(
            spool,
            [tuple(entry) for entry in recorded['index']],
            recorded['statuses'],
            [tuple(entry) for entry in played['sent']],
            played['late_ms_p99'],
            recorded['classes'],
            {stamp: tuple(map(_detection, found)) for stamp, found in recorded['objects']},
        )

    def _check_disk(self) -> None:
        """Refuse to start what would fill the disk."""
        store = FrameStore(self._sequence.store)
        published = sum(
            store.frame('visible', event.index).nbytes
            for event in self._sequence.schedule.events
            if event.stream == 'visible'
        )
        # Four output images, eight bytes a pixel together, where the visible frame has three.
        needed = 3 * published + 100_000_000
        free = shutil.disk_usage(self._work).free
        if free < needed:
            raise ConfigError(
                f'{free / 1e9:.1f} GB of disk space left for {self._work}, '
                f'{needed / 1e9:.1f} GB needed; try a shorter --duration'
            )

    def _start(self, name: str, command: list[str]) -> None:
        environment = child_environment(self._work / 'ros')
        self._children[name] = Child(
            name,
            command,
            environment,
            self._logs,
            lambda child, event: self._events.put((child, event)),
        )

    def _next(self, timeout_s: float) -> tuple[str, str] | None:
        """Take the next event; None after the timeout."""
        try:
            name, event = self._events.get(timeout=timeout_s)
        except queue.Empty:
            return None
        self._latest[name, event['event']] = event
        if event['event'] == 'ended':
            raise self._children[name].failure(f'ended early (exit code {event["code"]})')
        return name, event['event']

    def _await_ready(self) -> None:
        """Wait until cameras, node and recorder have found each other."""
        deadline = time.monotonic() + _READY_TIMEOUT_S
        missing = {'cameras', 'recorder'}
        while missing:
            rest_s = deadline - time.monotonic()
            if rest_s <= 0:
                name = 'fusion_node' if missing == {'cameras', 'recorder'} else missing.pop()
                raise self._children[name].failure(f'was not ready in {_READY_TIMEOUT_S:g} s')
            self._progress('starting', 2 - len(missing), 2, self._node_says())
            event = self._next(min(rest_s, 0.5))
            if event == ('recorder', 'node_error'):
                text = self._latest[event]['text']
                raise DemoError(f'fusion_node: {text}')
            if event is not None and event[1] == 'ready':
                missing.discard(event[0])

    def _node_says(self) -> str:
        """Return the start of the node's last log line: it may be busy for a while."""
        text = _LOG_PREFIX.sub('', self._children['fusion_node'].last_line)
        return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + '...'

    def _play(self) -> None:
        self._children['cameras'].tell('go')
        total = len(self._sequence.schedule.events)
        while ('cameras', 'done') not in self._latest:
            if self._next(self._sequence.schedule.duration_s + 30.0) is None:
                raise self._children['cameras'].failure('stopped publishing')
            self._show('playing', total)

    def _show(self, phase: str, total: int) -> None:
        sent = self._latest.get(('cameras', 'sent'), {}).get('count', 0)
        done = self._latest.get(('cameras', 'done'), {}).get('count', sent)
        node = self._latest.get(('recorder', 'recorded'), {})
        self._progress(phase, done, total, f'{node.get("processed", 0)} pairs fused')

    def _drain(self) -> None:
        """Wait until the node has worked off what it received: until it is silent for a while."""
        total = len(self._sequence.schedule.events)
        deadline = time.monotonic() + _SILENCE_S
        while (rest_s := deadline - time.monotonic()) > 0:
            if self._next(rest_s) == ('recorder', 'recorded'):
                deadline = time.monotonic() + _SILENCE_S
                self._show('playing', total)

    def _finish(self) -> None:
        """End the three in order: a recorder that is still there sees the node's last words."""
        for name in ('cameras', 'recorder'):
            self._children[name].tell('stop')
        codes = {}
        for name in ('cameras', 'recorder'):
            codes[name] = self._children[name].end(_FINISH_TIMEOUT_S)
        self._children['fusion_node'].interrupt()
        codes['fusion_node'] = self._children['fusion_node'].end(_FINISH_TIMEOUT_S)
        for name, code in codes.items():
            if code != 0:
                raise self._children[name].failure(f'ended with exit code {code}')

    def _end_all(self) -> None:
        """Leave no process behind, whatever happened."""
        for child in self._children.values():
            child.interrupt()
        for child in self._children.values():
            child.end()


def require_ros() -> None:
    """
    Check that rclpy and the generated messages can be imported.

    Raises:
        DemoError: saying what to source.

    """
    try:
        from mafs_ros.msg import FusionStatus  # noqa: F401
        import rclpy  # noqa: F401
    except ImportError as error:
        raise DemoError(
            f'{error}: the demo needs ROS 2 and the built package; run it by `make demo`, or '
            f'source ROS, build with colcon and source install/local_setup.bash '
            f'(Python: {sys.executable})'
        ) from error
