"""Labelled points over DDS: those of depth and labels, made only while somebody listens."""

from __future__ import annotations

import array
from collections.abc import Callable
import math
from pathlib import Path
import threading
from typing import Any

from mafs_model.prediction import Outputs, Prediction
from mafs_model.topics import absolute, DEPTH_INPUT, IMAGE_TOPICS, POINTS_TOPIC
import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('mafs_ros.msg')

from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField

pytestmark = pytest.mark.ros

HEIGHT, WIDTH = 96, 128
DEPTH_TOPIC, POINTS = absolute(DEPTH_INPUT), absolute(POINTS_TOPIC)
LABELS = np.random.default_rng(2).integers(0, 9, (HEIGHT, WIDTH), np.uint8)
CONFIDENCE = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH), np.uint8)
COUNTS = np.random.default_rng(4).integers(29_000, 31_500, (HEIGHT, WIDTH), np.uint16)
DEPTH = np.random.default_rng(5).integers(300, 9000, (HEIGHT, WIDTH), np.uint16)
DEPTH[:4] = 0
FX, FY, CX, CY = 110.0, 112.0, 60.5, 50.25
DTYPE = np.dtype(
    [
        ('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('rgb', '<u4'), ('label', '<u4'),
        ('confidence', '<f4'), ('temperature', '<f4'),
    ]
)  # fmt: skip


def calibration(**fields: Any) -> CameraInfo:
    values = {
        'height': HEIGHT,
        'width': WIDTH,
        'k': [1.0, 0.0, 2.0, 0.0, 3.0, 4.0, 0.0, 0.0, 1.0],  # of the image before rectification
        'p': [FX, 0.0, CX, 0.0, 0.0, FY, CY, 0.0, 0.0, 0.0, 1.0, 0.0],
    }
    return CameraInfo(**(values | fields))


def points_threads() -> int:
    return sum(thread.name == 'fusion_points' for thread in threading.enumerate())


class PointRig:
    """A rig with a depth camera, whose engine answers with the labels above."""

    def __init__(self, rig: Any, image: Callable[..., Any]) -> None:
        self.rig, self._image = rig, image
        self.wanted: list[Outputs] = []
        self.depth: dict[str, Any] = {'data': DEPTH, 'encoding': '16UC1'}
        self.info = calibration()
        rig.listen_to_images('fused/image', 'semantic/labels')
        assert rig.transition('configure')
        rig.node._inference.predictor.engine.infer = self._infer
        assert rig.transition('activate')
        self._depth = rig.tester.create_publisher(Image, DEPTH_TOPIC, 5)

    def _infer(self, visible: Any, thermal: Any, outputs: Outputs) -> Prediction:
        self.wanted.append(outputs)
        return Prediction(
            fused=visible if outputs.fused else None,
            labels=LABELS.copy() if outputs.labels else None,
            confidence=CONFIDENCE.copy() if outputs.confidence else None,
        )

    def send(self, offset_ns: int = 0) -> Any:
        """Send a pair, its depth image and the calibration."""
        from rclpy.time import Time

        stamp = self.rig.send_pair(thermal=self._image(COUNTS, 'mono16'))
        self.info.header.stamp = stamp
        self.rig.send('rgb/camera_info', self.info)
        given = dict(self.depth)
        depth = self._image(given.pop('data'), given.pop('encoding'), **given)
        depth.header.stamp = Time(
            nanoseconds=Time.from_msg(stamp).nanoseconds + offset_ns
        ).to_msg()
        self._depth.publish(depth)
        return stamp

    def cloud(self) -> Any:
        """Return a cloud that comes from now on."""
        before = len(self.rig.messages[POINTS])
        self.rig.wait(
            lambda: len(self.rig.messages[POINTS]) > before,
            'cloud',
            meanwhile=self.send,
            every_s=0.2,
        )
        return self.rig.last(POINTS)

    @property
    def is_subscribed(self) -> bool:
        return self._depth.get_subscription_count() > 0


@pytest.fixture
def points(make_rig: Callable[..., Any], image: Callable[..., Any]) -> Any:
    point_rig = PointRig(make_rig(weights='classical'), image)
    yield point_rig
    point_rig.rig.close()


def check(cloud: PointCloud2, fused: np.ndarray, depth_m: np.ndarray) -> None:
    """Compare a cloud with what it is made of, written anew and in double precision."""
    assert (cloud.height, cloud.width) == (HEIGHT, WIDTH)
    assert (cloud.point_step, cloud.row_step) == (28, 28 * WIDTH)
    assert not cloud.is_dense
    assert not cloud.is_bigendian
    assert [(f.name, f.offset, f.datatype, f.count) for f in cloud.fields] == [
        ('x', 0, PointField.FLOAT32, 1),
        ('y', 4, PointField.FLOAT32, 1),
        ('z', 8, PointField.FLOAT32, 1),
        ('rgb', 12, PointField.FLOAT32, 1),
        ('label', 16, PointField.UINT32, 1),
        ('confidence', 20, PointField.FLOAT32, 1),
        ('temperature', 24, PointField.FLOAT32, 1),
    ]
    read = np.frombuffer(cloud.data, DTYPE).reshape(HEIGHT, WIDTH)
    v, u = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    z = np.where(depth_m > 0, depth_m, np.nan)
    rays = np.linalg.inv([[FX, 0, CX], [0, FY, CY], [0, 0, 1]]) @ np.stack(
        [u.ravel(), v.ravel(), np.ones(u.size)]
    )
    expected = (rays * z.ravel()).reshape(3, HEIGHT, WIDTH)
    for axis, name in enumerate('xyz'):
        np.testing.assert_allclose(read[name], expected[axis], rtol=1e-5, atol=1e-6)
    assert np.isnan(read['z'][:4]).all()
    red, green, blue = (fused[..., channel].astype(np.uint32) for channel in range(3))
    np.testing.assert_array_equal(read['rgb'], red * 65536 + green * 256 + blue)
    np.testing.assert_array_equal(read['label'], LABELS)
    np.testing.assert_allclose(read['confidence'], CONFIDENCE / 255.0, atol=1e-6)
    np.testing.assert_allclose(read['temperature'], COUNTS * 0.01 - 273.15, atol=1e-3)


def fused_of(rig: Any, stamp: Any) -> np.ndarray:
    message = rig.wait(
        lambda: rig.at(absolute(IMAGE_TOPICS['fused']), stamp), 'fused image of the cloud'
    )
    return np.frombuffer(message.data, np.uint8).reshape(HEIGHT, WIDTH, 3)


def test_points_of_depth_and_labels_while_somebody_listens(points: PointRig) -> None:
    rig = points.rig
    for _ in range(3):
        points.send()
    rig.good_pair()
    assert not points.is_subscribed, 'nobody listens: no subscription'
    assert points_threads() == 0
    assert not any((o.labels and o.confidence) or o.temperature for o in points.wanted)

    rig.listen(POINTS, PointCloud2, 5)
    cloud = points.cloud()
    assert points_threads() == 1
    assert cloud.header.frame_id == 'rgb_optical'
    labels = rig.wait(
        lambda: rig.at(absolute(IMAGE_TOPICS['labels']), cloud.header.stamp),
        'labels with the stamp of the cloud, as Nav2 pairs them',
    )
    assert (labels.height, labels.width, labels.encoding) == (HEIGHT, WIDTH, 'mono8')
    check(cloud, fused_of(rig, cloud.header.stamp), DEPTH / 1000.0)

    points.depth = {'data': (DEPTH / 1000.0).astype(np.float32), 'encoding': '32FC1'}
    cloud = points.cloud()
    check(cloud, fused_of(rig, cloud.header.stamp), DEPTH / 1000.0)
    half = np.ascontiguousarray(DEPTH[::2, ::2])
    points.depth = {'data': half, 'encoding': '16UC1'}
    rig.wait(
        lambda: np.array_equal(
            np.nan_to_num(np.frombuffer(points.cloud().data, DTYPE)['z']).reshape(HEIGHT, WIDTH),
            (np.repeat(np.repeat(half, 2, 0), 2, 1) * np.float32(0.001)).astype(np.float32),
        ),
        'points of a depth image of half the size',
    )

    rig.ignore(POINTS)
    rig.wait(lambda: not points.is_subscribed, 'end of the subscription to depth')
    rig.wait(lambda: points_threads() == 0, 'end of the thread')
    points.wanted.clear()
    rig.good_pair()
    assert not any(outputs.temperature for outputs in points.wanted)

    rig.listen(POINTS, PointCloud2, 5)  # a second time
    points.cloud()
    assert rig.transition('deactivate')
    assert points_threads() == 0
    assert not points.is_subscribed


def test_reference_thermal_gives_the_stamp_of_the_labels_in_the_visible_frame(
    make_rig: Callable[..., Any], image: Callable[..., Any]
) -> None:
    points = PointRig(make_rig(weights='classical', reference='thermal'), image)
    points.rig.listen(POINTS, PointCloud2, 5)
    cloud = points.cloud()
    labels = points.rig.wait(
        lambda: points.rig.at(absolute(IMAGE_TOPICS['labels']), cloud.header.stamp), 'labels'
    )
    assert labels.header.frame_id == 'thermal_optical'
    assert cloud.header.frame_id == 'rgb_optical'
    points.rig.close()


BAD_DEPTH = [
    ('encoding', {'encoding': 'mono8', 'step': WIDTH}, "'mono8', expected 16UC1"),
    ('encoding', {'encoding': '64FC1'}, "'64FC1', expected 16UC1"),
    ('step', {'step': 2 * WIDTH - 1}, 'expected at least 256'),
    ('data', {'height': 97}, 'expected 24832'),
    ('size', {'height': 2**32 - 1, 'width': 2**32 - 1}, '4294967295'),
    ('size', {'data': np.ascontiguousarray(DEPTH[:, :96])}, 'the same proportions'),
    ('empty', {'data': np.zeros_like(DEPTH)}, 'no distance above 0'),
    (
        'empty',
        {'data': np.full((HEIGHT, WIDTH), math.inf, np.float32), 'encoding': '32FC1'},
        'no distance above 0',
    ),
]


def test_bad_depth_images_are_counted_and_said_and_the_next_cloud_comes(points: PointRig) -> None:
    rig = points.rig
    rig.listen(POINTS, PointCloud2, 5)
    points.cloud()
    good = points.depth
    for name, fields, words in BAD_DEPTH:
        reason = f'depth_{name}'
        before, lines = rig.drops(reason), len(rig.log())
        points.depth = good | fields

        def is_said(reason: str = reason, words: str = words, lines: int = lines) -> bool:
            start = f'[{reason}] {DEPTH_TOPIC}: '
            return any(t.startswith(start) and words in t for t in rig.log()[lines:])

        def send() -> None:
            rig.node._reporter.reset()  # the throttle would hide a second line of one reason
            points.send()

        rig.wait(is_said, f'line of {reason} with {words}', meanwhile=send, every_s=0.2)
        assert rig.drops(reason) > before
        points.depth = good
        points.cloud()
    assert not any('Traceback' in t for t in rig.log())
    assert rig.drops('internal') == 0


def test_unusable_calibrations_and_late_depth_are_said(points: PointRig) -> None:
    rig = points.rig
    rig.listen(POINTS, PointCloud2, 5)
    points.cloud()
    for info, words in (
        (calibration(p=[0.0] * 12, k=[0.0] * 9), 'focal lengths 0, 0'),
        (calibration(p=[math.nan] * 12), 'focal lengths nan, nan'),
        (calibration(p=[1e300] * 12), 'focal lengths 1e+300'),
        (calibration(height=0), 'camera_info is for 128x0'),
    ):
        lines, points.info = len(rig.log()), info

        def send() -> None:
            rig.node._reporter.reset()
            points.send()

        rig.wait(
            lambda n=lines, w=words: any(w in t for t in rig.log()[n:]),
            words,
            meanwhile=send,
            every_s=0.2,
        )
    points.info = calibration(p=[0.0] * 12, k=[FX, 0.0, CX, 0.0, FY, CY, 0.0, 0.0, 1.0])
    fill = np.frombuffer(points.cloud().data, DTYPE)['x'].reshape(HEIGHT, WIDTH)
    assert fill[50, 0] == pytest.approx(-CX / FX * DEPTH[50, 0] / 1000, rel=1e-5)

    lines = len(rig.log())
    rig.wait(
        lambda: any('no depth image of' in t for t in rig.log()[lines:]),
        'line about depth that is too late',
        meanwhile=lambda: points.send(offset_ns=-5_000_000_000),
        every_s=0.1,
    )
    line = next(t for t in rig.log()[lines:] if 'no depth image of' in t)
    assert f'{DEPTH_TOPIC} (1 publishers) is within 30 ms (points.slop)' in line
    assert rig.drops('no_depth') >= 10
    assert rig.set_parameter('points.slop', 0.08).successful
    before = len(rig.messages[POINTS])
    rig.wait(
        lambda: len(rig.messages[POINTS]) > before,
        'cloud of a depth image within a larger slop',
        meanwhile=lambda: points.send(offset_ns=-50_000_000),
        every_s=0.2,
    )


def test_points_in_a_bag_are_those_of_the_topic(points: PointRig, tmp_path: Path) -> None:
    from builtin_interfaces.msg import Time
    from mafs_ros.tap import open_bag
    from rclpy.qos import qos_profile_sensor_data
    from rosbags.highlevel import AnyReader

    rig = points.rig
    rig.listen(POINTS, PointCloud2, 5)
    taken: list[bytes] = []
    rig.tester.create_subscription(
        PointCloud2, POINTS, taken.append, qos_profile_sensor_data, raw=True
    )
    cloud = points.cloud()
    rig.wait(lambda: taken, 'serialised cloud', meanwhile=points.send, every_s=0.2)
    written = tuple(taken)
    with open_bag(tmp_path / 'bag') as bag:
        for number, data in enumerate(written):
            bag.write(POINTS, 'sensor_msgs/msg/PointCloud2', number, data)
    with AnyReader([tmp_path / 'bag']) as reader:
        read = [reader.deserialize(raw, c.msgtype) for c, _, raw in reader.messages()]
    assert len(read) == len(written)
    message = read[0]
    same = PointCloud2(
        height=message.height,
        width=message.width,
        point_step=message.point_step,
        row_step=message.row_step,
        is_dense=message.is_dense,
        is_bigendian=message.is_bigendian,
        fields=[
            PointField(name=f.name, offset=f.offset, datatype=f.datatype, count=f.count)
            for f in message.fields
        ],
        data=array.array('B', message.data.tobytes()),
    )
    stamp = Time(sec=message.header.stamp.sec, nanosec=message.header.stamp.nanosec)
    check(same, fused_of(rig, stamp), DEPTH / 1000.0)
    assert message.header.frame_id == cloud.header.frame_id
