"""Report of `mafs-eval compare`."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
import math
from typing import Any

from mafs_training.evaluation.html.charts import interval_chart
from mafs_training.evaluation.html.page import cell, figure, page, section, table
from mafs_training.evaluation.tables import number
from mafs_training.metrics.fusion import LOWER_IS_BETTER


def compare_page(document: Mapping[str, Any]) -> str:
    """Return the report of a compare document."""
    inputs = document['inputs']
    percent = f'{100 * document["level"]:g} %'
    rows = [
        row for part in (*document['fusion'].values(), document['labels']) for row in part.values()
    ]
    facts = {
        'scores compared': str(len(rows)),
        'B better': str(sum(row['verdict'] == 'better' for row in rows)),
        'B worse': str(sum(row['verdict'] == 'worse' for row in rows)),
        'not told apart': str(sum(not row['verdict'] for row in rows)),
    }
    parts = []
    for method, scores in document['fusion'].items():
        effects = {
            metric: _effect(row, metric)
            for metric, row in scores.items()
            if row['images'] and _positive(row['first_std'])
        }
        chart = figure(
            interval_chart(effects, f'differences of {method}'),
            'B against A',
            'in standard deviations of A over images; right is better',
        )
        parts.append(
            section(
                f'Fusion: {method}',
                f'<div class="charts">{chart}</div>' + _rows(scores, percent),
                'The same images are drawn for both (paired bootstrap). Many scores are looked '
                'at: one of twenty differs by chance.',
            )
        )
    if document['labels']:
        chart = figure(
            interval_chart(
                {
                    name: (row['difference'], *row['ci'])
                    for name, row in document['labels'].items()
                },
                'differences of labels',
            ),
            'B - A',
        )
        parts.append(
            section(
                'Labels',
                f'<div class="charts">{chart}</div>' + _rows(document['labels'], percent),
                'IoU from confusion matrices pooled over the images drawn.',
            )
        )
    return page(
        'Comparison',
        f'A: {inputs["first"]}. B: {inputs["second"]}. Differences are '
        'B - A over the images that both have.',
        facts,
        parts,
        inputs['command'],
    )


def _positive(value: float | None) -> bool:
    return value is not None and math.isfinite(value) and value > 0


def _effect(row: Mapping[str, Any], metric: str) -> tuple[float, float, float]:
    """Return a difference and its interval in standard deviations, better to the right."""
    scale = (-1 if metric in LOWER_IS_BETTER else 1) / row['first_std']
    ends = sorted(scale * end for end in row['ci'])
    return scale * row['difference'], ends[0], ends[1]


def _rows(scores: Mapping[str, Any], percent: str) -> str:
    rows = []
    for name, row in scores.items():
        low, high = row['ci']
        mark = {'better': 'up', 'worse': 'down'}.get(row['verdict'], '')
        rows.append(
            (
                '',
                [
                    cell(escape(name), 'name'),
                    cell(str(row['images'])),
                    cell(number(row['first'])),
                    cell(number(row['second'])),
                    cell(number(row['difference']), mark),
                    cell(f'{number(low)} … {number(high)}'),
                    cell(number(row['p'])),
                    cell(row['verdict'] or '–', mark),
                ],
            )
        )
    return table(['score', 'images', 'A', 'B', 'B − A', percent, 'p', 'B is'], rows)
