"""CPU time of the node for each output that somebody listens to."""

from __future__ import annotations

from importlib.util import find_spec
import statistics
from typing import Any

from benchmarks.bench.node import reference_unit_ms
from benchmarks.bench.options import Options
from benchmarks.bench.runtime import Report, Row
from benchmarks.bench.worker import WorkerError
from benchmarks.node_rig import NodeRig, process_cpu_s, running_node
from benchmarks.node_rig import Options as RigOptions
from mafs_model.topics import COMPRESSED_TOPICS, IMAGE_TOPICS, OBJECTS_TOPIC, POINTS_TOPIC

_NOTHING = 'nothing'
_AGAIN = 'nothing again'
_SETTLE_S = 1.5  # for subscriptions of both sides; depth is one within a second
_TURN_S, _QUICK_TURN_S = 4.0, 1.0


def measure_outputs(options: Options, report: Report) -> list[Row]:
    """Listen to one output after the other, in turns; without ROS there are no rows."""
    if find_spec('rclpy') is None:
        report('outputs: left out, rclpy is not installed')
        return []
    size, rate_hz = options.sizes[0], options.node_rate_hz
    turn_s = _QUICK_TURN_S if options.quick else _TURN_S
    turns: list[dict[str, Row]] = []
    units = [reference_unit_ms(options)]
    try:
        with running_node(RigOptions(size=size, outputs=())) as rig:
            turn = _Turn(rig, rate_hz, turn_s)
            for number in range(options.node_runs):
                report(f'outputs: turn {number + 1} of {options.node_runs}')
                turns.append(turn.measure_all())
    except RuntimeError as error:
        raise WorkerError(f'outputs: {error}') from None
    units.append(reference_unit_ms(options))
    return [
        {
            'output': name,
            'place': place,
            'size': f'{size[1]}x{size[0]}',
            'rate_hz': rate_hz,
            'unit_ms': round(statistics.median(units), 2),
            'turns': len(turns),
            **_figures([(turn[name], turn[_NOTHING]) for turn in turns]),
        }
        for place, name in enumerate(turns[0])
    ]


def _figures(measured: list[tuple[Row, Row]]) -> Row:
    """Return medians over the turns of (one output, nothing)."""
    extra = [own['cpu_ms'] - nothing['cpu_ms'] for own, nothing in measured]
    own = [row for row, _ in measured]
    arrived = [row['arrived'] for row in own if 'arrived' in row]
    return {
        'cpu_ms': round(statistics.median(row['cpu_ms'] for row in own), 3),
        'extra_ms': round(statistics.median(extra), 3),
        'extra_least_ms': round(min(extra), 3),
        'extra_most_ms': round(max(extra), 3),
        'pairs': min(row['pairs'] for row in own),
        **({'arrived': round(statistics.median(arrived), 3)} if arrived else {}),
    }


def _outputs() -> dict[str, tuple[str, Any]]:
    """Return topic and type by name as people read it."""
    from mafs_ros.msg import SemanticObjects
    from sensor_msgs.msg import CompressedImage, Image, PointCloud2

    images = {name: (topic, Image) for name, topic in IMAGE_TOPICS.items()}
    compressed = {
        f'{name} compressed': (topic, CompressedImage) for name, topic in COMPRESSED_TOPICS.items()
    }
    return {
        **images,
        **compressed,
        'objects': (OBJECTS_TOPIC, SemanticObjects),
        'points': (POINTS_TOPIC, PointCloud2),
    }


class _Turn:
    """
    Every output once.

    Args:
        rig: the running node and its cameras.
        rate_hz: of both cameras.
        turn_s: how long each output is listened to and measured.

    """

    def __init__(self, rig: NodeRig, rate_hz: float, turn_s: float) -> None:
        self._rig, self._rate_hz, self._turn_s = rig, rate_hz, turn_s
        self._played = 0

    def measure_all(self) -> dict[str, Row]:
        """Return CPU time per pair by output."""
        rows = {_NOTHING: self._measure()}
        for name, (topic, kind) in _outputs().items():
            stop = self._rig.listen(topic, kind)
            rows[name] = self._measure(topic)
            stop()
        rows[_AGAIN] = self._measure()
        return rows

    def _play(self, seconds: float) -> None:
        count = round(seconds * self._rate_hz)
        self._rig.play_each(self._played, count, self._rate_hz)
        self._played += count

    def _measure(self, topic: str | None = None) -> Row:
        rig = self._rig
        self._play(_SETTLE_S)
        pid = rig.process.pid
        started_s, pairs = process_cpu_s(pid), len(rig.statuses)
        arrived = 0 if topic is None else rig.received[topic]
        self._play(self._turn_s)
        pairs = len(rig.statuses) - pairs
        if not pairs:
            raise RuntimeError('no pair came through')
        row: Row = {'cpu_ms': 1e3 * (process_cpu_s(pid) - started_s) / pairs, 'pairs': pairs}
        if topic is not None:
            row['arrived'] = (rig.received[topic] - arrived) / pairs
            if not row['arrived']:
                raise RuntimeError(f'nothing arrived on {topic}')
        return row
