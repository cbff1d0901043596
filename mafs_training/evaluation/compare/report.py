"""Report of `mafs-eval compare`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
import math
from typing import Any

from mafs_training.evaluation.compare.wording import judged, listed, scores_by_title
from mafs_training.evaluation.fusion.verdicts import span
from mafs_training.evaluation.html.charts import interval_chart
from mafs_training.evaluation.html.page import cell, figure, note, page, section, table
from mafs_training.evaluation.tables import number
from mafs_training.metrics.fusion import LOWER_IS_BETTER


def compare_page(document: Mapping[str, Any]) -> str:
    """Return the report of a compare document."""
    inputs, (before, after) = document['inputs'], document['runs']
    scores = scores_by_title(document)
    rows = [row for part in scores.values() for row in part.values()]
    facts = {
        'runs before, after': f'{before}, {after}',
        'scores compared': str(len(rows)),
        'B better': str(sum(row['verdict'] == 'better' for row in rows)),
        'B worse': str(sum(row['verdict'] == 'worse' for row in rows)),
        'not told apart': str(sum(not row['verdict'] for row in rows)),
    }
    parts = [note(document['notes'], 'Mind:')]
    parts += [_section(title, part) for title, part in scores.items()]
    return page(
        'Comparison',
        f'A: {listed(inputs["before"])}. B: {listed(inputs["after"])}. Differences are B - A of '
        'the means over runs, on the images that all have.',
        facts,
        parts,
        inputs['command'],
    )


def _section(title: str, scores: Mapping[str, Any]) -> str:
    """Return chart and table of one method or of labels."""
    deviations = {
        name: _effect(row, name)
        for name, row in scores.items()
        if row['images'] and _positive(row.get('first_std'))
    }
    effects = deviations or {
        name: (row['difference'], *_interval(row)) for name, row in scores.items()
    }
    detail = 'in standard deviations of A over images; right is better' if deviations else ''
    chart = figure(interval_chart(effects, f'differences of {title}'), 'B − A', detail)
    return section(
        title,
        f'<div class="charts">{chart}</div>' + _rows(scores),
        'Seeds: Welch’s t interval over runs, the chart shows it where there is one. Images: '
        'paired bootstrap, the same images are drawn for all runs. Many scores are looked at: one '
        'of twenty differs by chance.',
    )


def _interval(row: Mapping[str, Any]) -> Sequence[float]:
    """Return the interval of seeds, that of images where there is none."""
    ends = row['seed_ci']
    known = all(end is not None and math.isfinite(end) for end in ends)
    return list(ends if known else row['ci'])


def _positive(value: float | None) -> bool:
    return value is not None and math.isfinite(value) and value > 0


def _effect(row: Mapping[str, Any], metric: str) -> tuple[float, float, float]:
    """Return a difference and its interval in standard deviations, better to the right."""
    scale = (-1 if metric in LOWER_IS_BETTER else 1) / row['first_std']
    ends = sorted(scale * end for end in _interval(row))
    return scale * row['difference'], ends[0], ends[1]


def _rows(scores: Mapping[str, Any]) -> str:
    rows = []
    for name, row in scores.items():
        mark = {'better': 'up', 'worse': 'down'}.get(row['verdict'], '')
        rows.append(
            (
                '',
                [
                    cell(escape(name), 'name'),
                    cell(number(row['first'])),
                    cell(number(row['second'])),
                    cell(number(row['difference']), mark),
                    cell(span(row['seed_ci'])),
                    cell(number(row['seed_p'])),
                    cell(str(row['images'])),
                    cell(span(row['ci'])),
                    cell(number(row['p'])),
                    cell(judged(row) or '–', mark),
                ],
            )
        )
    header = ['score', 'A', 'B', 'B − A', 'seeds', 'p', 'images', 'interval', 'p', 'B is']
    return table(header, rows)
