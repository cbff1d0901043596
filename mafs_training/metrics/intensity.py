"""Fusion metrics of grey-value statistics: EN, SD, SF, AG, MI, SCD, CC, MSE, PSNR."""

from __future__ import annotations

import math

from mafs_training.metrics.plane import as_plane, as_planes, ImageLike, Plane, require_side
import numpy as np
from numpy.typing import NDArray


def entropy(fused: ImageLike) -> float:
    """
    EN: Shannon entropy of the 256-bin grey-level histogram, in bits.

    Source: Roberts, van Aardt, Ahmed, J. Applied Remote Sensing 2 (2008).
    """
    return entropy_of_counts(as_plane(fused).histogram) / math.log(2)


def entropy_of_counts(counts: NDArray[np.int64]) -> float:
    """Shannon entropy in nats of a table of counts; empty cells contribute nothing."""
    # As shares: the one of a constant image is exactly 1, so that its entropy is exactly 0.
    shares = counts[counts > 0] / counts.sum()
    return abs(float(np.dot(shares, np.log(shares))))


def standard_deviation(fused: ImageLike) -> float:
    """
    SD: population standard deviation of the grey values.

    Source: Rao, Measurement Science and Technology 8 (1997).
    """
    plane = as_plane(fused)
    return math.sqrt(_covariance(plane, plane)) / plane.image.size


def spatial_frequency(fused: ImageLike) -> float:
    """
    SF: root of the mean squared horizontal plus the mean squared vertical difference.

    Each mean runs over the differences that exist, H*(W-1) and (H-1)*W of them.

    Source: Eskicioglu and Fisher, IEEE Trans. Communications 43 (1995).
    """
    plane = as_plane(fused)
    require_side(plane, 2, 'SF')
    rows = np.diff(plane.values, axis=1).ravel()
    columns = np.diff(plane.values, axis=0).ravel()
    return math.sqrt(np.dot(rows, rows) / rows.size + np.dot(columns, columns) / columns.size)


def average_gradient(fused: ImageLike) -> float:
    """
    AG: mean of sqrt((gx^2 + gy^2) / 2), central differences, one-sided at the border.

    Source: Cui et al., Optics Communications 341 (2015).
    """
    plane = as_plane(fused)
    require_side(plane, 2, 'AG')
    gy, gx = np.gradient(plane.values)
    return float(np.mean(np.sqrt((gx * gx + gy * gy) * 0.5)))


def mutual_information(
    fused: ImageLike, thermal: ImageLike, visible: ImageLike, *, base: float = math.e
) -> float:
    """
    MI: mutual information of the fused image with each source, summed.

    Args:
        fused: fused image, uint8 [H, W] or [H, W, 3] RGB, or a Plane.
        thermal: thermal image of the same size.
        visible: visible image of the same size.
        base: base of the logarithm; e (nats) is what the reference suite prints, 2 gives
            bits (the value divided by ln 2).

    Source: Qu, Zhang, Yan, Electronics Letters 38 (2002).

    """
    f, t, v = as_planes(fused, thermal, visible)
    return (_shared_information(f, t) + _shared_information(f, v)) / math.log(base)


def _shared_information(a: Plane, b: Plane) -> float:
    joint = np.bincount((a.image.astype(np.int32) * 256 + b.image).ravel())
    shared = (
        entropy_of_counts(a.histogram) + entropy_of_counts(b.histogram) - entropy_of_counts(joint)
    )
    return max(shared, 0.0)


def correlation_of_differences(fused: ImageLike, thermal: ImageLike, visible: ImageLike) -> float:
    """
    SCD: corr(thermal, fused - visible) + corr(visible, fused - thermal).

    Not a number where a difference image is constant, as for a source taken as fused image.

    Source: Aslantas and Bendes, AEU Int. J. Electronics and Communications 69 (2015).
    """
    f, t, v = as_planes(fused, thermal, visible)
    tt, vv, ff = _covariance(t, t), _covariance(v, v), _covariance(f, f)
    tv, ft, fv = _covariance(t, v), _covariance(f, t), _covariance(f, v)
    first = _ratio(ft - tv, tt, ff + vv - 2 * fv)
    second = _ratio(fv - tv, vv, ff + tt - 2 * ft)
    return first + second


def correlation(fused: ImageLike, thermal: ImageLike, visible: ImageLike) -> float:
    """
    CC: Pearson correlation of the fused image with each source, mean of both.

    Not a number where an image is constant.

    Source: Deshmukh and Bhosale, Int. J. Image Processing 4 (2010).
    """
    f, t, v = as_planes(fused, thermal, visible)
    ff = _covariance(f, f)
    return (
        _ratio(_covariance(f, t), ff, _covariance(t, t))
        + _ratio(_covariance(f, v), ff, _covariance(v, v))
    ) / 2


def mean_squared_error(fused: ImageLike, thermal: ImageLike, visible: ImageLike) -> float:
    """MSE: mean squared difference to each source in grey values squared, mean of both."""
    f, t, v = as_planes(fused, thermal, visible)
    doubled = sum(f.square_sum + s.square_sum - 2 * f.dot(s) for s in (t, v))
    return doubled / (2 * f.image.size)


def peak_signal_to_noise(fused: ImageLike, thermal: ImageLike, visible: ImageLike) -> float:
    """
    PSNR: 10 log10(max(fused)^2 / MSE) in decibel.

    The peak is the fused image's own maximum, as in the reference suite, not 255. Infinite
    where the fused image equals both sources, not a number where that image is black.
    """
    f, t, v = as_planes(fused, thermal, visible)
    error = mean_squared_error(f, t, v)
    peak = int(f.image.max())
    if error == 0:
        return math.inf if peak else math.nan
    return 10 * math.log10(peak * peak / error) if peak else -math.inf


def _covariance(a: Plane, b: Plane) -> int:
    """Covariance times the squared number of pixels, an exact integer."""
    return a.image.size * (a.square_sum if a is b else a.dot(b)) - a.sum * b.sum


def _ratio(numerator: int, left: int, right: int) -> float:
    """Correlation from integer moments; not a number where a variance is zero."""
    if left == 0 or right == 0:
        return math.nan
    return numerator / (math.sqrt(left) * math.sqrt(right))
