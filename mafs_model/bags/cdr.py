"""Image messages in CDR, the wire format that bags hold: parsing and serialising by hand."""

from __future__ import annotations

from dataclasses import dataclass
import struct
from typing import Any

from mafs_model.errors import ImageError
from mafs_model.images.encodings import ImageBuffer
from mafs_model.streams import NS_PER_S

IMAGE_TYPE = 'sensor_msgs/msg/Image'
COMPRESSED_TYPE = 'sensor_msgs/msg/CompressedImage'

# The encapsulation header says the byte order; alignment counts from behind it.
_LITTLE_ENDIAN_HEADER = b'\x00\x01\x00\x00'
_HEADER_SIZE = 4


@dataclass(frozen=True, slots=True)
class ImageMessage:
    """
    What an image message says, compressed or not.

    Args:
        stamp_ns: stamp of its header.
        frame_id: frame of its header.
        content: a raw image, or (format, stream) of a compressed one.

    """

    stamp_ns: int
    frame_id: str
    content: ImageBuffer | tuple[str, memoryview]


class _Reader:
    """A cursor over one message that never reads beyond its end."""

    def __init__(self, data: bytes) -> None:
        if len(data) < _HEADER_SIZE or data[0] != 0 or data[1] not in (0, 1):
            raise ImageError('data', 'message is not in plain CDR')
        self._order = '<' if data[1] else '>'
        self._data = memoryview(data)
        self._at = _HEADER_SIZE

    def take(self, size: int) -> memoryview:
        end = self._at + size
        if end > len(self._data):
            raise ImageError(
                'data', f'message ends after {len(self._data)} bytes, expected at least {end}'
            )
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def integers(self, code: str) -> tuple[Any, ...]:
        """Read 32-bit integers, aligned as they are."""
        self._at += -(self._at - _HEADER_SIZE) % 4
        layout = struct.Struct(self._order + code)
        return layout.unpack(self.take(layout.size))

    def string(self) -> str:
        (size,) = self.integers('I')
        return bytes(self.take(size)).rstrip(b'\x00').decode('utf-8', 'replace')

    def octets(self) -> memoryview:
        (size,) = self.integers('I')
        return self.take(size)


def parse_image(message_type: str, data: bytes) -> ImageMessage:
    """
    Parse a sensor_msgs Image or CompressedImage.

    Args:
        message_type: `IMAGE_TYPE` or `COMPRESSED_TYPE`.
        data: the serialised message.

    Returns:
        Its content; pixel data stay where they are.

    Raises:
        ImageError: reason 'data' for a message that ends too early.

    """
    reader = _Reader(data)
    seconds, nanoseconds = reader.integers('iI')
    stamp_ns = seconds * NS_PER_S + nanoseconds
    frame_id = reader.string()
    if message_type == COMPRESSED_TYPE:
        image_format = reader.string()
        return ImageMessage(stamp_ns, frame_id, (image_format, reader.octets()))
    height, width = reader.integers('II')
    encoding = reader.string()
    is_bigendian = bool(reader.take(1)[0])
    (step,) = reader.integers('I')
    buffer = ImageBuffer(height, width, encoding, is_bigendian, step, reader.octets())
    return ImageMessage(stamp_ns, frame_id, buffer)


def stamp_of(data: bytes) -> int | None:
    """Return the stamp in ns of a message that begins with a header, None if it is too short."""
    try:
        seconds, nanoseconds = _Reader(data).integers('iI')
    except ImageError:
        return None
    return int(seconds) * NS_PER_S + int(nanoseconds)


class _Writer:
    """Collects the fields of one message with their alignment."""

    def __init__(self, stamp_ns: int, frame_id: str) -> None:
        self._parts: list[Any] = [_LITTLE_ENDIAN_HEADER]
        self._at = 0
        seconds, nanoseconds = divmod(stamp_ns, NS_PER_S)
        self.put(struct.pack('<iI', seconds, nanoseconds))
        self.string(frame_id)

    def put(self, part: Any) -> None:
        self._parts.append(part)
        self._at += len(part)

    def integers(self, *values: int) -> None:
        self.put(bytes(-self._at % 4) + struct.pack(f'<{len(values)}I', *values))

    def string(self, text: str) -> None:
        encoded = text.encode() + b'\x00'
        self.integers(len(encoded))
        self.put(encoded)

    def octets(self, data: Any) -> bytes:
        view = memoryview(data).cast('B')
        self.integers(len(view))
        self.put(view)
        return b''.join(self._parts)


def serialize_image(stamp_ns: int, frame_id: str, buffer: ImageBuffer) -> bytes:
    """Return a sensor_msgs/Image."""
    writer = _Writer(stamp_ns, frame_id)
    writer.integers(buffer.height, buffer.width)
    writer.string(buffer.encoding)
    writer.put(bytes([buffer.is_bigendian]))
    writer.integers(buffer.step)
    return writer.octets(buffer.data)


def serialize_compressed(stamp_ns: int, frame_id: str, image_format: str, data: Any) -> bytes:
    """Return a sensor_msgs/CompressedImage."""
    writer = _Writer(stamp_ns, frame_id)
    writer.string(image_format)
    return writer.octets(data)
