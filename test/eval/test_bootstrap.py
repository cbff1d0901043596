"""Bootstrap intervals against SciPy and by coverage."""

from __future__ import annotations

import math

from mafs_training.metrics.bootstrap import (
    mean_interval,
    paired_difference,
    paired_pooled_difference,
    pooled_interval,
)
from mafs_training.metrics.segmentation import ConfusionMatrix, mean_iou_of_counts
import numpy as np
import pytest
from scipy.stats import bootstrap


def test_mean_interval_agrees_with_scipy():
    values = np.random.default_rng(1).gamma(2.0, size=60)
    ours = mean_interval(values)
    theirs = bootstrap(
        (values,), np.mean, method='percentile', n_resamples=10_000, rng=np.random.default_rng(2)
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.value == pytest.approx(values.mean())
    assert ours.low == pytest.approx(theirs.low, abs=0.05 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.05 * width)
    assert ours == mean_interval(values)  # the same seed, the same interval


def test_pairing_sees_a_small_difference_that_means_hide():
    rng = np.random.default_rng(3)
    first = rng.normal(50, 20, 40)
    second = first + rng.normal(0.5, 0.2, 40)
    paired = paired_difference(first, second)
    assert paired.excludes_zero
    assert 0.4 < paired.low < paired.value < paired.high < 0.6
    assert paired.p_value < 0.001
    separate = [mean_interval(values) for values in (first, second)]
    assert separate[0].high > separate[1].low


def test_no_difference_is_not_called_one():
    values = np.random.default_rng(4).normal(size=30)
    same = paired_difference(values, values)
    assert (same.value, same.low, same.high, same.p_value) == (0, 0, 0, 1.0)
    assert not same.excludes_zero


def test_undefined_values_are_left_out_of_both():
    result = paired_difference(np.array([1.0, np.nan, 3.0]), np.array([2.0, 5.0, np.inf]))
    assert (result.value, result.images) == (1.0, 1)
    assert math.isnan(mean_interval(np.array([np.nan])).value)
    assert paired_difference(np.array([]), np.array([])).images == 0
    with pytest.raises(ValueError, match=r'\(2,\), \(3,\)'):
        paired_difference(np.zeros(2), np.zeros(3))


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(6)
    hits = 0
    for _ in range(200):
        interval = mean_interval(rng.normal(1.0, 1.0, 40), level=0.9, resamples=400)
        hits += interval.low <= 1.0 <= interval.high
    # 90 % of 200 with a standard deviation of about 4.2 and the bootstrap's slight optimism.
    assert 165 <= hits <= 195


def test_pooled_interval_of_mean_iou():
    rng = np.random.default_rng(7)
    matrix = ConfusionMatrix(3)
    better = ConfusionMatrix(3)
    counts, counts_better = [], []
    for _ in range(12):
        target = rng.integers(0, 3, (20, 20))
        noise = rng.integers(0, 3, (20, 20))
        counts.append(
            matrix.add_image(np.where(rng.random((20, 20)) < 0.5, target, noise), target)
        )
        counts_better.append(
            better.add_image(np.where(rng.random((20, 20)) < 0.7, target, noise), target)
        )
    interval = pooled_interval(np.stack(counts), mean_iou_of_counts)
    assert interval.value == pytest.approx(matrix.mean_iou())
    assert interval.low < interval.value < interval.high
    gain = paired_pooled_difference(np.stack(counts), np.stack(counts_better), mean_iou_of_counts)
    assert gain.value == pytest.approx(better.mean_iou() - matrix.mean_iou())
    assert gain.excludes_zero
