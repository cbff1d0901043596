"""Comparison of two sides, each one result or several runs, over the images they all share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
import math
from typing import Any, TypeAlias

from mafs_model.errors import ConfigError, DatasetError
from mafs_training.evaluation.fusion.clear import RATIOS as CLEAR_RATIOS
from mafs_training.evaluation.objects.run import RATIOS as OBJECT_RATIOS
from mafs_training.evaluation.ratios import quotient, Ratio, ratio_counts
from mafs_training.evaluation.results import new_document
from mafs_training.metrics.bootstrap import Interval, paired_difference, paired_pooled_difference
from mafs_training.metrics.fusion import LOWER_IS_BETTER
from mafs_training.metrics.seeds import FEWEST_SEEDS, seed_interval
from mafs_training.metrics.segmentation import iou_statistics
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Document: TypeAlias = 'Mapping[str, Any]'
Rows: TypeAlias = 'dict[str, dict[str, Any]]'


@dataclass(frozen=True)
class Sides:
    """
    The results of both sides.

    Attributes:
        before: one document a run.
        after: one document a run.
        level: coverage of the intervals, 0..1.

    """

    before: Sequence[Document]
    after: Sequence[Document]
    level: float

    @property
    def all(self) -> list[Document]:
        """Return every document, those before first."""
        return [*self.before, *self.after]

    def split(self, values: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Split one value a document into those before and those after."""
        return list(values[: len(self.before)]), list(values[len(self.before) :])


def compare_documents(
    before: Sequence[Document],
    after: Sequence[Document],
    methods: Sequence[str] = (),
    level: float = 0.95,
) -> dict[str, Any]:
    """
    Compare two sides: differences are after - before.

    Args:
        before: documents of `mafs-eval fusion`, `objects`, `model`, `bag` or `seg`, one a run.
        after: others; kinds may differ as long as they share scores.
        methods: names, or A=B for a method that is called A before and B after; none: those
            under test in all, or the only one in each.
        level: coverage of the intervals.

    Returns:
        The document described in docs/evaluation.md.

    Raises:
        ConfigError: a method that is not there, or the same weights twice on a side.
        DatasetError: the documents share neither methods and images nor labels.

    """
    for side, name in ((before, 'before'), (after, 'after')):
        _check_runs(side, name)
    sides = Sides(before, after, level)
    document = new_document('compare', {})
    document['level'] = level
    document['runs'] = [len(before), len(after)]
    document['notes'] = notes(len(before), len(after))
    try:
        pairs = _pairs_of_methods(sides, methods)
        document['fusion'] = _by_method(sides, pairs, _fusion_rows)
        document['objects'] = _by_method(
            sides, pairs, partial(_ratio_rows, part='objects', ratios=OBJECT_RATIOS)
        )
        document['clear'] = _by_method(
            sides, pairs, partial(_ratio_rows, part='clear', ratios=CLEAR_RATIOS)
        )
        document['labels'] = _label_rows(sides)
    except (AttributeError, KeyError, TypeError) as error:  # whatever a file from outside lacks
        raise DatasetError(
            f'the results are not as mafs-eval writes them ({type(error).__name__}: {error})'
        ) from None
    if not any(document[part] for part in ('fusion', 'objects', 'clear', 'labels')):
        raise DatasetError(
            f'nothing to compare: the first document ({before[0]["kind"]}) has the methods '
            f'{_names(before[0])}, the second ({after[0]["kind"]}) {_names(after[0])}, and no '
            'image names are shared'
        )
    return document


def _check_runs(documents: Sequence[Document], side: str) -> None:
    """Raise ConfigError where two runs of a side are of the same weights."""
    seen: dict[str, int] = {}
    for number, document in enumerate(documents, 1):
        model = document.get('model')
        weights = model.get('weights_id') if isinstance(model, Mapping) else None
        if weights is not None and weights in seen:
            raise ConfigError(
                f'runs {seen[weights]} and {number} {side} are both of the weights {weights!r}: '
                'expected one run a seed'
            )
        if weights is not None:
            seen[weights] = number


def notes(before: int, after: int) -> list[str]:
    """Say what the numbers of runs on both sides do not support."""
    if min(before, after) >= FEWEST_SEEDS:
        return []
    text = (
        f'fewer than {FEWEST_SEEDS} seeds a side ({before} before, {after} after): no claim that '
        'one way of training is better. In brackets: what these images say of these results alone'
    )
    return [text]


def _tables(document: Document) -> Mapping[str, Any]:
    """Return the methods of a document."""
    objects = document.get('objects') or {}
    return document.get('methods') or objects.get('per_image') or {}


def _names(document: Document) -> str:
    return ', '.join(_tables(document)) or 'none'


def _pairs_of_methods(sides: Sides, wanted: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Return title and name in each document of every method that is compared."""
    if wanted:
        return [_wanted(sides, text) for text in wanted]
    own = [
        [m for m in _tables(document) if m not in document.get('baselines', ())]
        for document in sides.all
    ]
    everywhere = [m for m in own[0] if all(m in names for names in own)]
    if not everywhere and all(len(names) == 1 for names in own):
        before, after = (list(dict.fromkeys(names)) for names in sides.split([n[0] for n in own]))
        single = len(before) == len(after) == 1
        title = f'{before[0]} -> {after[0]}' if single else 'before -> after'
        return [(title, [names[0] for names in own])]
    if not everywhere and not any(own):
        tables = [_tables(document) for document in sides.all]
        everywhere = [m for m in tables[0] if all(m in table for table in tables)]
    return [(m, [m] * len(own)) for m in everywhere]


def _wanted(sides: Sides, text: str) -> tuple[str, list[str]]:
    """Return title and names of one --method; raises ConfigError where it is not there."""
    a, separator, b = text.partition('=')
    b = b if separator else a
    for name, documents, which in ((a, sides.before, 'first'), (b, sides.after, 'second')):
        for document in documents:
            if name not in _tables(document):
                raise ConfigError(
                    f'--method {text!r}: the {which} file has no method {name!r}, it has '
                    f'{_names(document)}'
                )
    title = a if a == b else f'{a} -> {b}'
    return title, [a] * len(sides.before) + [b] * len(sides.after)


def _by_method(
    sides: Sides,
    pairs: Sequence[tuple[str, list[str]]],
    rows_of: Callable[[Sides, list[str]], Rows],
) -> dict[str, Rows]:
    """Return the rows of every method that has any."""
    found = {title: rows_of(sides, names) for title, names in pairs}
    return {title: rows for title, rows in found.items() if rows}


def _fusion_rows(sides: Sides, names: list[str]) -> Rows:
    """Return the rows of metrics that are means over images."""
    tables = [
        document.get('methods', {}).get(n) for document, n in zip(sides.all, names, strict=True)
    ]
    if any(table is None for table in tables):
        return {}
    rows = {}
    for metric in tables[0]:
        if all(metric in table for table in tables):
            columns = [table[metric]['values'] for table in tables]
            images = [n for n in columns[0] if all(n in column for column in columns)]
            values = np.array([[_number(column[n]) for n in images] for column in columns])
            row = _mean_row(sides, values, lower=metric in LOWER_IS_BETTER)
            if row is not None:
                rows[metric] = row
    return rows


def _mean_row(sides: Sides, values: Float, *, lower: bool) -> dict[str, Any] | None:
    """Return the comparison of one metric, values [run, image]; None without a shared image."""
    known = values[:, np.isfinite(values).all(axis=0)]
    if not known.size:
        return None
    first, second = (np.array(side) for side in sides.split(list(known)))
    interval = paired_difference(first.mean(axis=0), second.mean(axis=0), level=sides.level)
    spread = float(first.mean(axis=0).std(ddof=1)) if known.shape[1] > 1 else math.nan
    runs = sides.split([float(v) for v in known.mean(axis=1)])
    return {**_row(sides, interval, *runs, lower=lower), 'first_std': spread}


def _ratio_rows(sides: Sides, names: list[str], part: str, ratios: Sequence[Ratio]) -> Rows:
    """Return the rows of scores that are ratios of counts of boxes or regions."""
    tables = [
        (document.get(part) or {}).get('per_image', {}).get(name)
        for document, name in zip(sides.all, names, strict=True)
    ]
    if any(table is None for table in tables):
        return {}
    images = [n for n in tables[0] if all(n in table for table in tables)]
    rows = {}
    for kind in dict.fromkeys(kind for n in images for kind in tables[0][n]):
        shared = [n for n in images if all(kind in table[n] for table in tables)]
        for ratio in ratios:
            counts = [ratio_counts([t[n][kind] for n in shared], ratio) for t in tables]
            row = _pooled_row(sides, counts, quotient, lower=ratio.lower) if shared else None
            if row is not None:
                rows[f'{ratio.name} {kind}'] = row
    return rows


def _labels_of(document: Document) -> Mapping[str, Any] | None:
    """Return the part of a document that describes label images."""
    return document if document['kind'] == 'seg' else document.get('labels')


def _label_rows(sides: Sides) -> Rows:
    """Return rows of mIoU and of the IoU of each class."""
    parts = [_labels_of(document) for document in sides.all]
    found = [part for part in parts if part is not None]
    if len(found) < len(parts):
        return {}
    names = [n for n in found[0]['per_image'] if all(n in part['per_image'] for part in found)]
    tables = [[c['name'] for c in part['classes']['classes']] for part in found]
    if any(table != tables[0] for table in tables):
        raise DatasetError('the documents have labels of different class tables')
    if not names:
        return {}
    counts = [
        np.array([part['per_image'][n]['confusion'] for n in names], np.float64) for part in found
    ]
    rows = {
        name: _pooled_row(sides, counts, statistic)
        for name, statistic in iou_statistics(tables[0]).items()
    }
    return {name: row for name, row in rows.items() if row is not None}


def _pooled_row(
    sides: Sides,
    counts: Sequence[Float],
    statistic: Callable[[Float], Float],
    *,
    lower: bool = False,
) -> dict[str, Any] | None:
    """Return the comparison of a statistic of counts [image, ...], one array a run."""
    values = [float(statistic(c.sum(axis=0, keepdims=True))[0]) for c in counts]
    if not all(map(math.isfinite, values)):
        return None
    first, second = (np.stack(side, axis=1) for side in sides.split(list(counts)))

    def mean_of_runs(pooled: Float) -> Float:
        return np.asarray(statistic(pooled).mean(axis=1))

    interval = paired_pooled_difference(first, second, mean_of_runs, level=sides.level)
    return _row(sides, interval, *sides.split(values), lower=lower)


def _row(
    sides: Sides,
    interval: Interval,
    before: Sequence[float],
    after: Sequence[float],
    *,
    lower: bool,
) -> dict[str, Any]:
    """
    Return what is said of one score.

    Only seeds tell a change from luck, so `verdict` rests on their interval alone, and on three
    runs a side at least; what the images say of these very results is `image_verdict`.
    """
    seeds = seed_interval(before, after, level=sides.level)
    enough = min(len(before), len(after)) >= FEWEST_SEEDS
    return {
        'first': float(np.mean(before)),
        'second': float(np.mean(after)),
        'difference': interval.value,
        'runs': [list(before), list(after)],
        'seed_ci': [seeds.low, seeds.high] if seeds else [math.nan, math.nan],
        'seed_p': seeds.p_value if seeds else None,
        'ci': [interval.low, interval.high],
        'p': interval.p_value,
        'images': interval.images,
        'verdict': _verdict(seeds, lower=lower) if enough else '',
        'image_verdict': _verdict(interval, lower=lower),
    }


def _verdict(interval: Interval | None, *, lower: bool) -> str:
    if interval is None or not interval.excludes_zero:
        return ''
    return 'better' if (interval.value > 0) != lower else 'worse'


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
