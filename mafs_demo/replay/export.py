"""The bag of a run: inputs and outputs, as Foxglove and `ros2 bag play` open it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
from mafs_demo.replay.playback import Playback
from mafs_demo.replay.session import Recording
from mafs_demo.replay.sources import thermal_encoding
from mafs_demo.replay.store import FrameStore
from mafs_demo.topics import (
    CLASSES_TOPIC,
    IMAGE_TOPICS,
    INPUT_FRAMES,
    INPUT_TOPICS,
)
from mafs_model.bags.cdr import parse_image
from mafs_model.bags.reader import BagWriter, IMAGE_TYPE
from mafs_model.errors import BagError
from mafs_model.images.encodings import ImageBuffer, view
from mafs_ros.own_types import register_own_types
import numpy as np
from numpy.typing import NDArray

JPEG_QUALITY = 92
# These hold values, not shades: a lossy codec would invent classes.
_EXACT = (IMAGE_TOPICS['labels'], IMAGE_TOPICS['confidence'])


def compress(image: NDArray[Any], encoding: str, exact: bool) -> tuple[str, NDArray[np.uint8]]:
    """
    Compress an image as image_transport would.

    Args:
        image: [H,W] uint8 or uint16, or [H,W,3] RGB.
        encoding: its encoding, for the format text.
        exact: PNG instead of JPEG.

    Returns:
        The format of the message, and the stream.

    """
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    if exact or image.dtype != np.uint8:
        _, stream = cv2.imencode('.png', image, (cv2.IMWRITE_PNG_COMPRESSION, 1))
        return f'{encoding}; png compressed ', stream
    _, stream = cv2.imencode('.jpg', image, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
    target = 'bgr8' if image.ndim == 3 else 'mono8'
    return f'{encoding}; jpeg compressed {target}', stream


class _Writer:
    """Writes images raw or compressed."""

    def __init__(self, bag: BagWriter, raw: bool) -> None:
        self._bag = bag
        self._raw = raw

    def array(
        self,
        topic: str,
        stamp_ns: int,
        frame_id: str,
        image: NDArray[Any],
        encoding: str,
        receive_ns: int,
    ) -> None:
        """Write an image; float values have no compressed form and stay raw."""
        if self._raw or image.dtype == np.float32:
            self._bag.write_image(topic, stamp_ns, frame_id, image, encoding, receive_ns)
            return
        image_format, stream = compress(image, encoding, topic in _EXACT)
        self._bag.write_compressed(
            f'{topic}/compressed', stamp_ns, frame_id, image_format, stream, receive_ns
        )

    def message(self, topic: str, data: bytes, receive_ns: int) -> None:
        """Write a recorded image message."""
        if self._raw:
            self._bag.write(topic, IMAGE_TYPE, receive_ns, data)
            return
        message = parse_image(IMAGE_TYPE, data)
        assert isinstance(message.content, ImageBuffer)
        self.array(
            topic,
            message.stamp_ns,
            message.frame_id,
            view(message.content),
            message.content.encoding,
            receive_ns,
        )


def write_bag(
    path: Path,
    recording: Recording,
    store: FrameStore,
    playback: Playback,
    raw: bool,
    progress: Callable[[int, int], None],
) -> None:
    """
    Write everything that went over DDS into one MCAP bag, in the order of time.

    Args:
        path: folder of the bag; a bag that is there is replaced.
        recording: what the recorder kept.
        store: the frames that were played.
        playback: access to the recorded messages.
        raw: keep images as they are instead of compressing them (JPEG; PNG for labels,
            confidence and 16-bit thermal).
        progress: called with (done, total).

    Raises:
        BagError: something else is at `path`.

    """
    entries: list[tuple[int, int, Any]] = [
        (stamp_ns, -1, (stream, index)) for stream, index, stamp_ns in recording.sent
    ]
    entries += [
        (receive_ns, position, None)
        for position, (_, _, receive_ns, _, _) in enumerate(recording.index)
    ]
    entries.sort(key=lambda entry: entry[:2])
    image_topics = set(IMAGE_TOPICS.values())
    with BagWriter(path, overwrite=True, compress=raw) as bag:
        try:
            register_own_types(bag)
        except (ImportError, LookupError, OSError) as error:
            raise BagError(
                f'the message definitions of mafs_ros are not installed: {error}'
            ) from error
        bag.add_topic(CLASSES_TOPIC, 'mafs_ros/msg/SemanticClasses', latched=True)
        writer = _Writer(bag, raw)
        for done, (time_ns, position, sent) in enumerate(entries, 1):
            if sent is not None:
                stream, index = sent
                image = store.frame(stream, index)
                encoding = 'rgb8' if stream == 'visible' else thermal_encoding(image)
                writer.array(
                    INPUT_TOPICS[stream], time_ns, INPUT_FRAMES[stream], image, encoding, time_ns
                )
            else:
                topic, kind, receive_ns, _, _ = recording.index[position]
                data = playback.message(position)
                if topic in image_topics:
                    writer.message(topic, data, receive_ns)
                else:
                    bag.write(topic, kind, receive_ns, data)
            progress(done, len(entries))
