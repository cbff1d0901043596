"""The labelled points of a depth camera, made in a thread of their own."""

from __future__ import annotations

import array
import math
import sys
from typing import Any, NamedTuple

from builtin_interfaces.msg import Time
from mafs_model.calibration.cameras import MAX_FOCAL_PX
from mafs_model.errors import ImageError
from mafs_model.images.depth import check_depth, depth_in_metres
from mafs_model.prediction import Prediction
from mafs_model.semantic_points import fill_points, Pinhole, POINT_FIELDS, UINT32_FIELDS
from mafs_model.topics import DEPTH_INPUT, POINTS_TOPIC
from mafs_model.types import Float32Image, Size
from mafs_ros import qos
from mafs_ros.conversions import buffer_of, check_pixels, scale_camera_info, stamp_to_ns
from mafs_ros.depth_pairing import DepthPairing
from mafs_ros.mailbox import Worker
from mafs_ros.managed_publishers import ManagedPublishers
from mafs_ros.parameters import SettingsBox
from mafs_ros.reporting import NOTICE_PERIOD_S, Reporter
import numpy as np
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField
from std_msgs.msg import Header

_FIELD_BYTES = 4
_STOP_TIMEOUT_S = 1.0  # a cloud takes some milliseconds
_MISSED_TO_SAY = 10  # pairs in succession; where the depth camera is slower, some are usual


class Origin(NamedTuple):
    """
    Where and when points are.

    Attributes:
        stamp: that of the labels: who needs both pairs them by equal stamps.
        frame_id: that of the visible camera, whose pixels they are.

    """

    stamp: Time
    frame_id: str


class _Item(NamedTuple):
    """Results that wait for their depth image."""

    results: Prediction
    origin: Origin
    info: CameraInfo | None


class PointOutputs:
    """
    The publisher of points, the subscription to depth, and the thread that makes the one of both.

    Threads: created and destroyed by lifecycle transitions; `tick` and depth images come from the
    executor, `submit` from the worker, which only hands over. Depth is subscribed to, and the
    thread runs, while somebody listens to points.

    Args:
        node: the node that owns the subscription.
        publishers: where that of points is made.
        settings: what is in force.
        reporter: counts and says what cannot be used.

    """

    def __init__(
        self,
        node: LifecycleNode,
        publishers: ManagedPublishers,
        settings: SettingsBox,
        reporter: Reporter,
    ) -> None:
        self._node = node
        self._publishers = publishers
        self._settings = settings
        self._reporter = reporter
        self._pairing: DepthPairing[_Item] = DepthPairing(settings)
        self._missed = 0
        self._worker: Worker[tuple[_Item, Image]] | None = None
        self._cloud = OutgoingCloud()
        self._subscription: Any | None = None
        publishers.create(POINTS_TOPIC, PointCloud2)

    def has_reader(self) -> bool:
        """Return whether somebody listens to points."""
        return self._publishers.is_read(POINTS_TOPIC)

    def tick(self) -> None:
        """Subscribe to depth while somebody listens to points, and say where it is missing."""
        if not self.has_reader():
            self.stop(_STOP_TIMEOUT_S)
            return
        if self._subscription is None:
            self._pairing.clear()
            self._missed = 0
            self._subscription = self._node.create_subscription(
                Image,
                DEPTH_INPUT,
                self._on_depth,
                qos.sensor_input(),
                qos_overriding_options=qos.overridable(),
            )
            self._worker = Worker(
                self._publish, lambda item: None, self._on_error, name='fusion_points'
            )
            self._worker.start()
        missed, self._missed = self._pairing.missed - self._missed, self._pairing.missed
        if missed > 0:
            self._reporter.statistics.dropped('no_depth', missed)
        if self._pairing.missed_in_a_row >= _MISSED_TO_SAY:
            self._say_missing()

    def _say_missing(self) -> None:
        count = self._node.count_publishers(self._depth_topic)
        slop_ms = 1e3 * self._settings.current.points_slop
        self._reporter.say(
            'no_depth',
            f'no points: no depth image of {self._depth_topic} ({count} publishers) is within '
            f'{slop_ms:g} ms (points.slop) of the last {self._pairing.missed_in_a_row} pairs',
            NOTICE_PERIOD_S,
        )

    @property
    def _depth_topic(self) -> str:
        return str(self._node.resolve_topic_name(DEPTH_INPUT))

    def stop(self, timeout_s: float) -> bool:
        """Unsubscribe and end the thread; return whether it ended within the time."""
        if self._subscription is None:
            return True
        self._node.destroy_subscription(self._subscription)
        self._subscription = None
        worker, self._worker = self._worker, None
        ended = worker is None or worker.stop(timeout_s)
        self._pairing.clear()
        self._cloud = OutgoingCloud()  # the memory of a cloud is returned
        return ended

    def _on_depth(self, message: Image) -> None:
        """Check a depth image and let it find its results."""
        settings = self._settings.current
        if settings.rgb_stamp_source == 'receive':  # as the images beside which it comes
            message.header.stamp = self._node.get_clock().now().to_msg()
        stamp_ns = stamp_to_ns(message.header.stamp)
        try:
            if stamp_ns <= 0:
                raise ImageError('stamp_zero', 'stamp is zero, expected the time of exposure')
            check_pixels(message.height, message.width, settings.input_max_pixels)
            check_depth(buffer_of(message))
        except ImageError as error:
            self._refuse(error)
            return
        self._hand_over(self._pairing.add_depth(stamp_ns, message))

    def submit(
        self, results: Prediction, origin: Origin, stamp_ns: int, info: CameraInfo | None
    ) -> None:
        """
        Hand over the results of a pair, if somebody listens.

        Args:
            results: fused image, labels, confidence and, where measured, temperature.
            origin: stamp and frame of the points.
            stamp_ns: stamp of the visible image.
            info: calibration of the visible camera, None if none has come.

        """
        # Results of the pair during which somebody began to listen may lack what points need.
        whole = not any(r is None for r in (results.fused, results.labels, results.confidence))
        if self._worker is not None and whole:
            item = _Item(results, origin, info)
            self._hand_over(self._pairing.add_results(stamp_ns, item))

    def _hand_over(self, found: list[tuple[_Item, Image]]) -> None:
        """Let the thread work on what belongs together; the newest goes first."""
        worker = self._worker
        if worker is not None:
            for one in found:
                worker.put(one)

    def _publish(self, found: tuple[_Item, Image]) -> None:
        """
        Make and publish the points of one pair.

        Raises:
            ImageError: depth or calibration cannot be used.

        """
        item, image = found
        assert item.results.labels is not None
        height, width = item.results.labels.shape
        info = item.info
        if info is None:
            raise ImageError('camera_info', 'no calibration of the visible camera has come')
        pinhole = pinhole_of(info, (height, width))
        depth = depth_in_metres(buffer_of(image), (info.height, info.width), (height, width))
        cloud = self._cloud
        fill_points(cloud.points((height, width)), depth, pinhole, item.results)
        origin = item.origin
        header = Header(stamp=origin.stamp, frame_id=origin.frame_id)
        self._publishers.publish(POINTS_TOPIC, cloud.message(header))

    def _refuse(self, error: ImageError) -> None:
        topic = self._depth_topic
        self._reporter.drop(f'depth_{error.reason}', f'{topic}: {error}')

    def _on_error(self, error: Exception) -> None:
        """Count and say what went wrong, unless ROS has ended."""
        if not self._publishers.usable:
            return
        if isinstance(error, ImageError):
            self._refuse(error)
        else:
            self._reporter.note('points', f'points not published: {error!r}')


def pinhole_of(info: CameraInfo, size: Size) -> Pinhole:
    """
    Return the rectified camera for images of a size.

    The projection matrix `p` counts, which is of the rectified image; a driver that does not
    rectify may leave it empty, and `k` is the same.

    Args:
        info: calibration as received.
        size: (height, width) of the images.

    Raises:
        ImageError: 'camera_info', without usable size, focal lengths or principal point.

    """
    scaled = scale_camera_info(info, size, info.header)
    matrix, columns = (scaled.p, 4) if any(scaled.p) else (scaled.k, 3)
    pinhole = Pinhole(
        fx=float(matrix[0]),
        fy=float(matrix[columns + 1]),
        cx=float(matrix[2]),
        cy=float(matrix[columns + 2]),
    )
    focal = all(1.0 <= f <= MAX_FOCAL_PX for f in (pinhole.fx, pinhole.fy))  # not NaN either
    centre = all(math.isfinite(c) and abs(c) <= MAX_FOCAL_PX for c in (pinhole.cx, pinhole.cy))
    if not (focal and centre):
        raise ImageError(
            'camera_info',
            f'calibration has focal lengths {pinhole.fx:g}, {pinhole.fy:g} and principal point '
            f'{pinhole.cx:g}, {pinhole.cy:g}, expected focal lengths of 1 to {MAX_FOCAL_PX:g} px '
            'and a point in the image',
        )
    return pinhole


class OutgoingCloud:
    """
    One PointCloud2 message whose buffer is used again for every cloud of the same size.

    As with `OutgoingImage`, publishing serialises the message before it returns.
    """

    def __init__(self) -> None:
        self._message = PointCloud2(
            fields=[
                PointField(
                    name=name,
                    offset=_FIELD_BYTES * place,
                    datatype=PointField.UINT32 if name in UINT32_FIELDS else PointField.FLOAT32,
                    count=1,
                )
                for place, name in enumerate(POINT_FIELDS)
            ],
            is_bigendian=sys.byteorder == 'big',
            point_step=_FIELD_BYTES * len(POINT_FIELDS),
            is_dense=False,  # pixels without depth are NaN
        )
        self._points: Float32Image | None = None

    def points(self, size: Size) -> Float32Image:
        """Return float32 [H,W,7] in the buffer of the message, to be overwritten."""
        shape = (*size, len(POINT_FIELDS))
        if self._points is None or self._points.shape != shape:
            message = self._message
            message.height, message.width = size
            message.row_step = message.point_step * message.width
            message.data = array.array('B', bytes(message.row_step * message.height))
            self._points = np.frombuffer(message.data, np.float32).reshape(shape)
        return self._points

    def message(self, header: Header) -> PointCloud2:
        """Return the message with what was written; it is valid until `points` is called."""
        self._message.header = header
        return self._message
