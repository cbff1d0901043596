"""Compressed outputs for whoever is behind a network, encoded in a thread of their own."""

from __future__ import annotations

import array
from typing import NamedTuple

import cv2
from mafs_model.prediction import Prediction
from mafs_model.topics import COMPRESSED_TOPICS
from mafs_model.types import UInt8Image
from mafs_ros.mailbox import Worker
from mafs_ros.managed_publishers import ManagedPublishers
from mafs_ros.parameters import SettingsBox
from mafs_ros.reporting import Reporter
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

# Labels are numbers: JPEG would invent others.
_LOSSLESS = ('labels',)
# The fastest setting: of label images it makes hardly more than the slowest.
_PNG_LEVEL = 1


class _Item(NamedTuple):
    """What is to be encoded: results, header, and which of them somebody listens to."""

    results: Prediction
    header: Header
    names: tuple[str, ...]


class CompressedOutputs:
    """
    Publishers of JPEG and PNG, and the thread that encodes the newest results for them.

    Threads: created and destroyed by lifecycle transitions. `submit` is called by the worker and
    only hands over; encoding and publishing happen in a thread that starts with the first
    listener and ends with `stop`.

    Args:
        publishers: where those of compressed images are made.
        settings: what is in force.
        reporter: says what cannot be encoded.

    """

    def __init__(
        self, publishers: ManagedPublishers, settings: SettingsBox, reporter: Reporter
    ) -> None:
        self._publishers = publishers
        self._settings = settings
        self._reporter = reporter
        self._worker: Worker[_Item] | None = None
        for topic in COMPRESSED_TOPICS.values():
            publishers.create(topic, CompressedImage)

    def has_reader(self, name: str) -> bool:
        """Return whether somebody listens to the compressed form of an output, if there is one."""
        topic = COMPRESSED_TOPICS.get(name)
        return topic is not None and self._publishers.is_read(topic)

    def submit(self, results: Prediction, header: Header) -> None:
        """Hand over results; those that wait are replaced."""
        names = tuple(
            name
            for name in COMPRESSED_TOPICS
            if getattr(results, name) is not None and self.has_reader(name)
        )
        if not names:
            return
        if self._worker is None:
            self._worker = Worker(
                self._publish, lambda item: None, self._on_error, name='fusion_encoder'
            )
            self._worker.start()
        self._worker.put(_Item(results, header, names))

    def stop(self, timeout_s: float) -> bool:
        """End the thread; return whether it ended within the time."""
        worker, self._worker = self._worker, None
        return worker is None or worker.stop(timeout_s)

    def _publish(self, item: _Item) -> None:
        """Encode and publish what somebody listens to."""
        quality = self._settings.current.output_jpeg_quality
        for name in item.names:
            image = getattr(item.results, name)
            message = encode(image, item.header, name in _LOSSLESS, quality)
            self._publishers.publish(COMPRESSED_TOPICS[name], message)

    def _on_error(self, error: Exception) -> None:
        """Say what went wrong, unless ROS has ended."""
        if self._publishers.usable:
            self._reporter.note('encoder', f'compressed image not published: {error!r}')


def encode(image: UInt8Image, header: Header, lossless: bool, quality: int) -> CompressedImage:
    """
    Return an image as a message of image_transport.

    Args:
        image: uint8 [H,W,3] RGB or [H,W].
        header: header to send.
        lossless: PNG instead of JPEG.
        quality: of JPEG, 1 to 100.

    """
    colour = image.ndim == 3
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if colour else image
    if lossless:
        _, data = cv2.imencode('.png', pixels, [cv2.IMWRITE_PNG_COMPRESSION, _PNG_LEVEL])
        kind = 'png compressed '
    else:
        _, data = cv2.imencode('.jpg', pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
        kind = 'jpeg compressed bgr8' if colour else 'jpeg compressed '
    return CompressedImage(
        header=header,
        format=f'{"rgb8" if colour else "mono8"}; {kind}',
        data=array.array('B', data.tobytes()),
    )
