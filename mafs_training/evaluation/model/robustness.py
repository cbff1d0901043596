"""Curves of scores over the strength of disturbances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mafs_model.errors import ImageError
from mafs_model.predictor import Predictor
from mafs_training.datasets.reading import RawPair
from mafs_training.evaluation.model.disturbances import Disturbance, DISTURBANCES, MaybePair
from mafs_training.metrics.fusion import fusion_metrics
from mafs_training.metrics.plane import luminance, Plane
from mafs_training.metrics.segmentation import confusion_counts, mean_iou_of_counts
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

SCORES = ('VIF', 'Qabf', 'SSIM')
REFERENCE = 'maximum'
# The disturbances that take one camera away bit by bit.
MISSING = ('thermal_dropout', 'visible_dropout')


def robustness(
    predictor: Predictor,
    pairs: Sequence[RawPair],
    *,
    method: str,
    quick: bool = False,
    only: Sequence[str] = (),
    quiet: bool = True,
) -> dict[str, Any]:
    """
    Disturb the inputs step by step and measure what comes out against the undisturbed sources.

    Args:
        predictor: the model.
        pairs: undisturbed pairs; those with labels also give mIoU.
        method: name of the model in the curves.
        quick: first, middle and last step only.
        only: names of the disturbances to apply; none: all.
        quiet: no progress bar.

    Returns:
        disturbance to {title, unit, steps, scores: {method: {score: [mean a step]}}}; beside the
        model the pixel-wise maximum. A lost image counts as black there.

    """
    sources = [(Plane(pair.thermal), Plane(pair.visible)) for pair in pairs]
    labelled = not predictor.is_classical and any(pair.label is not None for pair in pairs)
    wanted = [d for d in DISTURBANCES if not only or d.name in only]
    chosen = {d.name: _thinned(d) if quick else d.steps for d in wanted}
    result: dict[str, Any] = {}
    with tqdm(
        total=sum(map(len, chosen.values())), desc='robustness', unit='', disable=quiet
    ) as bar:
        for disturbance in wanted:
            rows: dict[str, dict[str, list[float]]] = {
                name: {score: [] for score in SCORES} for name in (method, REFERENCE)
            }
            if labelled:
                rows[method]['mIoU'] = []
            for strength in chosen[disturbance.name]:
                for name, scores in _step(
                    predictor, pairs, sources, disturbance, strength, method
                ).items():
                    for score, value in scores.items():
                        rows[name][score].append(value)
                bar.update()
            result[disturbance.name] = {
                'title': disturbance.title,
                'unit': disturbance.unit,
                'steps': list(chosen[disturbance.name]),
                'scores': rows,
            }
    return result


def _thinned(disturbance: Disturbance) -> tuple[float, ...]:
    steps = disturbance.steps
    return steps[0], steps[len(steps) // 2], steps[-1]


def _step(
    predictor: Predictor,
    pairs: Sequence[RawPair],
    sources: Sequence[tuple[Plane, Plane]],
    disturbance: Disturbance,
    strength: float,
    method: str,
) -> dict[str, dict[str, float]]:
    """Mean scores of the model and of the reference at one strength."""
    values: dict[str, dict[str, list[float]]] = {
        name: {score: [] for score in SCORES} for name in (method, REFERENCE)
    }
    counts: list[NDArray[np.int64]] = []
    for seed, (pair, (thermal, visible)) in enumerate(zip(pairs, sources, strict=True)):
        disturbed = disturbance.apply(pair.visible, pair.thermal, strength, 2 * seed)
        predictor.reset()
        prediction = predictor.predict(*disturbed)
        assert prediction.fused is not None
        for name, image in ((method, prediction.fused), (REFERENCE, _maximum(disturbed))):
            for score, value in fusion_metrics(image, thermal, visible, names=SCORES).items():
                values[name][score].append(value)
        if pair.label is not None and not predictor.is_classical:
            assert prediction.labels is not None
            counts.append(
                confusion_counts(
                    prediction.labels,
                    pair.label,
                    len(predictor.classes),
                    predictor.classes.ignore_index,
                )
            )
    means = {
        name: {score: _mean(v) for score, v in scores.items()} for name, scores in values.items()
    }
    if counts:
        means[method]['mIoU'] = float(mean_iou_of_counts(np.sum(counts, axis=0), 'present'))
    return means


def _maximum(pair: MaybePair) -> NDArray[np.uint8]:
    """Pixel-wise maximum of the luminance of what is there."""
    images = [luminance(image) for image in pair if image is not None]
    if not images:
        raise ImageError('data', 'both images are missing')
    return np.asarray(images[0] if len(images) == 1 else np.maximum(images[0], images[1]))


def _mean(values: Sequence[float]) -> float:
    finite = np.asarray(values)[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float('nan')
