"""Bootstrap confidence intervals over images, paired where two methods are compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
RESAMPLES = 10_000


@dataclass(frozen=True)
class Interval:
    """
    A value with its percentile interval.

    Attributes:
        value: the statistic of the data itself.
        low: lower end of the interval.
        high: upper end of the interval.
        images: how many images it rests on.
        p_value: for a difference, twice the share of resamples on the other side of zero
            (at least 1 / resamples); None otherwise.

    """

    value: float
    low: float
    high: float
    images: int
    p_value: float | None = None

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside the interval."""
        return self.low > 0 or self.high < 0


def mean_interval(
    values: NDArray[Any], *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """
    Mean over images with its interval; values that are not finite are left out.

    Args:
        values: one value an image, [N].
        level: coverage of the interval, 0..1.
        resamples: number of bootstrap samples.
        seed: of the resampling; the same seed gives the same interval.

    """
    finite = np.asarray(values, np.float64)
    finite = finite[np.isfinite(finite)]
    if finite.size == 0:
        return Interval(np.nan, np.nan, np.nan, 0)
    means = _weights(finite.size, resamples, seed) @ finite / finite.size
    low, high = _percentiles(means, level)
    return Interval(float(finite.mean()), low, high, finite.size)


def paired_difference(
    first: NDArray[Any],
    second: NDArray[Any],
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """
    Mean difference second - first over the same images, which are drawn together.

    Args:
        first: one value an image, [N].
        second: one value an image, [N], in the same order. An image where either value is
            not finite is left out of both.
        level: coverage of the interval, 0..1.
        resamples: number of bootstrap samples.
        seed: of the resampling.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 16.

    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f'paired values must be [N] and [N], got {first.shape}, {second.shape}')
    differences = second - first
    differences = differences[np.isfinite(differences)]
    if differences.size == 0:
        return Interval(np.nan, np.nan, np.nan, 0)
    means = _weights(differences.size, resamples, seed) @ differences / differences.size
    low, high = _percentiles(means, level)
    return Interval(float(differences.mean()), low, high, differences.size, _p_value(means))


def pooled_interval(
    counts: NDArray[Any],
    statistic: Callable[[Float], Float],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """
    Interval of a statistic of counts pooled over images, such as mean IoU.

    Args:
        counts: one array of counts an image, [N, ...].
        statistic: maps pooled counts [B, ...] to values [B].
        level: coverage of the interval, 0..1.
        resamples: number of bootstrap samples.
        seed: of the resampling.

    """
    value = float(statistic(counts.sum(axis=0, keepdims=True).astype(np.float64))[0])
    samples = statistic(_pooled(counts, resamples, seed))
    low, high = _percentiles(samples, level)
    return Interval(value, low, high, len(counts))


def paired_pooled_difference(
    first: NDArray[Any],
    second: NDArray[Any],
    statistic: Callable[[Float], Float],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Difference second - first of a statistic of pooled counts, images drawn together."""
    if first.shape[0] != second.shape[0]:
        raise ValueError(f'paired counts need the same images, got {len(first)}, {len(second)}')
    values = [
        float(statistic(c.sum(axis=0, keepdims=True).astype(np.float64))[0])
        for c in (first, second)
    ]
    # The same seed draws the same images for both.
    samples = statistic(_pooled(second, resamples, seed)) - statistic(
        _pooled(first, resamples, seed)
    )
    low, high = _percentiles(samples, level)
    return Interval(values[1] - values[0], low, high, len(first), _p_value(samples))


@lru_cache(maxsize=4)
def _weights(images: int, resamples: int, seed: int) -> Float:
    """
    How often each image is drawn in each resample, float64 [resamples, images].

    Of many images fewer resamples are drawn (at least 500), so that the table stays below
    160 MB; their interval is narrow anyway.
    """
    resamples = min(resamples, max(500, 20_000_000 // images))
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(images, np.full(images, 1 / images), size=resamples)
    weights = drawn.astype(np.float64)
    weights.flags.writeable = False
    return weights


def _pooled(counts: NDArray[Any], resamples: int, seed: int) -> Float:
    flat = counts.reshape(len(counts), -1).astype(np.float64)
    pooled = _weights(len(counts), resamples, seed) @ flat
    return np.asarray(pooled.reshape((-1, *counts.shape[1:])))


def _percentiles(samples: Float, level: float) -> tuple[float, float]:
    tail = (1 - level) / 2
    low, high = np.nanquantile(samples, [tail, 1 - tail])
    return float(low), float(high)


def _p_value(samples: Float) -> float:
    below, above = float((samples <= 0).mean()), float((samples >= 0).mean())
    return min(1.0, max(2 * min(below, above), 1 / samples.size))
