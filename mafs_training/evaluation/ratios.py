"""Scores that are ratios of counts pooled over images, such as the share of boxes found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
import math
from typing import Any, TypeAlias

from mafs_training.evaluation.tables import number, text_table
from mafs_training.metrics.bootstrap import pooled_interval
import numpy as np
from numpy.typing import NDArray

# Method to image to class to count.
Counts: TypeAlias = 'Mapping[str, Mapping[str, Mapping[str, Mapping[str, int]]]]'

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Ratio:
    """
    One score: a count over another one, both pooled over images.

    Attributes:
        name: key in documents.
        title: column heading.
        over: name of the count above.
        under: names of the counts below, summed.
        meaning: a few words for reports.
        lower: whether less is better.

    """

    name: str
    title: str
    over: str
    under: tuple[str, ...]
    meaning: str
    lower: bool = False


def ratio_groups(
    counts: Counts, groups: Mapping[str, Sequence[str]], ratios: Sequence[Ratio]
) -> dict[str, Any]:
    """
    Return the scores of every group, method and class, with bootstrap intervals over images.

    Args:
        counts: method to image to class to count.
        groups: group name to image names; 'all' is added in front.
        ratios: the scores.

    Returns:
        group to method to class to {'images', score: {'value', 'ci95', 'n'}}; n is what the
        ratio is of. Scores of which there is nothing are left out, classes without any too.

    """
    everything = {n: None for images in counts.values() for n in images}
    result: dict[str, Any] = {}
    for group, names in {'all': list(everything), **groups}.items():
        for method, images in counts.items():
            rows = [images[name] for name in names if name in images]
            for kind in dict.fromkeys(kind for row in rows for kind in row):
                scores = _scores([row[kind] for row in rows if kind in row], ratios)
                if scores:
                    table = result.setdefault(group, {}).setdefault(method, {})
                    table[kind] = {'images': len(rows), **scores}
    return result


def _scores(rows: Sequence[Mapping[str, int]], ratios: Sequence[Ratio]) -> dict[str, Any]:
    scores = {}
    for ratio in ratios:
        table = ratio_counts(rows, ratio)
        total = int(table[:, 1].sum())
        if total:
            interval = pooled_interval(table, quotient)
            scores[ratio.name] = {
                'value': interval.value,
                'ci95': [interval.low, interval.high],
                'n': total,
            }
    return scores


def ratio_counts(rows: Iterable[Mapping[str, int]], ratio: Ratio) -> Float:
    """Return what stands above and below the line for each image, [N, 2]."""
    return np.array([[row[ratio.over], sum(row[u] for u in ratio.under)] for row in rows], float)


def quotient(sums: Float) -> Float:
    """Return the ratios of pooled counts [..., 2]; not a number where nothing is below."""
    under = sums[..., 1]
    empty = np.full(under.shape, math.nan)
    return np.divide(sums[..., 0], under, out=empty, where=under > 0)


def ratio_rows(groups: Mapping[str, Any], ratios: Sequence[Ratio]) -> list[list[str]]:
    """
    Return the lines of a table in plain text: one a group, class and method.

    Returns:
        'group: method', class, then what the first ratio is of, then each
        ratio as 'value (low..high)', '-' where it is undefined.

    """
    rows = []
    for group, methods in groups.items():
        kinds = dict.fromkeys(kind for table in methods.values() for kind in table)
        for kind in kinds:
            for method, table in methods.items():
                if kind in table:
                    scores = table[kind]
                    of = scores.get(ratios[0].name, {'n': 0})['n']
                    cells = [_cell(scores.get(ratio.name)) for ratio in ratios]
                    rows.append([f'{group}: {method}', kind, str(of), *cells])
    return rows


def ratio_header(ratios: Sequence[Ratio]) -> list[str]:
    """Return the column headings of `ratio_rows`."""
    return ['method', 'class', 'boxes', *(ratio.title for ratio in ratios)]


def ratio_table(groups: Mapping[str, Any], ratios: Sequence[Ratio]) -> str:
    """Return the table that is printed."""
    return text_table(ratio_header(ratios), ratio_rows(groups, ratios))


def _cell(score: Mapping[str, Any] | None) -> str:
    """Return a score with its interval."""
    if score is None or score['value'] is None:
        return '-'
    low, high = score['ci95']
    return f'{number(score["value"], 3)} ({number(low, 2)}..{number(high, 2)})'
