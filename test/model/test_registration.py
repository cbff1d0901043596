"""Registration against scikit-image's warp and hand-made cases."""

from __future__ import annotations

from mafs_model.errors import ConfigError
from mafs_model.images.registration import Registration
import numpy as np
import pytest

RNG = np.random.default_rng(3)
TILTED = np.array([[3.9, 0.2, 20.0], [-0.1, 4.1, 8.0], [2e-4, -1e-4, 1.0]])


def smooth(height=120, width=160):
    y, x = np.mgrid[:height, :width]
    return (128 + 100 * np.sin(x / 9) * np.cos(y / 7)).astype(np.uint8)


def test_identity_is_resizing():
    registration = Registration()
    image = smooth()
    assert registration.is_identity
    assert registration.warp(image, (120, 160)) is image
    assert registration.warp(image, (480, 640)).shape == (480, 640)
    assert registration.coverage((120, 160), (480, 640)) is None


def test_identity_keeps_image_corners_on_each_other():
    image = np.zeros((10, 20), np.uint8)
    image[:, 10:] = 255
    wide = Registration().warp(image, (40, 80))
    columns = np.flatnonzero(wide[20] >= 128)
    assert columns[0] == 40  # the edge stays at the middle: no half-pixel shift


def test_homography_agrees_with_an_independent_warp():
    transform = pytest.importorskip('skimage.transform')
    image = smooth()
    size = (480, 640)
    warped = Registration(TILTED).warp(image, size)
    reference = transform.warp(
        image.astype(np.float64),
        np.linalg.inv(TILTED),
        output_shape=size,
        order=1,
        mode='edge',
        preserve_range=True,
    )
    # Fixed-point maps have 1/32 px: at this gradient that is about one grey level.
    assert np.abs(warped - reference).max() <= 2.0
    assert np.abs(warped - reference).mean() < 0.4


def test_translation_moves_pixels_exactly():
    image = RNG.integers(0, 256, (48, 64), dtype=np.uint8)
    warped = Registration([[1, 0, 5], [0, 1, 3], [0, 0, 1]]).warp(image, (48, 64))
    assert np.array_equal(warped[3:, 5:], image[:-3, :-5])
    assert np.array_equal(warped[3:, 0], image[:-3, 0])  # the border is repeated


def test_coverage_marks_what_the_thermal_camera_does_not_see():
    registration = Registration([[1, 0, 5], [0, 1, 3], [0, 0, 1]])
    outside = registration.coverage((48, 64), (48, 64))
    expected = np.zeros((48, 64), np.uint8)
    expected[:3], expected[:, :5] = 255, 255
    assert np.array_equal(outside, expected)


def test_full_coverage_has_no_mask():
    assert (
        Registration([[20, 0, -50], [0, 20, -50], [0, 0, 1]]).coverage((120, 160), (480, 640))
        is None
    )


def test_scale_and_sign_of_the_matrix_do_not_matter():
    image = smooth()
    first = Registration(TILTED).warp(image, (240, 320))
    assert np.array_equal(first, Registration(TILTED * -7.5).warp(image, (240, 320)))


def test_output_at_half_size_is_the_full_one_halved():
    import cv2

    image = smooth()
    registration = Registration(TILTED)
    full = registration.warp(image, (480, 640))
    half = registration.warp(image, (240, 320), visible_size=(480, 640))
    shrunk = cv2.resize(full, (320, 240), interpolation=cv2.INTER_AREA)
    assert np.abs(half.astype(int) - shrunk).mean() < 1.0


def test_calibration_at_other_sizes_is_rescaled():
    calibrated = Registration(TILTED, thermal_size=(120, 160), visible_size=(480, 640))
    corners = np.array([[10, 20, 1], [80, 90, 1.0]]).T
    direct = TILTED @ corners
    direct /= direct[2]
    # A thermal stream at twice, a result at half the calibrated size.
    matrix = calibrated.matrix((240, 320), (240, 320))
    moved = np.vstack([(corners[:2] + 0.5) * 2 - 0.5, [[1, 1]]])
    result = matrix @ moved
    result /= result[2]
    assert np.allclose(result[:2], (direct[:2] + 0.5) / 2 - 0.5)


def test_horizon_inside_the_image_is_outside_of_the_coverage():
    matrix = np.linalg.inv(np.array([[1, 0, 0], [0, 1, 0], [0, -1 / 100, 1.0]]))
    outside = Registration(matrix).coverage((120, 160), (120, 160))
    assert outside is not None
    assert outside[110:].all()
    assert not outside[5:40, 5:40].any()


def test_maps_are_made_once_per_size(monkeypatch):
    calls = []
    original = Registration.matrix

    def counting(self, *sizes):
        calls.append(sizes)
        return original(self, *sizes)

    monkeypatch.setattr(Registration, 'matrix', counting)
    registration = Registration(TILTED)
    for _ in range(3):
        registration.warp(smooth(), (480, 640))
        registration.coverage((120, 160), (480, 640))
        registration.warp(smooth(60, 80), (480, 640))
    assert len(calls) == 2


def test_cache_is_bounded():
    registration = Registration(TILTED)
    for side in range(40, 60):
        registration.warp(smooth(), (side, side))
    assert len(registration._maps) <= 4


def test_yaml_round_trip(tmp_path):
    path = tmp_path / 'h.yaml'
    Registration(TILTED, thermal_size=(120, 160), visible_size=(480, 640)).save(path)
    loaded = Registration.load(path)
    assert np.array_equal(loaded.homography, TILTED)
    assert (loaded.thermal_size, loaded.visible_size) == ((120, 160), (480, 640))


@pytest.mark.parametrize(
    'text',
    ['homography: [1, 0, 0, 0, 1, 0, 0, 0, 1]', 'homography: [[1, 0, 0], [0, 1, 0], [0, 0, 1]]'],
)
def test_yaml_of_nine_numbers_or_three_rows(tmp_path, text):
    path = tmp_path / 'h.yaml'
    path.write_text(text)
    assert np.array_equal(Registration.load(path).homography, np.eye(3))


@pytest.mark.parametrize(
    ('value', 'message'),
    [
        (np.eye(2), r'shape \(2, 2\), expected \(3, 3\)'),
        ([1, 2, 3], r'shape \(3,\), expected \(3, 3\)'),
        ('identity', 'expected 3x3 numbers'),
        ([[1, 0, 0], [0, 1, 0], [0, 0]], 'expected 3x3 numbers'),
        (np.diag([1, 1, np.nan]), 'NaN or Inf'),
        (np.diag([1, np.inf, 1]), 'NaN or Inf'),
        (np.diag([1.0, 1.0, 0.0]), 'not invertible'),
        (np.ones((3, 3)), 'not invertible'),
    ],
)
def test_refused_matrices(value, message):
    with pytest.raises(ConfigError, match=message):
        Registration(value)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('matrix: 1', "expected a key 'homography'"),
        ('- 1', "expected a key 'homography'"),
        ('homography: [[1, 0], [0, 1]]', r'shape \(2, 2\)'),
        ('homography: [1, 0, 0, 0, 1, 0, 0, 0, 1]\nscale: 2', 'unknown keys: scale'),
        ('homography: [1, 0, 0, 0, 1, 0, 0, 0, 1]\nthermal_size: 5', 'thermal_size 5: expected'),
        ('homography: [', 'not valid YAML'),
    ],
)
def test_refused_files_name_the_file(tmp_path, text, message):
    path = tmp_path / 'h.yaml'
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        Registration.load(path)
    assert str(path) in str(caught.value)
    assert '\n' not in str(caught.value)


def test_missing_file():
    with pytest.raises(ConfigError, match=r"'/nowhere/h\.yaml': no such file"):
        Registration.load('/nowhere/h.yaml')
