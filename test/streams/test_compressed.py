"""Compressed images: what is complete decodes exactly, everything else is refused."""

from __future__ import annotations

import struct
import zlib

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
from mafs_model.errors import ImageError
from mafs_model.images.encodings import decode_compressed, probe_compressed
import numpy as np
import pytest


def smooth(channels: int = 3) -> np.ndarray:
    y, x = np.mgrid[0:48, 0:64]
    planes = [128 + 100 * np.sin(x / (7 + c) + y / (9 - c)) for c in range(channels)]
    return np.stack(planes, -1).astype(np.uint8).squeeze()


def encode(extension: str, image: np.ndarray, *parameters: int) -> bytes:
    done, data = cv2.imencode(extension, image, parameters)
    assert done
    return data.tobytes()


def thermal_16() -> np.ndarray:
    return (29000 + 40 * smooth(1).astype(np.uint16)).astype(np.uint16)


def test_png_round_trips():
    image, thermal = smooth(), thermal_16()
    assert np.array_equal(decode_compressed('png', encode('.png', image)), image[..., ::-1])
    assert np.array_equal(
        decode_compressed('16UC1; png compressed ', encode('.png', thermal), 'thermal'), thermal
    )
    grey = smooth(1)
    assert np.array_equal(decode_compressed('png', encode('.png', grey), 'thermal'), grey)
    assert np.array_equal(
        decode_compressed('png', encode('.png', grey)), np.repeat(grey[..., None], 3, 2)
    )


@pytest.mark.parametrize(
    'parameters',
    [
        (),
        (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        (cv2.IMWRITE_JPEG_RST_INTERVAL, 4),
        (cv2.IMWRITE_JPEG_OPTIMIZE, 1),
    ],
)
def test_jpeg_of_every_structure(parameters):
    image = smooth()
    data = encode('.jpg', image, cv2.IMWRITE_JPEG_QUALITY, 95, *parameters)
    decoded = decode_compressed('rgb8; jpeg compressed bgr8', data)
    assert np.abs(decoded.astype(int) - image[..., ::-1]).mean() < 4
    header = probe_compressed(data)
    assert (header.codec, header.height, header.width, header.channels) == ('jpeg', 48, 64, 3)


def test_colour_mapped_thermal_gives_luminance():
    image = smooth()
    expected = image[..., ::-1] @ np.array([0.299, 0.587, 0.114])
    assert np.abs(decode_compressed('png', encode('.png', image), 'thermal') - expected).max() < 1
    four = np.dstack([image, np.full(image.shape[:2], 7, np.uint8)])
    assert np.abs(decode_compressed('png', encode('.png', four), 'thermal') - expected).max() < 1


def test_depth_transport_header_is_skipped():
    thermal = thermal_16()
    data = struct.pack('<iff', 0, 0.0, 0.0) + encode('.png', thermal)
    decoded = decode_compressed('16UC1; compressedDepth png', data, 'thermal')
    assert np.array_equal(decoded, thermal)
    with pytest.raises(ImageError, match='float depth'):
        decode_compressed('32FC1; compressedDepth png', data, 'thermal')


def test_accepts_what_a_message_carries():
    import array

    data = encode('.png', smooth(1))
    for wrapped in (
        bytearray(data),
        memoryview(data),
        array.array('B', data),
        np.frombuffer(data, np.uint8),
    ):
        assert decode_compressed('png', wrapped, 'thermal').shape == (48, 64)


def test_visible_16_bit_grey_hints_at_swapped_topics():
    with pytest.raises(ImageError, match='swapped') as caught:
        decode_compressed('png', encode('.png', thermal_16()), 'visible')
    assert caught.value.reason == 'encoding'


@pytest.mark.parametrize('extension', ['.png', '.jpg'])
@pytest.mark.parametrize('kind', ['visible', 'thermal'])
def test_every_truncation_is_detected(extension, kind):
    data = encode(extension, smooth())
    for length in [*range(64), *range(64, len(data), 37), len(data) - 1]:
        with pytest.raises(ImageError) as caught:
            decode_compressed(extension[1:], data[:length], kind)
        assert caught.value.reason == 'decode'


def test_every_flipped_byte_of_a_png_is_detected():
    data = bytearray(encode('.png', smooth(1)))
    for position in range(0, len(data), 11):
        data[position] ^= 0x55
        with pytest.raises(ImageError):
            decode_compressed('png', bytes(data), 'thermal')
        data[position] ^= 0x55


def test_jpeg_with_a_marker_inside_its_scan_is_corrupt():
    data = bytearray(encode('.jpg', smooth()))
    middle = len(data) * 3 // 4
    data[middle : middle + 2] = b'\xff\x12'
    with pytest.raises(ImageError) as caught:
        decode_compressed('jpeg', bytes(data))
    assert caught.value.reason == 'decode'


def test_claimed_size_is_refused_before_anything_is_allocated():
    body = struct.pack('>IIBBBBB', 20000, 20000, 8, 2, 0, 0, 0)

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', checksum)

    data = b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', body) + chunk(b'IDAT', b'') + chunk(b'IEND', b'')
    with pytest.raises(ImageError, match='image is 20000x20000') as caught:
        decode_compressed('png', data)
    assert caught.value.reason == 'size'
    jpeg = bytearray(encode('.jpg', smooth()))
    frame = jpeg.find(b'\xff\xc0')
    jpeg[frame + 5 : frame + 9] = struct.pack('>HH', 20000, 20000)
    with pytest.raises(ImageError, match='image is 20000x20000'):
        decode_compressed('jpeg', bytes(jpeg))


@pytest.mark.parametrize('data', [b'', b'\x00', b'GIF89a....', b'RIFF....WEBP', b'\xff\xd8'])
def test_other_data_is_named(data):
    with pytest.raises(ImageError) as caught:
        decode_compressed('jpeg', data)
    assert caught.value.reason == 'decode'


@given(st.binary(max_size=200), st.sampled_from([b'', b'\xff\xd8', b'\x89PNG\r\n\x1a\n']))
@settings(max_examples=200, deadline=None)
def test_noise_never_raises_anything_else(noise, prefix):
    with pytest.raises(ImageError):
        decode_compressed('png', prefix + noise)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_damaged_jpeg_is_refused_or_keeps_its_size(data):
    stream = bytearray(encode('.jpg', smooth()))
    for _ in range(data.draw(st.integers(1, 4))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    reason = None
    try:
        header = probe_compressed(bytes(stream))
        decoded = decode_compressed('jpeg', bytes(stream))
    except ImageError as error:
        reason = error.reason
    else:
        assert decoded.shape == (header.height, header.width, 3)
    assert reason in {None, 'decode', 'size'}
