"""One pair: every fused image and every baseline measured against the sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mafs_model.errors import ImageError
from mafs_training.datasets.boxes import Box
from mafs_training.evaluation.fusion.baselines import BASELINES, fuse_baseline
from mafs_training.evaluation.fusion.clear import clear_counts
from mafs_training.evaluation.results import summarize
from mafs_training.metrics.fusion import FUSION_METRICS, fusion_metrics
from mafs_training.metrics.plane import as_plane, as_planes, ImageLike, Plane


@dataclass(frozen=True)
class PairOutcome:
    """
    What was measured on one pair.

    Attributes:
        name: of the pair.
        values: method to metric to value.
        clear: method to class to count; empty without boxes.
        problems: what went wrong, one line each.

    """

    name: str
    values: dict[str, dict[str, float]] = field(default_factory=dict)
    clear: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def measure_images(
    name: str,
    fused: Mapping[str, ImageLike],
    thermal: ImageLike,
    visible: ImageLike,
    *,
    metrics: Sequence[str] = FUSION_METRICS,
    boxes: Mapping[str, Sequence[Box]] | None = None,
) -> PairOutcome:
    """
    Measure fused images of one pair and the baselines; the sources' share is done once.

    Args:
        name: of the pair.
        fused: method to image, uint8 [H, W] or [H, W, 3] RGB, or a Plane.
        thermal: thermal image of the same size.
        visible: visible image of the same size.
        metrics: names of the metrics.
        boxes: class name to boxes of the pair's objects.

    """
    outcome = PairOutcome(name)
    planes: dict[str, Plane] = {}
    try:
        sources = as_planes(thermal, visible)
        for baseline in BASELINES:
            planes[baseline] = Plane(fuse_baseline(baseline, *(s.image for s in sources)))
            outcome.values[baseline] = fusion_metrics(planes[baseline], *sources, names=metrics)
    except ImageError as error:
        return PairOutcome(name, problems=[f'{name}: {error}'])
    for method, image in fused.items():
        try:
            planes[method] = as_plane(image)
            outcome.values[method] = fusion_metrics(planes[method], *sources, names=metrics)
        except ImageError as error:
            outcome.problems.append(f'{name}, method {method}: {error}')
    if boxes is not None:
        images = {method: planes[method].image for method in outcome.values}
        outcome.clear.update(clear_counts(images, sources[0].image, sources[1].image, boxes))
    return outcome


def collect(
    outcomes: Sequence[PairOutcome], methods: Sequence[str], metrics: Sequence[str]
) -> dict[str, Any]:
    """Turn outcomes per pair into one table a method."""
    return {
        method: summarize(
            {o.name: o.values[method] for o in outcomes if method in o.values}, metrics
        )
        for method in methods
    }
