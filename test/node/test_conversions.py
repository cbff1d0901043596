"""Messages to arrays and back, against values written by hand and by OpenCV."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy')
sensor_msgs = pytest.importorskip('sensor_msgs.msg')

import cv2  # noqa: E402
from mafs_model.errors import ImageError  # noqa: E402
from mafs_model.images.thermal_decoder import ThermalDecoder  # noqa: E402
from mafs_ros import conversions  # noqa: E402
from mafs_ros.conversions import (  # noqa: E402
    check_image,
    Frame,
    OutgoingImage,
    scale_camera_info,
    stamp_to_ns,
    thermal_array,
    visible_array,
)
from std_msgs.msg import Header  # noqa: E402

pytestmark = pytest.mark.ros


def image(
    data: np.ndarray, encoding: str, step: int | None = None, bigendian: bool = False
) -> Any:
    row_bytes = data[0].nbytes
    step = step or row_bytes
    rows = np.zeros((data.shape[0], step), np.uint8)
    rows[:, :row_bytes] = np.ascontiguousarray(data).view(np.uint8).reshape(data.shape[0], -1)
    return sensor_msgs.Image(
        height=data.shape[0],
        width=data.shape[1],
        encoding=encoding,
        step=step,
        is_bigendian=int(bigendian),
        data=array.array('B', rows.tobytes()),
    )


def frame(message: Any) -> Frame:
    return Frame(message.header, 1, 0.0, message)


def compressed(data: np.ndarray, extension: str, label: str) -> Any:
    done, stream = cv2.imencode(extension, data)
    assert done
    return sensor_msgs.CompressedImage(format=label, data=array.array('B', stream.tobytes()))


RGB = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 7


def test_stamp_to_ns() -> None:
    assert stamp_to_ns(Header().stamp) == 0
    header = Header()
    header.stamp.sec, header.stamp.nanosec = 1700000000, 999_999_999
    assert stamp_to_ns(header.stamp) == 1_700_000_000_999_999_999


def test_padded_bgr_becomes_rgb() -> None:
    message = image(RGB[..., ::-1], 'bgr8', step=13)
    assert check_image(message, 'visible', '').size == (2, 3)
    np.testing.assert_array_equal(visible_array(frame(message)), RGB)


def test_big_endian_thermal_keeps_its_counts() -> None:
    counts = np.array([[1, 256, 65535], [30000, 2, 3]], np.uint16)
    message = image(counts.astype('>u2'), 'mono16', step=8, bigendian=True)
    thermal = thermal_array(frame(message), ThermalDecoder())
    assert thermal.dtype == np.uint16
    np.testing.assert_array_equal(thermal, counts)


def test_compressed_images() -> None:
    counts = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    png = compressed(counts, '.png', '16UC1; png compressed ')
    info = check_image(png, 'thermal', '')
    assert (info.size, info.colour) == ((8, 8), False)
    np.testing.assert_array_equal(thermal_array(frame(png), ThermalDecoder()), counts)
    flat = np.full((16, 16, 3), (10, 120, 240), np.uint8)
    jpeg = compressed(flat[..., ::-1], '.jpg', 'rgb8; jpeg compressed bgr8')
    assert check_image(jpeg, 'visible', '').colour
    np.testing.assert_allclose(visible_array(frame(jpeg)), flat, atol=3)


@pytest.mark.parametrize(
    ('encoding', 'other', 'reason'),
    [('mono16', 'bgr8', 'swapped'), ('16UC1', 'rgb8', 'swapped'), ('16UC1', 'mono16', 'encoding')],
)
def test_thermal_encoding_on_the_visible_topic(encoding: str, other: str, reason: str) -> None:
    message = image(np.zeros((4, 4), np.uint16), encoding)
    with pytest.raises(ImageError, match=f"'{encoding}'") as caught:
        check_image(message, 'visible', other)
    assert caught.value.reason == reason


def test_larger_images_than_allowed_are_refused_before_they_are_decoded() -> None:
    raw = image(np.zeros((40, 50), np.uint16), 'mono16')
    png = compressed(np.zeros((40, 50), np.uint16), '.png', '16UC1; png compressed ')
    for message in (raw, png):
        assert check_image(message, 'thermal', '', 2000).size == (40, 50)
        with pytest.raises(ImageError, match=r'50x40, expected at most 1999 pixels \(input\.max'):
            check_image(message, 'thermal', '', 1999)


def test_16_bit_grey_is_a_visible_image_unless_the_other_one_is_colour() -> None:
    message = image(np.full((4, 4), 4095, np.uint16), 'mono16')
    assert not check_image(message, 'visible', 'mono16').colour
    assert (visible_array(frame(message)) == 255).all()


@pytest.mark.parametrize('encoding', ['yuv422', 'yuv422_yuy2', 'bayer_rggb8'])
def test_cv_bridge_and_opencv_agree(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip('cv_bridge')
    values = np.random.default_rng(0).integers(0, 256, (16, 32), np.uint8)
    data = values if encoding.startswith('bayer') else values.reshape(16, 16, 2)
    message = image(data, encoding)
    ours = conversions.encodings.to_visible(conversions.buffer_of(message))
    monkeypatch.setattr(conversions, '_bridge', conversions._UNKNOWN)
    theirs = visible_array(frame(message))
    np.testing.assert_allclose(theirs, ours, atol=1)


class FakeBridge:
    """Stands for cv_bridge.CvBridge; notes what it was asked for."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def imgmsg_to_cv2(self, message: Any, encoding: str) -> np.ndarray:
        self.calls.append(f'{message.encoding}->{encoding}')
        return np.full((message.height, message.width, 3), 9, np.uint8)


def test_cv_bridge_does_only_what_it_does_right(monkeypatch: pytest.MonkeyPatch) -> None:
    bridge = FakeBridge()
    monkeypatch.setattr(conversions, '_bridge', bridge)
    mosaic = np.zeros((4, 8), np.uint8)
    assert visible_array(frame(image(mosaic, 'bayer_rggb8'))).max() == 9
    assert visible_array(frame(image(mosaic.reshape(4, 4, 2), 'yuv422'))).max() == 9
    visible_array(frame(image(mosaic, 'bayer_rggb8', step=9)))  # padded rows
    visible_array(frame(image(mosaic.astype(np.uint16), 'bayer_rggb16')))
    visible_array(frame(image(np.zeros((4, 6, 3), np.uint8), 'bgr8')))
    assert bridge.calls == ['bayer_rggb8->rgb8', 'yuv422->rgb8']


@pytest.mark.parametrize('bridge', [None, FakeBridge()])
@pytest.mark.parametrize('encoding', ['nv12', 'nv21'])
def test_planes_are_ours_with_and_without_cv_bridge(
    encoding: str, bridge: FakeBridge | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversions, '_bridge', bridge)
    message = image(np.full((6, 4), 126, np.uint8), encoding)
    message.height = 4
    info = check_image(message, 'visible', '')
    assert (info.size, info.colour) == ((4, 4), True)
    np.testing.assert_allclose(visible_array(frame(message)), 128, atol=5)
    assert bridge is None or not bridge.calls


class TestOutgoingImage:
    """Messages whose buffer is used again."""

    def test_content_and_layout(self) -> None:
        header = Header(frame_id='cam')
        message = OutgoingImage().fill(RGB, header)
        assert (message.height, message.width, message.step) == (2, 3, 9)
        assert message.encoding == 'rgb8'
        assert message.header.frame_id == 'cam'
        assert bytes(message.data) == RGB.tobytes()

    def test_buffer_is_reused_for_the_same_size(self) -> None:
        outgoing = OutgoingImage()
        first = outgoing.fill(RGB, Header()).data
        second = outgoing.fill(RGB + 1, Header()).data
        assert first.buffer_info() == second.buffer_info()
        assert bytes(second) == (RGB + 1).tobytes()

    def test_size_and_kind_may_change(self) -> None:
        outgoing = OutgoingImage()
        outgoing.fill(RGB, Header())
        labels = np.array([[1, 2, 3, 4]], np.uint8)
        message = outgoing.fill(labels, Header())
        assert (message.height, message.width, message.step) == (1, 4, 4)
        assert message.encoding == 'mono8'
        assert bytes(message.data) == b'\x01\x02\x03\x04'
        assert bytes(outgoing.fill(RGB, Header()).data) == RGB.tobytes()

    def test_strided_image_is_copied_right(self) -> None:
        flipped = RGB[:, ::-1]
        assert bytes(OutgoingImage().fill(flipped, Header()).data) == flipped.tobytes()


class TestCameraInfo:
    """Calibration for another size."""

    def info(self) -> Any:
        return sensor_msgs.CameraInfo(
            width=640,
            height=480,
            distortion_model='plumb_bob',
            d=[0.1, 0.2, 0.0, 0.0, 0.0],
            k=[500.0, 0.0, 319.5, 0.0, 510.0, 239.5, 0.0, 0.0, 1.0],
            r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
            p=[500.0, 0.0, 319.5, -25.0, 0.0, 510.0, 239.5, 0.0, 0.0, 0.0, 1.0, 0.0],
        )

    def test_centre_stays_the_centre(self) -> None:
        # The middle of 640x480 pixels, counted from the centre of the first, is (319.5, 239.5);
        # that of 320x240 is (159.5, 119.5).
        scaled = scale_camera_info(self.info(), (240, 320), Header(frame_id='cam'))
        assert list(scaled.k) == [250.0, 0.0, 159.5, 0.0, 255.0, 119.5, 0.0, 0.0, 1.0]
        assert list(scaled.p) == [
            250.0,
            0.0,
            159.5,
            -12.5,
            0.0,
            255.0,
            119.5,
            0.0,
            0.0,
            0.0,
            1.0,
            0.0,
        ]
        assert (scaled.width, scaled.height) == (320, 240)
        assert list(scaled.d) == [0.1, 0.2, 0.0, 0.0, 0.0]
        assert scaled.header.frame_id == 'cam'

    def test_point_projects_to_the_scaled_pixel(self) -> None:
        scaled = scale_camera_info(self.info(), (720, 1280), Header())
        point = np.array([0.3, -0.2, 2.0])
        u, v, w = np.reshape(self.info().k, (3, 3)) @ point
        x, y, z = np.reshape(scaled.k, (3, 3)) @ point
        assert x / z == pytest.approx((u / w + 0.5) * 2 - 0.5)
        assert y / z == pytest.approx((v / w + 0.5) * 1.5 - 0.5)

    def test_same_size_changes_nothing(self) -> None:
        scaled = scale_camera_info(self.info(), (480, 640), Header())
        assert list(scaled.k) == list(self.info().k)
        assert list(scaled.p) == list(self.info().p)

    def test_unset_calibration_stays_unset(self) -> None:
        scaled = scale_camera_info(
            sensor_msgs.CameraInfo(width=640, height=480), (240, 320), Header()
        )
        assert not any(scaled.k)
        assert not any(scaled.p)

    def test_region_of_interest_scales(self) -> None:
        info = self.info()
        info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = 64, 48, 320, 240
        roi = scale_camera_info(info, (240, 320), Header()).roi
        assert (roi.x_offset, roi.y_offset, roi.width, roi.height) == (32, 24, 160, 120)

    def test_calibration_without_size_is_refused(self) -> None:
        with pytest.raises(ImageError, match='0x0') as caught:
            scale_camera_info(sensor_msgs.CameraInfo(), (480, 640), Header())
        assert caught.value.reason == 'camera_info'
