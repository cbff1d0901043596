"""
Camera images as NumPy arrays: from raw message buffers and compressed streams.

The plain encodings are strided views of the buffer (row padding and byte order are expressed by
strides and dtype, nothing is copied); what a view cannot express goes through OpenCV. Every size
is checked before memory is touched or allocated.
"""

from __future__ import annotations

from dataclasses import dataclass
import re
from typing import Any, Literal

import cv2
from mafs_model.errors import ImageError
from mafs_model.images import depth_transport
from mafs_model.images.compressed import CompressedHeader, read_header
from mafs_model.images.depth_transport import is_depth_transport
from mafs_model.images.quiet import quiet_decoders
from mafs_model.images.thermal_decoder import ThermalDecoder
import numpy as np
from numpy.typing import NDArray

__all__ = [
    'CompressedHeader',
    'ImageBuffer',
    'MAX_SIDE_PX',
    'SUPPORTED_ENCODINGS',
    'check_size',
    'decode_compressed',
    'is_colour',
    'probe_compressed',
    'THERMAL_ONLY',
    'to_thermal',
    'to_visible',
    'view',
]

# No camera of this kind is larger; a damaged header easily claims more, and an image of
# 20000x20000 pixels would take the memory of the robot before anything else goes wrong.
MAX_SIDE_PX = 16384
MAX_PIXELS = 64 * 1024 * 1024

_NAMED: dict[str, tuple[str, int]] = {
    'rgb8': ('u1', 3),
    'bgr8': ('u1', 3),
    'rgba8': ('u1', 4),
    'bgra8': ('u1', 4),
    'rgb16': ('u2', 3),
    'bgr16': ('u2', 3),
    'rgba16': ('u2', 4),
    'bgra16': ('u2', 4),
    'mono8': ('u1', 1),
    'mono16': ('u2', 1),
    '16SC1': ('i2', 1),
    '32SC1': ('i4', 1),
    '64FC1': ('f8', 1),
    'yuv422': ('u1', 2),
    'uyvy': ('u1', 2),
    'yuv422_yuy2': ('u1', 2),
    'yuyv': ('u1', 2),
    # A plane of luma, and below it one of chroma pairs with half the rows and half the columns.
    'nv12': ('u1', 1),
    'nv21': ('u1', 1),
    **{f'bayer_{phase}8': ('u1', 1) for phase in ('rggb', 'bggr', 'gbrg', 'grbg')},
    **{f'bayer_{phase}16': ('u2', 1) for phase in ('rggb', 'bggr', 'gbrg', 'grbg')},
}
_GENERIC = re.compile(r'(8U|16U|32F)C([1-4])')
_GENERIC_DTYPE = {'8U': 'u1', '16U': 'u2', '32F': 'f4'}

SUPPORTED_ENCODINGS = (*_NAMED, *(f'{kind}C1..4' for kind in _GENERIC_DTYPE))

# OpenCV names a mosaic by the 2x2 block one pixel in from the corner, ROS by the corner itself.
_BAYER_TO_RGB = {
    'rggb': cv2.COLOR_BayerBG2RGB,
    'bggr': cv2.COLOR_BayerRG2RGB,
    'gbrg': cv2.COLOR_BayerGR2RGB,
    'grbg': cv2.COLOR_BayerGB2RGB,
}
_TO_RGB = {
    'bgr8': cv2.COLOR_BGR2RGB,
    'rgba8': cv2.COLOR_RGBA2RGB,
    'bgra8': cv2.COLOR_BGRA2RGB,
    'mono8': cv2.COLOR_GRAY2RGB,
    '8UC1': cv2.COLOR_GRAY2RGB,
    # Unnamed channels are in OpenCV's order.
    '8UC3': cv2.COLOR_BGR2RGB,
    '8UC4': cv2.COLOR_BGRA2RGB,
    'bgr16': cv2.COLOR_BGR2RGB,
    'rgba16': cv2.COLOR_RGBA2RGB,
    'bgra16': cv2.COLOR_BGRA2RGB,
    '16UC3': cv2.COLOR_BGR2RGB,
    '16UC4': cv2.COLOR_BGRA2RGB,
    'yuv422': cv2.COLOR_YUV2RGB_UYVY,
    'uyvy': cv2.COLOR_YUV2RGB_UYVY,
    'yuv422_yuy2': cv2.COLOR_YUV2RGB_YUY2,
    'yuyv': cv2.COLOR_YUV2RGB_YUY2,
    'nv12': cv2.COLOR_YUV2RGB_NV12,
    'nv21': cv2.COLOR_YUV2RGB_NV21,
}
_RGB = ('rgb8', 'rgb16')
_LUMA_CHANNEL = {'yuv422': 1, 'uyvy': 1, 'yuv422_yuy2': 0, 'yuyv': 0}
_TWO_PLANES = ('nv12', 'nv21')
# Encodings of thermal cameras alone; mono16 is also what monochrome visible cameras send.
THERMAL_ONLY = ('16UC1', '32FC1', '64FC1', '16SC1', '32SC1')
_THERMAL = ('mono8', '8UC1', 'mono16', *THERMAL_ONLY)
_PAIRS = '8UC2'
_GREY_BITS = (10, 12, 14)  # Depths of monochrome cameras that fill 16 bits from below.
_DEFAULT_DECODER = ThermalDecoder()


@dataclass(frozen=True, slots=True)
class ImageBuffer:
    """
    A raw image as sensor_msgs/Image carries it.

    Args:
        height: rows.
        width: columns.
        encoding: name of the pixel format, e.g. 'bgr8', 'mono16', '32FC1'.
        is_bigendian: byte order of samples of more than one byte.
        step: bytes from one row to the next, padding included.
        data: any object with the buffer protocol, `step * height` bytes, half as much again for
            nv12 and nv21, whose chroma rows follow the luma rows with the same step.

    """

    height: int
    width: int
    encoding: str
    is_bigendian: bool
    step: int
    data: Any


def check_size(height: int, width: int) -> None:
    """
    Refuse sizes no camera has.

    Raises:
        ImageError: reason 'size' below 1x1, above 16384 a side or 64 Mpixel.

    """
    sides = 1 <= height <= MAX_SIDE_PX and 1 <= width <= MAX_SIDE_PX
    if not sides or height * width > MAX_PIXELS:
        raise ImageError(
            'size',
            f'image is {width}x{height}, expected 1x1 to {MAX_SIDE_PX} a side and '
            f'{MAX_PIXELS // 2**20} Mpixel',
        )


def _layout(encoding: str) -> tuple[str, int]:
    """Return dtype (without byte order) and channels of an encoding."""
    layout = _NAMED.get(encoding)
    if layout is not None:
        return layout
    match = _GENERIC.fullmatch(encoding)
    if match is None:
        shown = encoding if len(encoding) <= 40 else encoding[:40] + '...'
        raise ImageError(
            'encoding', f'encoding is {shown!r}, expected one of {", ".join(SUPPORTED_ENCODINGS)}'
        )
    return _GENERIC_DTYPE[match[1]], int(match[2])


def view(buffer: ImageBuffer) -> NDArray[Any]:
    """
    Return the image as a read-only array on the buffer itself.

    Args:
        buffer: the raw image.

    Returns:
        [H,W] for one channel, else [H,W,C], in the buffer's channel order and byte order, with
        row padding left out by its strides; for nv12 and nv21 [H+H/2,W], luma above chroma.
        Nothing is copied: the array lives and changes with the buffer.

    Raises:
        ImageError: reason 'size' (also an odd one where chroma is halved), 'encoding', 'step'
            (shorter than a row) or 'data' (not exactly the bytes that rows and step ask for).

    """
    check_size(buffer.height, buffer.width)
    kind, channels = _layout(buffer.encoding)
    dtype = np.dtype(('>' if buffer.is_bigendian else '<') + kind)
    pixel = dtype.itemsize * channels
    if buffer.step < buffer.width * pixel:
        raise ImageError(
            'step',
            f'step is {buffer.step} bytes, expected at least {buffer.width * pixel} '
            f'({buffer.width} columns of {buffer.encoding})',
        )
    rows, made_of = buffer.height, f'height {buffer.height}'
    if buffer.encoding in _TWO_PLANES:
        if buffer.height % 2 or buffer.width % 2:
            raise ImageError(
                'size',
                f'image is {buffer.width}x{buffer.height}, expected even sides for '
                f'{buffer.encoding}',
            )
        rows += rows // 2
        made_of = f'{rows} rows: luma and chroma of {made_of}'
    size = memoryview(buffer.data).nbytes
    if size != buffer.step * rows:
        raise ImageError(
            'data',
            f'data has {size} bytes, expected {buffer.step * rows} '
            f'(step {buffer.step} x {made_of})',
        )
    shape: tuple[int, ...] = (rows, buffer.width)
    strides: tuple[int, ...] = (buffer.step, pixel)
    if channels > 1:
        shape, strides = (*shape, channels), (*strides, dtype.itemsize)
    image: NDArray[Any] = np.ndarray(shape, dtype, buffer.data, strides=strides)
    image.flags.writeable = False
    return image


def is_colour(encoding: str) -> bool:
    """
    Tell whether an encoding carries colour, so that as thermal it is a colour-mapped picture.

    Raises:
        ImageError: reason 'encoding' for an unknown one.

    """
    return _layout(encoding)[1] > 1 or encoding.startswith('bayer_') or encoding in _TWO_PLANES


def to_visible(buffer: ImageBuffer) -> NDArray[np.uint8]:
    """
    Return a visible image.

    Args:
        buffer: the raw image; 16-bit colour is reduced to its upper 8 bits, 16-bit grey to those
            of the 10, 12, 14 or 16 bits that it uses.

    Returns:
        uint8 [H,W,3] RGB; for 'rgb8' a read-only view of the buffer, else a new array.

    Raises:
        ImageError: see `view`; reason 'encoding' also for encodings of thermal cameras (16-bit
            and float grey) and for ones without a colour meaning.

    """
    encoding = buffer.encoding
    image = view(buffer)
    if encoding in _RGB:
        return _to_8_bit(image)
    if encoding.startswith('bayer_'):
        if min(image.shape) < 2:
            raise ImageError(
                'size', f'mosaic is {buffer.width}x{buffer.height}, expected at least 2x2'
            )
        code = _BAYER_TO_RGB[encoding[6:10]]
        return _to_8_bit(cv2.cvtColor(_for_opencv(image), code))
    if encoding in _LUMA_CHANNEL and buffer.width % 2:
        raise ImageError('size', f'width is {buffer.width}, expected an even one for {encoding}')
    if encoding == 'mono16':
        return cv2.cvtColor(_upper_bits(image), cv2.COLOR_GRAY2RGB)
    if encoding in THERMAL_ONLY:
        raise ImageError(
            'encoding',
            f'encoding of the visible image is {encoding!r}, which thermal cameras '
            'send: are the two topics swapped?',
        )
    conversion = _TO_RGB.get(encoding)
    if conversion is None:
        raise ImageError('encoding', f'encoding {encoding!r} does not say how to make RGB of it')
    return _to_8_bit(cv2.cvtColor(_for_opencv(image), conversion))


def to_thermal(buffer: ImageBuffer, decoder: ThermalDecoder = _DEFAULT_DECODER) -> NDArray[Any]:
    """
    Return a thermal image in the camera's own values.

    Args:
        buffer: the raw image.
        decoder: knows the camera; the default tells it by the frame.

    Returns:
        [H,W] uint8, uint16 or float32 in native byte order (NaN and Inf pass); a read-only view
        of the buffer where nothing had to be changed, else a new array.

    Raises:
        ImageError: see `view`; reason 'encoding' also for mosaics and several-channel data
            without a colour meaning.

    """
    encoding = buffer.encoding
    if encoding in _THERMAL:
        return decoder(view(buffer))
    if encoding in _LUMA_CHANNEL:
        pairs = view(buffer)
        return decoder(pairs[..., ::-1] if _LUMA_CHANNEL[encoding] else pairs)
    if encoding in _TWO_PLANES:
        return decoder(view(buffer)[: buffer.height])
    if encoding == _PAIRS and decoder.takes_pairs((buffer.height, buffer.width)):
        return decoder(view(buffer))
    if encoding.startswith('bayer_') or (encoding not in _TO_RGB and encoding not in _RGB):
        _layout(encoding)
        raise ImageError(
            'encoding',
            f'encoding of the thermal image is {encoding!r}, expected one of '
            f'{", ".join(_THERMAL)} or colour-mapped rgb8, bgr8, rgba8, bgra8',
        )
    return decoder(to_visible(buffer))


def probe_compressed(data: Any, format: str = '') -> CompressedHeader:  # noqa: A002
    """
    Check a compressed image for completeness and return its header.

    Args:
        data: the stream.
        format: the message's format; only the depth transport has to be told by it.

    Raises:
        ImageError: reason 'decode' (not JPEG, PNG or RVL, truncated, corrupt) or 'size'.

    """
    stream = _as_bytes(data)
    if is_depth_transport(format):
        header = depth_transport.read_header(format, stream)
    else:
        header = read_header(stream)
    check_size(header.height, header.width)
    return header


def decode_compressed(
    format: str,  # noqa: A002 - the name of the message's field
    data: Any,
    kind: Literal['visible', 'thermal'] = 'visible',
    decoder: ThermalDecoder = _DEFAULT_DECODER,
) -> NDArray[Any]:
    """
    Decode sensor_msgs/CompressedImage.

    Args:
        format: the message's format, e.g. 'jpeg', 'rgb8; jpeg compressed bgr8', '16UC1;
            compressedDepth rvl'. The codec is read from the data; the format only tells apart
            the depth transport (a header before PNG or RVL) and float depth (refused).
        data: the stream, any object with the buffer protocol.
        kind: what is wanted.
        decoder: knows the thermal camera; the default tells it by the frame.

    Returns:
        uint8 [H,W,3] RGB for 'visible'; [H,W] uint8 or uint16 for 'thermal'.

    Raises:
        ImageError: reason 'decode', 'size', or 'encoding' for a visible 16-bit grey image.

    """
    stream = _as_bytes(data)
    header = probe_compressed(stream, format)
    if kind == 'visible' and header.channels == 1 and header.bit_depth == 16:
        raise ImageError(
            'encoding',
            'compressed visible image is 16-bit grey, which thermal '
            'cameras send: are the two topics swapped?',
        )
    if header.codec == 'rvl':
        return decoder(depth_transport.decode_rvl(stream, header))
    if is_depth_transport(format):
        stream = stream[depth_transport.HEADER_BYTES :]
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    if kind == 'thermal':
        flags = cv2.IMREAD_UNCHANGED
    try:
        with quiet_decoders():
            image = cv2.imdecode(np.frombuffer(stream, np.uint8), flags)
    except cv2.error as error:
        raise ImageError(
            'decode', f'{header.codec.upper()} cannot be decoded: {str(error).splitlines()[0]}'
        ) from error
    if image is None or image.shape[:2] != (header.height, header.width):
        raise ImageError('decode', f'{header.codec.upper()} is corrupt: the decoder refused it')
    if kind == 'visible':
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    if image.ndim == 3:
        image = _to_8_bit(cv2.cvtColor(image[..., :3].copy(), cv2.COLOR_BGR2RGB))
    return decoder(image)


def _as_bytes(data: Any) -> bytes:
    return data if isinstance(data, bytes) else memoryview(data).tobytes()


def _to_8_bit(image: NDArray[Any]) -> NDArray[np.uint8]:
    return image if image.dtype == np.uint8 else (image >> 8).astype(np.uint8)


def _upper_bits(image: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return 16-bit grey as 8 bit, by the depth that its largest value needs."""
    largest = int(image.max())
    bits = next((bits for bits in _GREY_BITS if largest < 1 << bits), 16)
    return (image >> (bits - 8)).astype(np.uint8)


def _for_opencv(image: NDArray[Any]) -> NDArray[Any]:
    """Copy what OpenCV cannot read in place: foreign byte order, rows at odd addresses."""
    if image.dtype.itemsize > 1 and (
        not image.dtype.isnative
        or image.strides[0] % image.dtype.itemsize
        or not image.flags.aligned
    ):
        return image.astype(image.dtype.newbyteorder('='), order='C')
    return image
