"""Depth images in metres, and points, against a back-projection written pixel by pixel."""

from __future__ import annotations

from dataclasses import replace
import math
from typing import Any

from mafs_model.errors import ImageError
from mafs_model.images.depth import check_depth, depth_in_metres, MAX_DEPTH_M
from mafs_model.images.encodings import ImageBuffer
from mafs_model.images.temperature import celsius_image, UNITS
from mafs_model.prediction import Prediction
from mafs_model.semantic_points import fill_points, Pinhole, POINT_FIELDS
import numpy as np
import pytest

SIZE = (12, 16)
RANDOM = np.random.default_rng(5)


def buffer(data: np.ndarray, encoding: str, **fields: Any) -> ImageBuffer:
    given = {
        'height': data.shape[0],
        'width': data.shape[1],
        'encoding': encoding,
        'is_bigendian': False,
        'step': data.strides[0],
        'data': data.tobytes(),
    }
    return ImageBuffer(**(given | fields))


def test_millimetres_and_metres_are_the_same_depth() -> None:
    millimetres = RANDOM.integers(0, 9000, SIZE, np.uint16)
    millimetres[0, 0] = 0
    metres = millimetres.astype(np.float32) / 1000
    of_counts = depth_in_metres(buffer(millimetres, '16UC1'), SIZE, SIZE)
    of_floats = depth_in_metres(buffer(metres, '32FC1'), SIZE, SIZE)
    assert of_counts.dtype == of_floats.dtype == np.float32
    np.testing.assert_allclose(of_counts, of_floats, rtol=1e-6)
    assert np.isnan(of_counts[0, 0])
    np.testing.assert_allclose(of_floats[millimetres > 0], metres[millimetres > 0])
    swapped = buffer(millimetres.astype('>u2'), '16UC1', is_bigendian=True)
    np.testing.assert_array_equal(depth_in_metres(swapped, SIZE, SIZE), of_counts)
    padded = np.zeros((12, 20), np.uint16)
    padded[:, :16], padded[:, 16:] = millimetres, 7777
    rows = buffer(padded, '16UC1', width=16)
    np.testing.assert_array_equal(depth_in_metres(rows, SIZE, SIZE), of_counts)


@pytest.mark.parametrize(
    'value', [math.nan, math.inf, -math.inf, 0.0, -0.0, -1.0, 3e38, MAX_DEPTH_M * 1.001]
)
def test_what_is_no_distance_is_no_point(value: float) -> None:
    depth = np.full(SIZE, 2.0, np.float32)
    depth[3, 4] = value
    metres = depth_in_metres(buffer(depth, '32FC1'), SIZE, SIZE)
    assert np.isnan(metres[3, 4])
    assert np.isnan(metres).sum() == 1
    depth[:] = value
    with pytest.raises(ImageError, match='no distance above 0') as error:
        depth_in_metres(buffer(depth, '32FC1'), SIZE, SIZE)
    assert error.value.reason == 'empty'


@pytest.mark.parametrize(('factor', 'shown'), [(1, 2), (2, 1), (3, 5)])
def test_other_size_takes_the_nearest_pixel(factor: int, shown: int) -> None:
    """Pixel centres decide; depths of two pixels are never mixed."""
    before = (SIZE[0] * factor, SIZE[1] * factor)
    after = (SIZE[0] * shown, SIZE[1] * shown)
    depth = RANDOM.integers(500, 9000, before, np.uint16)
    metres = depth_in_metres(buffer(depth, '16UC1'), before, after)
    assert metres.shape == after
    for row in range(after[0]):
        for column in range(after[1]):
            y = math.floor((row + 0.5) * before[0] / after[0])
            x = math.floor((column + 0.5) * before[1] / after[1])
            assert metres[row, column] == pytest.approx(depth[y, x] / 1000, rel=1e-6)


@pytest.mark.filterwarnings('error')
def test_signalling_nan_is_no_point_and_no_warning() -> None:
    depth = np.full(SIZE, 2.0, np.float32)
    depth.view(np.uint32)[3, 4] = 0x7FA00000
    metres = depth_in_metres(buffer(depth, '32FC1'), SIZE, SIZE)
    assert np.isnan(metres[3, 4])
    celsius = celsius_image(depth, UNITS['kelvin'], None)
    assert np.isnan(celsius[3, 4])
    assert np.isnan(celsius).sum() == 1


def test_other_proportions_are_refused_in_a_sentence() -> None:
    depth = np.full((10, 16), 900, np.uint16)
    with pytest.raises(ImageError, match='depth image is 16x10 and the visible camera 16x12') as e:
        depth_in_metres(buffer(depth, '16UC1'), SIZE, SIZE)
    assert e.value.reason == 'size'
    third = np.full((160, 213), 900, np.uint16)
    assert depth_in_metres(buffer(third, '16UC1'), (480, 640), (480, 640)).shape == (480, 640)


GOOD = buffer(np.full(SIZE, 900, np.uint16), '16UC1')


@pytest.mark.parametrize(
    ('fields', 'reason'),
    [
        ({'encoding': 'mono8'}, 'encoding'),
        ({'encoding': 'rgb8'}, 'encoding'),
        ({'encoding': ''}, 'encoding'),
        ({'encoding': '16UC1' * 1000}, 'encoding'),
        ({'height': 0}, 'size'),
        ({'height': 2**32 - 1, 'width': 2**32 - 1}, 'size'),
        ({'step': 31}, 'step'),
        ({'step': 0}, 'step'),
        ({'step': 33}, 'data'),
        ({'encoding': '32FC1'}, 'step'),
        ({'data': b''}, 'data'),
    ],
)
def test_no_depth_image_is_refused(fields: dict[str, Any], reason: str) -> None:
    check_depth(GOOD)
    with pytest.raises(ImageError) as error:
        check_depth(replace(GOOD, **fields))
    assert error.value.reason == reason
    assert len(str(error.value)) < 1000


def results(with_temperature: bool) -> Prediction:
    return Prediction(
        fused=RANDOM.integers(0, 256, (*SIZE, 3), np.uint8),
        labels=RANDOM.integers(0, 256, SIZE, np.uint8),
        confidence=RANDOM.integers(0, 256, SIZE, np.uint8),
        temperature=RANDOM.normal(20.0, 9.0, SIZE).astype(np.float32)
        if with_temperature
        else None,
    )


@pytest.mark.parametrize('with_temperature', [True, False])
def test_points_are_those_of_each_pixel(with_temperature: bool) -> None:
    made_of = results(with_temperature)
    assert made_of.fused is not None
    assert made_of.labels is not None
    assert made_of.confidence is not None
    depth = RANDOM.uniform(0.3, 40.0, SIZE).astype(np.float32)
    depth[5, 6] = np.nan
    pinhole = Pinhole(500.0, 510.0, 7.3, 5.1)
    target = np.full((*SIZE, len(POINT_FIELDS)), 1e9, np.float32)
    fill_points(target, depth, pinhole, made_of)
    for v in range(SIZE[0]):
        for u in range(SIZE[1]):
            x, y, z, _, _, confidence, temperature = target[v, u]
            if (v, u) == (5, 6):
                assert np.isnan([x, y, z]).all()
            else:
                # The point projects onto its own pixel again.
                assert z == depth[v, u]
                assert pinhole.fx * x / z + pinhole.cx == pytest.approx(u, abs=1e-3)
                assert pinhole.fy * y / z + pinhole.cy == pytest.approx(v, abs=1e-3)
            colour, label = target[v, u].view(np.uint32)[3:5]
            rgb = [int(colour) >> shift & 255 for shift in (16, 8, 0)]
            assert rgb == made_of.fused[v, u].tolist()
            assert colour < 1 << 24
            assert label == made_of.labels[v, u]
            assert confidence == pytest.approx(made_of.confidence[v, u] / 255, abs=1e-6)
            if made_of.temperature is None:
                assert np.isnan(temperature)
            else:
                assert temperature == made_of.temperature[v, u]
