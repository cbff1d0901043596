"""Fusion metrics against golden values, independent implementations and hand-made images."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
from mafs_model.errors import ImageError
from mafs_training.metrics import intensity
from mafs_training.metrics.detail import thermal_kept, visible_kept
from mafs_training.metrics.fusion import FUSION_METRICS, fusion_metrics, VARIANTS
from mafs_training.metrics.plane import as_planes, luminance, MIN_SIDE, Plane
from mafs_training.metrics.qabf import edge_transfer
from mafs_training.metrics.ssim import similarities
from mafs_training.metrics.vif import visual_information
import numpy as np
import pytest
from scipy import ndimage
from scipy.signal import convolve2d
from skimage.measure import shannon_entropy
from skimage.metrics import structural_similarity as skimage_ssim
from sklearn.metrics import mutual_info_score

REFERENCE = json.loads((Path(__file__).parent / 'data' / 'reference.json').read_text())
# The references are printed with six digits after the point.
PRINTED = 5.1e-7


def check(values: dict[str, float], expected: dict[str, float | None], rel=1e-6) -> None:
    for name, value in expected.items():
        if value is None:
            assert math.isnan(values[name]), name
        else:
            assert values[name] == pytest.approx(value, rel=rel, abs=PRINTED), name


@pytest.mark.parametrize('method', sorted(REFERENCE))
def test_drawn_triple_has_the_reference_values(method, triple):
    fused, thermal, visible = triple
    image = {
        'fused': fused,
        'average': np.round(0.5 * (thermal.astype(float) + visible)).astype(np.uint8),
        'max': np.maximum(thermal, visible),
        'ir_as_fused': thermal,
    }[method]
    check(fusion_metrics(image, thermal, visible), REFERENCE[method])


def test_real_pairs_have_the_golden_values(shared_data):
    pairs = json.loads((shared_data / 'golden' / 'fusion_metrics.json').read_text())['pairs']
    assert len(pairs) == 6

    def read(path: Path) -> np.ndarray:
        return cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1]

    for name, pair in pairs.items():
        folder = shared_data / 'data' / 'msrs' / pair['split']
        thermal = read(folder / 'ir' / f'{name}.webp')
        visible = read(folder / 'vi' / f'{name}.webp')
        fused = read(shared_data / 'golden' / 'fused' / f'{name}.png')
        # One pixel of all six colour images is an exact half, which the reference's float32 sum
        # rounds to the other side: hence not 1e-6.
        check(fusion_metrics(fused, thermal, visible), pair['float64'], rel=2e-6)


# --- hand-made images -------------------------------------------------------------------------


def test_entropy_of_four_equal_levels_is_two_bits():
    image = np.repeat(np.array([[0, 10, 20, 255]], np.uint8), 4, axis=0)
    assert intensity.entropy(image) == pytest.approx(2.0, abs=1e-12)
    assert intensity.entropy(np.full((3, 3), 7, np.uint8)) == 0.0


def test_standard_deviation_of_two_levels():
    # Half 10, half 30: mean 20, every deviation 10.
    assert intensity.standard_deviation(np.array([[10, 30], [30, 10]], np.uint8)) == 10.0


def test_spatial_frequency_by_hand():
    # Rows: differences 3, 3 -> mean of squares 9. Columns: 4, 4 -> 16. sqrt(25) = 5.
    assert intensity.spatial_frequency(np.array([[0, 3], [4, 7]], np.uint8)) == 5.0


def test_average_gradient_of_a_ramp():
    # gx = 2 and gy = 4 everywhere, also one-sided at the border: sqrt((4 + 16) / 2).
    rows, columns = np.mgrid[:5, :6]
    ramp = (2 * columns + 4 * rows).astype(np.uint8)
    assert intensity.average_gradient(ramp) == pytest.approx(math.sqrt(10), rel=1e-15)


def test_mutual_information_of_copies_and_of_independent_images():
    first = np.array([[0, 0], [255, 255]], np.uint8)
    second = np.array([[0, 255], [0, 255]], np.uint8)
    # ln 2 from the copy, nothing from the independent image.
    assert intensity.mutual_information(first, first, second) == pytest.approx(math.log(2))
    assert intensity.mutual_information(first, first, first, base=2) == pytest.approx(2.0)


def test_errors_correlation_and_noise_ratio_by_hand():
    fused = np.array([[1, 3], [5, 7]], np.uint8)
    thermal = np.array([[1, 3], [5, 5]], np.uint8)  # squared error 4 / 4 = 1
    visible = np.array([[7, 5], [3, 1]], np.uint8)  # 36 + 4 + 4 + 36 = 80 / 4 = 20
    assert intensity.mean_squared_error(fused, thermal, visible) == 10.5
    assert intensity.peak_signal_to_noise(fused, thermal, visible) == pytest.approx(
        10 * math.log10(49 / 10.5)
    )
    # Deviations of fused -3 -1 1 3, thermal -2.5 -0.5 1.5 1.5: 14 / sqrt(20 * 11).
    assert intensity.correlation(fused, thermal, visible) == pytest.approx(
        (14 / math.sqrt(220) - 1) / 2
    )


def test_difference_correlation_of_a_sum_is_two():
    thermal = np.array([[0, 50], [100, 20]], np.uint8)
    visible = np.array([[30, 10], [40, 90]], np.uint8)
    # fused - visible is the thermal image itself and vice versa.
    assert intensity.correlation_of_differences(
        thermal + visible, thermal, visible
    ) == pytest.approx(2.0)


def test_undefined_values_are_not_numbers():
    flat = np.full((MIN_SIDE, MIN_SIDE), 9, np.uint8)
    ramp = np.tile(np.arange(MIN_SIDE, dtype=np.uint8), (MIN_SIDE, 1))
    values = fusion_metrics(flat, ramp, ramp)
    assert math.isnan(values['CC'])
    assert values['EN'] == 0.0
    assert fusion_metrics(flat, flat, flat)['PSNR'] == math.inf
    # A constant source carries no information, so none is lost.
    assert fusion_metrics(flat, flat, flat)['VIF'] == 2.0
    black = np.zeros_like(flat)
    assert math.isnan(fusion_metrics(black, black, black)['Qabf'])


def test_a_perfect_copy_of_equal_sources_has_the_best_values(triple):
    image = triple[2]
    values = fusion_metrics(image, image, image)
    assert values['SSIM'] == pytest.approx(2.0)
    assert values['VIF'] == pytest.approx(2.0)
    assert values['CC'] == pytest.approx(1.0)
    assert values['MSE'] == 0.0


# --- independent implementations --------------------------------------------------------------


def random_pair(shape=(53, 67)):
    rng = np.random.default_rng(3)
    smooth = cv2.GaussianBlur(rng.uniform(0, 255, shape), (0, 0), 3)
    visible = np.clip(smooth * 3 - 250 + rng.normal(0, 4, shape), 0, 255).astype(np.uint8)
    thermal = np.clip(255 - smooth + rng.normal(0, 4, shape), 0, 255).astype(np.uint8)
    fused = np.maximum(thermal, visible)
    fused[:20] = 0  # a flat part: vanishing variances and edges
    return fused, thermal, visible


@pytest.mark.parametrize('data_range', [2.0, 255.0])
def test_similarity_agrees_with_skimage(data_range):
    fused, thermal, visible = (image.astype(np.float64) for image in random_pair())
    expected = sum(
        skimage_ssim(fused, source, data_range=data_range) for source in (thermal, visible)
    )
    plane, *sources = as_planes(*random_pair())
    value = sum(similarities(plane, tuple(sources), (data_range,))[0])
    assert value == pytest.approx(expected, rel=1e-9)


def test_information_agrees_with_skimage_and_scikit_learn():
    fused, thermal, visible = random_pair()
    assert intensity.entropy(fused) == pytest.approx(shannon_entropy(fused), rel=1e-12)
    expected = sum(
        mutual_info_score(fused.ravel(), source.ravel()) for source in (thermal, visible)
    )
    assert intensity.mutual_information(fused, thermal, visible) == pytest.approx(
        expected, rel=1e-9
    )


def test_statistics_agree_with_numpy():
    images = random_pair()
    fused, thermal, visible = (image.astype(np.float64) for image in images)
    assert intensity.standard_deviation(images[0]) == pytest.approx(fused.std(), rel=1e-12)
    expected = (
        np.corrcoef(thermal.ravel(), (fused - visible).ravel())[0, 1]
        + np.corrcoef(visible.ravel(), (fused - thermal).ravel())[0, 1]
    )
    assert intensity.correlation_of_differences(*images) == pytest.approx(expected, rel=1e-9)
    expected = np.mean(
        [np.corrcoef(fused.ravel(), source.ravel())[0, 1] for source in (thermal, visible)]
    )
    assert intensity.correlation(*images) == pytest.approx(expected, rel=1e-9)


def direct_vif(reference: np.ndarray, distorted: np.ndarray) -> float:
    """Two-dimensional windows and full sums, pixel after pixel of the definition."""
    kept = carried = 0.0
    for scale, side in enumerate((17, 9, 5, 3)):
        y, x = np.mgrid[:side, :side] - (side - 1) / 2
        window = np.exp(-(x * x + y * y) / (2 * (side / 5) ** 2))
        window /= window.sum()
        if scale:
            reference = convolve2d(reference, window, 'valid')[::2, ::2]
            distorted = convolve2d(distorted, window, 'valid')[::2, ::2]
        mean_r, mean_d = (convolve2d(i, window, 'valid') for i in (reference, distorted))
        var_r = convolve2d(reference**2, window, 'valid') - mean_r**2
        var_d = convolve2d(distorted**2, window, 'valid') - mean_d**2
        cov = convolve2d(reference * distorted, window, 'valid') - mean_r * mean_d
        for vr, vd, c in zip(var_r.ravel(), var_d.ravel(), cov.ravel(), strict=True):
            vr, vd = max(vr, 0.0), max(vd, 0.0)
            gain, noise = c / (vr + 1e-10), vd - c * c / (vr + 1e-10)
            if vr < 1e-10:
                gain, noise, vr = 0.0, vd, 0.0
            if vd < 1e-10:
                gain, noise = 0.0, 0.0
            if gain < 0:
                gain, noise = 0.0, vd
            kept += math.log10(1 + gain * gain * vr / (max(noise, 1e-10) + 2))
            carried += math.log10(1 + vr / 2)
    return kept / carried


def test_visual_information_agrees_with_the_direct_form():
    images = random_pair()
    fused, thermal, visible = (image.astype(np.float64) for image in images)
    expected = direct_vif(thermal, fused) + direct_vif(visible, fused)
    assert visual_information(*images) == pytest.approx(expected, rel=1e-9)


def direct_qabf(fused, thermal, visible, at_tie):
    """Qabf by loops over pixels; `at_tie` gives the strength ratio where both are equal."""

    def edges(image):
        padded = np.pad(image.astype(float), 1)
        strength, angle = np.zeros(image.shape), np.zeros(image.shape)
        for i, j in np.ndindex(image.shape):
            p = padded[i : i + 3, j : j + 3]
            gx = (p[:, 0] - p[:, 2]) @ [1, 2, 1]
            gy = (p[2] - p[0]) @ [1, 2, 1]
            strength[i, j] = math.hypot(gx, gy)
            angle[i, j] = math.atan(gy / gx) if gx else math.pi / 2
        return strength, angle

    gf, af = edges(fused)
    kept = total = 0.0
    for source in (thermal, visible):
        g, a = edges(source)
        for i, j in np.ndindex(g.shape):
            low, high = sorted((g[i, j], gf[i, j]))
            # The direct root and hypot may differ in the last digit: equal means equal enough.
            ratio = at_tie(low) if math.isclose(low, high, rel_tol=1e-13) else low / high
            turn = 1 - abs(a[i, j] - af[i, j]) / (math.pi / 2)
            kept += (
                g[i, j]
                * 0.9994
                / (1 + math.exp(-15 * (ratio - 0.5)))
                * (0.9879 / (1 + math.exp(-22 * (turn - 0.8))))
            )
            total += g[i, j]
    return kept / total


def test_edge_transfer_agrees_with_the_direct_form_under_both_conventions():
    fused, thermal, visible = (image[5:40, 5:45] for image in random_pair())
    suite = edge_transfer(fused, thermal, visible)
    paper = edge_transfer(fused, thermal, visible, convention='xydeas-petrovic')
    assert suite == pytest.approx(direct_qabf(fused, thermal, visible, lambda g: g), rel=1e-9)
    assert paper == pytest.approx(direct_qabf(fused, thermal, visible, lambda g: 1.0), rel=1e-9)


def test_conventions_of_edge_transfer_differ_only_at_ties_below_one():
    # A step of one grey level that is copied: strength 1..4 in the suite counts as ratio >= 1,
    # so 'suite' exceeds what the paper's ratio of exactly 1 allows.
    image = np.zeros((8, 8), np.uint8)
    image[:, 4:] = 1
    suite = edge_transfer(image, image, image)
    paper = edge_transfer(image, image, image, convention='xydeas-petrovic')
    sigmoid = [0.9994 / (1 + math.exp(-15 * 0.5)), 0.9879 / (1 + math.exp(-22 * 0.2))]
    assert paper == pytest.approx(sigmoid[0] * sigmoid[1], rel=1e-12)
    assert suite > paper
    with pytest.raises(ValueError, match="'suite' or 'xydeas-petrovic', got 'other'"):
        edge_transfer(image, image, image, convention='other')


def drawn_pair(shape=(120, 160), seed=4):
    """Textured images, thermal brighter on the left, visible brighter on the right."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 90, shape[1])
    fine = ndimage.gaussian_filter(rng.normal(0, 1, (2, *shape)), (0, 0.8, 0.8)) * 18
    thermal = np.clip(150 - ramp + fine[0], 0, 255).astype(np.uint8)
    visible = np.clip(60 + ramp + fine[1], 0, 255).astype(np.uint8)
    return thermal, visible


def smoothed(image, sigma, radius):
    """Gaussian by an explicit sum over shifted rows and columns, edges mirrored."""
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-(offsets**2) / (2 * sigma**2))
    weights /= weights.sum()
    padded = np.pad(image.astype(float), radius, mode='reflect')
    height, width = image.shape
    rows = sum(
        w * padded[radius + o : radius + o + height] for o, w in zip(offsets, weights, strict=True)
    )
    return sum(
        w * rows[:, radius + o : radius + o + width] for o, w in zip(offsets, weights, strict=True)
    )


def plain_kept(fused, darker, brighter):
    detail = {
        k: i - smoothed(i, 1.5, 6) for k, i in {'f': fused, 'd': darker, 'b': brighter}.items()
    }
    level = smoothed(brighter, 4, 16) - smoothed(darker, 4, 16)
    above = below = pixels = 0.0
    for y, x in np.ndindex(fused.shape):
        d, b = detail['d'][y, x], detail['b'][y, x]
        if level[y, x] > 15 and abs(d) > 4 and abs(d) > 1.5 * abs(b):
            above, below, pixels = above + detail['f'][y, x] * d, below + d * d, pixels + 1
    return above / below if pixels > 200 else math.nan


def test_kept_detail_agrees_with_direct_sums():
    thermal, visible = drawn_pair()
    fused = np.round((thermal.astype(float) + visible) / 2).astype(np.uint8)
    expected = plain_kept(fused, visible, thermal)
    assert 0.3 < expected < 0.7
    assert visible_kept(fused, thermal, visible) == pytest.approx(expected, abs=1e-9)
    expected = plain_kept(fused, thermal, visible)
    assert thermal_kept(fused, thermal, visible) == pytest.approx(expected, abs=1e-9)


def test_a_copy_keeps_all_and_a_flat_image_nothing():
    thermal, visible = drawn_pair()
    assert visible_kept(visible, thermal, visible) == pytest.approx(1)
    assert thermal_kept(thermal, thermal, visible) == pytest.approx(1)
    flat = np.full_like(visible, 99)
    assert visible_kept(flat, thermal, visible) == pytest.approx(0)
    # Detail turned upside down is worse than none.
    assert visible_kept(255 - visible, thermal, visible) == pytest.approx(-1)
    # Nowhere is the thermal image the brighter one: nothing to keep.
    assert math.isnan(visible_kept(flat, visible, visible))


# What the reference suite has no value of, in plain words.
PLAIN = {
    'MSE': lambda f, t, v: np.mean([np.mean((f.astype(float) - s) ** 2) for s in (t, v)]),
    'visible_kept': lambda f, t, v: plain_kept(f, v, t),
    'thermal_kept': plain_kept,
}


@pytest.mark.parametrize('name', FUSION_METRICS)
def test_every_metric_has_an_independent_value(name, triple):
    plain = PLAIN.get(name)
    expected = REFERENCE['fused'].get(name) if plain is None else plain(*triple)
    assert expected is not None, f'{name}: neither in data/reference.json nor in PLAIN'
    value = fusion_metrics(*triple, names=[name])[name]
    assert value == pytest.approx(expected, rel=1e-6, abs=PRINTED, nan_ok=True)


# --- reading and bad input --------------------------------------------------------------------


def test_luminance_rounds_half_to_even_exactly():
    # 0.299 * 10 + 0.587 * 20 + 0.114 * 30 = 18.15; (0, 0, 250) -> 28.5 -> 28; (250, 0, 250) ->
    # 103.25; (0, 250, 250) -> 175.25; (50, 50, 50) -> 50.
    pixels = np.array(
        [[[10, 20, 30], [0, 0, 250], [250, 0, 250], [0, 250, 250], [50, 50, 50]]], np.uint8
    )
    assert luminance(pixels).tolist() == [[18, 28, 103, 175, 50]]
    # (0, 0, 250) has half 28.5; (0, 100, 150) = 58.7 + 17.1 = 75.8; (100, 0, 200) = 52.7.
    assert luminance(np.array([[[0, 100, 150], [100, 0, 200]]], np.uint8)).tolist() == [[76, 53]]


def test_grey_and_its_colour_copy_are_the_same(triple):
    fused, thermal, visible = triple
    colour = np.repeat(visible[..., None], 3, axis=2)
    assert fusion_metrics(fused, thermal, colour) == fusion_metrics(fused, thermal, visible)


def test_planes_can_be_reused_and_change_nothing(triple):
    fused, thermal, visible = triple
    sources = Plane(thermal), Plane(visible)
    fusion_metrics(np.maximum(thermal, visible), *sources)
    assert fusion_metrics(fused, *sources) == fusion_metrics(fused, thermal, visible)


def test_all_names_are_there_in_order(triple):
    assert tuple(fusion_metrics(*triple)) == FUSION_METRICS
    values = fusion_metrics(*triple, names=(*FUSION_METRICS, *VARIANTS))
    assert tuple(values) == FUSION_METRICS + VARIANTS
    assert values['MI_bits'] == pytest.approx(values['MI'] / math.log(2))


@pytest.mark.parametrize(
    ('image', 'message'),
    [
        (np.zeros((60, 60), np.uint16), 'metrics need 8-bit images, got uint16'),
        (np.zeros((60, 60, 4), np.uint8), r'\[H, W\] or \[H, W, 3\] images, got shape'),
        (np.zeros((0, 60), np.uint8), 'non-empty image, got shape'),
        (np.zeros((50, 61), np.uint8), 'same size, got 61x50, 60x60, 60x60'),
    ],
)
def test_bad_images_are_refused_by_name(image, message):
    good = np.zeros((60, 60), np.uint8)
    with pytest.raises(ImageError, match=message):
        fusion_metrics(image, good, good)


def test_an_image_below_the_windows_is_refused():
    tiny = np.zeros((MIN_SIDE - 1, 200), np.uint8)
    with pytest.raises(ImageError, match='at least 41x41 pixels, got 200x40'):
        fusion_metrics(tiny, tiny, tiny)
    smallest = np.eye(MIN_SIDE, dtype=np.uint8) * 200
    assert math.isfinite(fusion_metrics(smallest, smallest, smallest)['VIF'])
