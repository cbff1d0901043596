"""Evaluation of weights on a data set: fused images and labels, with each input missing once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mafs_model.errors import DatasetError, ImageError
from mafs_model.images.preprocessing import size_of
from mafs_model.predictor import Outputs, Prediction, Predictor
from mafs_training.datasets.boxes import Box
from mafs_training.datasets.layouts import PairFiles, read_pair
from mafs_training.datasets.reading import RawPair
from mafs_training.evaluation.box_files import BoxFolder, class_ids
from mafs_training.evaluation.fusion.baselines import BASELINES
from mafs_training.evaluation.fusion.clear import clear_part
from mafs_training.evaluation.fusion.pair import collect, measure_images, PairOutcome
from mafs_training.evaluation.fusion.verdicts import verdicts
from mafs_training.evaluation.groups import group_names
from mafs_training.evaluation.model.modalities import MODALITIES, modality_gains, modality_scores
from mafs_training.evaluation.model.persons import person_contrasts, persons_document
from mafs_training.evaluation.objects.run import hit_counts, objects_part, score_objects
from mafs_training.evaluation.prediction import save_images
from mafs_training.evaluation.results import group_means
from mafs_training.evaluation.seg.run import LabelScore, score_labels, seg_document
from mafs_training.metrics.contrast import ObjectContrast
from mafs_training.metrics.fusion import FUSION_METRICS
from tqdm import tqdm


@dataclass
class ModelOutcome:
    """What was measured on all pairs, by name."""

    fusion: list[PairOutcome] = field(default_factory=list)
    labels: dict[str, dict[str, LabelScore]] = field(
        default_factory=lambda: {modality: {} for modality in MODALITIES}
    )
    persons: dict[str, list[ObjectContrast]] = field(default_factory=dict)
    objects: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
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
    boxes: BoxFolder | None = None,
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
        boxes: boxes of the objects, to judge labels and fused images by.
        save: folder for fused, label and confidence images.
        quiet: no progress bar.

    """
    outcome = ModelOutcome()
    ids: dict[str, tuple[int, ...]] = {}
    boxed: set[str] = set()
    if boxes is not None:
        there, lacking = boxes.covered(one.name for one in files)
        boxed.update(there)
        outcome.problems += lacking
        if not predictor.is_classical:
            ids = class_ids(boxes.names, predictor.classes)
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
            found = None
            if boxes is not None and pair.name in boxed:
                found = _boxes_of(boxes, pair, outcome)
            if found is not None and not predictor.is_classical:
                assert prediction.labels is not None
                hits = score_objects(prediction.labels, found, ids)
                outcome.objects[pair.name] = hit_counts(hits, found)
            waiting.append(pool.submit(_measure_fusion, pair, prediction, method, found))
            while len(waiting) > jobs:
                outcome.fusion.append(waiting.pop(0).result())
        outcome.fusion += [one.result() for one in waiting]
    if not outcome.fusion:
        raise DatasetError(outcome.problems[0] if outcome.problems else 'no pair')
    outcome.problems += [p for one in outcome.fusion for p in one.problems]
    return outcome


def _measure_fusion(
    pair: RawPair,
    prediction: Prediction,
    method: str,
    boxes: Mapping[str, Sequence[Box]] | None,
) -> PairOutcome:
    """Measure the model and the baselines on one pair."""
    assert prediction.fused is not None, 'all outputs were asked for'
    fused = {method: prediction.fused}
    return measure_images(pair.name, fused, pair.thermal, pair.visible, boxes=boxes)


def _boxes_of(
    boxes: BoxFolder, pair: RawPair, outcome: ModelOutcome
) -> dict[str, list[Box]] | None:
    """Return the boxes of a pair by class; None where their file cannot be used."""
    try:
        return boxes.of_image(pair.name, size_of(pair.thermal))
    except DatasetError as error:
        outcome.problems.append(str(error))
        return None


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
    outcome: ModelOutcome,
    predictor: Predictor,
    method: str,
    patterns: Mapping[str, str],
    boxes: BoxFolder | None = None,
) -> dict[str, Any]:
    """Return what a model document says of fused images, labels and objects."""
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
        'clear': None,
        'objects': None,
        'problems': outcome.problems,
    }
    document['verdicts'] = {method: verdicts(document, method)}
    if boxes is not None:
        clear = {one.name: one.clear for one in outcome.fusion}
        document['clear'] = clear_part(clear, list(methods), boxes.folder, groups)
        document['objects'] = objects_part({method: outcome.objects}, boxes, patterns)
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
