"""A method against the best of its rivals, metric by metric."""

from __future__ import annotations

from collections.abc import Mapping
import math
from typing import Any

from mafs_training.evaluation.fusion.baselines import SOURCES
from mafs_training.evaluation.tables import number, text_table
from mafs_training.metrics.bootstrap import paired_difference
from mafs_training.metrics.fusion import LOWER_IS_BETTER
import numpy as np


def rivals_of(document: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    """
    Return the means of the fusing baselines and of the reference rows.

    The sources themselves are no rivals: a copy of the visible image has the SD and VIF of the
    visible image and fuses nothing.
    """
    rivals: dict[str, dict[str, float | None]] = {
        name: {metric: cell['mean'] for metric, cell in document['methods'][name].items()}
        for name in document['baselines']
        if name not in SOURCES and name in document['methods']
    }
    for name, row in document.get('references', {}).items():
        rivals[name] = {metric: row.get(metric) for metric in document['metrics']}
    return rivals


def verdicts(document: Mapping[str, Any], method: str) -> dict[str, Any]:
    """
    Compare a method with the best rival in every metric.

    Args:
        document: a fusion or model document.
        method: name of the method.

    Returns:
        metric to {value, ci95, best, rival, difference, difference_ci95, at_least}; the interval
        of the difference is paired over images and undefined against a reference row. Metrics
        that the method or all rivals lack are left out.

    """
    rivals, rows = rivals_of(document), {}
    for metric in document['metrics']:
        own = document['methods'][method][metric]
        sign = -1 if metric in LOWER_IS_BETTER else 1
        known = {n: float(row[metric] or 0.0) for n, row in rivals.items() if _known(row[metric])}
        if not _known(own['mean']) or not known:
            continue
        rival = max(known, key=lambda name: sign * known[name])
        rows[metric] = {
            'value': own['mean'],
            'ci95': own['ci95'],
            'best': known[rival],
            'rival': rival,
            'difference': own['mean'] - known[rival],
            'difference_ci95': _paired(document['methods'].get(rival), own, metric),
            'at_least': bool(sign * own['mean'] >= sign * known[rival]),
        }
    return rows


def verdict_table(rows: Mapping[str, Any], method: str) -> str:
    """Return the table of verdicts and what it says in one sentence."""
    lines = []
    for metric, row in rows.items():
        lines.append(
            [
                metric + (' (lower)' if metric in LOWER_IS_BETTER else ''),
                number(row['value']),
                span(row['ci95']),
                number(row['best']),
                row['rival'],
                f'{row["difference"]:+.4f}',
                span(row['difference_ci95']),
                'yes' if row['at_least'] else 'NO',
            ]
        )
    header = ['metric', method, '95 %', 'best rival', 'which', 'difference', '95 %', 'reached']
    return '\n'.join([text_table(header, lines), headline(rows, method)])


def headline(rows: Mapping[str, Any], method: str) -> str:
    """Return in one sentence in how many metrics the best rival is reached, and in which not."""
    missed = [metric for metric, row in rows.items() if not row['at_least']]
    text = (
        f'{method}: at or above the best rival in {len(rows) - len(missed)} of {len(rows)} metrics'
    )
    if not missed:
        return text
    listed = ', '.join(f'{metric}: {rows[metric]["rival"]}' for metric in missed)
    return f'{text} (not {listed})'


def span(ends: Any, digits: int = 4) -> str:
    """Format an interval, '-' where it is undefined."""
    low, high = ends
    if not (_known(low) and _known(high)):
        return '-'
    return f'{number(low, digits)}..{number(high, digits)}'


def _paired(rival: Mapping[str, Any] | None, own: Mapping[str, Any], metric: str) -> list[float]:
    """Return the interval of own - rival over the images that both have."""
    if rival is None:
        return [math.nan, math.nan]
    values = rival[metric]['values']
    names = [name for name in own['values'] if name in values]
    first, second = (
        np.array([_number(table[name]) for name in names]) for table in (values, own['values'])
    )
    interval = paired_difference(first, second)
    return [interval.low, interval.high]


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
