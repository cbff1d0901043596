"""The same weights in two backends or precisions, on a data set: do they say the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
import math
from typing import Any

from mafs_model.errors import DatasetError, ImageError
from mafs_model.predictor import Prediction, Predictor
from mafs_model.runtime.agreement import Tolerance
from mafs_training.datasets.layouts import PairFiles, read_pair
from mafs_training.datasets.reading import RawPair
from mafs_training.metrics.bootstrap import mean_interval, paired_difference
from mafs_training.metrics.fusion import FUSION_METRICS, fusion_metrics
from mafs_training.metrics.plane import Plane
from mafs_training.metrics.segmentation import confusion_counts, mean_iou_of_counts
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

METRIC_TOLERANCE = 0.01  # relative, of the mean over pairs
LABEL_SCORE = 'mIoU_present'


@dataclass
class AgreeOutcome:
    """What was measured on all pairs."""

    names: list[str] = field(default_factory=list)
    rows: list[dict[str, float]] = field(default_factory=list)
    metrics: tuple[list[dict[str, float]], list[dict[str, float]]] = field(
        default_factory=lambda: ([], [])
    )
    counts: tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]] = field(
        default_factory=lambda: ([], [])
    )
    problems: list[str] = field(default_factory=list)


def compare_predictors(
    first: Predictor, second: Predictor, files: Sequence[PairFiles], *, quiet: bool = True
) -> AgreeOutcome:
    """
    Predict every pair with both and measure the difference.

    Args:
        first: the reference.
        second: what is compared with it.
        files: the pairs.
        quiet: no progress bar.

    Raises:
        DatasetError: no pair can be used.

    """
    outcome = AgreeOutcome()
    table = first.classes
    for one in tqdm(files, desc='agree', unit='', disable=quiet):
        try:
            pair = read_pair(one, len(table), table.ignore_index)
            predictions = []
            for predictor in (first, second):
                predictor.reset()
                predictions.append(predictor.predict(pair.visible, pair.thermal))
            _measure(outcome, pair, predictions, len(table), table.ignore_index)
        except (DatasetError, ImageError) as error:
            outcome.problems.append(f'{one.name}: {error}')
            continue
        outcome.names.append(one.name)
    if not outcome.names:
        raise DatasetError(outcome.problems[0] if outcome.problems else 'no pair')
    return outcome


def _measure(
    outcome: AgreeOutcome,
    pair: RawPair,
    predictions: Sequence[Prediction],
    num_classes: int,
    ignore_index: int,
) -> None:
    """Measure one pair; nothing is kept of it if that fails."""
    a, b = predictions
    assert a.fused is not None
    assert b.fused is not None
    assert a.labels is not None
    assert b.labels is not None
    assert a.confidence is not None
    assert b.confidence is not None
    change = np.abs(a.fused.astype(np.int16) - b.fused)
    sources = Plane(pair.thermal), Plane(pair.visible)
    values = [fusion_metrics(p.fused, *sources) for p in predictions if p.fused is not None]
    outcome.rows.append(
        {
            'labels': float(np.equal(a.labels, b.labels).mean()),
            'fused_mean': float(change.mean()),
            'fused_max': float(change.max()),
            'confidence_mean': float(np.abs(a.confidence.astype(np.int16) - b.confidence).mean()),
        }
    )
    for kept, measured, prediction, counts in zip(
        outcome.metrics, values, predictions, outcome.counts, strict=True
    ):
        kept.append(measured)
        if pair.label is not None:
            assert prediction.labels is not None
            counts.append(
                confusion_counts(prediction.labels, pair.label, num_classes, ignore_index)
            )


def agree_document(outcome: AgreeOutcome, tolerance: Tolerance) -> dict[str, Any]:
    """
    Return the parts 'agreement', 'metrics' and 'within' of a document.

    Args:
        outcome: the measurements.
        tolerance: how far the images may be apart.

    """
    agreement = {}
    limits = {'labels': tolerance.labels, 'fused_mean': tolerance.fused}
    limits['fused_max'] = tolerance.fused_max
    for name in outcome.rows[0]:
        values = np.array([row[name] for row in outcome.rows])
        interval = mean_interval(values)
        value = float(values.max()) if name == 'fused_max' else interval.value
        limit = limits.get(name)
        agreement[name] = {
            'value': value,
            'ci95': [math.nan, math.nan] if name == 'fused_max' else [interval.low, interval.high],
            'worst': float(values.min() if name == 'labels' else values.max()),
            'limit': limit,
            'within': None
            if limit is None
            else value >= limit
            if name == 'labels'
            else value <= limit,
        }
    metrics = {
        name: _row(*([row[name] for row in rows] for rows in outcome.metrics))
        for name in FUSION_METRICS
    }
    if outcome.counts[0]:
        scores = [
            float(mean_iou_of_counts(np.sum(counts, axis=0), 'present'))
            for counts in outcome.counts
        ]
        metrics[LABEL_SCORE] = _judged(scores[0], scores[1], [math.nan, math.nan])
    checks = [entry['within'] for entry in (*agreement.values(), *metrics.values())]
    return {
        'names': outcome.names,
        'agreement': agreement,
        'metrics': metrics,
        'labelled': len(outcome.counts[0]),
        'within': all(check is not False for check in checks),
    }


def _row(first: Sequence[float], second: Sequence[float]) -> dict[str, Any]:
    """Return means of a metric over the pairs at which both are defined."""
    a, b = np.array(first), np.array(second)
    known = np.isfinite(a) & np.isfinite(b)
    if not known.any():
        return _judged(math.nan, math.nan, [math.nan, math.nan])
    interval = paired_difference(a[known], b[known])
    return _judged(float(a[known].mean()), float(b[known].mean()), [interval.low, interval.high])


def _judged(first: float, second: float, ends: list[float]) -> dict[str, Any]:
    """Return both means, their relative difference and whether it is small enough."""
    relative = (second - first) / abs(first) if first else math.nan
    return {
        'first': first,
        'second': second,
        'difference_ci95': ends,
        'relative': relative,
        'within': abs(relative) <= METRIC_TOLERANCE if math.isfinite(relative) else None,
    }
