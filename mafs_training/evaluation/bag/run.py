"""Offline evaluation of a bag: the node's pairing and predictor, without the node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
import time
from typing import Any

from mafs_model.errors import BagError, ImageError
from mafs_model.images.overlay import DEFAULT_STYLE
from mafs_model.images.registration import Registration
from mafs_model.images.thermal import ThermalScaler
from mafs_model.prediction import Outputs, Prediction
from mafs_model.predictor import Predictor
from mafs_training.evaluation.bag.pairs import BagPair, BagPairing
from mafs_training.evaluation.fusion.baselines import BASELINES
from mafs_training.evaluation.fusion.pair import collect, measure_images, PairOutcome
from mafs_training.evaluation.fusion.verdicts import verdicts
from mafs_training.evaluation.images import list_images, listing, read_labels, same_size
from mafs_training.evaluation.seg.run import LabelScore, score_labels, seg_document
from mafs_training.metrics.fusion import FUSION_METRICS
from mafs_training.metrics.plane import luminance
import numpy as np
from numpy.typing import NDArray

Sink = Callable[[BagPair, Prediction], None]


class KeepingScaler(ThermalScaler):
    """A thermal scaler that keeps its last result, so that metrics see what the model saw."""

    last: NDArray[np.uint8] | None = None

    def __call__(self, thermal: Any) -> NDArray[np.uint8]:
        """Scale an image as the base class does."""
        self.last = super().__call__(thermal)
        return self.last


@dataclass(frozen=True)
class Sample:
    """A pair with its outputs and the thermal image as the model saw it."""

    pair: BagPair
    prediction: Prediction
    thermal: NDArray[np.uint8]


class Samples:
    """Evenly spread samples of a sequence whose length is not known."""

    def __init__(self, most: int = 12) -> None:
        self.kept: list[Sample] = []
        self._most = most
        self._stride = 1
        self._seen = 0

    def offer(self, sample: Sample) -> None:
        """Keep the sample if its turn has come; thin what is there when it is too much."""
        if self._seen % self._stride == 0:
            self.kept.append(sample)
            if len(self.kept) > self._most:
                del self.kept[1::2]
                self._stride *= 2
        self._seen += 1


@dataclass
class BagOutcome:
    """What a run over a bag yields beside the pairs' statistics."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    measured: list[PairOutcome] = field(default_factory=list)
    labels: dict[str, LabelScore] = field(default_factory=dict)
    samples: Samples = field(default_factory=Samples)
    problems: list[str] = field(default_factory=list)
    working_s: float = 0.0
    failed: dict[str, int] = field(default_factory=dict)


def process_bag(
    pairing: BagPairing,
    predictor: Predictor,
    *,
    method: str,
    every: int = 30,
    limit: int | None = None,
    labels: Path | None = None,
    sink: Sink | None = None,
    progress: Callable[[], object] = lambda: None,
) -> BagOutcome:
    """
    Predict every pair of a bag and measure some of them.

    Args:
        pairing: the pairs.
        predictor: the model, with a `KeepingScaler`.
        method: name of the model in tables.
        every: measure the first and then every Nth pair.
        limit: stop after that many pairs.
        labels: folder of class ids named by the stamp of the visible image in nanoseconds.
        sink: called with every pair and its outputs, as for writing a bag.
        progress: called after every pair.

    Raises:
        BagError: the bag has no pair.

    """
    outcome = BagOutcome()
    label_files = list_images(labels, 'label') if labels is not None else {}
    scaler = predictor.thermal_scaler
    assert isinstance(scaler, KeepingScaler), 'metrics need the scaled thermal image'
    outputs = Outputs(overlay=None if sink is None else DEFAULT_STYLE)
    predictions = _predictions(pairing, predictor, outputs, outcome)
    for number, (pair, prediction) in enumerate(predictions):
        row = _row(pair, prediction)
        outcome.rows.append(row)
        if sink is not None:
            sink(pair, prediction)
        name = str(pair.visible_ns)
        if number % every == 0:
            assert scaler.last is not None
            assert isinstance(pair.visible.image, np.ndarray)
            thermal = registered(scaler.last, pair.visible.image, predictor.registration)
            outcome.measured.append(measure(name, pair, prediction, thermal, method))
            outcome.samples.offer(Sample(pair, prediction, thermal))
        if name in label_files:
            _score(label_files.pop(name), prediction, predictor, name, outcome)
        progress()
        if limit is not None and number + 1 >= limit:
            break
    if not outcome.rows:
        raise BagError(no_pairs(pairing))
    if label_files:
        outcome.problems.append(
            f'{listing(sorted(label_files))}: label image, but no pair has '
            'a visible image of that stamp'
        )
    return outcome


def registered(
    scaled: NDArray[np.uint8], visible: NDArray[np.uint8], registration: Registration
) -> NDArray[np.uint8]:
    """Return the thermal image as the predictor gives it to the model, uint8 [H, W]."""
    size = (visible.shape[0], visible.shape[1])
    thermal = np.asarray(registration.warp(scaled, size))
    outside = registration.coverage((scaled.shape[0], scaled.shape[1]), size)
    if outside is None:
        return thermal
    # Where the thermal camera does not look, the visible luminance stands in for it.
    return np.where(outside > 0, luminance(visible), thermal)


def _predictions(
    pairing: BagPairing, predictor: Predictor, outputs: Outputs, outcome: BagOutcome
) -> Iterator[tuple[BagPair, Prediction]]:
    """Predict pair after pair; the time this takes, reading included, is summed up."""
    pairs = iter(pairing)
    while True:
        start = time.perf_counter()
        pair = next(pairs, None)
        if pair is None:
            return
        if pair.restart:
            predictor.reset()
        try:
            assert not isinstance(pair.visible.image, ImageError)
            assert not isinstance(pair.thermal.image, ImageError)
            prediction = predictor.predict(pair.visible.image, pair.thermal.image, outputs)
        except ImageError as error:
            outcome.failed[str(error)] = outcome.failed.get(str(error), 0) + 1
            continue
        outcome.working_s += time.perf_counter() - start
        yield pair, prediction


def _row(pair: BagPair, prediction: Prediction) -> dict[str, Any]:
    """Return what the document keeps of a pair."""
    timings = prediction.timings_ms
    return {
        'visible_ns': pair.visible_ns,
        'thermal_ns': pair.thermal_ns,
        'offset_ms': pair.offset_ns / 1e6,
        'mode': prediction.mode,
        'latency_ms': sum(timings.values()),
        'stages_ms': dict(timings),
    }


def measure(
    name: str, pair: BagPair, prediction: Prediction, thermal: NDArray[np.uint8], method: str
) -> PairOutcome:
    """Measure one pair and the baselines on it."""
    assert isinstance(pair.visible.image, np.ndarray)
    assert prediction.fused is not None
    return measure_images(name, {method: prediction.fused}, thermal, pair.visible.image)


def _score(
    path: Path, prediction: Prediction, predictor: Predictor, name: str, outcome: BagOutcome
) -> None:
    """Score the label image of one pair."""
    assert prediction.labels is not None
    table = predictor.classes
    try:
        label = read_labels(path, 'label')
        same_size(name, {'prediction': prediction.labels, 'label': label})
        outcome.labels[name] = score_labels(
            prediction.labels, label, prediction.confidence, len(table), table.ignore_index
        )
    except ImageError as error:
        outcome.problems.append(str(error))


def no_pairs(pairing: BagPairing) -> str:
    """Say why there is no pair."""
    summary = pairing.summary()
    reasons = [
        f'{count} {stream} frames unusable ({text})'
        for stream, texts in summary['unusable'].items()
        for text, count in texts.items()
    ]
    reasons += [
        f'{count} {stream} frames dropped: {reason}'
        for stream, drops in summary['dropped'].items()
        for reason, count in drops.items()
    ]
    frames = summary['frames']
    return (
        f'no pair could be formed of {frames.get("visible", 0)} visible and '
        f'{frames.get("thermal", 0)} thermal frames'
        + (f': {"; ".join(reasons)}' if reasons else '')
    )


def bag_document(
    outcome: BagOutcome, pairing: BagPairing, predictor: Predictor, method: str
) -> dict[str, Any]:
    """Return the measured part of a bag document."""
    latencies = np.array([row['latency_ms'] for row in outcome.rows])
    stages: dict[str, list[float]] = {}
    for row in outcome.rows:
        for stage, value in row['stages_ms'].items():
            stages.setdefault(stage, []).append(value)
    summary = pairing.summary()
    problems = list(outcome.problems)
    problems += [p for one in outcome.measured for p in one.problems]
    problems += [
        f'{count} pairs could not be processed: {text}' for text, count in outcome.failed.items()
    ]
    problems += [
        f'{count} {stream} frames left out: {text}'
        for stream, texts in summary['unusable'].items()
        for text, count in texts.items()
    ]
    methods = collect(outcome.measured, (method, *BASELINES), FUSION_METRICS)
    document = {
        'metrics': list(FUSION_METRICS),
        'baselines': list(BASELINES),
        'names': [one.name for one in outcome.measured if one.values],
        'methods': methods,
        'groups': {},
        'group_means': {},
        'pairing': summary,
        'pairs': outcome.rows,
        'latency': {
            'median_ms': float(np.median(latencies)),
            'p90_ms': float(np.quantile(latencies, 0.9)),
            'p99_ms': float(np.quantile(latencies, 0.99)),
            'max_ms': float(latencies.max()),
            'stages_ms': {name: float(np.median(values)) for name, values in stages.items()},
            'working_s': outcome.working_s,
            'pairs_per_s': len(outcome.rows) / outcome.working_s,
            'times_real_time': summary['duration_s'] / outcome.working_s,
        },
        'labels': (
            seg_document(outcome.labels, predictor.classes, {})
            if outcome.labels and not predictor.is_classical
            else None
        ),
        'problems': problems,
    }
    document['verdicts'] = {method: verdicts(document, method)}
    return document
