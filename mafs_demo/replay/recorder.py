"""The recorder: keeps every output of the node as it came over DDS."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
import sys
import threading
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from mafs_demo.replay.protocol import Commands, emit
from mafs_demo.topics import (
    CLASSES_TOPIC,
    DIAGNOSTICS_TOPIC,
    IMAGE_TOPICS,
    INFO_TOPIC,
    INPUT_INFO_TOPIC,
    OBJECTS_TOPIC,
    STATUS_TOPIC,
)
from mafs_model.classes import ClassTable, SemanticClass
from mafs_model.streams import NS_PER_S
from mafs_model.topics import NODE_NAME
from mafs_ros.executor import QuietExecutor
from mafs_ros.msg import FusionStatus, SemanticClasses, SemanticObjects
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data, QoSDurabilityPolicy, QoSProfile
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, Image

_DEPTH = 20


class Recorder(Node):
    """
    Subscribes to everything and writes the serialised messages to one file, one after the other.

    Messages are not deserialised (but for the small ones): on two cores the recorder would
    otherwise take from the node what it is there to show.

    Args:
        spool: the file.

    """

    def __init__(self, spool: Path) -> None:
        super().__init__('mafs_demo_recorder')
        self._file = spool.open('wb')
        self.index: list[tuple[str, str, int, int, int]] = []
        self.statuses: list[dict[str, Any]] = []
        self.objects: list[tuple[int, list[dict[str, Any]]]] = []
        self.classes: dict[str, Any] = {}
        self.error = ''
        reliable = QoSProfile(depth=_DEPTH)
        latched = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
        self._subscriptions_by_topic = {}
        topics: list[tuple[str, Any, QoSProfile]] = [
            *((topic, Image, reliable) for topic in IMAGE_TOPICS.values()),
            (INFO_TOPIC, CameraInfo, reliable),
            (INPUT_INFO_TOPIC, CameraInfo, qos_profile_sensor_data),
            (STATUS_TOPIC, FusionStatus, reliable),
            (OBJECTS_TOPIC, SemanticObjects, reliable),
            (CLASSES_TOPIC, SemanticClasses, latched),
            (DIAGNOSTICS_TOPIC, DiagnosticArray, reliable),
        ]
        for topic, kind, profile in topics:
            self._subscriptions_by_topic[topic] = self.create_subscription(
                kind, topic, self._callback(topic, kind), profile, raw=True
            )

    def _callback(self, topic: str, kind: Any) -> Any:
        type_name = f'{kind.__module__.split(".")[0]}/msg/{kind.__name__}'

        def keep(data: bytes) -> None:
            receive_ns = time.time_ns()
            self.index.append((topic, type_name, receive_ns, self._file.tell(), len(data)))
            self._file.write(data)
            if topic == STATUS_TOPIC:
                self.statuses.append(_status_fields(data, receive_ns))
            elif topic == OBJECTS_TOPIC:
                self.objects.append(_objects(data))
            elif topic == DIAGNOSTICS_TOPIC:
                self.error = _configuration_error(data) or self.error
            elif topic == CLASSES_TOPIC:
                self.classes = _class_table(data)

        return keep

    def is_connected(self) -> bool:
        """Tell whether the node's outputs have been found."""
        return all(
            self.count_publishers(topic) > 0 for topic in (*IMAGE_TOPICS.values(), STATUS_TOPIC)
        )

    def save(self, path: Path) -> None:
        """Write index and status of what was recorded."""
        self._file.close()
        content = {
            'index': self.index,
            'statuses': self.statuses,
            'objects': self.objects,
            'classes': self.classes,
        }
        path.write_text(json.dumps(content), encoding='utf-8')


def _stamp_ns(stamp: Any) -> int:
    return int(stamp.sec) * NS_PER_S + int(stamp.nanosec)


def _status_fields(data: bytes, receive_ns: int) -> dict[str, Any]:
    """Return what the summary needs of a status."""
    status: Any = deserialize_message(data, FusionStatus)
    plain = (
        'offset',
        'time_offset',
        'wait_ms',
        'preprocess_ms',
        'inference_ms',
        'postprocess_ms',
        'publish_ms',
        'latency_ms',
        'visible_received',
        'thermal_received',
        'pairs',
        'processed',
        'match_rate',
        'mode',
        'device',
        'backend',
        'weights_id',
    )
    fields = {name: getattr(status, name) for name in plain}
    fields['drops'] = dict(
        zip(status.drop_reasons, (int(n) for n in status.drop_counts), strict=True)
    )
    return {
        **fields,
        'receive_ns': receive_ns,
        'stamp_ns': _stamp_ns(status.header.stamp),
        'visible_ns': _stamp_ns(status.visible_stamp),
        'thermal_ns': _stamp_ns(status.thermal_stamp),
    }


def _objects(data: bytes) -> tuple[int, list[dict[str, Any]]]:
    """Return the stamp of a message and its objects, as `Detection` takes them."""
    message: Any = deserialize_message(data, SemanticObjects)
    return _stamp_ns(message.header.stamp), [
        {
            'class_id': int(o.class_id),
            'name': o.class_name,
            'confidence': float(o.confidence),
            'left': int(o.left),
            'top': int(o.top),
            'width': int(o.width),
            'height': int(o.height),
            'area': int(o.area),
            'temperature': [o.temperature_min, o.temperature_mean, o.temperature_max]
            if o.has_temperature
            else None,
            'track': int(o.track_id),
        }
        for o in message.objects
    ]


def _class_table(data: bytes) -> dict[str, Any]:
    """Return the class table as `ClassTable.from_dict` takes it."""
    message: Any = deserialize_message(data, SemanticClasses)
    classes = tuple(SemanticClass(int(c.id), c.name, _color(c.color)) for c in message.classes)
    return ClassTable(message.dataset, classes, int(message.ignore_index)).to_dict()


def _color(color: Any) -> tuple[int, int, int]:
    return round(255 * color.r), round(255 * color.g), round(255 * color.b)


def _configuration_error(data: bytes) -> str:
    """Return why the node could not be configured, empty while nothing is wrong."""
    message: Any = deserialize_message(data, DiagnosticArray)
    for status in message.status:
        state = next((pair.value for pair in status.values if pair.key == 'state'), '')
        failed = status.level == DiagnosticStatus.ERROR and state != 'active'
        if failed and NODE_NAME in status.name:
            return str(status.message)
    return ''


def _watch(
    node: Recorder,
    commands: Commands,
    executor: QuietExecutor,
    stopped: threading.Event,
) -> None:
    """Tell the parent how far the node is; end the loop of the executor when told to."""
    connected = False
    told = -1
    while not commands.wait('stop', 0.1):
        if node.error and not connected:
            emit('node_error', text=node.error)
        if not connected and node.is_connected():
            connected = True
            emit('ready')
        if len(node.statuses) != told:
            told = len(node.statuses)
            status = node.statuses[-1] if told else {}
            emit(
                'recorded',
                count=told,
                **{
                    name: status.get(name, 0)
                    for name in ('visible_received', 'thermal_received', 'pairs', 'processed')
                },
            )
    # Not executor.shutdown: in rclpy the loop may still use what that destroys.
    stopped.set()
    executor.wake()


def main(arguments: list[str] | None = None) -> int:
    """Run the recorder process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--spool', type=Path, required=True)
    parser.add_argument('--index', type=Path, required=True)
    options = parser.parse_args(arguments)
    commands = Commands()
    rclpy.init(args=[])
    node = Recorder(options.spool)
    executor = QuietExecutor()
    executor.add_node(node)
    stopped = threading.Event()
    watcher = threading.Thread(
        target=_watch, args=(node, commands, executor, stopped), daemon=True
    )
    watcher.start()
    try:
        executor.spin_until(stopped)
        node.save(options.index)
        emit('done', count=len(node.index))
    except (KeyboardInterrupt, ExternalShutdownException):
        return 1
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
