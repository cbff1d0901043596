"""Points without DDS: hostile calibrations and depth images, and results that lack something."""

from __future__ import annotations

import array
from collections.abc import Callable
from typing import Any

from mafs_model.errors import ImageError
from mafs_model.images.depth import check_depth, depth_in_metres
from mafs_model.prediction import Prediction
import numpy as np
import pytest

pytest.importorskip('rclpy')

from builtin_interfaces.msg import Time
from mafs_ros.conversions import buffer_of, scale_camera_info
from mafs_ros.point_outputs import Origin, pinhole_of, PointOutputs
from mafs_ros.reporting import Reporter
from mafs_ros.statistics import Statistics
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

pytestmark = pytest.mark.ros
HOSTILE = (0.0, -0.0, 1.0, -1.0, 300.0, 1e6, 1e7, 1e300, -1e300, 5e-324, np.inf, -np.inf, np.nan)
GOOD_K = (9.0, 0.0, 8.0, 0.0, 9.0, 6.0, 0.0, 0.0, 1.0)
GOOD_P = (9.0, 0.0, 8.0, 0.0, 0.0, 9.0, 6.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SIZES = (0, 1, 2, 8, 12, 16, 4095, 16384, 2**31, 2**32 - 1)


def test_no_calibration_does_anything_but_work_or_be_refused() -> None:
    random = np.random.default_rng(1)
    worked = 0
    for _ in range(3000):
        k, p = np.array(GOOD_K), np.array(GOOD_P) * random.integers(0, 2)
        for matrix in (k, p):
            if random.integers(0, 2):
                matrix[random.integers(0, matrix.size)] = random.choice(HOSTILE)
        height, width = (int(side) for side in random.choice(SIZES, 2))
        info = CameraInfo(height=height, width=width, k=k, p=p)
        info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = (
            int(side) for side in random.choice(SIZES, 4)
        )
        try:
            pinhole = pinhole_of(info, (12, 16))
        except ImageError as error:
            assert error.reason == 'camera_info'  # noqa: PT017 - most are refused, not all
        else:
            worked += 1
            assert np.isfinite(pinhole).all()
            assert min(pinhole.fx, pinhole.fy) >= 1.0
    assert 50 < worked < 2900


def test_region_of_interest_of_a_hostile_calibration_stays_in_the_message() -> None:
    info = CameraInfo(height=2, width=2)
    info.roi.x_offset = info.roi.y_offset = 2**32 - 1
    scaled = scale_camera_info(info, (480, 640), Header())
    assert (scaled.roi.x_offset, scaled.roi.y_offset) == (640, 480)


@pytest.mark.filterwarnings('error')
def test_no_depth_image_does_anything_but_work_or_be_refused() -> None:
    random = np.random.default_rng(2)
    worked = 0
    for _ in range(5000):
        height, width = (int(side) for side in random.choice((6, 12, 16, 24, 32), 2))
        encoding = str(random.choice(('16UC1', '32FC1')))
        step = width * (2 if encoding == '16UC1' else 4) + int(random.choice((0, 0, 3)))
        length = step * height
        if random.integers(0, 2):
            height, width = (int(side) for side in random.choice((0, 1, height, 2**32 - 1), 2))
        elif random.integers(0, 2):
            encoding = str(random.choice(('64FC1', 'rgb8', '', '16UC1 ', '32FC4')))
        elif random.integers(0, 2):
            step = int(random.choice((0, step - 1, 2**32 - 1)))
        message = Image(
            height=height,
            width=width,
            encoding=encoding,
            is_bigendian=int(random.integers(0, 256)),
            step=step,
            data=array.array('B', random.bytes(length - int(random.choice((0, 0, 0, 1))))),
        )
        of = tuple(int(side) for side in random.choice((12, 16), 2))
        try:
            check_depth(buffer_of(message))
            depth = depth_in_metres(buffer_of(message), (of[0], of[1]), (12, 16))
        except ImageError:
            continue
        worked += 1
        assert depth.shape == (12, 16)
        seen = depth[~np.isnan(depth)]
        assert (seen > 0).all()
        assert np.isfinite(seen).all()
    assert 50 < worked < 2900


class _Publishers:
    """Somebody listens; what is published is kept."""

    usable = True

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def create(self, topic: str, kind: Any) -> None:
        """Do nothing."""

    def is_read(self, topic: str) -> bool:
        return True

    def publish(self, topic: str, message: Any) -> None:
        self.sent.append(message)


def test_results_of_before_somebody_listened_are_left_out(make_node: Callable[..., Any]) -> None:
    node, publishers, lines = make_node(), _Publishers(), []
    settings = node._handler.settings
    reporter = Reporter(lines.append, Statistics())
    points = PointOutputs(node, publishers, settings, reporter)  # type: ignore[arg-type]
    points.tick()
    layer = np.zeros((12, 16), np.uint8)
    info = CameraInfo(height=12, width=16, k=GOOD_K)
    whole = Prediction(fused=np.zeros((12, 16, 3), np.uint8), labels=layer, confidence=layer)
    for number, results in enumerate(
        (Prediction(), Prediction(labels=layer), Prediction(labels=layer, confidence=layer), whole)
    ):
        stamp = Time(sec=100 + number)
        depth = Image(height=12, width=16, encoding='16UC1', step=32)
        depth.header.stamp = stamp
        depth.data = array.array('B', np.full((12, 16), 900, np.uint16).tobytes())
        points.submit(results, Origin(stamp, 'rgb'), stamp.sec * 10**9, info)
        points._on_depth(depth)
    worker = points._worker
    assert worker is not None
    for _ in range(500):
        if publishers.sent:
            break
        worker._thread.join(0.01)
    assert points.stop(5.0)
    assert [message.header.stamp.sec for message in publishers.sent] == [103]
    assert lines == []
