"""Boundary F1: how well the outlines of classes agree within a small distance."""

from __future__ import annotations

import math
from typing import Any

from mafs_training.metrics.nearness import within
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def boundary_f1(
    prediction: NDArray[Any],
    target: NDArray[Any],
    num_classes: int,
    *,
    ignore_index: int = 255,
    tolerance_px: float | None = None,
) -> NDArray[np.float64]:
    """
    Boundary F1 of one image, per class.

    The outline of a class are its pixels that touch (4-neighbours) another class inside the
    image. Precision is the share of the predicted outline within the tolerance of the
    target's, recall the reverse. Ignored pixels count in neither.

    Args:
        prediction: class ids, integer [H, W].
        target: class ids, integer [H, W].
        num_classes: number of classes C.
        ignore_index: target value of pixels without a label.
        tolerance_px: Euclidean distance in pixels; None: 0.75 % of the diagonal, at least 1.

    Returns:
        float64 [C]: nan where the class has an outline in neither image, 0 where in one only.

    Source: Csurka et al., BMVC 2013.

    """
    if tolerance_px is None:
        tolerance_px = max(1.0, 0.0075 * math.hypot(*target.shape))
    ignored = target == ignore_index
    predicted = np.where(ignored, ignore_index, prediction)
    scores = np.full(num_classes, np.nan)
    for index in range(num_classes):
        outline_p = _outline(predicted == index, ignored)
        outline_t = _outline(target == index, ignored)
        found, wanted = int(outline_p.sum()), int(outline_t.sum())
        if found and wanted:
            precision = _near(outline_p, outline_t, tolerance_px) / found
            recall = _near(outline_t, outline_p, tolerance_px) / wanted
            both = precision + recall
            scores[index] = 2 * precision * recall / both if both else 0.0
        elif found or wanted:
            scores[index] = 0.0
    return scores


def _outline(mask: Mask, ignored: Mask) -> Mask:
    """Pixels of the mask beside a labelled pixel that is not in it."""
    outside = ~mask & ~ignored
    touched = np.zeros_like(mask)
    touched[1:] |= outside[:-1]
    touched[:-1] |= outside[1:]
    touched[:, 1:] |= outside[:, :-1]
    touched[:, :-1] |= outside[:, 1:]
    return np.asarray(mask & touched)


def _near(points: Mask, others: Mask, tolerance_px: float) -> int:
    """How many points lie within the tolerance of any of the others."""
    return int((points & within(others, tolerance_px)).sum())
