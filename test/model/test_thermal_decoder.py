"""Frames of thermal cameras to pictures: every kind that was once taken for something else."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
from mafs_model.errors import ConfigError, ImageError
from mafs_model.images import palettes
from mafs_model.images.cameras import camera_names, load_camera, special_cameras
from mafs_model.images.encodings import ImageBuffer, to_thermal
from mafs_model.images.image_files import read_thermal, read_visible
from mafs_model.images.radiometric_jpeg import maker_of
from mafs_model.images.thermal_decoder import looks_swapped, ThermalDecoder
import numpy as np
import pytest

RNG = np.random.default_rng(11)
RADIOMETRIC = Path(os.environ.get('MAFS_SHARED_DATA', '/nowhere')) / 'radiometric'


def scene(height, width, low=29_000, high=31_000):
    """Return a smooth scene in centikelvin with a warm spot, uint16."""
    noise = cv2.GaussianBlur(RNG.random((height, width), np.float32), (0, 0), 6)
    noise = (noise - noise.min()) / np.ptp(noise)
    image = low + (high - low) * noise
    cv2.circle(image, (width // 3, height // 2), max(2, height // 20), high + 500.0, -1)
    return (image + RNG.normal(0, 4, image.shape)).astype(np.uint16)


def with_telemetry(image, rows, above):
    telemetry = RNG.integers(0, 65536, (rows, image.shape[1])).astype(image.dtype)
    telemetry[:, ::3] = 0
    return np.vstack([telemetry, image] if above else [image, telemetry])


@pytest.mark.parametrize('camera', ['auto', 'named'])
@pytest.mark.parametrize('above', [True, False])
@pytest.mark.parametrize(
    ('name', 'size', 'rows'),
    [
        ('lepton', (60, 80), 3),
        ('lepton', (120, 160), 2),
        ('boson', (256, 320), 2),
        ('boson', (512, 640), 2),
        ('boson', (256, 336), 2),
        ('optris', (288, 382), 1),
        ('optris', (480, 640), 1),
        ('infiray_t2', (192, 256), 4),
        ('infiray_t2', (288, 384), 4),
    ],
)
def test_rows_of_telemetry_are_left_out(name, size, rows, above, camera):
    image = scene(*size)
    decoder = ThermalDecoder(name if camera == 'named' else 'auto')
    assert np.array_equal(decoder(with_telemetry(image, rows, above)), image)
    assert 'telemetry' in decoder.notes[0]


@pytest.mark.parametrize('size', [(768, 1024), (240, 320), (348, 464)])
@pytest.mark.parametrize('rows', [1, 2, 4])
def test_telemetry_of_cameras_nobody_described(size, rows):
    image = scene(*size)
    assert np.array_equal(ThermalDecoder()(with_telemetry(image, rows, above=False)), image)


@pytest.mark.parametrize('size', [(482, 640), (242, 320), (480, 640), (512, 640), (123, 457)])
def test_a_picture_of_an_odd_size_is_left_alone(size):
    for image in (scene(*size), (scene(*size) >> 8).astype(np.uint8)):
        decoder = ThermalDecoder()
        assert np.array_equal(decoder(image), image)
        assert decoder.notes == ()


def split_frame(counts):
    """Return what a P2 Pro sends, uint8 [2H,W,2]: YUYV above, counts below."""
    picture = np.full((*counts.shape, 2), 128, np.uint8)
    picture[..., 0] = cv2.normalize(counts, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    below = np.stack([counts & 255, counts >> 8], axis=-1).astype(np.uint8)
    return np.vstack([picture, below])


@pytest.mark.parametrize('camera', ['auto', 'infiray_p2pro'])
@pytest.mark.parametrize(
    'form', ['yuyv', 'uyvy', '8UC2', 'mono16', 'mono8 twice as wide', 'counts alone']
)
def test_counts_of_a_split_frame(form, camera):
    counts = scene(192, 256, 18_000, 20_000)  # 1/64 K
    frame = split_frame(counts)
    decoder = ThermalDecoder(camera)
    shapes = {
        'yuyv': (384, 256, 'yuv422_yuy2', frame),
        'uyvy': (384, 256, 'uyvy', frame),
        '8UC2': (384, 256, '8UC2', frame),
        'mono16': (384, 256, 'mono16', frame.view(np.uint16)),
        'mono8 twice as wide': (384, 512, 'mono8', frame.reshape(384, 512)),
        'counts alone': (192, 256, '16UC1', counts),
    }
    height, width, encoding, data = shapes[form]
    buffer = ImageBuffer(height, width, encoding, False, data.nbytes // height, data.tobytes())
    assert np.array_equal(to_thermal(buffer, decoder), counts)


@pytest.mark.parametrize('channels', [1, 3])
def test_split_frame_that_a_driver_reduced_gives_its_picture(channels):
    frame = split_frame(scene(192, 256, 18_000, 20_000))[..., 0]
    sent = frame if channels == 1 else np.dstack([frame] * 3)
    decoder = ThermalDecoder()
    assert np.array_equal(decoder(sent), frame[:192])
    assert 'reduced to 8 bits' in decoder.notes[0]


@pytest.mark.skipif(not RADIOMETRIC.is_dir(), reason='MAFS_SHARED_DATA is not set')
def test_frame_of_a_real_tc001():
    raw = np.frombuffer((RADIOMETRIC / 'tc001.raw').read_bytes()[: 384 * 512], np.uint8)
    counts = ThermalDecoder()(raw.reshape(384, 256, 2))
    assert counts.shape == (192, 256)
    celsius = counts / 64 - 273.15
    assert 5 < np.median(celsius) < 45
    assert np.abs(np.diff(celsius, axis=1)).mean() < 1.0


@pytest.mark.parametrize('size', [(156, 208), (260, 342)])
def test_frames_of_seek_lose_their_margins(size):
    assert ThermalDecoder()(scene(*size)).shape in {(154, 207), (240, 320)}


@pytest.mark.parametrize(
    ('low', 'high'), [(29_000, 31_000), (7000, 8200), (0, 65_000), (300, 900)]
)
def test_swapped_bytes_are_seen_and_put_right(low, high):
    image = scene(120, 160, low, high)
    decoder = ThermalDecoder()
    assert np.array_equal(decoder(image.byteswap()), image)
    assert 'big-endian' in decoder.notes[0]
    assert np.array_equal(decoder(image), image)
    assert decoder.notes == ()


def test_what_has_no_byte_order_to_see_is_left_alone():
    noise = RNG.integers(0, 65536, (64, 64), dtype=np.uint16)
    eight_bits = scene(64, 64) >> 8
    for image in (noise, eight_bits, eight_bits << 8, np.full((64, 64), 300, np.uint16)):
        assert not looks_swapped(image)
    told = ThermalDecoder(load_camera().overridden(byte_order='big'))
    assert np.array_equal(told(noise), noise.byteswap())


@pytest.mark.parametrize('dtype', [np.int16, np.int32, np.float64, np.float16])
def test_other_numbers_become_float(dtype):
    celsius = RNG.integers(-30, 200, (40, 50)).astype(dtype)
    image = ThermalDecoder()(celsius)
    assert image.dtype == np.float32
    assert np.array_equal(image, celsius)


@pytest.mark.parametrize('shape', [(40, 50, 2), (40, 50, 4), (40,), (2, 3, 4, 5)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ImageError, match='expected one channel of numbers or 8-bit colour'):
        ThermalDecoder()(np.zeros(shape, np.uint16))


@pytest.mark.parametrize('quality', [None, 90])
@pytest.mark.parametrize('name', palettes.PALETTE_NAMES)
def test_false_colours_are_taken_back(name, quality):
    grey = cv2.normalize(scene(120, 160), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    coloured = palettes._tables()[name][grey]
    if quality is not None:
        _, data = cv2.imencode('.jpg', coloured[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        coloured = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
    decoder = ThermalDecoder()
    apart = np.abs(decoder(coloured).astype(int) - grey)
    assert apart.mean() < (2 if quality is None else 4)
    assert decoder.notes == (f"thermal image is coloured with palette '{name}': taken back",)


def test_photographs_and_grey_keep_their_luminance():
    photo = cv2.GaussianBlur(RNG.integers(0, 256, (90, 120, 3), dtype=np.uint8), (0, 0), 3)
    grey = np.dstack([photo[..., 0]] * 3)
    decoder = ThermalDecoder()
    assert np.array_equal(decoder(photo), cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY))
    assert np.array_equal(decoder(grey), photo[..., 0])
    assert decoder.notes == ()
    none = ThermalDecoder(load_camera().overridden(palette='none'))
    jet = palettes._tables()['jet'][photo[..., 0]]
    assert np.array_equal(none(jet), cv2.cvtColor(jet, cv2.COLOR_RGB2GRAY))


@pytest.mark.parametrize('rotation', [0, 90, 180, 270])
@pytest.mark.parametrize('mirror', ['none', 'horizontal', 'vertical'])
def test_cameras_mounted_otherwise(rotation, mirror):
    image = scene(60, 80)
    expected = np.rot90(image, -rotation // 90)
    expected = {'none': expected, 'horizontal': expected[:, ::-1], 'vertical': expected[::-1]}[
        mirror
    ]
    decoder = ThermalDecoder(load_camera().overridden(rotation=rotation, mirror=mirror))
    assert np.array_equal(decoder(image), expected)


def test_every_camera_loads_and_frame_sizes_are_told_apart():
    for name in camera_names():
        assert load_camera(name).title
    sizes = [size for name in camera_names() for size in load_camera(name).frames or {}]
    assert len(sizes) == len(set(sizes)) == len(special_cameras())


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('[1, 2]', 'expected a mapping of settings'),
        ('colour: red', 'unknown keys: colour; expected some of byte_order'),
        ('unit: fahrenheit', "unit 'fahrenheit': expected one of auto, centikelvin"),
        ('rotation: 45', 'rotation 45: expected one of 0, 90, 180, 270'),
        ('rotation: true', 'rotation True: expected one of'),
        ('rate_hz: fast', "rate_hz 'fast': expected a number 0 to 1000"),
        ('rate_hz: .nan', 'rate_hz nan: expected a number 0 to 1000'),
        ('title: 3', 'title 3: expected a text'),
        ('frames: 3', 'frames: expected WIDTHxHEIGHT'),
        ('frames: {big: {}}', "frames: 'big': expected WIDTHxHEIGHT"),
        ('frames: {80x60: {rows: 3}}', 'frames: 80x60: unknown keys: rows'),
        ('frames: {80x60: {telemetry_rows: 30}}', 'telemetry_rows 30: expected less than half'),
        ('frames: {80x60: {telemetry_rows: -1}}', 'telemetry_rows -1: expected'),
        ('frames: {80x60: {split: 1}}', 'split 1: expected true or false'),
        ('frames: {80x61: {split: true}}', 'split: expected an even number of rows'),
        ('frames: {80x60: {crop: [0, 0, 81, 60]}}', 'crop [0, 0, 81, 60]: expected [x, y, width'),
        ('a: [', 'not valid YAML'),
    ],
)
def test_malformed_camera_files(tmp_path, text, message):
    path = tmp_path / 'own.yaml'
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_camera(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert '\n' not in str(caught.value)


def test_cameras_that_are_not_there(tmp_path):
    with pytest.raises(ConfigError, match="camera 'kodak': expected auto, one of boson, "):
        load_camera('kodak')
    with pytest.raises(ConfigError, match='no such file'):
        load_camera(tmp_path / 'missing.yaml')
    with pytest.raises(ConfigError, match=r'thermal\.rotation 45: expected one of 0, 90'):
        load_camera().overridden(rotation=45)


def test_own_camera_file(tmp_path):
    path = tmp_path / 'attic.yaml'
    path.write_text('frames: {100x52: {telemetry_rows: 2, crop: [10, 0, 80, 50]}}\nrotation: 180')
    image = scene(50, 100)
    decoder = ThermalDecoder(str(path))
    assert np.array_equal(decoder(with_telemetry(image, 2, True)), image[::-1, 10:90][:, ::-1])


def segment(marker, content):
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, 'big') + content


def jpeg_with(*segments):
    _, data = cv2.imencode('.jpg', scene(48, 64).astype(np.uint8))
    return data.tobytes()[:2] + b''.join(segments) + data.tobytes()[2:]


def test_radiometric_files_are_told_by_their_markers():
    flir, dji = segment(0xE1, b'FLIR\0\1\0\0'), segment(0xE1, b'Exif\0\0 .. DJI\0')
    assert maker_of(jpeg_with(flir)) == 'flir'
    assert maker_of(jpeg_with(dji, segment(0xE3, b'counts'))) == 'dji'
    assert maker_of(jpeg_with(dji, flir)) == 'dji'
    assert maker_of(jpeg_with(dji)) is None, 'a photograph of a drone'
    assert maker_of(jpeg_with()) is None
    assert maker_of(b'\x89PNG') is None
    for length in range(40):
        maker_of(jpeg_with(flir)[:length])


def test_radiometric_files_that_cannot_be_read(tmp_path):
    damaged = tmp_path / 'flir.jpg'
    damaged.write_bytes(jpeg_with(segment(0xE1, b'FLIR\0\1\0\0FFF\0damaged')))
    with pytest.raises(ImageError, match=r'flir\.jpg.*radiometric JPEG of FLIR'):
        read_thermal(damaged)
    with pytest.raises(ImageError, match=r'flir\.jpg.*radiometric JPEG of FLIR'):
        read_visible(damaged)
    drone = tmp_path / 'dji.jpg'
    drone.write_bytes(jpeg_with(segment(0xE1, b'Exif\0\0 .. DJI\0'), segment(0xE3, b'counts')))
    with pytest.raises(ImageError, match='only the DJI Thermal SDK reads'):
        read_thermal(drone)


@pytest.mark.skipif(not RADIOMETRIC.is_dir(), reason='MAFS_SHARED_DATA is not set')
@pytest.mark.parametrize(
    ('name', 'size'),
    [('FLIR_T640.jpg', (480, 640)), ('FLIR_AX8.jpg', (60, 80)), ('flir_example.jpg', (320, 240))],
)
def test_real_radiometric_files(name, size):
    pytest.importorskip('flyr', reason='flyr is not installed')
    celsius = read_thermal(RADIOMETRIC / name)
    assert celsius.shape == size
    assert celsius.dtype == np.float32
    assert 15 < np.median(celsius) < 45
    assert min(read_visible(RADIOMETRIC / name).shape[:2]) >= 480


@pytest.mark.skipif(not RADIOMETRIC.is_dir(), reason='MAFS_SHARED_DATA is not set')
def test_real_files_of_dji_and_tiff():
    with pytest.raises(ImageError, match='DJI'):
        read_thermal(RADIOMETRIC / 'DJI_XTR.jpg')
    assert read_thermal(RADIOMETRIC / 'example_radiometric.tiff').dtype == np.uint16


def test_a_grey_picture_as_wide_as_a_frame_of_pairs_stays_a_picture():
    y, x = np.mgrid[:240, :320]
    noise = np.random.default_rng(3).normal(0, 3, (240, 320))
    picture = (120 + 60 * np.sin(x / 9) * np.cos(y / 7) + noise).astype(np.uint8)
    assert np.array_equal(ThermalDecoder()(picture), picture)
    flat = np.full((240, 320), 90, np.uint8)
    assert ThermalDecoder()(flat).shape == (240, 320)
