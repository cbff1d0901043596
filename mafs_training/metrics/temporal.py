"""Change of a fused image from frame to frame, against that of its sources."""

from __future__ import annotations

from dataclasses import dataclass, fields

from mafs_model.errors import ImageError
from mafs_training.metrics.bootstrap import Interval, pooled_interval
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Float = NDArray[np.float64]

STILL_LEVELS = 2  # a source that changes by no more than this stands still: sensor noise


@dataclass(frozen=True)
class FrameChange:
    """
    What happened between two consecutive frames; grey levels unless said otherwise.

    Attributes:
        fused: mean over pixels of the absolute difference F_t - F_(t-1).
        thermal: the same of the thermal image.
        visible: the same of the visible luminance.
        envelope: mean of the larger of both sources' changes, pixel by pixel.
        excess: mean of what the fused image changes beyond that larger one.
        level: change of the mean of the fused image, absolute.
        level_thermal: the same of the thermal image.
        level_visible: the same of the visible luminance.
        still: share of pixels at which neither source changes by more than 2 grey levels.
        fused_still: mean over all pixels of the change of the fused image at still pixels.
        sources_still: the same of the larger change of both sources.

    """

    fused: float
    thermal: float
    visible: float
    envelope: float
    excess: float
    level: float
    level_thermal: float
    level_visible: float
    still: float
    fused_still: float
    sources_still: float


@dataclass(frozen=True)
class Frame:
    """Luminance of one time: fused, thermal and visible, each uint8 [H, W]."""

    fused: Grey
    thermal: Grey
    visible: Grey


def frame_change(before: Frame, after: Frame) -> FrameChange:
    """
    Measure one transition.

    Raises:
        ImageError: sizes differ or an image is not 8-bit grey.

    """
    images = [getattr(frame, f.name) for frame in (before, after) for f in fields(Frame)]
    if len({image.shape for image in images}) > 1 or any(i.dtype != np.uint8 for i in images):
        listed = ', '.join(f'{i.dtype} {list(i.shape)}' for i in images)
        raise ImageError('size', f'frames must be uint8 images of one size, got {listed}')
    changes = [
        np.abs(getattr(after, name).astype(np.int16) - getattr(before, name))
        for name in ('fused', 'thermal', 'visible')
    ]
    fused, thermal, visible = changes
    larger = np.maximum(thermal, visible)
    still = larger <= STILL_LEVELS
    levels = [
        abs(float(getattr(after, name).mean()) - float(getattr(before, name).mean()))
        for name in ('fused', 'thermal', 'visible')
    ]
    return FrameChange(
        fused=float(fused.mean()),
        thermal=float(thermal.mean()),
        visible=float(visible.mean()),
        envelope=float(larger.mean()),
        excess=float(np.maximum(fused - larger, 0).mean()),
        level=levels[0],
        level_thermal=levels[1],
        level_visible=levels[2],
        still=float(still.mean()),
        fused_still=float((fused * still).mean()),
        sources_still=float((larger * still).mean()),
    )


def flicker_scores(changes: list[FrameChange]) -> dict[str, Interval]:
    """
    Scores of a sequence, with bootstrap intervals over transitions.

    Ratios are those of sums over all transitions, so that a still scene does not blow up small
    numbers. Not a number where a denominator is zero.

    Args:
        changes: one entry a transition.

    Returns:
        'TD': mean temporal difference of the fused image, 'TD_thermal', 'TD_visible';
        'ratio_max': TD over the larger of both sources' TD, 'ratio_mean': over their mean,
        'ratio_pixel': over the mean of the pixel-wise larger change; 'excess': share of the fused
        image's change that is beyond the larger change of the sources at its pixel;
        'ratio_level': change of the mean brightness over the larger of the sources' own;
        'ratio_still': change where both sources stand still over the sources' own there;
        'still': share of such pixels.

    Raises:
        ImageError: there is no transition.

    """
    if not changes:
        raise ImageError('data', 'a sequence needs at least two frames')
    names = [f.name for f in fields(FrameChange)]
    table = np.array([[getattr(change, name) for name in names] for change in changes])
    column = {name: index for index, name in enumerate(names)}

    def mean_of(name: str) -> Interval:
        return pooled_interval(table, lambda sums: sums[:, column[name]] / len(table))

    def ratio(over: str, *under: str, mean: bool = False) -> Interval:
        def statistic(sums: Float) -> Float:
            parts = sums[:, [column[name] for name in under]]
            below = parts.mean(axis=1) if mean else parts.max(axis=1)
            quotient = np.full(len(sums), np.nan)
            return np.divide(sums[:, column[over]], below, out=quotient, where=below > 0)

        # Undefined as it stands: no interval either, and no warning about it.
        if not np.isfinite(statistic(table.sum(axis=0, keepdims=True))).all():
            return Interval(np.nan, np.nan, np.nan, len(table))
        return pooled_interval(table, statistic)

    return {
        'TD': mean_of('fused'),
        'TD_thermal': mean_of('thermal'),
        'TD_visible': mean_of('visible'),
        'ratio_max': ratio('fused', 'thermal', 'visible'),
        'ratio_mean': ratio('fused', 'thermal', 'visible', mean=True),
        'ratio_pixel': ratio('fused', 'envelope'),
        'excess': ratio('excess', 'fused'),
        'ratio_level': ratio('level', 'level_thermal', 'level_visible'),
        'ratio_still': ratio('fused_still', 'sources_still'),
        'still': mean_of('still'),
    }
