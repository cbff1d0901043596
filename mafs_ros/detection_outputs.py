"""The publishers of objects, in our own message and in that of vision_msgs."""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import Any

from mafs_model.detections import Detection
from mafs_model.topics import DETECTIONS_TOPIC, OBJECTS_TOPIC
from mafs_ros.managed_publishers import ManagedPublishers
from mafs_ros.msg import SemanticObject, SemanticObjects
from std_msgs.msg import Header

_TOPICS = (OBJECTS_TOPIC, DETECTIONS_TOPIC)


class DetectionOutputs:
    """
    Publishes the objects of a pair to whoever listens.

    Threads: created and destroyed by lifecycle transitions, filled by the worker.

    Args:
        publishers: where those of objects are made.
        vision_msgs: module of the messages of others; None: `~/detections` has our message, too.

    """

    def __init__(self, publishers: ManagedPublishers, vision_msgs: Any | None) -> None:
        self._publishers = publishers
        self._vision_msgs = vision_msgs
        kind = SemanticObjects if vision_msgs is None else vision_msgs.Detection2DArray
        publishers.create(OBJECTS_TOPIC, SemanticObjects)
        publishers.create(DETECTIONS_TOPIC, kind)

    def has_reader(self) -> bool:
        """Return whether somebody listens."""
        return any(self._publishers.is_read(topic) for topic in _TOPICS)

    def publish(self, detections: Sequence[Detection], header: Header) -> None:
        """Publish the objects of a pair."""
        for topic in _TOPICS:
            if self._publishers.is_read(topic):
                if topic == DETECTIONS_TOPIC and self._vision_msgs is not None:
                    message = vision_message(self._vision_msgs, detections, header)
                else:
                    message = own_message(detections, header)
                self._publishers.publish(topic, message)


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
