"""Comparison of two evaluation documents over the images they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
import math
from typing import Any

from mafs_model.errors import ConfigError, DatasetError
from mafs_training.evaluation.results import new_document
from mafs_training.metrics.bootstrap import Interval, paired_difference, paired_pooled_difference
from mafs_training.metrics.fusion import LOWER_IS_BETTER
from mafs_training.metrics.segmentation import iou_of_counts, mean_iou_of_counts
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


def compare_documents(
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    methods: Sequence[str] = (),
    level: float = 0.95,
) -> dict[str, Any]:
    """
    Compare two documents: differences are second - first.

    Args:
        first: document of `mafs-eval fusion`, `model`, `bag` or `seg`.
        second: another one; kinds may differ as long as they share scores.
        methods: names, or A=B for a method that is called A in the first and B in the second
            document; none: those under test in both, or the only one in each.
        level: coverage of the intervals.

    Raises:
        ConfigError: a method that is not there.
        DatasetError: the documents share neither methods and images nor labels.

    """
    document = new_document('compare', {})
    document['level'] = level
    try:
        document['fusion'] = _compare_fusion(first, second, methods, level)
        document['labels'] = _compare_labels(_labels_of(first), _labels_of(second), level)
    except (AttributeError, KeyError, TypeError) as error:  # whatever a file from outside lacks
        raise DatasetError(
            f'the results are not as mafs-eval writes them ({type(error).__name__}: {error})'
        ) from None
    if not document['fusion'] and not document['labels']:
        raise DatasetError(
            f'nothing to compare: the first document ({first["kind"]}) has the methods '
            f'{_names(first)}, the second ({second["kind"]}) {_names(second)}, and no image '
            'names are shared'
        )
    return document


def _names(document: Mapping[str, Any]) -> str:
    return ', '.join(document.get('methods', {})) or 'none'


def _pairs_of_methods(
    first: Mapping[str, Any], second: Mapping[str, Any], wanted: Sequence[str]
) -> list[tuple[str, str]]:
    """Return which method of the first is compared with which of the second."""
    tables = first.get('methods', {}), second.get('methods', {})
    if wanted:
        chosen = []
        for text in wanted:
            a, separator, b = text.partition('=')
            for name, table, which in (
                (a, tables[0], 'first'),
                (b if separator else a, tables[1], 'second'),
            ):
                if name not in table:
                    raise ConfigError(
                        f'--method {text!r}: the {which} file has no method '
                        f'{name!r}, it has {", ".join(table) or "none"}'
                    )
            chosen.append((a, b if separator else a))
        return chosen
    own = [
        [m for m in table if m not in document.get('baselines', ())]
        for table, document in zip(tables, (first, second), strict=True)
    ]
    shared = [m for m in own[0] if m in own[1]]
    if shared:
        return [(m, m) for m in shared]
    if len(own[0]) == len(own[1]) == 1:
        return [(own[0][0], own[1][0])]
    return [(m, m) for m in tables[0] if m in tables[1]] if not (own[0] or own[1]) else []


def _compare_fusion(
    first: Mapping[str, Any], second: Mapping[str, Any], wanted: Sequence[str], level: float
) -> dict[str, Any]:
    """Return metric rows for each pair of methods."""
    result = {}
    for a, b in _pairs_of_methods(first, second, wanted):
        left, right = first['methods'][a], second['methods'][b]
        rows = {}
        for metric in left:
            if metric not in right:
                continue
            names = [n for n in left[metric]['values'] if n in right[metric]['values']]
            values = [
                np.array([_number(table[metric]['values'][n]) for n in names])
                for table in (left, right)
            ]
            rows[metric] = _row(values[0], values[1], level, lower=metric in LOWER_IS_BETTER)
        if any(row['images'] for row in rows.values()):
            result[a if a == b else f'{a} -> {b}'] = rows
    return result


def _row(first: Float, second: Float, level: float, *, lower: bool) -> dict[str, Any]:
    """Return the comparison of one metric."""
    interval = paired_difference(first, second, level=level)
    known = np.isfinite(first) & np.isfinite(second)
    spread = float(first[known].std(ddof=1)) if known.sum() > 1 else math.nan
    return {
        **_describe(interval, lower=lower),
        'first': float(first[known].mean()) if known.any() else math.nan,
        'second': float(second[known].mean()) if known.any() else math.nan,
        'first_std': spread,
    }


def _describe(interval: Interval, *, lower: bool = False) -> dict[str, Any]:
    verdict = ''
    if interval.excludes_zero:
        verdict = 'better' if (interval.value > 0) != lower else 'worse'
    return {
        'difference': interval.value,
        'ci': [interval.low, interval.high],
        'p': interval.p_value,
        'images': interval.images,
        'verdict': verdict,
    }


def _labels_of(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the part of a document that describes label images."""
    return document if document['kind'] == 'seg' else document.get('labels')


def _compare_labels(
    first: Mapping[str, Any] | None, second: Mapping[str, Any] | None, level: float
) -> dict[str, Any]:
    """Return rows of mIoU and of the IoU of each class."""
    if first is None or second is None:
        return {}
    names = [n for n in first['per_image'] if n in second['per_image']]
    classes = [c['name'] for c in first['classes']['classes']]
    if classes != [c['name'] for c in second['classes']['classes']]:
        raise DatasetError('the documents have labels of different class tables')
    if not names:
        return {}
    counts = [
        np.array([document['per_image'][n]['confusion'] for n in names], np.int64)
        for document in (first, second)
    ]
    statistics: dict[str, Any] = {
        'mIoU': partial(mean_iou_of_counts, which='all'),
        'mIoU_present': partial(mean_iou_of_counts, which='present'),
    }
    for index, name in enumerate(classes):
        statistics[f'IoU {name}'] = partial(_class_iou, index=index)
    rows = {}
    for name, statistic in statistics.items():
        values = [
            float(statistic(c.sum(axis=0, keepdims=True).astype(np.float64))[0]) for c in counts
        ]
        if not all(map(math.isfinite, values)):
            continue
        interval = paired_pooled_difference(counts[0], counts[1], statistic, level=level)
        rows[name] = {**_describe(interval), 'first': values[0], 'second': values[1]}
    return rows


def _class_iou(counts: Float, index: int) -> Float:
    return np.asarray(iou_of_counts(counts)[..., index])


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
