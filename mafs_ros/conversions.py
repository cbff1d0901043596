"""Conversion between ROS messages and arrays."""

from __future__ import annotations

import array
from dataclasses import dataclass
import importlib
from typing import Any

from mafs_model.errors import ImageError
from mafs_model.images import encodings
from mafs_model.images.thermal_decoder import ThermalDecoder
from mafs_model.streams import NS_PER_S
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

# Colour is what no raw thermal camera sends.
COLOR_ENCODINGS = ('rgb8', 'bgr8', 'rgba8', 'bgra8', '8UC3', '8UC4')

# What cv_bridge adds to the plain encodings; without it OpenCV does the same.
_BRIDGE_ENCODINGS = ('yuv422', 'bayer_')
_UNKNOWN: Any = object()
_bridge: Any = _UNKNOWN


@dataclass(frozen=True)
class Frame:
    """
    One received image, checked but not yet converted.

    Attributes:
        header: header of the message.
        stamp_ns: its stamp as received.
        received_s: steady time of arrival.
        message: the Image or CompressedImage message.

    """

    header: Header
    stamp_ns: int
    received_s: float
    message: Any


def stamp_to_ns(stamp: Any) -> int:
    """Return a builtin_interfaces Time in nanoseconds."""
    return int(stamp.sec) * NS_PER_S + int(stamp.nanosec)


def buffer_of(message: Image) -> encodings.ImageBuffer:
    """Return the raw content of an Image message, without a copy."""
    return encodings.ImageBuffer(
        height=message.height,
        width=message.width,
        encoding=message.encoding,
        is_bigendian=bool(message.is_bigendian),
        step=message.step,
        data=message.data,
    )


@dataclass(frozen=True)
class ImageInfo:
    """
    What the check of a message found.

    Attributes:
        encoding: encoding, or format of a compressed image.
        size: (height, width).
        colour: whether it carries colour.

    """

    encoding: str
    size: tuple[int, int]
    colour: bool


def check_image(
    message: Any, stream: str, other_encoding: str, max_pixels: int = encodings.MAX_PIXELS
) -> ImageInfo:
    """
    Check a received message without converting it.

    Args:
        message: Image or CompressedImage.
        stream: 'visible' or 'thermal'.
        other_encoding: encoding that the other camera sends, '' if unknown.
        max_pixels: larger images are refused.

    Raises:
        ImageError: it cannot be used; the reason is a short counter key.

    """
    if isinstance(message, CompressedImage):
        compressed = encodings.probe_compressed(message.data, message.format)
        check_pixels(compressed.height, compressed.width, max_pixels)
        return ImageInfo(
            message.format, (compressed.height, compressed.width), compressed.channels > 1
        )
    encoding = message.encoding
    if stream == 'visible' and encoding in ('mono16', *encodings.THERMAL_ONLY):
        if other_encoding in COLOR_ENCODINGS:
            raise ImageError(
                'swapped',
                f"visible image has encoding '{encoding}' and the thermal one "
                f"'{other_encoding}': the two topics seem to be swapped",
            )
        if encoding != 'mono16':
            raise ImageError(
                'encoding',
                f"visible image has encoding '{encoding}', expected colour, mono8 or mono16 "
                '(is this the topic of the thermal camera?)',
            )
    check_pixels(message.height, message.width, max_pixels)
    encodings.view(buffer_of(message))
    return ImageInfo(encoding, (message.height, message.width), encodings.is_colour(encoding))


def check_pixels(height: int, width: int, limit: int) -> None:
    """Raise ImageError for an image that is larger than allowed."""
    if height * width > limit:
        raise ImageError(
            'size',
            f'image is {width}x{height}, expected at most {limit} pixels (input.max_pixels)',
        )


def pixels(message: Any) -> NDArray[Any]:
    """
    Return what a checked message holds, for comparing it with the one before; without a copy.

    Args:
        message: Image or CompressedImage.

    Returns:
        The pixels [H,W] or [H,W,C], of a compressed image its bytes [N,1].

    """
    if isinstance(message, CompressedImage):
        return np.frombuffer(message.data, np.uint8)[:, None]
    return encodings.view(buffer_of(message))


def carries_colour(message: Any) -> bool:
    """
    Return whether a checked Image or CompressedImage may be a colour photograph.

    Pairs of bytes (yuv422) are left out: thermal cameras send counts as such.
    """
    if isinstance(message, CompressedImage):
        return encodings.probe_compressed(message.data, message.format).channels > 1
    return bool(message.encoding in COLOR_ENCODINGS or message.encoding.startswith('bayer_'))


def visible_array(frame: Frame) -> NDArray[np.uint8]:
    """
    Return the visible image as uint8 [H,W,3] RGB.

    Raises:
        ImageError: it cannot be decoded.

    """
    message = frame.message
    if isinstance(message, CompressedImage):
        return encodings.decode_compressed(message.format, message.data, kind='visible')
    if message.encoding.startswith(_BRIDGE_ENCODINGS):
        image = _through_cv_bridge(message)
        if image is not None:
            return image
    return encodings.to_visible(buffer_of(message))


def _through_cv_bridge(message: Image) -> NDArray[np.uint8] | None:
    """Return the image as cv_bridge converts it, None where our own conversion is to do it."""
    global _bridge  # noqa: PLW0603 - looked for once, on first use: the import takes long
    if _bridge is _UNKNOWN:
        try:
            _bridge = importlib.import_module('cv_bridge').CvBridge()
        except (ImportError, AttributeError):  # the latter: built against another NumPy
            _bridge = None
    channels = 2 if message.encoding.startswith('yuv') else 1
    depth = 2 if message.encoding.endswith('16') else 1
    # cv_bridge assumes rows without padding and samples in native byte order.
    if _bridge is None or depth > 1 or message.step != message.width * channels:
        return None
    if channels == 2 and message.width % 2:
        return None
    return np.asarray(_bridge.imgmsg_to_cv2(message, 'rgb8'))


def thermal_array(frame: Frame, decoder: ThermalDecoder) -> NDArray[Any]:
    """
    Return the thermal image as uint8, uint16 or float32 [H,W].

    Args:
        frame: what was received.
        decoder: knows the camera.

    Raises:
        ImageError: it cannot be decoded.

    """
    message = frame.message
    if isinstance(message, CompressedImage):
        return encodings.decode_compressed(
            message.format, message.data, kind='thermal', decoder=decoder
        )
    return encodings.to_thermal(buffer_of(message), decoder)


class OutgoingImage:
    """
    One Image message whose buffer is used again for every frame of the same size.

    Publishing serialises the message before it returns, so the buffer is free again afterwards.
    Writing into the present `array.array` saves an allocation of the size of the image (page
    faults cost more than the copy); assigning bytes or a list would cost milliseconds.
    """

    def __init__(self) -> None:
        self._message = Image()
        self._target: NDArray[np.uint8] | None = None

    def fill(self, image: NDArray[np.uint8], header: Header) -> Image:
        """
        Return the message with this content; it is valid until the next call.

        Args:
            image: uint8 [H,W,3] RGB or [H,W].
            header: header to send.

        """
        message = self._message
        height, width = image.shape[:2]
        message.header = header
        if self._target is None or self._target.shape != image.shape:
            message.height, message.width = height, width
            message.encoding = 'rgb8' if image.ndim == 3 else 'mono8'
            message.is_bigendian = 0
            message.step = width * (3 if image.ndim == 3 else 1)
            message.data = array.array('B', bytes(image.size))
            self._target = np.frombuffer(message.data, np.uint8).reshape(image.shape)
        np.copyto(self._target, image)
        return message


def scale_camera_info(info: CameraInfo, size: tuple[int, int], header: Header) -> CameraInfo:
    """
    Return the calibration of a camera for images of another size.

    The intrinsics scale with the image, pixel centres being at whole numbers in both; distortion
    and rectification do not depend on the size.

    Args:
        info: calibration as received.
        size: (height, width) of the output images.
        header: header of the output images.

    Raises:
        ImageError: 'camera_info', a calibration without a size.

    """
    if info.width == 0 or info.height == 0:
        raise ImageError(
            'camera_info',
            f'camera_info is for {info.width}x{info.height} pixels, expected '
            'the size of the visible image',
        )
    height, width = size
    scale_x, scale_y = width / info.width, height / info.height
    k, p = list(info.k), list(info.p)
    for matrix, columns in ((k, 3), (p, 4)):
        for column in range(columns):
            matrix[column] *= scale_x
            matrix[columns + column] *= scale_y
        # The centre of the first pixel is 0: half a pixel is added before scaling, and taken away
        # again after it. Only the principal point moves by that. An unset matrix stays zero.
        if any(matrix):
            matrix[2] += 0.5 * scale_x - 0.5
            matrix[columns + 2] += 0.5 * scale_y - 0.5
    scaled = CameraInfo(
        header=header,
        height=height,
        width=width,
        distortion_model=info.distortion_model,
        d=info.d,
        k=k,
        r=info.r,
        p=p,
    )
    roi = info.roi
    scaled.roi.x_offset = min(round(roi.x_offset * scale_x), width)
    scaled.roi.y_offset = min(round(roi.y_offset * scale_y), height)
    scaled.roi.width = min(round(roi.width * scale_x), width)
    scaled.roi.height = min(round(roi.height * scale_y), height)
    scaled.roi.do_rectify = roi.do_rectify
    return scaled
