"""Objects that label images find, miss and invent, judged by boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
import math
from pathlib import Path
from typing import Any

from mafs_model.classes import ClassTable
from mafs_model.errors import DatasetError, ImageError
from mafs_training.datasets.boxes import Box
from mafs_training.evaluation.box_files import BoxFolder, class_ids
from mafs_training.evaluation.groups import group_names
from mafs_training.evaluation.images import list_images, read_labels
from mafs_training.evaluation.parallel import map_tasks
from mafs_training.evaluation.ratios import Counts, Ratio, ratio_groups, ratio_table
from mafs_training.metrics.objects import object_hits, ObjectHits
import numpy as np
from numpy.typing import NDArray

# Height of a box in pixels: from, to.
SIZES = {'tall': (25, math.inf), 'small': (0, 25), 'medium': (25, 64), 'large': (64, math.inf)}

RATIOS = (
    Ratio('found', 'found', 'found', ('boxes',), 'share of boxes that are more than 20 % filled'),
    *(
        Ratio(
            f'found_{size}',
            size,
            f'found_{size}',
            (f'boxes_{size}',),
            f'the same of boxes with a height of {low} px and more'
            + ('' if math.isinf(high) else f', below {high} px'),
        )
        for size, (low, high) in SIZES.items()
    ),
    Ratio(
        'precision',
        'precision',
        'right',
        ('right', 'wrong'),
        'share of regions of 40 pixels and more that lie in boxes of their class',
    ),
    Ratio(
        'false_per_frame', 'false/frame', 'wrong', ('frames',), 'regions that do not', lower=True
    ),
)

Labels = NDArray[Any]


@dataclass(frozen=True)
class ObjectTask:
    """One label image and what its boxes are."""

    name: str
    labels: Path
    boxes: BoxFolder
    ids: Mapping[str, tuple[int, ...]]
    num_classes: int
    ignore_index: int


@dataclass
class ObjectOutcome:
    """Image to class to count for one method, and what went wrong, one line each."""

    images: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def score_objects(
    labels: Labels, boxes: Mapping[str, Sequence[Box]], ids: Mapping[str, tuple[int, ...]]
) -> dict[str, ObjectHits]:
    """
    Compare a label image with the boxes of every class.

    Args:
        labels: class ids [H, W].
        boxes: class name to boxes.
        ids: class name to the class ids that mean it.

    """
    return {
        name: object_hits(np.isin(labels, numbers), boxes.get(name, ()))
        for name, numbers in ids.items()
    }


def hit_counts(
    hits: Mapping[str, ObjectHits], boxes: Mapping[str, Sequence[Box]]
) -> dict[str, dict[str, int]]:
    """Return class to count, as RATIOS need them."""
    return {name: _counts(one, boxes.get(name, ())) for name, one in hits.items()}


def _counts(hits: ObjectHits, boxes: Sequence[Box]) -> dict[str, int]:
    counts = {
        'frames': 1,
        'boxes': len(boxes),
        'found': sum(hits.found),
        'right': hits.right,
        'wrong': len(hits.wrong),
    }
    for size, (low, high) in SIZES.items():
        chosen = [f for f, box in zip(hits.found, boxes, strict=True) if low <= box.height < high]
        counts[f'boxes_{size}'], counts[f'found_{size}'] = len(chosen), sum(chosen)
    return counts


def score_file(task: ObjectTask) -> tuple[str, dict[str, dict[str, int]], str]:
    """Read and score one label image; the last item says what is wrong with it."""
    try:
        labels = read_checked(task.labels, task.num_classes, task.ignore_index)
        boxes = task.boxes.of_image(task.name, (labels.shape[0], labels.shape[1]))
    except (DatasetError, ImageError) as error:
        return task.name, {}, str(error)
    return task.name, hit_counts(score_objects(labels, boxes, task.ids), boxes), ''


def read_checked(path: Path, num_classes: int, ignore_index: int) -> Labels:
    """
    Read class ids and check them against the table.

    Raises:
        ImageError: not a label image, or a value that is no class.

    """
    labels = read_labels(path, 'label')
    strange = labels[(labels >= num_classes) | (labels < 0)]
    strange = strange[strange != ignore_index]
    if strange.size:
        raise ImageError(
            'data',
            f'{path}: label value {int(strange[0])}, expected 0 to {num_classes - 1} or '
            f'{ignore_index}',
        )
    return labels


def measure_folders(
    folders: Mapping[str, Path],
    boxes: BoxFolder,
    table: ClassTable,
    *,
    jobs: int,
    quiet: bool = True,
) -> dict[str, ObjectOutcome]:
    """
    Measure folders of label images.

    Args:
        folders: method to folder of class ids.
        boxes: the boxes.
        table: class table of the label images.
        jobs: number of processes.
        quiet: no progress bar.

    Raises:
        DatasetError: a folder is missing or empty.
        ConfigError: the table has none of the boxed classes.

    """
    ids = class_ids(boxes.names, table)
    outcomes = {}
    for method, folder in folders.items():
        files = list_images(folder, f'label ({method})')
        names, problems = boxes.covered(files)
        outcome = outcomes[method] = ObjectOutcome(problems=problems)
        tasks = [
            ObjectTask(name, files[name], boxes, ids, len(table), table.ignore_index)
            for name in names
        ]
        for name, counts, problem in map_tasks(
            score_file, tasks, jobs=jobs, title=f'objects: {method}', quiet=quiet
        ):
            if problem:
                outcome.problems.append(problem)
            else:
                outcome.images[name] = counts
    return outcomes


def objects_part(
    counts: Counts, boxes: BoxFolder, patterns: Mapping[str, str]
) -> dict[str, Any] | None:
    """
    Return what a document says of objects; None where nothing was measured.

    Args:
        counts: method to image to class to count.
        boxes: the boxes.
        patterns: group name to file-name pattern; see `group_names`.

    """
    names = list(dict.fromkeys(name for images in counts.values() for name in images))
    if not names:
        return None
    groups = group_names(names, dict(patterns))
    return {
        'boxes': boxes.folder,
        'min_score': boxes.min_score,
        'scores': ratio_groups(counts, groups, RATIOS),
        'per_image': {method: dict(images) for method, images in counts.items()},
    }


def worst_frames(images: Mapping[str, Any], count: int) -> list[tuple[str, int, int]]:
    """Return name, missed boxes and regions in no box of the frames with most of both."""
    rows = [
        (
            name,
            sum(one['boxes'] - one['found'] for one in kinds.values()),
            sum(one['wrong'] for one in kinds.values()),
        )
        for name, kinds in images.items()
    ]
    rows = [row for row in rows if row[1] + row[2]]
    return sorted(rows, key=lambda row: (-row[1] - row[2], row[0]))[:count]


def objects_table(part: Mapping[str, Any]) -> str:
    """Return the table that is printed: one row a group, class and method."""
    title = (
        'labels against boxes: found (all, and by height), precision of regions, regions in no '
        'box per frame, 95 % bootstrap intervals over images'
    )
    return f'{title}\n{ratio_table(part["scores"], RATIOS)}'
