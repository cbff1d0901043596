"""Report of `mafs-eval flicker`."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from mafs_training.evaluation.fusion.verdicts import span
from mafs_training.evaluation.html.charts import COLORS, line_chart, MUTED
from mafs_training.evaluation.html.page import (
    cell,
    figure,
    legend,
    page,
    problems_note,
    section,
    table,
)
from mafs_training.evaluation.tables import number

_TITLES = {
    'TD': 'TD <small>grey levels</small>',
    'ratio_max': 'of the larger source',
    'ratio_mean': 'of the mean of both',
    'ratio_pixel': 'of the larger per pixel',
    'excess': 'excess',
    'ratio_level': 'of brightness',
    'ratio_still': 'of still pixels',
}


def flicker_page(document: Mapping[str, Any]) -> str:
    """Return the report of a flicker document."""
    sources = document['sources']
    facts = {
        'frames': str(document['frames']),
        'thermal, grey levels a frame': number(sources['TD_thermal']['value'], 2),
        'visible, grey levels a frame': number(sources['TD_visible']['value'], 2),
        'pixels that stand still': f'{number(100 * sources["still"]["value"], 1)} %',
    }
    return page(
        'Flicker',
        f'{document["sequence"]}: change of the fused image from frame to frame.',
        facts,
        [_scores(document), _curves(document)],
        document['inputs'].get('command', ''),
    )


def _scores(document: Mapping[str, Any]) -> str:
    """Return the table of scores."""
    rows = []
    for method, scores in document['methods'].items():
        cells = [cell(escape(method), 'name')]
        cells += [
            cell(f'{number(scores[n]["value"], 3)} <small>{span(scores[n]["ci95"])}</small>')
            for n in _TITLES
        ]
        rows.append(('base' if method in document['baselines'] else '', cells))
    return section(
        'Temporal difference',
        table(['method', *_TITLES.values()], rows) + problems_note(document['problems']),
        'TD is the mean absolute difference between consecutive frames; ratios are those of sums '
        'over the sequence, with 95 % bootstrap intervals over transitions. Excess: share of the '
        'change that is beyond the larger change of both sources at the same pixel.',
    )


def _curves(document: Mapping[str, Any]) -> str:
    """Return the change over time, the sources in grey."""
    own = [m for m in document['methods'] if m not in document['baselines']]
    own = own or list(document['methods'])
    colors = {name: COLORS[i % len(COLORS)] for i, name in enumerate(own)}
    series = {
        name: list(enumerate(document['series'][name], 1)) for name in ('thermal', 'visible', *own)
    }
    chart = line_chart(
        series,
        {**colors, 'thermal': MUTED, 'visible': MUTED},
        'temporal difference',
        x_title='frame',
        width=900,
        dots=False,
        zero=True,
    )
    shown = legend([*own, 'thermal and visible image'], [*colors.values(), MUTED])
    return section('Over time', shown + figure(chart, 'Mean absolute difference, grey levels'))
