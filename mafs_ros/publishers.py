"""The publishers of the node: created, filled and destroyed together."""

from __future__ import annotations

from collections.abc import Sequence
import importlib
import time
from typing import Any

from builtin_interfaces.msg import Time
from mafs_model.classes import ClassTable
from mafs_model.detections import Detection
from mafs_model.images.overlay import OverlayStyle
from mafs_model.prediction import Outputs, Prediction
from mafs_model.topics import (
    CAMERA_INFO_TOPIC,
    CLASSES_TOPIC,
    COMPRESSED_TOPICS,
    DETECTIONS_TOPIC,
    IMAGE_TOPICS,
    LABEL_INFO_TOPIC,
    OBJECTS_TOPIC,
    POINTS_TOPIC,
    STATUS_TOPIC,
)
from mafs_ros import qos
from mafs_ros.alignment import Job
from mafs_ros.compressed_outputs import CompressedOutputs
from mafs_ros.conversions import OutgoingImage, scale_camera_info
from mafs_ros.detection_outputs import DetectionOutputs
from mafs_ros.managed_publishers import ManagedPublishers
from mafs_ros.msg import FusionStatus, SemanticClass, SemanticClasses
from mafs_ros.parameters import SettingsBox
from mafs_ros.point_outputs import Origin, PointOutputs
from mafs_ros.reporting import Reporter
from mafs_ros.statistics import Counters
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import ColorRGBA, Header

_MODES = {
    'fusion': FusionStatus.MODE_FUSION,
    'visible_only': FusionStatus.MODE_VISIBLE_ONLY,
    'thermal_only': FusionStatus.MODE_THERMAL_ONLY,
    'classical': FusionStatus.MODE_CLASSICAL,
    'idle': FusionStatus.MODE_IDLE,
}


def load_vision_msgs() -> Any | None:
    """Return the module vision_msgs.msg, None where it is not installed or too old."""
    try:
        module = importlib.import_module('vision_msgs.msg')
    except ImportError:
        return None
    return module if hasattr(module, 'LabelInfo') else None


def overridable_publishers(node: LifecycleNode) -> list[str]:
    """Return the topics whose QoS users can override, with namespace and remapped."""
    names = (
        *IMAGE_TOPICS.values(),
        *COMPRESSED_TOPICS.values(),
        OBJECTS_TOPIC,
        DETECTIONS_TOPIC,
        POINTS_TOPIC,
        CAMERA_INFO_TOPIC,
        STATUS_TOPIC,
    )
    return [str(node.resolve_topic_name(name)) for name in names]


class OutputPublishers:
    """
    All publishers of the node.

    Threads: created and destroyed by lifecycle transitions while no worker runs; between
    activation and deactivation only the worker publishes.

    Args:
        node: the node that owns them.
        settings: what is in force.
        reporter: says what cannot be published; its statistics count how long it takes.

    """

    def __init__(self, node: LifecycleNode, settings: SettingsBox, reporter: Reporter) -> None:
        self._statistics = reporter.statistics
        self._publishers = ManagedPublishers(node)
        self._messages = {name: OutgoingImage() for name in IMAGE_TOPICS}
        self._vision_msgs = load_vision_msgs()
        self._settings = settings
        try:
            self._compressed = CompressedOutputs(self._publishers, settings, reporter)
            self._detections = DetectionOutputs(self._publishers, self._vision_msgs)
            self._points = PointOutputs(node, self._publishers, settings, reporter)
            self._create_others()
        except BaseException:
            self.destroy()
            raise

    def _create_others(self) -> None:
        """Create the publishers of everything that has no module of its own."""
        create = self._publishers.create
        for topic in IMAGE_TOPICS.values():
            create(topic, Image)
        create(CAMERA_INFO_TOPIC, CameraInfo)
        create(STATUS_TOPIC, FusionStatus, qos.status_output())
        create(CLASSES_TOPIC, SemanticClasses, qos.latched(), fixed=True)
        if self._vision_msgs is not None:
            create(LABEL_INFO_TOPIC, self._vision_msgs.LabelInfo, qos.latched(), fixed=True)

    def destroy(self) -> None:
        """Remove all publishers."""
        self._publishers.destroy()

    @property
    def usable(self) -> bool:
        """Return whether there is still a ROS to publish to."""
        return self._publishers.usable

    def _is_wanted(self, name: str) -> bool:
        return self._publishers.is_read(IMAGE_TOPICS[name]) or self._compressed.has_reader(name)

    def tick(self) -> None:
        """Subscribe to what an output needs beside the cameras; called while active."""
        self._points.tick()

    def stop(self, timeout_s: float) -> bool:
        """End the threads of outputs; return whether all ended within the time."""
        return all([self._points.stop(timeout_s), self._compressed.stop(timeout_s)])

    def wanted(self, style: OverlayStyle) -> Outputs:
        """Return what somebody listens to; an overlay is to look as the style says."""
        points = self._points.has_reader()
        return Outputs(
            fused=points or self._is_wanted('fused'),
            labels=points or self._is_wanted('labels'),
            confidence=points or self._is_wanted('confidence'),
            temperature=points,
            overlay=style if self._is_wanted('overlay') else None,
            detections=self._settings.current.detections_min_area
            if self._detections.has_reader()
            else None,
        )

    def publish_images(self, results: Prediction, header: Header) -> None:
        """Publish all images that were computed."""
        self._compressed.submit(results, header)
        for name, message in self._messages.items():
            image = getattr(results, name)
            topic = IMAGE_TOPICS[name]
            if image is not None and self._publishers.is_read(topic):
                filled = message.fill(image, header)
                started = time.perf_counter()
                self._publishers.publish(topic, filled)
                self._statistics.published(
                    IMAGE_TOPICS[name], 1e3 * (time.perf_counter() - started)
                )

    def publish_detections(self, detections: Sequence[Detection], header: Header) -> None:
        """Publish the objects of a pair to whoever listens."""
        self._detections.publish(detections, header)

    def publish_points(
        self, results: Prediction, origin: Origin, stamp_ns: int, info: CameraInfo | None
    ) -> None:
        """
        Make points of the results of a pair once its depth image is there, if somebody listens.

        Args:
            results: what was computed.
            origin: stamp and frame of the points.
            stamp_ns: stamp of the visible image.
            info: calibration of the visible camera, None if none has come.

        """
        self._points.submit(results, origin, stamp_ns, info)

    def publish_camera_info(self, info: CameraInfo, size: tuple[int, int], header: Header) -> None:
        """
        Publish the calibration for images of this (height, width), if somebody listens.

        Raises:
            ImageError: the calibration as received has no size.

        """
        if not self._publishers.is_read(CAMERA_INFO_TOPIC):
            return
        if (info.height, info.width) == size:
            info.header = header  # the usual case: nothing to scale, ten arrays less to check
        else:
            info = scale_camera_info(info, size, header)
        self._publishers.publish(CAMERA_INFO_TOPIC, info)

    def status_wanted(self) -> bool:
        """Return whether somebody listens to the status."""
        return self._publishers.is_read(STATUS_TOPIC)

    def publish_status(self, status: FusionStatus) -> None:
        """Publish the status of one pair."""
        self._publishers.publish(STATUS_TOPIC, status)

    def publish_classes(self, table: ClassTable, stamp: Time, frame_id: str = '') -> None:
        """Publish what label values mean; late subscribers get it as well."""
        header = Header(stamp=stamp, frame_id=frame_id)
        self._publishers.publish(
            CLASSES_TOPIC,
            SemanticClasses(
                header=header,
                dataset=table.dataset,
                ignore_index=table.ignore_index,
                classes=[_class_message(c) for c in table.classes],
            ),
        )
        if self._vision_msgs is not None:
            vision = self._vision_msgs
            self._publishers.publish(
                LABEL_INFO_TOPIC,
                vision.LabelInfo(
                    header=header,
                    threshold=0.0,
                    class_map=[
                        vision.VisionClass(class_id=c.id, class_name=c.name) for c in table.classes
                    ],
                ),
            )


def _class_message(entry: Any) -> SemanticClass:
    """Return the message of one class."""
    red, green, blue = (float(channel) / 255.0 for channel in entry.color)
    return SemanticClass(
        id=entry.id, name=entry.name, color=ColorRGBA(r=red, g=green, b=blue, a=1.0)
    )


def make_status(job: Job, header: Header, results: Prediction, counters: Counters) -> FusionStatus:
    """
    Return the status of a pair, without the times that the caller measures.

    Args:
        job: the pair.
        header: header of the published images.
        results: what was computed.
        counters: including this pair.

    """
    reasons = sorted(counters.drops)
    timings_ms = results.timings_ms  # empty for a pair for which nobody listens
    return FusionStatus(
        header=header,
        visible_stamp=Time() if job.visible is None else job.visible.header.stamp,
        thermal_stamp=Time() if job.thermal is None else job.thermal.header.stamp,
        offset=job.offset_s,
        time_offset=job.time_offset_s,
        time_offset_estimated=job.estimated,
        preprocess_ms=timings_ms.get('preprocess', 0.0),
        inference_ms=timings_ms.get('inference', 0.0),
        postprocess_ms=timings_ms.get('postprocess', 0.0),
        visible_queued=job.queued['visible'],
        thermal_queued=job.queued['thermal'],
        visible_received=counters.received['visible'],
        thermal_received=counters.received['thermal'],
        pairs=counters.pairs,
        processed=counters.processed,
        match_rate=counters.match_rate,
        drop_reasons=reasons,
        drop_counts=[counters.drops[reason] for reason in reasons],
        mode=_MODES[results.mode],
    )
