"""Evaluation of folders of fused images against their sources and the trivial baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mafs_model.errors import ConfigError, DatasetError, ImageError
from mafs_model.images.preprocessing import size_of
from mafs_training.evaluation.box_files import BoxFolder
from mafs_training.evaluation.fusion.baselines import BASELINES
from mafs_training.evaluation.fusion.clear import clear_part
from mafs_training.evaluation.fusion.pair import collect, measure_images, PairOutcome
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
from mafs_training.evaluation.results import group_means, new_document
from mafs_training.metrics.fusion import FUSION_METRICS, VARIANTS


@dataclass(frozen=True)
class PairTask:
    """One pair and the fused images of it that are to be measured."""

    name: str
    thermal: Path
    visible: Path
    fused: Mapping[str, Path]
    metrics: Sequence[str] = FUSION_METRICS
    boxes: BoxFolder | None = None


def measure_pair(task: PairTask) -> PairOutcome:
    """Read the images of one pair and measure every method on it."""
    problems: list[str] = []
    try:
        thermal = read_eight_bit(task.thermal, 'thermal', grey=True)
        visible = read_eight_bit(task.visible, 'visible')
        same_size(task.name, {'thermal': thermal, 'visible': visible})
        boxes = None
        if task.boxes is not None:
            boxes = task.boxes.of_image(task.name, size_of(thermal))
    except (ImageError, DatasetError) as error:
        return PairOutcome(task.name, problems=[str(error)])
    fused = {}
    for method, path in task.fused.items():
        try:
            image = read_eight_bit(path, 'fused')
            same_size(
                f'{task.name}, method {method}',
                {'fused': image, 'thermal': thermal, 'visible': visible},
            )
            fused[method] = image
        except ImageError as error:
            problems.append(str(error))
    outcome = measure_images(task.name, fused, thermal, visible, metrics=task.metrics, boxes=boxes)
    outcome.problems.extend(problems)
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
    boxes: BoxFolder | None = None,
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
        boxes: boxes of the objects, to measure how clear they are.
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
    metrics = FUSION_METRICS + (VARIANTS if variants else ())
    tasks, problems = _plan(thermal, visible, fused, metrics, boxes, common=common)
    outcomes = list(map_tasks(measure_pair, tasks, jobs=jobs, title='fusion', quiet=quiet))
    problems += [problem for outcome in outcomes for problem in outcome.problems]
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
            'clear': None,
            'problems': problems,
        }
    )
    if boxes is not None:
        clear = {outcome.name: outcome.clear for outcome in outcomes}
        document['clear'] = clear_part(clear, list(methods), boxes.folder, groups)
    document['verdicts'] = {method: verdicts(document, method) for method in fused}
    return document


def _plan(
    thermal: Path,
    visible: Path,
    fused: Mapping[str, Path],
    metrics: Sequence[str],
    boxes: BoxFolder | None,
    *,
    common: bool,
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
    boxed: set[str] = set()
    if boxes is not None:
        there, lacking = boxes.covered(names)
        boxed.update(there)
        problems += lacking
    return [
        PairTask(
            name,
            matched.files['thermal'][name],
            matched.files['visible'][name],
            {m: found[name] for m, found in images.items() if name in found},
            metrics,
            boxes if name in boxed else None,
        )
        for name in names
    ], problems


def check_method_names(fused: Mapping[str, Path]) -> None:
    """Raise ConfigError where a method bears the name of a baseline."""
    for method in fused:
        if method in BASELINES:
            raise ConfigError(
                f'method name {method!r} is taken by a baseline, choose another NAME=DIR'
            )
