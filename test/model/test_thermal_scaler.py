"""Thermal scaling against NumPy's percentiles and hand-computed ramps."""

from __future__ import annotations

import cv2
from mafs_model.errors import ConfigError, ImageError
from mafs_model.images.temperature import UNITS
from mafs_model.images.thermal import ThermalScaler
import numpy as np
import pytest

RNG = np.random.default_rng(7)
TYPES = [np.uint16, np.float32]


def scene(dtype=np.uint16, low=28000, high=31000, shape=(120, 160)):
    image = np.linspace(low, high, shape[0] * shape[1]).reshape(shape)
    return image.astype(dtype)


def ramp(image, low, high):
    """Return the independent reference: float64, clipped, rounded to nearest."""
    value = (image.astype(np.float64) - low) * 255.0 / (high - low)
    return np.clip(value, 0, 255)


def test_uint8_passes_as_it_is_without_a_copy():
    image = RNG.integers(0, 256, (40, 50), dtype=np.uint8)
    assert ThermalScaler()(image) is image


def test_uint8_is_scaled_on_request():
    image = RNG.integers(100, 111, (40, 50), dtype=np.uint8)
    scaled = ThermalScaler('minmax', scale_8bit='always')(image)
    assert scaled.min() == 0
    assert scaled.max() == 255


@pytest.mark.parametrize('dtype', TYPES)
@pytest.mark.parametrize('percentiles', [(1, 99), (0, 100), (5, 90)])
def test_percentile_limits_agree_with_numpy(dtype, percentiles):
    image = RNG.normal(30000, 300, (100, 130)).astype(dtype)
    scaler = ThermalScaler('percentile', *percentiles)
    scaled = scaler(image)
    expected = np.percentile(image, percentiles, method='nearest')
    assert np.allclose(scaler.limits, expected, atol=1.0 if dtype == np.uint16 else 0.5)
    assert np.abs(scaled - ramp(image, *scaler.limits)).max() <= 0.51


@pytest.mark.parametrize('dtype', TYPES)
def test_range_in_raw_units(dtype):
    image = np.array([[28000, 29000, 30000, 27000, 31000] * 8] * 8, dtype)
    scaled = ThermalScaler('range', 28000, 30000)(image)
    assert scaled[0, :5].tolist() == [0, 128, 255, 0, 255]


def test_range_in_celsius_of_centikelvin():
    raw = np.full((8, 8), 29315, np.uint16)  # 20 degrees C
    raw[0, :3] = [27315, 31315, 30315]  # 0, 40 and 30 degrees C
    scaled = ThermalScaler('range', 0.0, 40.0, unit='celsius')(raw)
    assert scaled[0, :4].tolist() == [0, 255, 191, 128]


def test_range_in_celsius_of_float_images_is_direct_and_of_other_cameras_configurable():
    celsius = np.full((8, 8), 20.0, np.float32)
    assert ThermalScaler('range', 0, 40, unit='celsius')(celsius)[0, 0] == 128
    raw = np.full((8, 8), 7329, np.uint16)  # 40 mK units: 293.16 K
    scaler = ThermalScaler('range', 0, 40, unit='celsius', camera_unit='kelvin_25')
    assert scaler(raw)[0, 0] == 128


@pytest.mark.parametrize('dtype', TYPES)
def test_minmax_ignores_dead_pixels(dtype):
    image = scene(dtype)
    image[50, 60], image[20, 30] = 0, 65535
    scaler = ThermalScaler('minmax')
    scaled = scaler(image)
    assert 27990 <= scaler.limits[0] <= 28200
    assert 30800 <= scaler.limits[1] <= 31010
    assert (scaled[50, 60], scaled[20, 30]) == (0, 255)


def test_percentile_ignores_dead_pixels():
    clean, broken = scene(), scene()
    broken[::40, ::40] = 65535
    clean_scaler, broken_scaler = ThermalScaler(), ThermalScaler()
    clean_scaler(clean)
    broken_scaler(broken)
    assert np.allclose(clean_scaler.limits, broken_scaler.limits, atol=30)


def test_clahe_shows_weak_structure_that_the_ramp_hides():
    image = scene(high=40000)
    image[:60, :80] = 28000
    image[20:40, 20:40] += 60  # faint object
    plain = ThermalScaler('percentile')(image)
    equalised = ThermalScaler('clahe')(image)
    contrast = [
        float(i[25:35, 25:35].mean()) - float(i[2:15, 2:15].mean()) for i in (plain, equalised)
    ]
    assert equalised.dtype == np.uint8
    assert contrast[1] > contrast[0]


@pytest.mark.parametrize('method', ['percentile', 'minmax', 'clahe'])
@pytest.mark.parametrize('dtype', TYPES)
def test_constant_image_is_even(method, dtype):
    scaled = ThermalScaler(method)(np.full((40, 50), 30000, dtype))
    assert scaled.min() == scaled.max()
    if method != 'clahe':
        assert scaled[0, 0] == 128


def test_min_span_keeps_noise_dark():
    noise = (30000 + RNG.integers(0, 4, (60, 80))).astype(np.uint16)
    assert np.ptp(ThermalScaler()(noise)) > 200
    assert np.ptp(ThermalScaler(min_span=400)(noise)) <= 3


def test_limits_follow_slowly_and_to_the_same_end():
    first, second = scene(low=28000, high=30000), scene(low=28500, high=30500)
    scaler = ThermalScaler('percentile', 0, 100, smoothing=0.9)
    scaler(first)
    start = scaler.limits
    scaler(second)
    assert np.allclose(scaler.limits, np.array(start) * 0.9 + np.array((28500, 30500)) * 0.1)
    for _ in range(100):
        scaler(second)
    assert np.allclose(scaler.limits, (28500, 30500), atol=1)


def test_smoothing_removes_flicker_of_a_passing_hot_object():
    calm, hot = scene(), scene()
    hot[:30] = 36000
    steps = []
    for smoothing in (0.0, 0.9):
        scaler = ThermalScaler(smoothing=smoothing)
        levels = [int(scaler(hot if i % 2 else calm)[100, 80]) for i in range(20)]
        steps.append(np.abs(np.diff(levels)).max())
    assert steps[1] < steps[0] / 4


def test_a_range_without_overlap_is_taken_over_at_once():
    scaler = ThermalScaler('percentile', 0, 100)
    scaler(scene(low=28000, high=29000))
    scaler(scene(low=40000, high=41000))
    assert scaler.limits == (40000, 41000)


def test_reset_and_change_of_encoding_forget_the_limits():
    scaler = ThermalScaler('percentile', 0, 100)
    scaler(scene(low=28000, high=30000))
    scaler.reset()
    assert scaler.limits is None
    scaler(scene(low=28500, high=29000))
    assert scaler.limits == (28500, 29000)
    scaler((scene(low=28500, high=29000) / 100 - 273.15).astype(np.float32))
    assert np.allclose(scaler.limits, (11.85, 16.85), atol=0.01)


def test_nan_and_infinities_do_not_set_the_limits():
    clean = scene(np.float32)
    broken = clean.copy()
    broken[0, 0], broken[5, 5], broken[6, 6] = np.nan, np.inf, -np.inf
    scaler = ThermalScaler('percentile', 1, 99)
    scaled = scaler(broken)
    reference = ThermalScaler('percentile', 1, 99)(clean)
    assert (scaled[0, 0], scaled[5, 5], scaled[6, 6]) == (0, 255, 0)
    same = np.isfinite(broken)
    assert np.abs(scaled[same].astype(int) - reference[same]).max() <= 1


def test_extreme_floats_do_not_overflow():
    image = scene(np.float32)
    image[3, 3], image[4, 4] = 3e38, -3e38
    scaled = ThermalScaler()(image)
    assert (scaled[3, 3], scaled[4, 4]) == (255, 0)
    assert len(np.unique(scaled)) > 100


def test_image_without_finite_value_is_refused_and_the_next_one_works():
    scaler = ThermalScaler()
    with pytest.raises(ImageError, match='no finite value') as caught:
        scaler(np.full((20, 20), np.nan, np.float32))
    assert caught.value.reason == 'nonfinite'
    assert scaler(scene(np.float32)).dtype == np.uint8


@pytest.mark.parametrize(
    ('image', 'reason', 'message'),
    [
        (np.zeros((40, 40), np.int32), 'encoding', 'int32, expected uint8, uint16 or float32'),
        (np.zeros((40, 40, 3), np.uint8), 'encoding', r'shape \(40, 40, 3\)'),
        (np.zeros((0, 40), np.uint16), 'size', '40x0'),
        ([[1]], 'encoding', 'list, expected uint8'),
    ],
)
def test_refused_images(image, reason, message):
    with pytest.raises(ImageError, match=message) as caught:
        ThermalScaler()(image)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'method': 'auto'}, "thermal scaling 'auto': expected one of percentile, range, minmax"),
        ({'unit': 'kelvin'}, "thermal unit 'kelvin': expected one of raw, celsius"),
        ({'method': 'range'}, 'low None and high None, expected two numbers in unit raw'),
        ({'method': 'range', 'low': 5, 'high': 5}, 'low 5 and high 5: expected low below high'),
        ({'low': 99, 'high': 1}, 'expected low below high'),
        ({'high': 101}, 'thermal high percentile 101: expected a number from 0 to 100'),
        ({'smoothing': 1.0}, r'thermal smoothing 1.0: expected a number from 0 to 0.9999'),
        ({'smoothing': 'x'}, "thermal smoothing 'x': expected a number"),
        ({'smoothing': float('nan')}, 'thermal smoothing nan: expected a number'),
        ({'camera_unit': 'rankine'}, "thermal camera unit 'rankine': expected one of auto"),
        ({'scale_8bit': True}, "thermal scale_8bit 'True': expected one of auto, never"),
        ({'polarity': 'hot'}, "thermal polarity 'hot': expected one of white_hot"),
        ({'tiles': 0}, 'tiles 0: expected 1 to 64'),
    ],
)
def test_refused_settings(arguments, message):
    with pytest.raises(ConfigError, match=message):
        ThermalScaler(**arguments)


@pytest.mark.parametrize('span', [3, 200, 509, 511, 4000, 60000])
@pytest.mark.parametrize('low', [0.0, 0.4, 28111.7, 60000.5])
def test_counts_are_scaled_alike_at_every_span(low, span):
    counts = np.random.default_rng(span).integers(0, 65536, (60, 80), np.uint16)
    counts[0] = np.arange(80) + int(low)  # around the lower limit
    got = ThermalScaler('range', low, low + span)(counts)
    expected = np.clip((counts.astype(np.float64) - low) * 255 / span, 0, 255)
    assert np.abs(got - expected).max() <= 0.5 + 1e-3 * 255 / span + 1e-2


@pytest.mark.parametrize('dtype', [np.uint16, np.float32])
@pytest.mark.parametrize('unit', sorted(UNITS))
def test_limits_in_degrees_hold_in_every_unit(unit, dtype):
    celsius = np.linspace(-5.0, 45.0, 400, dtype=np.float32).reshape(20, 20)
    counts = UNITS[unit].from_celsius(celsius)
    if dtype == np.uint16 and counts.min() < 0:
        pytest.skip('counts have no sign')
    told = ThermalScaler('range', 0.0, 40.0, unit='celsius', camera_unit=unit)
    guessed = ThermalScaler('range', 0.0, 40.0, unit='celsius')
    expected = np.clip(celsius * 255 / 40, 0, 255)
    step = 255 / 40 * UNITS[unit].scale if dtype == np.uint16 else 0.01
    image = counts.astype(dtype)
    assert np.abs(told(image) - expected).max() <= 0.51 + step
    never = {'decicelsius', 'centicelsius', 'kelvin_2_5'}
    if unit in never or (unit in {'celsius', 'kelvin'} and dtype == np.uint16):
        return  # indistinguishable from others: has to be told
    assert np.abs(guessed(image) - expected).max() <= 0.51 + step
    assert guessed.image_unit == UNITS[unit]


def test_counts_without_a_temperature_are_centikelvin_as_ever():
    image = np.full((20, 20), 12_000, np.uint16)
    scaler = ThermalScaler('range', -160.0, -150.0, unit='celsius')
    assert scaler(image)[0, 0] == round(255 * (0.01 * 12_000 - 273.15 + 160) / 10)
    assert scaler.image_unit is None


def test_share_of_saturated_pixels_is_known():
    image = np.arange(10_000, dtype=np.uint16).reshape(100, 100)
    scaler = ThermalScaler('range', 1000, 8000)
    scaler(image)
    assert scaler.saturated == pytest.approx(0.3, abs=0.01)
    scaler.method = 'percentile'
    fresh = ThermalScaler()
    fresh(image)
    assert fresh.saturated == 0.0


def squeezed(low, high):
    noise = cv2.GaussianBlur(np.random.default_rng(1).random((60, 80), np.float32), (0, 0), 4)
    return cv2.normalize(noise, None, low, high, cv2.NORM_MINMAX).astype(np.uint8)


@pytest.mark.parametrize(('low', 'high'), [(90, 112), (105, 118), (0, 7), (250, 255)])
def test_8_bit_that_was_squeezed_is_stretched(low, high):
    image = squeezed(low, high)
    scaled = ThermalScaler()(image)
    assert scaled.std() > 3 * image.std()
    assert np.array_equal(ThermalScaler(scale_8bit='never')(image), image)
    whole = squeezed(0, 255)
    assert ThermalScaler()(whole) is whole
    assert not np.array_equal(ThermalScaler(scale_8bit='always')(whole), whole)


def test_stretching_does_not_flap_at_its_border():
    scaler = ThermalScaler()
    narrow, between, wide = squeezed(90, 110), squeezed(80, 118), squeezed(60, 150)
    assert scaler(between) is between
    assert scaler(narrow) is not narrow
    assert scaler(between) is not between
    assert scaler(wide) is wide
    assert scaler(between) is between


def street(sign):
    """Return small warm things before a smooth background."""
    generator = np.random.default_rng(5)
    image = cv2.GaussianBlur(generator.random((120, 160), np.float32), (0, 0), 12)
    image = cv2.normalize(image, None, 90, 130, cv2.NORM_MINMAX)
    for x, y in generator.integers(10, 110, (6, 2)):
        cv2.circle(image, (int(x) + 10, int(y)), 3, float(110 + sign * 100), -1)
    return image.astype(np.uint8)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_polarity(dtype):
    bright, dark = street(1).astype(dtype), street(-1).astype(dtype)
    plain = ThermalScaler()(bright)
    assert np.array_equal(ThermalScaler(polarity='black_hot')(bright), 255 - plain)
    automatic = ThermalScaler(polarity='auto')
    assert np.array_equal(automatic(bright), plain)
    turned = ThermalScaler(polarity='auto')
    assert np.array_equal(turned(dark), 255 - ThermalScaler()(dark))
    # One frame to the contrary does not turn the picture round.
    for _ in range(5):
        automatic(bright)
    if dtype == np.uint8:  # which passes unscaled
        assert np.array_equal(automatic(dark), dark)
