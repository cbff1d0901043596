"""Image messages of ROS 1 bags, brought into the form of ROS 2."""

from __future__ import annotations

import struct

from mafs_model.bags.cdr import COMPRESSED_TYPE, IMAGE_TYPE, serialize_compressed, serialize_image
from mafs_model.errors import ImageError
from mafs_model.images.encodings import ImageBuffer
from mafs_model.streams import NS_PER_S

SUFFIX = '.bag'


class _Cursor:
    """A cursor over one message: little-endian, packed, texts with their length."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0

    def integers(self, code: str) -> tuple[int, ...]:
        return struct.unpack('<' + code, self.take(struct.calcsize('<' + code)))

    def octets(self) -> memoryview:
        return self.take(self.integers('I')[0])

    def string(self) -> str:
        return bytes(self.octets()).decode('utf-8', 'replace')

    def take(self, size: int) -> memoryview:
        if size > len(self._data) - self._at:
            raise ImageError('data', f'message ends after {len(self._data)} bytes, expected more')
        part = self._data[self._at : self._at + size]
        self._at += size
        return part


def to_ros2(message_type: str, data: bytes) -> bytes:
    """
    Return a ROS 1 image message as the same message of ROS 2, in CDR.

    Args:
        message_type: `IMAGE_TYPE` or `COMPRESSED_TYPE`.
        data: as ROS 1 serialises it.

    Raises:
        ImageError: reason 'data' for a message that ends too early.

    """
    assert message_type in (IMAGE_TYPE, COMPRESSED_TYPE)
    cursor = _Cursor(data)
    _, seconds, nanoseconds = cursor.integers('III')  # the first one numbers the messages
    stamp_ns = seconds * NS_PER_S + nanoseconds
    frame_id = cursor.string()
    if message_type == COMPRESSED_TYPE:
        return serialize_compressed(stamp_ns, frame_id, cursor.string(), cursor.octets())
    height, width = cursor.integers('II')
    encoding = cursor.string()
    is_bigendian, step = cursor.integers('BI')
    buffer = ImageBuffer(height, width, encoding, bool(is_bigendian), step, cursor.octets())
    return serialize_image(stamp_ns, frame_id, buffer)
