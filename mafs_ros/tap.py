"""Reading along: what the node receives and publishes, as serialised messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mafs_model.bags.writer import BagWriter
from mafs_model.topics import (
    CAMERA_INFO_INPUT,
    CAMERA_INFO_TOPIC,
    CLASSES_TOPIC,
    IMAGE_TOPICS,
    INPUT_TOPICS,
    OBJECTS_TOPIC,
    STATUS_TOPIC,
)
from mafs_ros import qos
from mafs_ros.msg import FusionStatus, SemanticClasses, SemanticObjects
from mafs_ros.own_types import register_own_types
from mafs_ros.parameters import Settings
from mafs_ros.subscriptions import input_topic
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image


@dataclass(frozen=True)
class Channel:
    """
    One topic that is read along.

    Attributes:
        role: 'visible', 'thermal', a name of `IMAGE_TOPICS`, 'status', ...
        topic: its full name.
        message_type: class of its messages.
        latched: whether late readers get the last message.

    """

    role: str
    topic: str
    message_type: Any
    latched: bool = False

    @property
    def type_name(self) -> str:
        """Return e.g. 'sensor_msgs/msg/Image'."""
        package = self.message_type.__module__.partition('.')[0]
        return f'{package}/msg/{self.message_type.__name__}'


@dataclass(frozen=True)
class Taken:
    """
    One message that was read along.

    Attributes:
        channel: where.
        receive_ns: time of the node when it came, in ns.
        data: the message in CDR.

    """

    channel: Channel
    receive_ns: int
    data: bytes


class Tap:
    """
    Subscriptions to the inputs and outputs of a node that leave messages as they are.

    It is a listener like any other: what is published for nobody else is computed for it, and
    without it nothing is.

    Threads: made and destroyed by the executor; `put` is called in the node's default callback
    group.

    Args:
        node: the node.
        settings: say which inputs it has.
        put: called with every message; must not block.

    """

    def __init__(
        self, node: LifecycleNode, settings: Settings, put: Callable[[Taken], None]
    ) -> None:
        self._node = node
        self._put = put
        self._subscriptions: list[Any] = []
        self.channels: list[Channel] = []
        try:
            for stream, transport in (
                ('visible', settings.rgb_transport),
                ('thermal', settings.thermal_transport),
            ):
                kind = Image if transport == 'raw' else CompressedImage
                # As in `CameraInputs`: a resolved name must not be resolved again.
                name = (
                    INPUT_TOPICS[stream]
                    if transport == 'raw'
                    else input_topic(node, stream, transport)
                )
                self._listen(stream, name, kind, qos.sensor_input())
            self._listen('calibration', CAMERA_INFO_INPUT, CameraInfo, qos.sensor_input())
            for role, name in IMAGE_TOPICS.items():
                # Best effort: a reader that is behind must not keep the others waiting.
                self._listen(role, name, Image, qos.sensor_input())
            self._listen('camera_info', CAMERA_INFO_TOPIC, CameraInfo, qos.sensor_input())
            self._listen('objects', OBJECTS_TOPIC, SemanticObjects, qos.sensor_input())
            self._listen('status', STATUS_TOPIC, FusionStatus, qos.status_output())
            self._listen('classes', CLASSES_TOPIC, SemanticClasses, qos.latched())
        except BaseException:
            self.destroy()
            raise

    def _listen(self, role: str, name: str, kind: Any, profile: QoSProfile) -> None:
        topic = str(self._node.resolve_topic_name(name))
        channel = Channel(role, topic, kind, latched=role == 'classes')

        def take(data: bytes) -> None:
            self._put(Taken(channel, self._node.get_clock().now().nanoseconds, data))

        self.channels.append(channel)
        self._subscriptions.append(
            self._node.create_subscription(kind, name, take, profile, raw=True)
        )

    def destroy(self) -> None:
        """Listen no longer."""
        while self._subscriptions:
            self._node.destroy_subscription(self._subscriptions.pop())


def open_bag(path: Path) -> BagWriter:
    """
    Return the writer of a new bag that knows the messages of this package.

    Raises:
        BagError: rosbags is not installed, or there is no room.
        OSError: it cannot be written.

    """
    bag = BagWriter(path)
    register_own_types(bag)
    return bag
