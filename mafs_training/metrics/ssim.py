"""SSIM of a fused image with its sources, under the two conventions in use."""

from __future__ import annotations

from mafs_training.metrics.plane import box_sum, Float, Plane, require_side, SSIM_WINDOW
import numpy as np

# What scikit-image up to 0.19 assumes for float images (-1..1). The reference suite hands it
# float images of 0..255, so the published numbers carry these tiny stabilising constants.
PUBLISHED_RANGE = 2.0


def similarities(
    fused: Plane,
    sources: tuple[Plane, ...],
    ranges: tuple[float, ...],
) -> list[list[float]]:
    """
    Mean structural similarity for each data range and source, window sums computed once.

    7x7 uniform window, sample covariance, K1 = 0.01, K2 = 0.03, mean over the windows that lie
    inside the image.

    Args:
        fused: the fused image.
        sources: images of the same size.
        ranges: 2 is the published convention (SSIM), 255 the one that fits 8-bit images
            (SSIM255).

    Returns:
        one list a range, one value a source, at most 1.

    Source: Wang et al., IEEE Trans. Image Processing 13 (2004), eq. (13).

    """
    require_side(fused, SSIM_WINDOW, 'SSIM')
    values: list[list[float]] = [[] for _ in ranges]
    for source in sources:
        products, powers, covariance, variances = _moments(fused, source)
        for row, data_range in zip(values, ranges, strict=True):
            c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
            numerator = (products + c1) * (covariance + c2)
            row.append(float(np.mean(numerator / ((powers + c1) * (variances + c2)))))
    return values


def _moments(a: Plane, b: Plane) -> tuple[Float, Float, Float, Float]:
    """2 ux uy, ux^2 + uy^2, 2 vxy and vx + vy of every window, from exact integer sums."""
    n = SSIM_WINDOW**2
    sum_a, square_a = a.window_sums
    sum_b, square_b = b.window_sums
    cross = sum_a * sum_b
    powers = sum_a * sum_a + sum_b * sum_b
    covariance = n * box_sum(a.values * b.values) - cross
    variances = n * (square_a + square_b) - powers
    unbiased = 1 / (n * (n - 1))
    return (
        cross * (2 / n**2),
        powers * (1 / n**2),
        covariance * (2 * unbiased),
        variances * unbiased,
    )
