"""Raw image buffers to arrays: every encoding, padding, byte order, and hostile headers."""

from __future__ import annotations

import array

import cv2
from mafs_model.errors import ImageError
from mafs_model.images.encodings import (
    ImageBuffer,
    is_colour,
    SUPPORTED_ENCODINGS,
    to_thermal,
    to_visible,
    view,
)
import numpy as np
import pytest

HEIGHT, WIDTH = 6, 10


def buffer_of(
    image: np.ndarray, encoding: str, padding: int = 0, big: bool = False, wrap=bytes
) -> ImageBuffer:
    """Lay an array out as a message does, row padding filled with a value that must not leak."""
    dtype = image.dtype.newbyteorder('>' if big else '<')
    rows = image.astype(dtype).reshape(image.shape[0], -1).view(np.uint8)
    padded = np.full((rows.shape[0], rows.shape[1] + padding), 0xA5, np.uint8)
    padded[:, : rows.shape[1]] = rows
    return ImageBuffer(
        image.shape[0], image.shape[1], encoding, big, padded.shape[1], wrap(padded.tobytes())
    )


def picture(channels: int, dtype: str = 'u1', seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shape = (HEIGHT, WIDTH) if channels == 1 else (HEIGHT, WIDTH, channels)
    if dtype == 'f4':
        return rng.normal(300, 20, shape).astype(np.float32)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


PLAIN = [
    ('rgb8', 3, 'u1'),
    ('bgr8', 3, 'u1'),
    ('rgba8', 4, 'u1'),
    ('bgra8', 4, 'u1'),
    ('mono8', 1, 'u1'),
    ('mono16', 1, 'u2'),
    ('8UC1', 1, 'u1'),
    ('8UC2', 2, 'u1'),
    ('8UC3', 3, 'u1'),
    ('8UC4', 4, 'u1'),
    ('16UC1', 1, 'u2'),
    ('32FC1', 1, 'f4'),
    ('rgb16', 3, 'u2'),
    ('bgra16', 4, 'u2'),
    ('16UC3', 3, 'u2'),
    ('32FC2', 2, 'f4'),
]


@pytest.mark.parametrize(('encoding', 'channels', 'dtype'), PLAIN)
@pytest.mark.parametrize('padding', [0, 1, 7, 16])
@pytest.mark.parametrize('big', [False, True])
def test_view_of_every_plain_encoding(encoding, channels, dtype, padding, big):
    image = picture(channels, dtype)
    seen = view(buffer_of(image, encoding, padding, big))
    assert seen.shape == image.shape
    assert np.array_equal(seen, image)


@pytest.mark.parametrize(
    'wrap',
    [
        bytes,
        bytearray,
        memoryview,
        lambda data: array.array('B', data),
        lambda data: np.frombuffer(data, np.uint8),
    ],
)
def test_view_shares_memory_with_any_buffer(wrap):
    buffer = buffer_of(picture(3), 'rgb8', 5, wrap=wrap)
    seen = view(buffer)
    assert np.shares_memory(seen, np.frombuffer(buffer.data, np.uint8))
    with pytest.raises(ValueError, match='read-only'):
        seen[0, 0] = 0
    assert to_visible(buffer).base is not None, 'rgb8 is not copied'


def test_view_follows_the_buffer():
    data = bytearray(2 * 2)
    seen = view(ImageBuffer(2, 2, 'mono8', False, 2, data))
    data[3] = 9
    assert seen[1, 1] == 9


@pytest.mark.parametrize('padding', [0, 1, 13])
@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize(
    ('encoding', 'order'),
    [
        ('rgb8', (0, 1, 2)),
        ('bgr8', (2, 1, 0)),
        ('rgba8', (0, 1, 2)),
        ('bgra8', (2, 1, 0)),
        ('8UC3', (2, 1, 0)),
        ('8UC4', (2, 1, 0)),
        ('mono8', (0, 0, 0)),
        ('8UC1', (0, 0, 0)),
        ('rgb16', (0, 1, 2)),
        ('bgr16', (2, 1, 0)),
        ('rgba16', (0, 1, 2)),
        ('bgra16', (2, 1, 0)),
        ('16UC3', (2, 1, 0)),
    ],
)
def test_visible_channel_order(encoding, order, padding, big):
    channels = 1 if order == (0, 0, 0) else 4 if 'a' in encoding or encoding == '8UC4' else 3
    dtype = 'u2' if '16' in encoding else 'u1'
    image = picture(channels, dtype)
    rgb = to_visible(buffer_of(image, encoding, padding, big))
    planes = image.reshape(HEIGHT, WIDTH, channels)[..., order]
    expected = (planes >> 8).astype(np.uint8) if dtype == 'u2' else planes
    assert rgb.dtype == np.uint8
    assert np.array_equal(rgb, expected)


@pytest.mark.parametrize('padding', [0, 1, 6])
@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize(
    ('encoding', 'dtype'),
    [('mono8', 'u1'), ('8UC1', 'u1'), ('mono16', 'u2'), ('16UC1', 'u2'), ('32FC1', 'f4')],
)
def test_thermal_keeps_values_in_native_order(encoding, dtype, padding, big):
    image = picture(1, dtype)
    thermal = to_thermal(buffer_of(image, encoding, padding, big))
    assert thermal.dtype == image.dtype
    assert thermal.dtype.isnative
    assert np.array_equal(thermal, image)


def test_thermal_of_native_order_is_not_copied():
    buffer = buffer_of(picture(1, 'u2'), 'mono16', 4, wrap=bytearray)
    assert np.shares_memory(to_thermal(buffer), np.frombuffer(buffer.data, np.uint8))


def test_float_thermal_passes_nan_and_infinity():
    image = picture(1, 'f4')
    image[0, :3] = np.nan, np.inf, -np.inf
    assert np.array_equal(to_thermal(buffer_of(image, '32FC1', 3)), image, equal_nan=True)


@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8', 'rgba8', 'bgra8', '8UC3'])
def test_colour_mapped_thermal_is_luminance(encoding):
    image = picture(4 if 'a8' in encoding else 3)
    rgb = image[..., :3] if encoding.startswith('rgb') else image[..., 2::-1]
    expected = rgb @ np.array([0.299, 0.587, 0.114])
    thermal = to_thermal(buffer_of(image, encoding, 2))
    assert np.abs(thermal - expected).max() <= 0.6
    assert is_colour(encoding)
    assert not any(is_colour(name) for name in ('mono8', 'mono16', '16UC1', '32FC1'))


def yuv_pixel(y: float, u: float, v: float) -> np.ndarray:
    """ITU-R BT.601, studio range, written out."""
    y, u, v = 1.164 * (y - 16), u - 128, v - 128
    return np.clip([y + 1.596 * v, y - 0.391 * u - 0.813 * v, y + 2.018 * u], 0, 255)


@pytest.mark.parametrize(
    ('encoding', 'order'),
    [('yuv422', 'uyvy'), ('uyvy', 'uyvy'), ('yuv422_yuy2', 'yuyv'), ('yuyv', 'yuyv')],
)
def test_yuv_422_pixel_by_pixel(encoding, order):
    rng = np.random.default_rng(0)
    luma = rng.integers(60, 190, (4, 6), dtype=np.uint8)
    chroma = rng.integers(90, 166, (4, 3, 2), dtype=np.uint8)  # u, v per two pixels
    packed = np.zeros((4, 6, 2), np.uint8)
    luma_at = order.index('y')
    packed[..., luma_at] = luma
    packed[:, 0::2, 1 - luma_at] = chroma[..., 0]
    packed[:, 1::2, 1 - luma_at] = chroma[..., 1]
    rgb = to_visible(buffer_of(packed, encoding, 3))
    for row in range(4):
        for column in range(6):
            expected = yuv_pixel(luma[row, column], *chroma[row, column // 2].astype(float))
            assert np.abs(rgb[row, column] - expected).max() <= 2
    assert np.array_equal(to_thermal(buffer_of(packed, encoding, 3)), luma)


@pytest.mark.parametrize(('encoding', 'order'), [('nv12', (0, 1)), ('nv21', (1, 0))])
@pytest.mark.parametrize('padding', [0, 3])
def test_yuv_420_in_two_planes_pixel_by_pixel(encoding, order, padding):
    rng = np.random.default_rng(1)
    luma = rng.integers(60, 190, (4, 6), dtype=np.uint8)
    chroma = rng.integers(90, 166, (2, 3, 2), dtype=np.uint8)  # u, v per 2x2 pixels
    planes = np.concatenate([luma, chroma[..., order].reshape(2, 6)])
    stored = buffer_of(planes, encoding, padding)
    buffer = ImageBuffer(4, 6, encoding, False, stored.step, stored.data)
    rgb = to_visible(buffer)
    assert rgb.shape == (4, 6, 3)
    for row in range(4):
        for column in range(6):
            expected = yuv_pixel(luma[row, column], *chroma[row // 2, column // 2].astype(float))
            assert np.abs(rgb[row, column] - expected).max() <= 2
    assert np.array_equal(to_thermal(buffer), luma)
    assert is_colour(encoding)


@pytest.mark.parametrize('convert', [to_visible, to_thermal])
@pytest.mark.parametrize(
    ('width', 'height', 'size', 'reason', 'text'),
    [
        (4, 4, 16, 'data', 'data has 16 bytes, expected 24 .step 4 x 6 rows'),
        (4, 4, 25, 'data', 'expected 24'),
        (4, 3, 18, 'size', 'image is 4x3, expected even sides for nv12'),
        (3, 4, 18, 'size', 'image is 3x4, expected even sides for nv12'),
    ],
)
def test_planes_that_are_incomplete_are_refused(convert, width, height, size, reason, text):
    with pytest.raises(ImageError, match=text) as caught:
        convert(ImageBuffer(height, width, 'nv12', False, width, bytes(size)))
    assert caught.value.reason == reason


BAYER = {'rggb': 'RGGB', 'bggr': 'BGGR', 'gbrg': 'GBRG', 'grbg': 'GRBG'}


@pytest.mark.parametrize('phase', BAYER)
@pytest.mark.parametrize(('bits', 'big'), [(8, False), (16, False), (16, True)])
@pytest.mark.parametrize('padding', [0, 5])
def test_bayer_phase(phase, bits, big, padding):
    """A mosaic of one colour comes back as that colour, whatever the phase."""
    colour = {'R': 200, 'G': 90, 'B': 30}
    corner = np.array([colour[c] for c in BAYER[phase]], np.uint16).reshape(2, 2)
    mosaic = np.tile(corner, (8, 8))
    mosaic = (mosaic << 8).astype(np.uint16) if bits == 16 else mosaic.astype(np.uint8)
    rgb = to_visible(buffer_of(mosaic, f'bayer_{phase}{bits}', padding, big))
    assert np.array_equal(rgb, np.broadcast_to([200, 90, 30], (16, 16, 3)))


def test_bayer_samples_stay_at_their_place():
    """A single lit red site lights red at its own pixel, not at a shifted one."""
    mosaic = np.zeros((12, 12), np.uint8)
    mosaic[4, 6] = 240  # a red site of rggb
    rgb = to_visible(buffer_of(mosaic, 'bayer_rggb8'))
    assert rgb[4, 6].tolist() == [240, 0, 0]
    assert rgb[4, 5, 0] == rgb[4, 7, 0] == rgb[3, 6, 0] == rgb[5, 6, 0] == 120
    assert rgb[..., 1:].max() == 0


HOSTILE = [
    (ImageBuffer(4, 4, 'rgb9', False, 12, bytes(48)), 'encoding', "encoding is 'rgb9'"),
    (ImageBuffer(4, 4, '', False, 12, bytes(48)), 'encoding', "encoding is ''"),
    (ImageBuffer(4, 4, 'x' * 10000, False, 12, bytes(48)), 'encoding', 'xxx...'),
    (ImageBuffer(4, 4, '8UC5', False, 20, bytes(80)), 'encoding', "'8UC5'"),
    (ImageBuffer(4, 4, 'rgb8', False, 12, bytes(47)), 'data', '47 bytes, expected 48'),
    (ImageBuffer(4, 4, 'rgb8', False, 12, bytes(49)), 'data', '49 bytes, expected 48'),
    (ImageBuffer(4, 4, 'rgb8', False, 12, b''), 'data', '0 bytes'),
    (ImageBuffer(4, 4, 'rgb8', False, 11, bytes(44)), 'step', 'step is 11 bytes, expected at'),
    (ImageBuffer(4, 4, 'mono16', False, 4, bytes(16)), 'step', 'at least 8'),
    (ImageBuffer(4, 4, 'rgb8', False, 0, b''), 'step', 'step is 0'),
    (ImageBuffer(0, 0, 'rgb8', False, 0, b''), 'size', 'image is 0x0'),
    (ImageBuffer(0, 4, 'mono8', False, 4, b''), 'size', 'image is 4x0'),
    (ImageBuffer(20000, 20000, 'rgb8', False, 60000, b''), 'size', 'image is 20000x20000'),
    (ImageBuffer(2**31, 2**31, 'mono8', False, 2**31, b''), 'size', 'image is'),
    (ImageBuffer(-1, 4, 'mono8', False, 4, b''), 'size', 'image is 4x-1'),
]


@pytest.mark.parametrize('convert', [to_visible, to_thermal])
@pytest.mark.parametrize(('buffer', 'reason', 'text'), HOSTILE)
def test_hostile_headers_are_refused_with_reason(buffer, reason, text, convert):
    with pytest.raises(ImageError, match=text.replace('.', r'\.')) as caught:
        convert(buffer)
    assert caught.value.reason == reason
    assert '\n' not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ('convert', 'encoding', 'channels', 'dtype', 'text'),
    [
        (to_visible, '16SC1', 1, 'i2', 'swapped'),
        (to_visible, '16UC1', 1, 'u2', 'swapped'),
        (to_visible, '32FC1', 1, 'f4', 'swapped'),
        (to_visible, '8UC2', 2, 'u1', 'RGB'),
        (to_visible, '32FC3', 3, 'f4', 'RGB'),
        (to_thermal, '8UC2', 2, 'u1', 'expected one of mono8'),
        (to_thermal, '32FC3', 3, 'f4', 'expected one of mono8'),
        (to_thermal, 'bayer_rggb8', 1, 'u1', 'expected one of mono8'),
    ],
)
def test_encodings_of_the_wrong_kind_are_refused(convert, encoding, channels, dtype, text):
    with pytest.raises(ImageError, match=text) as caught:
        convert(buffer_of(picture(channels, dtype), encoding))
    assert caught.value.reason == 'encoding'


def test_odd_width_yuv_and_tiny_mosaic_are_refused():
    for encoding, shape in [('yuv422', (4, 5, 2)), ('bayer_rggb8', (1, 4))]:
        with pytest.raises(ImageError) as caught:
            to_visible(buffer_of(np.zeros(shape, np.uint8), encoding))
        assert caught.value.reason == 'size'


def test_every_supported_encoding_is_accepted_by_one_side():
    names = [
        n
        for name in SUPPORTED_ENCODINGS
        for n in ([name[:-4] + str(c) for c in (1, 2, 3, 4)] if '..' in name else [name])
    ]
    unusable = []
    for name in names:
        channels = {'8UC': 1}.get(name)
        depth = 8 if name == '64FC1' else 4 if name.startswith('32') else 2 if '16' in name else 1
        channels = (
            int(name[-1])
            if 'C' in name
            else 4
            if 'a' in name and 'bayer' not in name
            else 3
            if name.startswith(('rgb', 'bgr'))
            else 2
            if 'yu' in name or 'uy' in name
            else 1
        )
        rows = 6 if name.startswith('nv') else 4
        buffer = ImageBuffer(
            4, 4, name, False, 4 * channels * depth, bytes(4 * rows * channels * depth)
        )
        for convert in (to_visible, to_thermal):
            try:
                assert convert(buffer).shape[:2] == (4, 4)
                break
            except ImageError:
                continue
        else:
            unusable.append(name)
    assert unusable == ['8UC2', '16UC2', '32FC2', '32FC3', '32FC4']


@pytest.mark.parametrize('size', [(1, 1), (1, 7), (5, 1), (1080, 1920)])
def test_sizes(size):
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    assert np.array_equal(to_visible(buffer_of(image, 'bgr8', 1)), image[..., ::-1])


def test_agrees_with_opencv_on_padded_bgr():
    """A row step that is no multiple of the pixel size, the case that naive reshapes get wrong."""
    image = picture(3, seed=9)
    expected = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    assert np.array_equal(to_visible(buffer_of(image, 'bgr8', 4)), expected)


@pytest.mark.parametrize(('largest', 'shift'), [(1023, 2), (4095, 4), (16383, 6), (65535, 8)])
@pytest.mark.parametrize('big', [False, True])
def test_16_bit_grey_is_a_visible_image(largest, shift, big):
    image = np.random.default_rng(4).integers(0, largest + 1, (40, 60), dtype=np.uint16)
    image[0, 0] = largest
    sent = image.astype('>u2') if big else image
    buffer = ImageBuffer(40, 60, 'mono16', big, 120, sent.tobytes())
    assert np.array_equal(to_visible(buffer), np.dstack([image >> shift] * 3))


@pytest.mark.parametrize(
    ('encoding', 'dtype'), [('64FC1', 'f8'), ('16SC1', 'i2'), ('32SC1', 'i4')]
)
@pytest.mark.parametrize('big', [False, True])
def test_thermal_numbers_with_a_sign(encoding, dtype, big):
    image = np.random.default_rng(4).integers(-100, 100, (40, 60)).astype(dtype)
    sent = image.astype(image.dtype.newbyteorder('>' if big else '<'))
    buffer = ImageBuffer(40, 60, encoding, big, 60 * image.itemsize, sent.tobytes())
    assert np.array_equal(to_thermal(buffer), image.astype(np.float32))
