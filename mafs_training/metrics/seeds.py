"""Differences between two sets of training runs that differ in their seed alone."""

from __future__ import annotations

from collections.abc import Sequence
import math

from mafs_training.metrics.bootstrap import Interval
import numpy as np

# Fewer runs a side do not tell a change from the luck of its seed.
FEWEST_SEEDS = 3

_ANGLES = 4001


def seed_interval(
    first: Sequence[float], second: Sequence[float], *, level: float = 0.95
) -> Interval | None:
    """
    Difference of the means, second - first, with the interval of Welch's t test.

    Seeds are few and not paired, so the interval is Student's, with the degrees of freedom that
    two unequal spreads leave.

    Args:
        first: one value a run.
        second: one value a run.
        level: coverage of the interval, 0..1.

    Returns:
        The interval; `images` counts the runs. None with fewer than two runs on a side, or
        where a value is not finite.

    Source: Welch, Biometrika 34 (1947), pp. 28-35.

    """
    values = [np.asarray(side, np.float64) for side in (first, second)]
    if any(v.size < 2 or not np.isfinite(v).all() for v in values):
        return None
    runs = sum(v.size for v in values)
    difference = float(values[1].mean() - values[0].mean())
    parts = [float(v.var(ddof=1)) / v.size for v in values]
    spread = math.sqrt(sum(parts))
    # Runs that agree to the last digit: their rounding is no spread.
    if spread <= 1e-12 * max(abs(difference), *(float(abs(v).max()) for v in values)):
        return Interval(difference, difference, difference, runs, float(difference == 0))
    freedom = sum(parts) ** 2 / sum(
        p**2 / (v.size - 1) for p, v in zip(parts, values, strict=True)
    )
    reach = student_quantile((1 + level) / 2, freedom) * spread
    p_value = 2 * (1 - student_share(abs(difference) / spread, freedom))
    return Interval(difference, difference - reach, difference + reach, runs, max(p_value, 0.0))


def student_share(t: float, freedom: float) -> float:
    """
    Return the share of Student's distribution below t.

    With t = sqrt(freedom) tan(a) its density becomes a power of cos(a), which Simpson's rule
    integrates to more than eight digits.

    Args:
        t: from 0.
        freedom: degrees of freedom, from 1, not necessarily whole.

    """
    angles = np.linspace(0.0, math.atan(t / math.sqrt(freedom)), _ANGLES)
    heights = np.cos(angles) ** (freedom - 1)
    weights = np.full(_ANGLES, 2.0)
    weights[1::2] = 4.0
    weights[[0, -1]] = 1.0
    area = float(weights @ heights) * float(angles[1]) / 3
    scale = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)
    return 0.5 + math.exp(scale) / math.sqrt(math.pi) * area


def student_quantile(share: float, freedom: float) -> float:
    """Return the t below which a share (0.5 to below 1) of Student's distribution lies."""
    low, high = 0.0, 1.0
    while student_share(high, freedom) < share:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if student_share(middle, freedom) < share else (low, middle)
    return (low + high) / 2
