"""
Rosbag2 files without a ROS installation: reading image topics, writing image topics as MCAP.

Built on the pure Python package `rosbags`. A bag that lost its end (power cut, full disk) is
read as far as it goes; `BagReader.damage` then says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
import shutil
from types import TracebackType
from typing import Any, Literal, NamedTuple, TYPE_CHECKING

from mafs_model._bag_salvage import decompress_zstd, SalvagedFile
from mafs_model._cdr import (
    COMPRESSED_TYPE,
    IMAGE_TYPE,
    parse_image,
    serialize_compressed,
    serialize_image,
)
from mafs_model.encodings import (
    decode_compressed,
    ImageBuffer,
    is_colour,
    probe_compressed,
    to_thermal,
    to_visible,
)
from mafs_model.errors import BagError, ImageError
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    'BagImage', 'BagReader', 'BagTopic', 'BagWriter', 'COMPRESSED_TYPE', 'IMAGE_TYPE',
    'RawMessage', 'open_bag',
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


def _import_rosbags() -> Any:
    try:
        import rosbags.rosbag2
        import rosbags.typesys
    except ImportError as error:
        raise BagError(
            f'bags need the Python package rosbags ({error}): pip install rosbags') from error
    return rosbags


def open_bag(path: str | Path) -> BagReader:
    """
    Open a rosbag2 bag.

    Args:
        path: a bag folder (with or without metadata.yaml), or one .mcap or .db3 file.

    Returns:
        The reader, to be used in a `with` statement.

    Raises:
        BagError: nothing there, not a bag, or nothing in it can be read.

    """
    return BagReader(Path(path))


class BagReader:
    """
    Topics and messages of one bag, in the order of their receive times.

    Attributes:
        path: what was opened.
        topics: topic name to type and number of messages.
        damage: one sentence on what is wrong with the bag; None while nothing is known to be.
            Messages are delivered up to the damage, so look at it again after reading.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.topics: dict[str, BagTopic] = {}
        self.damage: str | None = None
        self._reader: Any = None
        self._salvaged: list[SalvagedFile] = []
        self._zstd_messages = False
        if not path.exists():
            raise BagError(f'bag {path} does not exist')
        rosbags = _import_rosbags()
        try:
            self._open_indexed(rosbags, path)
        except BagError:
            raise
        except Exception as error:  # noqa: BLE001 - any parser error of any layer below
            self._reader = None
            self._open_damaged(f'{error}'.strip() or type(error).__name__)

    def _open_indexed(self, rosbags: Any, path: Path) -> None:
        reader = rosbags.rosbag2.Reader(path)
        reader.open()
        self._reader = reader
        counts: dict[str, int] = {}
        for connection in reader.connections:
            counts[connection.topic] = counts.get(connection.topic, 0) + connection.msgcount
            self.topics[connection.topic] = BagTopic(
                connection.msgtype, counts[connection.topic])

    def _open_damaged(self, reason: str) -> None:
        """Fall back to reading the storage files front to back."""
        files = sorted(self.path.iterdir()) if self.path.is_dir() else [self.path]
        if any(name.suffixes[-2:] in (['.mcap', '.zstd'], ['.db3', '.zstd']) for name in files):
            raise BagError(f'bag {self.path} is damaged and compressed as a file: decompress it '
                           f'with zstd -d first ({reason})')
        storages = [name for name in files if name.suffix in _STORAGE_SUFFIXES]
        if not storages:
            raise BagError(f'{self.path} is not a rosbag2 bag: expected a folder with '
                           f'metadata.yaml, or an .mcap or .db3 file ({reason})')
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
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def image_topics(self) -> list[str]:
        """Return the topics that carry images, raw or compressed."""
        return [name for name, topic in self.topics.items()
                if topic.type in (IMAGE_TYPE, COMPRESSED_TYPE)]

    def _describe(self) -> str:
        listed = ', '.join(
            f'{name} ({topic.type}, {topic.count})' for name, topic in sorted(self.topics.items()))
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
                yield RawMessage(connection.topic, connection.msgtype, receive_ns, bytes(data))
        except Exception as error:  # noqa: BLE001 - as above
            self.damage = f'reading ended early: {error}'.strip()

    def _salvaged_messages(self, topics: frozenset[str]) -> Iterator[RawMessage]:
        for file in self._salvaged:
            for topic, kind, receive_ns, data in file.messages():
                if topic in topics:
                    plain = decompress_zstd(data) if self._zstd_messages else data
                    yield RawMessage(topic, kind, receive_ns, plain)

    def images(
        self, *topics: str, kinds: Mapping[str, Kind] | None = None,
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
                raise BagError(f'topic {topic} of bag {self.path} has type {found.type}, expected '
                               f'{IMAGE_TYPE} or {COMPRESSED_TYPE}; {self._describe()}')
        if not wanted:
            raise BagError(f'bag {self.path} has no image topics; {self._describe()}')
        messages = self.messages(*wanted)
        return (_decode(message, kinds.get(message.topic)) for message in messages)


def _decode(message: RawMessage, kind: Kind | None) -> BagImage:
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
            image = (to_visible if as_visible else to_thermal)(parsed.content)
        else:
            image = _decode_stream(*parsed.content, kind)
    except ImageError as error:
        image = error
    return BagImage(message.topic, parsed.stamp_ns, message.receive_ns, parsed.frame_id, image)


def _decode_stream(image_format: str, stream: memoryview, kind: Kind | None) -> NDArray[Any]:
    if kind is None:
        offset = 12 if 'compressedDepth' in image_format else 0
        kind = 'visible' if probe_compressed(stream[offset:]).channels == 3 else 'thermal'
    return decode_compressed(image_format, stream, kind)


class BagWriter:
    """
    Write a rosbag2 bag in MCAP, with message definitions, to be used in a `with` statement.

    `ros2 bag play` (Humble and later) and Foxglove open the result. Within an exception the
    half-written bag is removed.

    Args:
        path: folder of the bag; parents are made.
        overwrite: replace a bag that is there (nothing else is ever removed).
        compress: compress the chunks with zstd; slower, for images without their own
            compression about half the size.

    Raises:
        BagError: something is at `path` that may not be replaced.

    """

    def __init__(
        self, path: str | Path, *, overwrite: bool = False, compress: bool = False,
    ) -> None:
        self.path = Path(path)
        rosbags = _import_rosbags()
        if self.path.exists():
            if not overwrite:
                raise BagError(f'{self.path} exists already')
            if not (self.path / 'metadata.yaml').is_file():
                raise BagError(f'{self.path} exists and is not a bag: not replaced')
            shutil.rmtree(self.path)
        module = rosbags.rosbag2
        # Version 8 spells QoS the way every distribution from Humble on can read.
        self._writer = module.Writer(
            self.path, version=8, storage_plugin=module.StoragePlugin.MCAP)
        if compress:
            self._writer.set_compression(
                module.CompressionMode.STORAGE, module.CompressionFormat.ZSTD)
        self._types = rosbags.typesys.get_typestore(rosbags.typesys.Stores.ROS2_JAZZY)
        self._parse_definition = rosbags.typesys.get_types_from_msg
        self._unknown_type = rosbags.typesys.TypesysError
        self._connections: dict[str, Any] = {}
        self._writer.open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
            return
        self._writer.abort()
        shutil.rmtree(self.path, ignore_errors=True)

    def close(self) -> None:
        """Write index and metadata."""
        self._writer.close()

    def register_type(self, message_type: str, definition: str) -> None:
        """
        Make a message type known that is not part of ROS itself.

        Args:
            message_type: e.g. 'mafs_ros/msg/FusionStatus'.
            definition: text of its .msg file; types it uses must be known before it is written.

        """
        self._types.register(self._parse_definition(definition, message_type))

    def add_topic(self, topic: str, message_type: str, *, latched: bool = False) -> None:
        """
        Declare a topic; done on first use where it is not called.

        Args:
            topic: absolute name.
            message_type: e.g. 'sensor_msgs/msg/Image'.
            latched: replay it transient local.

        Raises:
            BagError: the type is not known, or the topic was declared with another one.

        """
        known = self._connections.get(topic)
        if known is not None:
            if known.msgtype != message_type:
                raise BagError(f'topic {topic} has type {known.msgtype}, not {message_type}')
            return
        try:
            self._connections[topic] = self._writer.add_connection(
                topic, message_type, typestore=self._types,
                offered_qos_profiles=_qos(latched))
        except self._unknown_type as error:
            raise BagError(f'message type {message_type} of topic {topic} is not known') from error

    def write(self, topic: str, message_type: str, receive_ns: int, data: bytes) -> None:
        """Write a serialised message."""
        self.add_topic(topic, message_type)
        self._writer.write(self._connections[topic], receive_ns, data)

    def write_image(
        self, topic: str, stamp_ns: int, frame_id: str, image: NDArray[Any], encoding: str,
        receive_ns: int | None = None,
    ) -> None:
        """
        Write an array as sensor_msgs/Image.

        Args:
            topic: absolute name.
            stamp_ns: stamp of the header.
            frame_id: frame of the header.
            image: [H,W] or [H,W,C] in the layout that `encoding` says.
            encoding: e.g. 'rgb8', 'mono8', 'mono16', '32FC1'.
            receive_ns: time of the record; the stamp if not given.

        """
        image = np.ascontiguousarray(image, image.dtype.newbyteorder('<'))
        height, width = image.shape[:2]
        buffer = ImageBuffer(height, width, encoding, False, image[0].nbytes, image.data)
        self.write(topic, IMAGE_TYPE, stamp_ns if receive_ns is None else receive_ns,
                   serialize_image(stamp_ns, frame_id, buffer))

    def write_compressed(
        self, topic: str, stamp_ns: int, frame_id: str, image_format: str, data: Any,
        receive_ns: int | None = None,
    ) -> None:
        """Write a JPEG or PNG stream as sensor_msgs/CompressedImage."""
        self.write(topic, COMPRESSED_TYPE, stamp_ns if receive_ns is None else receive_ns,
                   serialize_compressed(stamp_ns, frame_id, image_format, data))


def _qos(latched: bool) -> Sequence[Any]:
    """Return the profile a player offers: reliable, depth 10, transient local where latched."""
    from rosbags.interfaces import (
        Qos,
        QosDurability,
        QosHistory,
        QosLiveliness,
        QosReliability,
        QosTime,
    )

    forever = QosTime(2147483647, 4294967295)
    durability = QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE
    return [Qos(QosHistory.KEEP_LAST, 1 if latched else 10, QosReliability.RELIABLE, durability,
                forever, forever, QosLiveliness.AUTOMATIC, forever, False)]
