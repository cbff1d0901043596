"""The publishers over a fake node: what is created, wanted, published and destroyed."""

from __future__ import annotations

import time
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('mafs_ros.msg')

from builtin_interfaces.msg import Time
from mafs_model.classes import ClassTable
from mafs_model.images.overlay import OverlayStyle
from mafs_model.prediction import Prediction
from mafs_model.topics import (
    CLASSES_TOPIC,
    COMPRESSED_TOPICS,
    IMAGE_TOPICS,
    OBJECTS_TOPIC,
    POINTS_TOPIC,
    STATUS_TOPIC,
)
from mafs_ros.compressed_outputs import encode
from mafs_ros.parameters import Settings, SettingsBox
from mafs_ros.publishers import OutputPublishers
from mafs_ros.reporting import Reporter
from mafs_ros.statistics import Statistics
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header


class FakePublisher:
    """Keeps what is published."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.readers = 0
        self.sent: list[Any] = []

    def get_subscription_count(self) -> int:
        return self.readers

    def publish(self, message: Any) -> None:
        self.sent.append(message)


class FakeNode:
    """A node that refuses one topic, if it is to."""

    def __init__(self, refused: str = '') -> None:
        self.publishers: dict[str, FakePublisher] = {}
        self._refused = refused

    def create_lifecycle_publisher(self, kind: Any, topic: str, qos: Any, **unused: Any) -> Any:
        if topic == self._refused:
            raise RuntimeError(f'no {topic}')
        self.publishers[topic] = FakePublisher(topic)
        return self.publishers[topic]

    def destroy_lifecycle_publisher(self, publisher: FakePublisher) -> None:
        del self.publishers[publisher.topic]


def make(node: FakeNode) -> tuple[OutputPublishers, Statistics]:
    statistics = Statistics()
    reporter = Reporter(lambda text: None, statistics)
    settings = SettingsBox(Settings.from_values({}))
    return OutputPublishers(node, settings, reporter), statistics  # type: ignore[arg-type]


def test_all_are_created_and_destroyed() -> None:
    node = FakeNode()
    outputs, _ = make(node)
    assert {*IMAGE_TOPICS.values(), STATUS_TOPIC, CLASSES_TOPIC} <= set(node.publishers)
    outputs.destroy()
    assert node.publishers == {}


@pytest.mark.parametrize(
    'topic', [*COMPRESSED_TOPICS.values(), OBJECTS_TOPIC, POINTS_TOPIC, STATUS_TOPIC]
)
def test_failure_in_between_leaves_none_behind(topic: str) -> None:
    node = FakeNode(refused=topic)
    with pytest.raises(RuntimeError, match=topic):
        make(node)
    assert node.publishers == {}


def test_a_worker_that_was_stuck_publishes_nothing_any_more() -> None:
    node = FakeNode()
    outputs, _ = make(node)
    publishers = dict(node.publishers)
    for publisher in publishers.values():
        publisher.readers = 1
    outputs.destroy()
    assert not outputs.wanted(OverlayStyle()).any
    outputs.publish_images(Prediction(labels=np.zeros((8, 8), np.uint8)), Header())
    outputs.publish_detections((), Header())
    outputs.publish_camera_info(CameraInfo(height=8, width=8), (8, 8), Header())
    assert outputs.stop(5.0)
    assert not any(publisher.sent for publisher in publishers.values())


def test_only_what_has_a_reader_is_wanted() -> None:
    node = FakeNode()
    outputs, _ = make(node)
    style = OverlayStyle(0.3)
    assert not outputs.wanted(style).any
    node.publishers[IMAGE_TOPICS['labels']].readers = 1
    node.publishers[IMAGE_TOPICS['overlay']].readers = 2
    wanted = outputs.wanted(style)
    assert (wanted.fused, wanted.labels, wanted.confidence) == (False, True, False)
    assert wanted.overlay == style


def test_images_go_out_with_their_header_and_are_timed() -> None:
    node = FakeNode()
    outputs, statistics = make(node)
    fused = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    labels = np.full((4, 6), 3, np.uint8)
    header = Header(stamp=Time(sec=5), frame_id='rgb')
    for topic in IMAGE_TOPICS.values():
        node.publishers[topic].readers = 1
    outputs.publish_images(Prediction(fused=fused, labels=labels), header)
    message = node.publishers[IMAGE_TOPICS['fused']].sent[0]
    assert (message.height, message.width, message.encoding) == (4, 6, 'rgb8')
    assert bytes(message.data) == fused.tobytes()
    assert message.header == header
    assert node.publishers[IMAGE_TOPICS['labels']].sent[0].encoding == 'mono8'
    assert node.publishers[IMAGE_TOPICS['overlay']].sent == []
    times = statistics.snapshot().publish_median_ms
    assert set(times) == {IMAGE_TOPICS['fused'], IMAGE_TOPICS['labels']}


def test_compressed_reader_alone_gets_no_raw_image_sent() -> None:
    node = FakeNode()
    outputs, _ = make(node)
    compressed = node.publishers[COMPRESSED_TOPICS['labels']]
    compressed.readers = 1
    assert outputs.wanted(OverlayStyle()).labels
    labels = np.arange(96, dtype=np.uint8).reshape(8, 12)
    outputs.publish_images(Prediction(labels=labels), Header(frame_id='rgb'))
    deadline = time.monotonic() + 60.0
    while not compressed.sent and time.monotonic() < deadline:
        time.sleep(0.01)
    assert outputs.stop(5.0)
    message = compressed.sent[0]
    assert message.header.frame_id == 'rgb'
    decoded = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(decoded, labels), 'class ids survive'
    assert node.publishers[IMAGE_TOPICS['labels']].sent == []


@pytest.mark.parametrize(('quality', 'least_db'), [(95, 38.0), (40, 28.0)])
def test_jpeg_looks_like_the_image_and_quality_counts(quality: int, least_db: float) -> None:
    y, x = np.mgrid[0:120, 0:160]
    image = np.stack([x, y, 255 - x], axis=2).astype(np.uint8)
    message = encode(image, Header(frame_id='rgb'), lossless=False, quality=quality)
    assert message.format == 'rgb8; jpeg compressed bgr8', 'as image_transport says it'
    bgr = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
    assert cv2.PSNR(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), image) > least_db
    finer = encode(image, Header(), lossless=False, quality=100)
    assert len(message.data) < len(finer.data) < image.nbytes


def test_calibration_is_scaled_only_for_a_reader() -> None:
    node = FakeNode()
    outputs, _ = make(node)
    info = CameraInfo(height=480, width=640)
    info.k[0] = 500.0
    header = Header(frame_id='rgb')
    outputs.publish_camera_info(info, (240, 320), header)
    publisher = node.publishers['~/fused/camera_info']
    assert publisher.sent == []
    publisher.readers = 1
    outputs.publish_camera_info(info, (240, 320), header)
    assert publisher.sent[0].k[0] == pytest.approx(250.0)


def test_classes_are_sent_whole() -> None:
    node = FakeNode()
    outputs, _ = make(node)
    table = ClassTable.load('mfnet')
    outputs.publish_classes(table, Time(sec=1))
    message = node.publishers[CLASSES_TOPIC].sent[0]
    assert [c.name for c in message.classes] == [c.name for c in table.classes]
    red = table.classes[1].color[0] / 255
    assert message.classes[1].color.r == pytest.approx(red, abs=1e-6)
