"""Evaluation of a folder of predicted label images against reference labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
import math
from pathlib import Path
from typing import Any

from mafs_model.classes import ClassTable
from mafs_model.errors import DatasetError, ImageError
from mafs_training.evaluation.groups import group_names
from mafs_training.evaluation.images import (
    list_images,
    listing,
    match_folders,
    read_eight_bit,
    read_labels,
    same_size,
)
from mafs_training.evaluation.parallel import map_tasks
from mafs_training.evaluation.results import new_document
from mafs_training.metrics.bootstrap import Interval, pooled_interval
from mafs_training.metrics.boundary import boundary_f1
from mafs_training.metrics.calibration import CalibrationCounts
from mafs_training.metrics.segmentation import (
    confusion_counts,
    ConfusionMatrix,
    iou_of_counts,
    mean_iou_of_counts,
    Which,
)
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class LabelScore:
    """What one image contributes to every score."""

    counts: NDArray[np.int64]
    boundary: NDArray[np.float64]
    calibration: CalibrationCounts | None = None


@dataclass(frozen=True)
class LabelTask:
    """One prediction, its reference and, if there is one, its confidence image."""

    name: str
    prediction: Path
    label: Path
    confidence: Path | None
    num_classes: int
    ignore_index: int


def score_labels(
    prediction: NDArray[Any],
    label: NDArray[Any],
    confidence: NDArray[Any] | None,
    num_classes: int,
    ignore_index: int,
) -> LabelScore:
    """Score one label image; raises ImageError as `confusion_counts` does."""
    counts = confusion_counts(prediction, label, num_classes, ignore_index)
    boundary = boundary_f1(prediction, label, num_classes, ignore_index=ignore_index)
    calibration = None
    if confidence is not None:
        calibration = CalibrationCounts(ignore_index=ignore_index)
        calibration.add_image(confidence, prediction, label)
    return LabelScore(counts, boundary, calibration)


def score_files(task: LabelTask) -> tuple[str, LabelScore | None, str]:
    """Read and score one image; the last item says what is wrong with it."""
    try:
        prediction = read_labels(task.prediction, 'prediction')
        label = read_labels(task.label, 'label')
        same_size(task.name, {'prediction': prediction, 'label': label})
        confidence = None
        if task.confidence is not None:
            confidence = read_eight_bit(task.confidence, 'confidence', grey=True)
            same_size(task.name, {'confidence': confidence, 'label': label})
        return (
            task.name,
            score_labels(prediction, label, confidence, task.num_classes, task.ignore_index),
            '',
        )
    except ImageError as error:
        message = str(error)
        named = (f'{task.name}:', *map(str, (task.prediction, task.label, task.confidence)))
        return (
            task.name,
            None,
            (message if message.startswith(named) else f'{task.name}: {message}'),
        )


def evaluate_seg(
    prediction: Path,
    label: Path,
    classes: ClassTable,
    *,
    confidence: Path | None = None,
    patterns: Mapping[str, str] | None = None,
    jobs: int = 1,
    quiet: bool = True,
) -> dict[str, Any]:
    """
    Measure a folder of predicted label images.

    Args:
        prediction: folder of class-id images.
        label: folder of class-id images of the same names.
        classes: class table.
        confidence: folder of 8-bit confidence images, for the calibration error.
        patterns: group name to file-name pattern; see `group_names`.
        jobs: number of processes.
        quiet: no progress bar.

    Returns:
        The document described in docs/evaluation.md.

    Raises:
        DatasetError: a folder is missing or empty, or nothing could be measured.

    """
    matched = match_folders({'prediction': prediction, 'label': label})
    problems = list(matched.problems)
    certain = list_images(confidence, 'confidence') if confidence is not None else {}
    uncertain = [name for name in matched.names if name not in certain]
    if confidence is not None and uncertain:
        problems.append(f'{listing(uncertain)}: no confidence image in {confidence}')
    tasks = [
        LabelTask(
            name,
            matched.files['prediction'][name],
            matched.files['label'][name],
            certain.get(name),
            len(classes),
            classes.ignore_index,
        )
        for name in matched.names
    ]
    scores: dict[str, LabelScore] = {}
    for name, score, problem in map_tasks(
        score_files, tasks, jobs=jobs, title='labels', quiet=quiet
    ):
        if score is None:
            problems.append(problem)
        else:
            scores[name] = score
    if not scores:
        raise DatasetError(problems[0])
    document = new_document('seg', {'prediction': prediction, 'label': label})
    document.update(seg_document(scores, classes, patterns or {}))
    document['problems'] = problems
    return document


def seg_document(
    scores: Mapping[str, LabelScore], classes: ClassTable, patterns: Mapping[str, str]
) -> dict[str, Any]:
    """Return the part of a document that describes label images."""
    names = list(scores)
    groups = group_names(names, dict(patterns))
    return {
        'classes': classes.to_dict(),
        'names': names,
        'groups': groups,
        'overall': pooled_scores([scores[n] for n in names], classes),
        'group_scores': {
            group: pooled_scores([scores[n] for n in members], classes)
            for group, members in groups.items()
        },
        'per_image': {name: _image_scores(score) for name, score in scores.items()},
    }


def pooled_scores(scores: Sequence[LabelScore], classes: ClassTable) -> dict[str, Any]:
    """Return the scores of several images pooled, with bootstrap intervals over images."""
    matrix = ConfusionMatrix(len(classes), classes.ignore_index)
    counts = np.stack([score.counts for score in scores])
    matrix.counts = counts.sum(axis=0)
    boundary = np.stack([score.boundary for score in scores])
    ious = pooled_class_intervals(counts)
    result: dict[str, Any] = {'images': len(scores)}
    variants: tuple[tuple[str, Which, bool], ...] = (
        ('mIoU', 'all', True),
        ('mIoU_present', 'present', True),
        ('mIoU_no_background', 'all', False),
        ('mIoU_present_no_background', 'present', False),
    )
    for key, which, background in variants:
        result[key] = _interval(
            pooled_interval(
                counts, partial(mean_iou_of_counts, which=which, background=background)
            )
        )
    result['pixel_accuracy'] = matrix.pixel_accuracy
    result['mean_accuracy'] = matrix.mean_accuracy()
    result['boundary_F1'] = _nanmean(_nanmean(boundary, axis=0))
    calibrations = [s.calibration for s in scores if s.calibration is not None]
    if calibrations:
        pooled = CalibrationCounts(calibrations[0].bins, classes.ignore_index)
        for one in calibrations:
            pooled.pixels += one.pixels
            pooled.hits += one.hits
            pooled.confidence_sum += one.confidence_sum
        result['ECE'] = pooled.error
        result['calibration'] = pooled.table()
    f1 = _nanmean(boundary, axis=0)
    result['per_class'] = {
        name: {
            'IoU': ious[i].value,
            'IoU_ci95': [ious[i].low, ious[i].high],
            'accuracy': float(matrix.accuracy[i]),
            'precision': float(matrix.precision[i]),
            'boundary_F1': float(f1[i]),
            'pixels': int(matrix.counts[i].sum()),
        }
        for i, name in enumerate(classes.names)
    }
    result['confusion'] = matrix.counts.tolist()
    return result


def pooled_class_intervals(counts: NDArray[np.int64]) -> list[Interval]:
    """Return the IoU of every class with its interval over images."""

    def of_class(index: int) -> Interval:
        if not np.isfinite(iou_of_counts(counts.sum(axis=0))[index]):
            return Interval(math.nan, math.nan, math.nan, len(counts))
        return pooled_interval(counts, lambda c: iou_of_counts(c)[:, index])

    return [of_class(index) for index in range(counts.shape[1])]


def _image_scores(score: LabelScore) -> dict[str, Any]:
    matrix = ConfusionMatrix(len(score.counts))
    matrix.counts = score.counts
    return {
        'mIoU_present': matrix.mean_iou('present'),
        'pixel_accuracy': matrix.pixel_accuracy,
        'boundary_F1': _nanmean(score.boundary),
        'confusion': score.counts.tolist(),
    }


def _interval(interval: Interval) -> dict[str, Any]:
    return {'value': interval.value, 'ci95': [interval.low, interval.high]}


def _nanmean(values: NDArray[np.float64], axis: int | None = None) -> Any:
    """Mean of the defined values, nan without any, and no warning about it."""
    known = np.isfinite(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return float(mean) if axis is None else mean
