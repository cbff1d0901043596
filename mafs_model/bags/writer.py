"""Writing rosbag2 bags in MCAP without a ROS installation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
import secrets
import shutil
from types import TracebackType
from typing import Any, TYPE_CHECKING

from mafs_model.bags.cdr import COMPRESSED_TYPE, IMAGE_TYPE, serialize_compressed, serialize_image
from mafs_model.errors import BagError
from mafs_model.extras import how_to_install
from mafs_model.files import check_space
from mafs_model.images.encodings import ImageBuffer
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from typing_extensions import Self


def import_rosbags() -> Any:
    """Return the package rosbags; raises BagError where it is not installed."""
    try:
        import rosbags.rosbag1
        import rosbags.rosbag2
        import rosbags.typesys
    except ImportError as error:
        # A release that lacks one of these modules is as good as none.
        detail = '' if error.name == 'rosbags' else f' ({error})'
        raise BagError(f'bags: {how_to_install("rosbags")}{detail}') from error
    return rosbags


class BagWriter:
    """
    Write a rosbag2 bag in MCAP, with message definitions, to be used in a `with` statement.

    `ros2 bag play` (Humble and later) and Foxglove open the result. Within an exception the
    half-written bag is removed; a bag that is to be replaced stays until the new one is whole.

    Args:
        path: folder of the bag; parents are made.
        overwrite: replace a bag that is there (nothing else is ever removed).
        compress: compress the chunks with zstd; slower, for images without their own
            compression about half the size.

    Raises:
        BagError: something is at `path` that may not be replaced.

    """

    def __init__(
        self,
        path: str | Path,
        *,
        overwrite: bool = False,
        compress: bool = False,
    ) -> None:
        self.path = Path(path)
        rosbags = import_rosbags()
        if self.path.exists():
            if not overwrite:
                raise BagError(f'{self.path} exists already')
            if not (self.path / 'metadata.yaml').is_file():
                raise BagError(f'{self.path} exists and is not a bag: not replaced')
        # written beside, in a folder of the same name, as its files are called after it
        self._beside = self.path.parent / f'.{self.path.name[:40]}.{secrets.token_hex(8)}.part'
        check_space(_existing(self.path.parent), 0, BagError)
        module = rosbags.rosbag2
        # Version 8 spells QoS the way every distribution from Humble on can read.
        self._writer = module.Writer(
            self._beside / self.path.name, version=8, storage_plugin=module.StoragePlugin.MCAP
        )
        if compress:
            self._writer.set_compression(
                module.CompressionMode.STORAGE, module.CompressionFormat.ZSTD
            )
        self._types = rosbags.typesys.get_typestore(rosbags.typesys.Stores.ROS2_HUMBLE)
        self._parse_definition = rosbags.typesys.get_types_from_msg
        self._unknown_type = rosbags.typesys.TypesysError
        self._connections: dict[str, Any] = {}
        self._writer.open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
            return
        self._writer.abort()
        shutil.rmtree(self._beside, ignore_errors=True)

    def close(self) -> None:
        """Write index and metadata; then the bag takes its place, or that of the one before."""
        self._writer.close()
        if self.path.exists():
            shutil.rmtree(self.path)
        (self._beside / self.path.name).rename(self.path)
        self._beside.rmdir()

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
                topic, message_type, typestore=self._types, offered_qos_profiles=_qos(latched)
            )
        except self._unknown_type as error:
            raise BagError(f'message type {message_type} of topic {topic} is not known') from error

    def write(self, topic: str, message_type: str, receive_ns: int, data: bytes) -> None:
        """Write a serialised message."""
        self.add_topic(topic, message_type)
        self._writer.write(self._connections[topic], receive_ns, data)

    def write_image(
        self,
        topic: str,
        stamp_ns: int,
        frame_id: str,
        image: NDArray[Any],
        encoding: str,
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
        self.write(
            topic,
            IMAGE_TYPE,
            stamp_ns if receive_ns is None else receive_ns,
            serialize_image(stamp_ns, frame_id, buffer),
        )

    def write_compressed(
        self,
        topic: str,
        stamp_ns: int,
        frame_id: str,
        image_format: str,
        data: Any,
        receive_ns: int | None = None,
    ) -> None:
        """Write a JPEG or PNG stream as sensor_msgs/CompressedImage."""
        self.write(
            topic,
            COMPRESSED_TYPE,
            stamp_ns if receive_ns is None else receive_ns,
            serialize_compressed(stamp_ns, frame_id, image_format, data),
        )


def _existing(folder: Path) -> Path:
    """Return a folder, or the nearest one above it that exists."""
    return next(place for place in (folder, *folder.absolute().parents) if place.is_dir())


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
    return [
        Qos(
            QosHistory.KEEP_LAST,
            1 if latched else 10,
            QosReliability.RELIABLE,
            durability,
            forever,
            forever,
            QosLiveliness.AUTOMATIC,
            forever,
            False,
        )
    ]
