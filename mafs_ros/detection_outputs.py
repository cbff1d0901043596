"""The publishers of objects, in our own message and in that of vision_msgs."""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import Any

from mafs_model.detections import Detection
from mafs_model.topics import DETECTIONS_TOPIC, OBJECTS_TOPIC
from mafs_ros import qos
from mafs_ros.msg import SemanticObject, SemanticObjects
from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Header


class DetectionOutputs:
    """
    Publishes the objects of a pair to whoever listens.

    Threads: created and destroyed by lifecycle transitions, filled by the worker.

    Args:
        node: the node that owns the publishers.
        vision_msgs: module of the messages of others; None: `~/detections` has our message, too.

    """

    def __init__(self, node: LifecycleNode, vision_msgs: Any | None) -> None:
        self._node = node
        self._vision_msgs = vision_msgs
        kind = SemanticObjects if vision_msgs is None else vision_msgs.Detection2DArray
        self._publishers: dict[str, Any] = {}
        try:
            for topic, message_type in (
                (OBJECTS_TOPIC, SemanticObjects),
                (DETECTIONS_TOPIC, kind),
            ):
                self._publishers[topic] = node.create_lifecycle_publisher(
                    message_type,
                    topic,
                    qos.image_output(),
                    qos_overriding_options=qos.overridable(),
                    event_callbacks=qos.no_publisher_events(),
                )
        except BaseException:
            self.destroy()
            raise

    def destroy(self) -> None:
        """Remove the publishers."""
        while self._publishers:
            _, publisher = self._publishers.popitem()
            self._node.destroy_lifecycle_publisher(publisher)

    def has_reader(self) -> bool:
        """Return whether somebody listens."""
        return any(self._is_read(topic) for topic in self._publishers)

    def _is_read(self, topic: str) -> bool:
        return bool(self._publishers[topic].get_subscription_count() > 0)

    def publish(self, detections: Sequence[Detection], header: Header) -> None:
        """Publish the objects of a pair."""
        for topic, publisher in self._publishers.items():
            if self._is_read(topic):
                if topic == DETECTIONS_TOPIC and self._vision_msgs is not None:
                    publisher.publish(vision_message(self._vision_msgs, detections, header))
                else:
                    publisher.publish(own_message(detections, header))


def own_message(detections: Sequence[Detection], header: Header) -> SemanticObjects:
    """Return the objects of a pair with everything that is known about them."""
    return SemanticObjects(header=header, objects=[_own_object(d) for d in detections])


def _own_object(detection: Detection) -> SemanticObject:
    low, mean, high = detection.temperature or (math.nan,) * 3
    return SemanticObject(
        class_id=detection.class_id,
        class_name=detection.name,
        confidence=detection.confidence,
        track_id=detection.track,
        left=detection.left,
        top=detection.top,
        width=detection.width,
        height=detection.height,
        area=detection.area,
        has_temperature=detection.temperature is not None,
        temperature_min=low,
        temperature_mean=mean,
        temperature_max=high,
    )


def vision_message(vision_msgs: Any, detections: Sequence[Detection], header: Header) -> Any:
    """Return the objects of a pair as vision_msgs/Detection2DArray, which has no temperatures."""
    array = vision_msgs.Detection2DArray(header=header)
    for detection in detections:
        message = vision_msgs.Detection2D(header=header, id=str(detection.track))
        hypothesis = vision_msgs.ObjectHypothesisWithPose()
        hypothesis.hypothesis.class_id = detection.name
        hypothesis.hypothesis.score = detection.confidence
        message.results.append(hypothesis)
        box = message.bbox
        # Centres of pixels are at whole numbers, as in camera_info.
        box.center.position.x = detection.left + (detection.width - 1) / 2
        box.center.position.y = detection.top + (detection.height - 1) / 2
        box.size_x, box.size_y = float(detection.width), float(detection.height)
        array.detections.append(message)
    return array
