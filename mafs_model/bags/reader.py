"""
Reading rosbag2 bags, and the images of ROS 1 bags, without a ROS installation.

Built on the pure Python package `rosbags`. A bag that lost its end (power cut, full disk) is
read as far as it goes; `BagReader.damage` then says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, TYPE_CHECKING

from mafs_model.bags import ros1
from mafs_model.bags.cdr import COMPRESSED_TYPE, IMAGE_TYPE, parse_image
from mafs_model.bags.compression import decompress_zstd
from mafs_model.bags.salvage import SalvagedFile
from mafs_model.bags.writer import BagWriter, import_rosbags
from mafs_model.errors import BagError, ImageError
from mafs_model.images.cameras import AUTO, CameraProfile
from mafs_model.images.encodings import (
    decode_compressed,
    ImageBuffer,
    is_colour,
    probe_compressed,
    to_thermal,
    to_visible,
)
from mafs_model.images.thermal_decoder import ThermalDecoder
from numpy.typing import NDArray

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    'BagImage',
    'BagReader',
    'BagTopic',
    'BagWriter',
    'COMPRESSED_TYPE',
    'IMAGE_TYPE',
    'RawMessage',
    'open_bag',
]

Kind = Literal['visible', 'thermal']
_STORAGE_SUFFIXES = ('.mcap', '.db3')


@dataclass(frozen=True)
class BagTopic:
    """
    A topic of a bag.

    Args:
        type: message type, e.g. 'sensor_msgs/msg/Image'.
        count: messages in the bag.

    """

    type: str
    count: int


class RawMessage(NamedTuple):
    """A message as the bag holds it: serialised."""

    topic: str
    type: str
    receive_ns: int
    data: bytes


class BagImage(NamedTuple):
    """
    An image of a bag, or why it cannot be used.

    `image` is uint8 [H,W,3] RGB for colour and [H,W] in the camera's values for grey and
    thermal images.
    """

    topic: str
    stamp_ns: int
    receive_ns: int
    frame_id: str
    image: NDArray[Any] | ImageError


def open_bag(path: str | Path, camera: CameraProfile | str = AUTO) -> BagReader:
    """
    Open a bag.

    Args:
        path: a bag folder (with or without metadata.yaml), or one .mcap, .db3 or (ROS 1) .bag
            file.
        camera: what the thermal camera sends, see `mafs_model.images.cameras.load_camera`.

    Returns:
        The reader, to be used in a `with` statement.

    Raises:
        BagError: nothing there, not a bag, or nothing in it can be read.
        ConfigError: there is no such camera.

    """
    return BagReader(Path(path), ThermalDecoder(camera))


class BagReader:
    """
    Topics and messages of one bag, in the order of their receive times.

    Attributes:
        path: what was opened.
        topics: topic name to type and number of messages.
        damage: one sentence on what is wrong with the bag; None while nothing is known to be.
            Messages are delivered up to the damage, so look at it again after reading.

    """

    def __init__(self, path: Path, decoder: ThermalDecoder | None = None) -> None:
        self.path = path
        self._decoder = decoder or ThermalDecoder()
        self.topics: dict[str, BagTopic] = {}
        self.damage: str | None = None
        self._reader: Any = None
        self._salvaged: list[SalvagedFile] = []
        self._zstd_messages = False
        self._is_ros1 = False
        if not path.exists():
            raise BagError(f'bag {path} does not exist')
        rosbags = import_rosbags()
        try:
            self._open_indexed(rosbags, path)
        except BagError:
            raise
        except Exception as error:  # noqa: BLE001 - any parser error of any layer below
            self._reader = None
            self._open_damaged(f'{error}'.strip() or type(error).__name__)

    def _open_indexed(self, rosbags: Any, path: Path) -> None:
        self._is_ros1 = path.suffix == ros1.SUFFIX and path.is_file()
        reader = (rosbags.rosbag1 if self._is_ros1 else rosbags.rosbag2).Reader(path)
        reader.open()
        self._reader = reader
        counts: dict[str, int] = {}
        for connection in reader.connections:
            if self._is_ros1 and connection.msgtype not in (IMAGE_TYPE, COMPRESSED_TYPE):
                continue  # only images are brought into the form of ROS 2
            counts[connection.topic] = counts.get(connection.topic, 0) + connection.msgcount
            self.topics[connection.topic] = BagTopic(connection.msgtype, counts[connection.topic])

    def _open_damaged(self, reason: str) -> None:
        """Fall back to reading the storage files front to back."""
        files = sorted(self.path.iterdir()) if self.path.is_dir() else [self.path]
        if any(name.suffixes[-2:] in (['.mcap', '.zstd'], ['.db3', '.zstd']) for name in files):
            raise BagError(
                f'bag {self.path} is damaged and compressed as a file: decompress it '
                f'with zstd -d first ({reason})'
            )
        storages = [name for name in files if name.suffix in _STORAGE_SUFFIXES]
        if self._is_ros1:
            raise BagError(
                f'{self.path} cannot be read as a ROS 1 bag ({reason}); `rosbag reindex` mends '
                'one that was not closed'
            )
        if not storages:
            raise BagError(
                f'{self.path} is not a rosbag2 bag: expected a folder with '
                f'metadata.yaml, or an .mcap or .db3 file ({reason})'
            )
        metadata = self.path / 'metadata.yaml'
        if self.path.is_dir() and metadata.is_file():
            text = metadata.read_text(encoding='utf-8', errors='replace')
            self._zstd_messages = 'compression_mode: message' in text.lower()
        elif self.path.is_dir():
            reason = 'metadata.yaml is missing'
        counts: dict[str, int] = {}
        types: dict[str, str] = {}
        for name in storages:
            file = SalvagedFile(name)
            try:
                file.scan()
            except BagError as error:
                reason = str(error)
                continue
            self._salvaged.append(file)
            types.update(file.topics)
            for topic, count in file.counts.items():
                counts[topic] = counts.get(topic, 0) + count
            reason = file.damage or reason
        self.topics = {topic: BagTopic(types[topic], counts[topic]) for topic in sorted(types)}
        if not self.topics:
            raise BagError(f'nothing can be read from bag {self.path}: {reason}')
        self.damage = reason

    def close(self) -> None:
        """Close the files."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def image_topics(self) -> list[str]:
        """Return the topics that carry images, raw or compressed."""
        return [
            name
            for name, topic in self.topics.items()
            if topic.type in (IMAGE_TYPE, COMPRESSED_TYPE)
        ]

    def _describe(self) -> str:
        listed = ', '.join(
            f'{name} ({topic.type}, {topic.count})' for name, topic in sorted(self.topics.items())
        )
        return f'topics there: {listed or "none"}'

    def messages(self, *topics: str) -> Iterator[RawMessage]:
        """
        Yield the messages of some topics, of all if none is named, by receive time.

        Raises:
            BagError: a topic is not in the bag; the message lists those that are.

        """
        missing = [topic for topic in topics if topic not in self.topics]
        if missing:
            raise BagError(f'bag {self.path} has no topic {missing[0]}; {self._describe()}')
        return self._messages(frozenset(topics or self.topics))

    def _messages(self, topics: frozenset[str]) -> Iterator[RawMessage]:
        if self._reader is None:
            yield from self._salvaged_messages(topics)
            return
        connections = [c for c in self._reader.connections if c.topic in topics]
        try:
            for connection, receive_ns, data in self._reader.messages(connections):
                message = (
                    _from_ros1(connection.msgtype, bytes(data)) if self._is_ros1 else bytes(data)
                )
                yield RawMessage(connection.topic, connection.msgtype, receive_ns, message)
        except Exception as error:  # noqa: BLE001 - as above
            self.damage = f'reading ended early: {error}'.strip()

    def _salvaged_messages(self, topics: frozenset[str]) -> Iterator[RawMessage]:
        for file in self._salvaged:
            for topic, kind, receive_ns, data in file.messages():
                if topic in topics:
                    plain = decompress_zstd(data) if self._zstd_messages else data
                    yield RawMessage(topic, kind, receive_ns, plain)

    def images(
        self,
        *topics: str,
        kinds: Mapping[str, Kind] | None = None,
    ) -> Iterator[BagImage]:
        """
        Yield the images of some topics, of all image topics if none is named, by receive time.

        Args:
            topics: topics of type Image or CompressedImage.
            kinds: what a topic shows, 'visible' (RGB) or 'thermal' (grey); where not given,
                colour encodings are taken as visible, others as thermal.

        Raises:
            BagError: a topic is not in the bag or carries no images.

        """
        kinds = dict(kinds or {})
        wanted = (*topics, *(topic for topic in kinds if topic not in topics))
        wanted = wanted or tuple(self.image_topics())
        for topic in wanted:
            found = self.topics.get(topic)
            if found is not None and found.type not in (IMAGE_TYPE, COMPRESSED_TYPE):
                raise BagError(
                    f'topic {topic} of bag {self.path} has type {found.type}, expected '
                    f'{IMAGE_TYPE} or {COMPRESSED_TYPE}; {self._describe()}'
                )
        if not wanted:
            raise BagError(f'bag {self.path} has no image topics; {self._describe()}')
        messages = self.messages(*wanted)
        return (_decode(message, kinds.get(message.topic), self._decoder) for message in messages)


def _from_ros1(message_type: str, data: bytes) -> bytes:
    """Return an image message of ROS 1 as one of ROS 2; what is none stays, and fails there."""
    try:
        return ros1.to_ros2(message_type, data)
    except ImageError:
        return b''


def _decode(message: RawMessage, kind: Kind | None, decoder: ThermalDecoder) -> BagImage:
    """Parse and decode one image message."""
    try:
        parsed = parse_image(message.type, message.data)
    except ImageError as error:
        return BagImage(message.topic, message.receive_ns, message.receive_ns, '', error)
    image: NDArray[Any] | ImageError
    try:
        if isinstance(parsed.content, ImageBuffer):
            colour = is_colour(parsed.content.encoding)
            as_visible = colour if kind is None else kind == 'visible'
            image = (
                to_visible(parsed.content) if as_visible else to_thermal(parsed.content, decoder)
            )
        else:
            image = _decode_stream(*parsed.content, kind, decoder)
    except ImageError as error:
        image = error
    return BagImage(message.topic, parsed.stamp_ns, message.receive_ns, parsed.frame_id, image)


def _decode_stream(
    image_format: str, stream: memoryview, kind: Kind | None, decoder: ThermalDecoder
) -> NDArray[Any]:
    if kind is None:
        kind = 'visible' if probe_compressed(stream, image_format).channels == 3 else 'thermal'
    return decode_compressed(image_format, stream, kind, decoder)
