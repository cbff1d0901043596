"""Time offset of two cameras from what both of them see move."""

from __future__ import annotations

from dataclasses import dataclass

from mafs_model.calibration.image_motion import MotionSamples
import numpy as np
from numpy.typing import NDArray

REACH_S = 1.3  # largest offset that is looked for
# Clocks this far apart are brought together by the times of arrival first; content does the rest.
CLOCK_DIFFERENCE_S = 0.5
MIN_DURATION_S = 4.0
_STEP_S = 0.01
# A parabola is fitted to this much on either side of the peak: of a camera of 9 Hz, a period.
_PEAK_S = 0.12
_RIVAL_S = 0.25  # Peaks nearer than this belong to the same one.
_TREND_S = 0.7  # Slower changes (warming, dusk) tell nothing about time.
_PARTS = 10  # for the interval
_T_95 = 2.26  # Student's t of that many parts
_REGULAR = 1.0  # Cells without motion hold noise only; it is not to be blown up.
_GAP_LAGS = 3.0  # Nothing is interpolated over longer gaps.

# A peak counts when it stands out from the correlation elsewhere, when no other one comes near,
# and when leaving out any tenth of the recording changes it little.
MIN_PROMINENCE = 4.0
MAX_RIVAL = 0.75
MAX_INTERVAL_S = 0.03


@dataclass(frozen=True)
class ContentOffset:
    """
    Where the motion of both streams agrees best.

    Attributes:
        offset_s: to be added to thermal stamps.
        interval_s: half of the 95 % interval.
        correlation: at the peak, -1 to 1.
        prominence: of the peak, in standard deviations of the correlation elsewhere.
        rival: height of the next peak as a share of this one.

    """

    offset_s: float
    interval_s: float
    correlation: float
    prominence: float
    rival: float

    @property
    def doubt(self) -> str | None:
        """Return why this is no result, None if it is one."""
        if self.prominence < MIN_PROMINENCE or self.correlation <= 0:
            return (
                f'not enough motion seen by both cameras (peak {self.prominence:.1f} standard '
                f'deviations high, expected {MIN_PROMINENCE:g})'
            )
        if self.rival > MAX_RIVAL:
            return (
                f'motion repeats itself: another offset fits {self.rival:.0%} as well, '
                f'expected at most {MAX_RIVAL:.0%}'
            )
        if self.interval_s > MAX_INTERVAL_S:
            return (
                f'not enough motion for a sure offset (+-{1e3 * self.interval_s:.0f} ms, '
                f'expected at most {1e3 * MAX_INTERVAL_S:g} ms)'
            )
        return None


def estimate_offset(
    visible: MotionSamples,
    thermal: MotionSamples,
    around_s: float = 0.0,
    reach_s: float = REACH_S,
) -> ContentOffset | None:
    """
    Return the offset at which the motion of two streams agrees best.

    The samples of the sparser stream are compared with the other one, interpolated to where
    each of them would be; so nothing has to be known of frame rates, and lost frames only cost
    their share.

    Args:
        visible: motion of the visible images.
        thermal: motion of the thermal images, in the same cells.
        around_s: offset around which is looked.
        reach_s: how far from it.

    Returns:
        None if the streams do not overlap long enough.

    """
    sparse, dense = (
        (thermal, visible) if len(thermal.times_s) <= len(visible.times_s) else (visible, thermal)
    )
    sign = 1.0 if sparse is thermal else -1.0
    if min(len(sparse.times_s), len(dense.times_s)) < 2 * _PARTS:
        return None
    a, b = _prepare(sparse), _prepare(dense)
    times = sparse.times_s
    if float(times[-1] - times[0]) < MIN_DURATION_S:
        return None
    lags = sign * around_s + np.arange(-reach_s, reach_s + _STEP_S / 2, _STEP_S)
    parts = _correlate(times, a, dense.times_s, b, lags)
    total = _normalised(parts.sum(axis=1))
    if not np.any(total):
        return None
    peak = _peak(lags, total)
    without = [
        _peak(lags, _normalised(np.delete(parts, part, axis=1).sum(axis=1)))
        for part in range(_PARTS)
    ]
    spread = float(np.var(without)) * (_PARTS - 1)
    far = np.abs(lags - peak) > _RIVAL_S
    elsewhere = total[far] if np.any(far) else total
    best = float(total.max())
    return ContentOffset(
        offset_s=sign * peak,
        interval_s=_T_95 * float(np.sqrt(spread)),
        correlation=best,
        prominence=(best - float(elsewhere.mean())) / max(float(elsewhere.std()), 1e-9),
        rival=float(elsewhere.max()) / max(best, 1e-9),
    )


def _prepare(samples: MotionSamples) -> NDArray[np.float32]:
    """Return motion without what all cells share or what changes slowly, each cell to scale."""
    energy = np.sqrt(np.maximum(samples.energy, 0))
    # Gain control, shutter and key frames of a codec change all cells at once.
    energy = energy - np.median(energy, axis=1, keepdims=True)
    times = samples.times_s
    sums = np.vstack([np.zeros((1, energy.shape[1])), np.cumsum(energy, axis=0, dtype=np.float64)])
    first = np.searchsorted(times, times - _TREND_S)
    last = np.searchsorted(times, times + _TREND_S, side='right')
    trend = (sums[last] - sums[first]) / (last - first)[:, None]
    energy = energy - trend.astype(np.float32)
    spread = energy.std(axis=0)
    return energy / np.maximum(spread + _REGULAR * spread.mean(), 1e-9)


def _correlate(
    times: NDArray[np.float64],
    a: NDArray[np.float32],
    dense_times: NDArray[np.float64],
    b: NDArray[np.float32],
    lags: NDArray[np.float64],
) -> NDArray[np.float64]:
    """
    Return sums of products and of both squares for every part and lag, float64 [3,parts,lags].

    Interpolation is linear in `b`, so the products of the samples of a part with those of `b`
    within reach of it, one matrix, serve every lag.
    """
    squares_a = np.einsum('nc,nc->n', a, a, dtype=np.float64)
    squares_b = np.einsum('nc,nc->n', b, b, dtype=np.float64)
    neighbours = np.einsum('nc,nc->n', b[:-1], b[1:], dtype=np.float64)
    steps = np.diff(dense_times)
    longest = _GAP_LAGS * max(float(np.median(steps)), float(np.median(np.diff(times))))
    sums = np.zeros((3, _PARTS, len(lags)))
    for part, rows in enumerate(np.array_split(np.arange(len(times)), _PARTS)):
        wanted = times[rows, None] + lags
        after = np.clip(np.searchsorted(dense_times, wanted), 1, len(dense_times) - 1)
        before = after - 1
        share = (wanted - dense_times[before]) / steps[before]
        use = (share >= 0) & (share <= 1) & (steps[before] <= longest)
        rest = 1 - share
        first, last = int(before.min()), int(after.max()) + 1
        products = (a[rows] @ b[first:last].T).astype(np.float64)
        column = before - first
        row = np.arange(len(rows))[:, None]
        sums[0, part] = (
            (rest * products[row, column] + share * products[row, column + 1]) * use
        ).sum(axis=0)
        sums[1, part] = (squares_a[rows, None] * use).sum(axis=0)
        sums[2, part] = (
            (
                rest**2 * squares_b[before]
                + share**2 * squares_b[after]
                + 2 * rest * share * neighbours[before]
            )
            * use
        ).sum(axis=0)
    # Where little is left in common, chance decides.
    common = sums[1].sum(axis=0)
    sums[0][:, common < 0.3 * common.max()] = 0
    return sums


def _normalised(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return correlation per lag from sums [3,lags]."""
    product, first, second = sums
    result: NDArray[np.float64] = product / np.sqrt(np.maximum(first * second, 1e-9))
    return result


def _peak(lags: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Return the place of the largest value, by a parabola through those around it."""
    index = int(np.argmax(values))
    reach = round(_PEAK_S / _STEP_S)
    near = slice(max(0, index - reach), index + reach + 1)
    x = lags[near] - lags[index]
    square, slope, _ = np.polyfit(x, values[near], 2)
    if square >= 0:
        return float(lags[index])
    return float(lags[index] + np.clip(-slope / (2 * square), -_PEAK_S, _PEAK_S))
