"""Evaluation of folders of fused images against their sources and the trivial baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
import math
from pathlib import Path
from typing import Any

from mafs_model.errors import ConfigError, DatasetError, ImageError
from mafs_training.evaluation.fusion.baselines import BASELINES, fuse_baseline
from mafs_training.evaluation.fusion.verdicts import verdicts
from mafs_training.evaluation.groups import group_names
from mafs_training.evaluation.images import (
    list_images,
    listing,
    match_folders,
    read_eight_bit,
    same_size,
)
from mafs_training.evaluation.parallel import map_tasks
from mafs_training.evaluation.results import group_means, new_document, summarize
from mafs_training.metrics.fusion import FUSION_METRICS, fusion_metrics, VARIANTS
from mafs_training.metrics.plane import Plane


@dataclass(frozen=True)
class PairTask:
    """One pair and the fused images of it that are to be measured."""

    name: str
    thermal: Path
    visible: Path
    fused: Mapping[str, Path]
    baselines: Sequence[str] = BASELINES
    variants: bool = False


@dataclass(frozen=True)
class PairOutcome:
    """Method to metric to value for one pair, and what went wrong, one line each."""

    name: str
    values: dict[str, dict[str, float]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def measure_pair(task: PairTask) -> PairOutcome:
    """Measure every method on one pair; the sources' share of the work is done once."""
    try:
        thermal = Plane(read_eight_bit(task.thermal, 'thermal', grey=True))
        visible = Plane(read_eight_bit(task.visible, 'visible'))
        same_size(task.name, {'thermal': thermal.image, 'visible': visible.image})
        outcome = PairOutcome(task.name)
        for method in task.baselines:
            fused = fuse_baseline(method, thermal.image, visible.image)
            outcome.values[method] = fusion_metrics(
                fused, thermal, visible, variants=task.variants
            )
    except ImageError as error:
        return PairOutcome(task.name, problems=[str(error)])
    for method, path in task.fused.items():
        try:
            image = Plane(read_eight_bit(path, 'fused'))
            same_size(
                f'{task.name}, method {method}',
                {'fused': image.image, 'thermal': thermal.image, 'visible': visible.image},
            )
            outcome.values[method] = fusion_metrics(
                image, thermal, visible, variants=task.variants
            )
        except ImageError as error:
            outcome.problems.append(str(error))
    return outcome


def evaluate_fusion(
    thermal: Path,
    visible: Path,
    fused: Mapping[str, Path],
    *,
    patterns: Mapping[str, str] | None = None,
    common: bool = False,
    variants: bool = False,
    references: Mapping[str, Mapping[str, float]] | None = None,
    jobs: int = 1,
    quiet: bool = True,
) -> dict[str, Any]:
    """
    Measure folders of fused images and the baselines.

    Args:
        thermal: folder of 8-bit grey images.
        visible: folder of 8-bit images of the same names.
        fused: method name to folder of 8-bit images of the same names.
        patterns: group name to file-name pattern; see `group_names`.
        common: measure only pairs for which every method has an image.
        variants: add the metrics under the papers' conventions.
        references: rows that were measured elsewhere: name to metric to mean.
        jobs: number of processes.
        quiet: no progress bar.

    Returns:
        The document described in docs/evaluation.md. Files that cannot be used are listed
        under 'problems'; the rest is evaluated.

    Raises:
        DatasetError: a folder is missing or empty, or nothing could be measured.
        ConfigError: a method has a baseline's name.

    """
    check_method_names(fused)
    tasks, problems = _plan(thermal, visible, fused, common=common, variants=variants)
    outcomes = list(map_tasks(measure_pair, tasks, jobs=jobs, title='fusion', quiet=quiet))
    problems += [problem for outcome in outcomes for problem in outcome.problems]
    metrics = FUSION_METRICS + (VARIANTS if variants else ())
    methods = collect(outcomes, (*fused, *BASELINES), metrics)
    if not any(table['EN']['n'] for table in methods.values()):
        raise DatasetError(problems[0] if problems else 'no pair is common to all methods')
    measured = [outcome.name for outcome in outcomes if outcome.values]
    groups = group_names(measured, dict(patterns or {}))
    document = new_document(
        'fusion', {'thermal': thermal, 'visible': visible, 'fused': dict(fused)}
    )
    document.update(
        {
            'metrics': list(metrics),
            'baselines': list(BASELINES),
            'names': measured,
            'methods': methods,
            'references': {name: dict(row) for name, row in (references or {}).items()},
            'groups': groups,
            'group_means': group_means(methods, groups, metrics),
            'problems': problems,
        }
    )
    document['verdicts'] = {method: verdicts(document, method) for method in fused}
    return document


def _plan(
    thermal: Path, visible: Path, fused: Mapping[str, Path], *, common: bool, variants: bool
) -> tuple[list[PairTask], list[str]]:
    """Return what is to be measured, and the images that lack a partner, a line each kind."""
    matched = match_folders({'thermal': thermal, 'visible': visible})
    problems = list(matched.problems)
    images = {method: list_images(folder, f'fused ({method})') for method, folder in fused.items()}
    names = matched.names
    if common:
        names = [name for name in names if all(name in found for found in images.values())]
    for method, found in images.items():
        missing = [name for name in names if name not in found]
        if missing:
            problems.append(
                f'method {method} lacks {len(missing)} of {len(names)} fused images: '
                f'{listing(missing)}'
            )
        orphans = sorted(set(found) - set(matched.names))
        if orphans:
            problems.append(
                f'method {method} has fused images without sources: {listing(orphans)}'
            )
    return [
        PairTask(
            name,
            matched.files['thermal'][name],
            matched.files['visible'][name],
            {m: found[name] for m, found in images.items() if name in found},
            variants=variants,
        )
        for name in names
    ], problems


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


def check_method_names(fused: Mapping[str, Path]) -> None:
    """Raise ConfigError where a method bears the name of a baseline."""
    for method in fused:
        if method in BASELINES:
            raise ConfigError(
                f'method name {method!r} is taken by a baseline, choose another NAME=DIR'
            )


def beaten_by_baselines(
    document: Mapping[str, Any], method: str, lower: frozenset[str]
) -> dict[str, str]:
    """Metric to the best baseline that does at least as well as the method, if any."""
    beaten = {}
    for metric in document['metrics']:
        own = document['methods'][method][metric]['mean']
        means = {b: document['methods'][b][metric]['mean'] for b in document['baselines']}
        known = {b: v for b, v in means.items() if v is not None and math.isfinite(v)}
        if own is None or not math.isfinite(own) or not known:
            continue
        sign = -1 if metric in lower else 1
        best = max(known, key=lambda name: sign * known[name])
        if sign * known[best] >= sign * own:
            beaten[metric] = best
    return beaten
