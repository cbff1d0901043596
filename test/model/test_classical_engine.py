"""The classical engine against a float64 pyramid written from its definition."""

from __future__ import annotations

import cv2
from mafs_model.classes import ClassTable
from mafs_model.prediction import Outputs
from mafs_model.runtime.classical import ClassicalEngine, LaplacianFusion, LEVELS
import numpy as np
import pytest

RNG = np.random.default_rng(11)
KERNEL = np.array([1, 4, 6, 4, 1]) / 16.0


def texture(size, seed):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (size[0] // 8 + 2, size[1] // 8 + 2)).astype(np.uint8)
    image = cv2.resize(coarse, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
    return np.clip(image + rng.normal(0, 8, size), 0, 255).astype(np.uint8)


def blur(image):
    padded = np.pad(image, 2, mode='reflect')
    rows = sum(k * padded[:, i : i + image.shape[1]] for i, k in enumerate(KERNEL))
    return sum(k * rows[i : i + image.shape[0]] for i, k in enumerate(KERNEL))


def reduce(image):
    return blur(image)[::2, ::2]


def expand(image, size):
    # Zeros between the samples, then the same kernel with gain 4.
    sparse = np.zeros((2 * image.shape[0] + 4, 2 * image.shape[1] + 4))
    padded = np.pad(image, 1, mode='reflect')
    padded[-1], padded[:, -1] = padded[-2], padded[:, -2]
    sparse[::2, ::2] = padded
    rows = sum(k * sparse[:, i : i + sparse.shape[1] - 4] for i, k in enumerate(KERNEL))
    full = 4 * sum(k * rows[i : i + sparse.shape[0] - 4] for i, k in enumerate(KERNEL))
    return full[: size[0], : size[1]]


def reference_fusion(first, second, levels):
    """Return the fusion in float64, straight from Burt and Adelson's definition."""
    images = [first.astype(np.float64), second.astype(np.float64)]
    bands = []
    for _ in range(levels):
        smaller = [reduce(i) for i in images]
        details = [i - expand(s, i.shape) for i, s in zip(images, smaller, strict=True)]
        activity = [cv2.blur(np.abs(d), (3, 3)) for d in details]
        bands.append(np.where(activity[1] > activity[0], details[1], details[0]))
        images = smaller
    result = (images[0] + images[1]) / 2
    for band in reversed(bands):
        result = band + expand(result, band.shape)
    return np.clip(result, 0, 255)


@pytest.fixture
def engine():
    return ClassicalEngine(ClassTable.load('mfnet'))


def test_agrees_with_the_float64_reference():
    size = (128, 192)
    # Strong structure in bands that alternate between the images: no close decisions but at
    # the seams, where rounding may tip them either way.
    strong = np.arange(size[1]) // 48 % 2 == 0
    gains = np.where(strong, 0.9, 0.02), np.where(strong, 0.02, 0.9)
    first, second = (
        np.clip(128 + gain * (texture(size, seed) - 128.0), 0, 255).astype(np.uint8)
        for gain, seed in zip(gains, (1, 2), strict=True)
    )
    fused = LaplacianFusion(size, levels=2)(first, second)
    error = np.abs(fused - reference_fusion(first, second, 2))
    seam = np.abs((np.arange(size[1]) + 24) % 48 - 24) < 12
    seam[[0, 1, -2, -1]] = True
    assert error[8:-8, ~seam].max() <= 3.0  # rounding to integers per level
    assert np.median(error) <= 1.0
    average = first / 2.0 + second / 2.0
    assert np.abs(fused - average)[8:-8, ~seam].mean() > 5  # it is no average


@pytest.mark.parametrize('size', [(480, 640), (97, 131), (33, 35), (240, 426), (32, 640)])
def test_fusing_an_image_with_itself_gives_it_back(size):
    image = texture(size, 3)
    assert np.array_equal(LaplacianFusion(size)(image, image), image)


def test_constant_images_are_averaged():
    size = (64, 64)
    fused = LaplacianFusion(size)(np.full(size, 40, np.uint8), np.full(size, 200, np.uint8))
    assert np.abs(fused.astype(int) - 120).max() <= 1


def test_detail_comes_from_the_image_that_has_it():
    size = (128, 128)
    flat = np.full(size, 128, np.uint8)
    left, right = flat.copy(), flat.copy()
    left[:, :64] = texture((128, 64), 4)
    right[:, 64:] = texture((128, 64), 5)
    fused = LaplacianFusion(size)(left, right).astype(float)
    for half, source in ((np.s_[16:112, 8:48], left), (np.s_[16:112, 80:120], right)):
        high = [i - cv2.GaussianBlur(i, (0, 0), 2) for i in (fused, source.astype(float))]
        assert np.corrcoef(high[0][half].ravel(), high[1][half].ravel())[0, 1] > 0.98


def test_chroma_of_the_visible_image_is_kept(engine):
    visible = np.dstack([texture((96, 128), s) // 2 + 64 for s in (6, 7, 8)])
    thermal = texture((96, 128), 9) // 2 + 64
    fused = engine.infer(visible, thermal, Outputs()).fused
    before = cv2.cvtColor(visible, cv2.COLOR_RGB2YCrCb).astype(int)
    after = cv2.cvtColor(fused, cv2.COLOR_RGB2YCrCb).astype(int)
    inside = ((fused > 0) & (fused < 255)).all(-1)  # chroma of clipped colours must change
    assert np.abs(after - before)[inside][:, 1:].max() <= 2


def test_grey_visible_image_gives_a_grey_result(engine):
    grey = np.repeat(texture((64, 64), 1)[..., None], 3, 2)
    fused = engine.infer(grey, texture((64, 64), 2), Outputs()).fused
    assert np.ptp(fused.astype(int), axis=-1).max() <= 1


def test_labels_and_confidence_are_empty(engine):
    result = engine.infer(np.zeros((48, 64, 3), np.uint8), np.zeros((48, 64), np.uint8), Outputs())
    assert result.labels.shape == result.confidence.shape == (48, 64)
    assert not result.labels.any()
    assert not result.confidence.any()


def test_only_what_is_wanted_is_computed(engine):
    images = np.zeros((48, 64, 3), np.uint8), np.zeros((48, 64), np.uint8)
    result = engine.infer(*images, Outputs(fused=False, labels=True, confidence=False))
    assert result.fused is None
    assert result.confidence is None
    assert result.labels is not None
    assert engine._pyramid is None


def test_a_single_image_passes_through(engine):
    visible = np.dstack([texture((48, 64), s) for s in range(3)])
    thermal = texture((48, 64), 4)
    assert np.array_equal(engine.infer(visible, None, Outputs()).fused, visible)
    alone = engine.infer(None, thermal, Outputs()).fused
    assert np.array_equal(alone, np.repeat(thermal[..., None], 3, 2))


def test_results_are_not_overwritten_by_the_next_pair(engine):
    first = engine.infer(
        np.full((64, 64, 3), 10, np.uint8), np.full((64, 64), 10, np.uint8), Outputs()
    ).fused
    engine.infer(np.full((64, 64, 3), 200, np.uint8), np.full((64, 64), 200, np.uint8), Outputs())
    assert (first == 10).all()


def test_small_images_get_fewer_levels():
    assert len(LaplacianFusion((480, 640))._sizes) == LEVELS + 1
    assert len(LaplacianFusion((32, 32))._sizes) == 3
