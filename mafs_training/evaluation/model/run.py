"""Evaluation of weights on a data set: fused images and labels, with each input missing once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mafs_model.errors import DatasetError, ImageError
from mafs_model.predictor import Outputs, Prediction, Predictor
from mafs_training.datasets.layouts import PairFiles, read_pair
from mafs_training.datasets.reading import RawPair
from mafs_training.evaluation.fusion.baselines import BASELINES, fuse_baseline
from mafs_training.evaluation.fusion.run import collect, PairOutcome
from mafs_training.evaluation.fusion.verdicts import verdicts
from mafs_training.evaluation.groups import group_names
from mafs_training.evaluation.model.modalities import MODALITIES, modality_gains, modality_scores
from mafs_training.evaluation.model.persons import person_contrasts, persons_document
from mafs_training.evaluation.prediction import save_images
from mafs_training.evaluation.results import group_means
from mafs_training.evaluation.seg.run import LabelScore, score_labels, seg_document
from mafs_training.metrics.contrast import ObjectContrast
from mafs_training.metrics.fusion import FUSION_METRICS, fusion_metrics
from mafs_training.metrics.plane import Plane
from tqdm import tqdm


@dataclass
class ModelOutcome:
    """What was measured on all pairs, by name."""

    fusion: list[PairOutcome] = field(default_factory=list)
    labels: dict[str, dict[str, LabelScore]] = field(
        default_factory=lambda: {modality: {} for modality in MODALITIES}
    )
    persons: dict[str, list[ObjectContrast]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def readable_pairs(
    files: Sequence[PairFiles], predictor: Predictor, *, problems: list[str]
) -> Iterator[RawPair]:
    """Read pairs one after the other; those that cannot be used become problems."""
    table = predictor.classes
    for one in files:
        try:
            yield read_pair(one, len(table), table.ignore_index)
        except DatasetError as error:
            problems.append(str(error))


def measure_pairs(
    predictor: Predictor,
    files: Sequence[PairFiles],
    *,
    method: str,
    jobs: int,
    save: Path | None = None,
    quiet: bool = True,
) -> ModelOutcome:
    """
    Predict every pair and measure what comes out.

    Each pair is predicted on its own: the predictor is reset before it.

    Args:
        predictor: the model.
        files: the pairs.
        method: name of the model in the table.
        jobs: threads that compute metrics while the next pair is predicted.
        save: folder for fused, label and confidence images.
        quiet: no progress bar.

    """
    outcome = ModelOutcome()
    pairs = readable_pairs(files, predictor, problems=outcome.problems)
    # One worker: the predictor itself uses the other cores, and at most two pairs wait.
    with ThreadPoolExecutor(max(1, jobs - 1)) as pool:
        waiting: list[Any] = []
        for pair in tqdm(pairs, total=len(files), desc='model', unit='', disable=quiet):
            predictor.reset()
            try:
                prediction = predictor.predict(pair.visible, pair.thermal)
            except ImageError as error:
                outcome.problems.append(f'{pair.name}: {error}')
                continue
            if save is not None:
                save_images(save, pair.name, prediction)
            if pair.label is not None:
                _measure_persons(predictor, pair, prediction, method, outcome)
                if not predictor.is_classical:
                    _measure_labels(predictor, pair, prediction, outcome)
            waiting.append(pool.submit(_measure_fusion, pair, prediction, method))
            while len(waiting) > jobs:
                outcome.fusion.append(waiting.pop(0).result())
        outcome.fusion += [one.result() for one in waiting]
    if not outcome.fusion:
        raise DatasetError(outcome.problems[0] if outcome.problems else 'no pair')
    outcome.problems += [p for one in outcome.fusion for p in one.problems]
    return outcome


def _measure_fusion(pair: RawPair, prediction: Prediction, method: str) -> PairOutcome:
    """Measure the model and the baselines on one pair."""
    outcome = PairOutcome(pair.name)
    assert prediction.fused is not None, 'all outputs were asked for'
    try:
        thermal, visible = Plane(pair.thermal), Plane(pair.visible)
        outcome.values[method] = fusion_metrics(prediction.fused, thermal, visible)
        for name in BASELINES:
            fused = fuse_baseline(name, thermal.image, visible.image)
            outcome.values[name] = fusion_metrics(fused, thermal, visible)
    except ImageError as error:
        outcome.problems.append(f'{pair.name}: {error}')
    return outcome


def _measure_persons(
    predictor: Predictor,
    pair: RawPair,
    prediction: Prediction,
    method: str,
    outcome: ModelOutcome,
) -> None:
    """Measure the contrast of the persons of one labelled pair."""
    assert pair.label is not None
    assert prediction.fused is not None
    try:
        outcome.persons[pair.name] = person_contrasts(
            prediction.fused, pair.thermal, pair.visible, pair.label, predictor.classes, method
        )
    except ImageError as error:
        outcome.problems.append(f'{pair.name}: {error}')


def _measure_labels(
    predictor: Predictor, pair: RawPair, prediction: Prediction, outcome: ModelOutcome
) -> None:
    """Score the labels from both images, and from each image alone."""
    wanted = Outputs(fused=False)
    predictions = {'both': prediction}
    for modality, visible, thermal in (
        ('visible_only', pair.visible, None),
        ('thermal_only', None, pair.thermal),
    ):
        predictor.reset()
        predictions[modality] = predictor.predict(visible, thermal, wanted)
    table = predictor.classes
    for modality, one in predictions.items():
        assert one.labels is not None
        assert pair.label is not None
        try:
            outcome.labels[modality][pair.name] = score_labels(
                one.labels, pair.label, one.confidence, len(table), table.ignore_index
            )
        except ImageError as error:
            outcome.problems.append(f'{pair.name}: {error}')


def model_document(
    outcome: ModelOutcome, predictor: Predictor, method: str, patterns: Mapping[str, str]
) -> dict[str, Any]:
    """Return the parts 'methods', 'labels' and 'modalities' of a model document."""
    names = [one.name for one in outcome.fusion if one.values]
    groups = group_names(names, dict(patterns))
    methods = collect(outcome.fusion, (method, *BASELINES), FUSION_METRICS)
    document: dict[str, Any] = {
        'metrics': list(FUSION_METRICS),
        'baselines': list(BASELINES),
        'names': names,
        'methods': methods,
        'groups': groups,
        'group_means': group_means(methods, groups, FUSION_METRICS),
        'labels': None,
        'modalities': None,
        'gains': None,
        'persons': None,
        'problems': outcome.problems,
    }
    document['verdicts'] = {method: verdicts(document, method)}
    labelled = list(outcome.persons)
    if patterns:
        found = {g: [n for n in names if n in labelled] for g, names in groups.items()}
        label_groups = {group: names for group, names in found.items() if names}
    else:
        label_groups = group_names(labelled, {})
    document['persons'] = persons_document(outcome.persons, label_groups, method)
    if outcome.labels['both']:
        table = predictor.classes
        document['labels'] = seg_document(outcome.labels['both'], table, {})
        document['modalities'] = modality_scores(outcome.labels, label_groups, table)
        document['gains'] = modality_gains(outcome.labels, label_groups, table)
    return document
