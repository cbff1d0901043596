"""Cameras without usable stamps, and a calibration file, through the real node."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('mafs_ros.msg')

from builtin_interfaces.msg import Time
from mafs_model.calibration.calibration import Calibration, Latency

pytestmark = pytest.mark.ros


def test_cameras_without_stamps_pair_by_arrival(make_rig: Callable[..., Any]) -> None:
    rig = make_rig(
        weights='classical',
        sync__slop=0.5,
        rgb__stamp_source='receive',
        thermal__stamp_source='receive',
    )
    rig.listen_to_images('fused/image')
    rig.start()
    status = rig.wait(
        lambda: rig.last('/mafs_fusion/status'),
        'status of a pair',
        meanwhile=lambda: rig.send_pair(stamp=Time(sec=0, nanosec=1)),
    )
    now_s = rig.tester.get_clock().now().nanoseconds / 1e9
    assert abs(status.visible_stamp.sec - now_s) < 60
    assert status.header.stamp == status.visible_stamp
    assert 0.0 <= status.latency_ms < 60_000
    assert rig.drops('stamp_zero') == 0
    rig.close()


def test_calibration_registers_and_times(
    make_rig: Callable[..., Any], image: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / 'rig.yaml'
    # Thermal pixels lie 16 px to the right of the visible ones, and 0.2 s late.
    calibration = Calibration(
        thermal_size=(96, 128),
        visible_size=(96, 128),
        homography=np.array([[1.0, 0.0, 16.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
        latency=Latency(-0.2, 0.005),
    )
    calibration.save(path)
    rig = make_rig(
        weights='classical',
        calibration_file=str(path),
        thermal__scaling='range',
        thermal__range_low=0.0,
        thermal__range_high=65535.0,
    )
    rig.listen_to_images('fused/image')
    rig.start()
    warm = np.full((96, 128), 20000, np.uint16)
    warm[40:60, 30:50] = 60000
    visible = image(np.full((96, 128, 3), 60, np.uint8), 'bgr8')
    thermal = image(warm, 'mono16')

    def send() -> None:
        stamp_ns = rig.tester.get_clock().now().nanoseconds
        for topic, message, late_ns in (
            ('rgb/image_raw', visible, 0),
            ('thermal/image_raw', thermal, 200_000_000),
        ):
            seconds, nanoseconds = divmod(stamp_ns + late_ns, 1_000_000_000)
            message.header.stamp = Time(sec=seconds, nanosec=nanoseconds)
            rig.send(topic, message)

    fused = rig.wait(lambda: rig.last('/mafs_fusion/fused/image'), 'fused image', meanwhile=send)
    status = rig.wait(lambda: rig.last('/mafs_fusion/status'), 'status', meanwhile=send)
    assert status.time_offset == pytest.approx(-0.2)
    assert not status.time_offset_estimated
    assert abs(status.offset) < 1e-3
    picture = np.frombuffer(fused.data, np.uint8).reshape(96, 128, 3).mean(axis=2)
    columns = np.flatnonzero(picture[45:55].mean(axis=0) > picture.min() + 40)
    assert abs(int(columns[0]) - 46) <= 2
    assert abs(int(columns[-1]) - 65) <= 2
    rig.close()


def test_calibration_that_cannot_be_read_is_refused_in_one_line(
    make_rig: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / 'rig.yaml'
    path.write_text('nonsense: 1', encoding='utf-8')
    rig = make_rig(weights='classical', calibration_file=str(path))
    rig.listen_to_images()
    assert not rig.transition('configure')
    line = rig.wait(
        lambda: next((t for t in rig.log() if 'configure failed' in t), ''), 'the reason'
    )
    assert 'calibration_file' in line
    assert str(path) in line
    assert 'Traceback' not in line
    rig.close()
