"""Report of `mafs-eval fusion`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
import math
from pathlib import Path
from typing import Any

from mafs_model.classes import ClassTable
from mafs_training.evaluation.fusion.baselines import BASELINES, fuse_baseline, SOURCES
from mafs_training.evaluation.fusion.clear import RATIOS as CLEAR_RATIOS
from mafs_training.evaluation.fusion.verdicts import headline, span
from mafs_training.evaluation.goals import goals_sentence, reached_text
from mafs_training.evaluation.html.charts import box_chart, COLORS, MUTED
from mafs_training.evaluation.html.page import (
    cell,
    figure,
    page,
    problems_note,
    section,
    table,
)
from mafs_training.evaluation.html.pictures import class_legend, colored, pair_panels, panel
from mafs_training.evaluation.html.ratios import meanings, ratio_html
from mafs_training.evaluation.images import list_images, read_eight_bit, read_labels
from mafs_training.evaluation.tables import best_rows, number
from mafs_training.metrics.fusion import LOWER_IS_BETTER, METRICS
from mafs_training.metrics.plane import luminance

_BEST_AND_WORST = 3
_SHOWN_METHODS = 4


def fusion_page(
    document: Mapping[str, Any],
    *,
    rank: str = 'Qabf',
    labels: Path | None = None,
    classes: str = 'msrs',
) -> str:
    """Return the report of a fusion document; the images are read again for its panels."""
    methods = list(document['methods'])
    own = [m for m in methods if m not in document['baselines']]
    groups = document['groups']
    facts = {
        'pairs': str(len(document['names'])),
        'methods': (f'{len(own)} + ' if own else '') + f'{len(document["baselines"])} baselines',
        **{group: f'{len(names)} pairs' for group, names in groups.items()},
    }
    return page(
        'Fusion metrics',
        lead_of(document, own),
        facts,
        [
            *fusion_sections(document),
            panels_section(document, rank, labels, classes),
            conventions_section(),
        ],
        document['inputs'].get('command', ''),
    )


def lead_of(document: Mapping[str, Any], own: Sequence[str]) -> str:
    """Return the sentence below the title."""
    what = ', '.join(own) if own else 'The trivial baselines alone'
    return (
        f'{what}, measured on the pairs of {document["inputs"]["thermal"]} (thermal) and '
        f'{document["inputs"]["visible"]} (visible).'
    )


def fusion_sections(document: Mapping[str, Any]) -> list[str]:
    """Return table, notes, groups and distributions; other reports show them as well."""
    methods = document['methods']
    colors = method_colors(list(methods), document['baselines'])
    parts = [
        section(
            'Means over all pairs',
            means_table(document) + problems_note(document['problems']),
            'Best value of what fuses highlighted, second underlined; ± is half the width of the '
            '95 % bootstrap interval over images. Trivial baselines in grey.',
        )
    ]
    if document.get('clear'):
        parts.append(clear_section(document['clear'], document['baselines']))
    for method, rows in document.get('verdicts', {}).items():
        parts.append(verdict_section(rows, method))
    for method, rows in document.get('goals', {}).items():
        parts.append(goals_section(rows, method))
    if document['groups']:
        parts.append(_groups_section(document))
    charts = ''.join(
        figure(
            box_chart(
                {m: list(t[metric]['values'].values()) for m, t in methods.items()},
                colors,
                f'distribution of {metric}',
            ),
            metric,
            METRICS[metric].meaning,
        )
        for metric in document['metrics']
    )
    parts.append(
        section(
            'Distribution over pairs',
            f'<div class="charts">{charts}</div>',
            'Box: quartiles; line: median; dot: mean; whiskers: 5 % and 95 %.',
        )
    )
    return parts


def clear_section(part: Mapping[str, Any], baselines: Sequence[str]) -> str:
    """Return how clear boxed objects are in every fused image."""
    return section(
        'How clear boxed objects are',
        ratio_html(part['scores'], CLEAR_RATIOS, baselines),
        f'{meanings(CLEAR_RATIOS)} Small: 95 % bootstrap intervals over images.',
    )


def verdict_section(rows: Mapping[str, Any], method: str) -> str:
    """Return the table of a method against the best rival in every metric."""
    body = table(
        ['metric', escape(method), '95 %', 'best rival', 'which', 'difference', '95 %', 'reached'],
        [
            (
                '',
                [
                    cell(escape(metric), 'name'),
                    cell(_short(row['value'])),
                    cell(span(row['ci95'])),
                    cell(_short(row['best'])),
                    cell(escape(row['rival'])),
                    cell(f'{row["difference"]:+.4f}'),
                    cell(span(row['difference_ci95'])),
                    cell('yes', 'up') if row['at_least'] else cell('no', 'down'),
                ],
            )
            for metric, row in rows.items()
        ],
    )
    return section(
        f'{method} against the best rival',
        body,
        f'{headline(rows, method)}. Rivals: the baselines that fuse and the reference rows; the '
        'interval of the difference is paired over images.',
    )


def goals_section(rows: Sequence[Mapping[str, Any]], method: str) -> str:
    """Return which goals of a file a method reaches."""
    lines = [
        (
            '',
            [
                cell(escape(row['goal']), 'name'),
                cell(_short(row['value'])),
                cell(_short(row['limit'])),
                cell(reached_text(row), {True: 'up', False: 'down', None: ''}[row['reached']]),
            ],
        )
        for row in rows
    ]
    return section(
        f'Goals of {method}',
        table(['goal', escape(method), 'limit', 'reached'], lines),
        f'{goals_sentence(rows, method)}.',
    )


def method_colors(methods: Sequence[str], baselines: Sequence[str]) -> dict[str, str]:
    """Give each method a colour; baselines share grey unless nothing else is there."""
    own = [m for m in methods if m not in baselines] or list(methods)
    return {m: COLORS[own.index(m) % len(COLORS)] if m in own else MUTED for m in methods}


def means_table(document: Mapping[str, Any]) -> str:
    """Return the table of means with intervals."""
    methods, metrics = document['methods'], document['metrics']
    references = document.get('references', {})
    names = list(methods)
    marks = {
        metric: _marks(
            [
                *(None if m in SOURCES else methods[m][metric]['mean'] for m in names),
                *(row.get(metric) for row in references.values()),
            ],
            metric,
        )
        for metric in metrics
    }
    rows = []
    for i, method in enumerate(names):
        cells = [cell(escape(method), 'name'), cell(str(methods[method]['EN']['n']))]
        for metric in metrics:
            entry = methods[method][metric]
            low, high = entry['ci95']
            spread = ''
            if low is not None and math.isfinite(low):
                spread = f' <small>±{_short((high - low) / 2)}</small>'
            cells.append(cell(_short(entry['mean']) + spread, marks[metric].get(i, '')))
        rows.append(('base' if method in document['baselines'] else '', cells))
    for i, (name, row) in enumerate(references.items(), len(names)):
        cells = [cell(escape(name), 'name'), cell('–')]
        cells += [cell(_short(row.get(m)), marks[m].get(i, '')) for m in metrics]
        rows.append(('base', cells))
    header = [
        'method',
        'pairs',
        *(f'{m} <small>{"↓" if m in LOWER_IS_BETTER else "↑"}</small>' for m in metrics),
    ]
    return table(header, rows)


def _marks(values: Sequence[float | None], metric: str) -> dict[int, str]:
    """Row index to 'best' or 'second'."""
    lower = metric in LOWER_IS_BETTER
    best = best_rows(values, lower=lower)
    rest = [None if i in best else v for i, v in enumerate(values)]
    return {**dict.fromkeys(best_rows(rest, lower=lower), 'second'), **dict.fromkeys(best, 'best')}


def _short(value: float | None) -> str:
    """Format with about four significant digits."""
    if value is None or not math.isfinite(value):
        return '–'
    return number(
        value, 4 if abs(value) < 1 else 3 if abs(value) < 10 else 2 if abs(value) < 100 else 0
    )


def _groups_section(document: Mapping[str, Any]) -> str:
    """Return one table a group and, for two or more, the means side by side."""
    body = ''
    for group, means in document['group_means'].items():
        names = list(means)
        marks = {
            metric: _marks([None if m in SOURCES else means[m][metric] for m in names], metric)
            for metric in document['metrics']
        }
        rows = [
            (
                'base' if m in document['baselines'] else '',
                [
                    cell(escape(m), 'name'),
                    *(
                        cell(_short(means[m][metric]), marks[metric].get(i, ''))
                        for metric in document['metrics']
                    ),
                ],
            )
            for i, m in enumerate(names)
        ]
        count = len(document['groups'][group])
        body += f'<h3>{escape(group)} <small class="soft">{count} pairs</small></h3>'
        body += table(['method', *document['metrics']], rows)
    return section('Split by name', body)


def panels_section(
    document: Mapping[str, Any], rank: str, labels: Path | None, classes: str
) -> str:
    """Return best and worst pairs of the last method under test (else of 'maximum')."""
    own = [m for m in document['methods'] if m not in document['baselines']]
    focus = own[-1] if own else 'maximum'
    values = {
        n: v
        for n, v in document['methods'][focus][rank]['values'].items()
        if v is not None and math.isfinite(v)
    }
    order = sorted(values, key=values.__getitem__, reverse=rank not in LOWER_IS_BETTER)
    count = min(_BEST_AND_WORST, len(order) // 2) or len(order)
    chosen = [('best', n) for n in order[:count]]
    chosen += [('worst', n) for n in reversed(order[count:][-count:])]
    table_of_classes = ClassTable.load(classes)
    label_files = list_images(labels, 'label') if labels is not None else {}
    shown = own[-_SHOWN_METHODS:] or [focus]
    folders = {
        kind: list_images(Path(document['inputs'][kind]), kind) for kind in ('thermal', 'visible')
    }
    fused = {m: list_images(Path(document['inputs']['fused'][m]), m) for m in own}
    body = ''
    for kind, name in chosen:
        thermal = read_eight_bit(folders['thermal'][name], 'thermal', grey=True)
        visible = read_eight_bit(folders['visible'][name], 'visible')
        panels = [panel(thermal, 'thermal'), panel(visible, 'visible')]
        for method in shown:
            if method in BASELINES:
                image = fuse_baseline(method, thermal, luminance(visible))
            elif name in fused[method]:
                image = read_eight_bit(fused[method][name], 'fused')
            else:
                continue
            panels.append(panel(image, f'fused: {method}'))
        if name in label_files:
            ids = read_labels(label_files[name], 'label')
            panels.append(panel(colored(ids, table_of_classes), 'labels', exact=True))
        body += pair_panels(f'{kind}: {name}, {rank} {values[name]:.3f}', panels)
    head = class_legend(table_of_classes) if label_files else ''
    return section(
        f'Best and worst pairs of {focus}',
        head + body,
        f'Ranked by {rank}; look at them before believing a number.',
    )


def conventions_section() -> str:
    """Say how the numbers were made."""
    return section(
        'Conventions',
        (
            '<p class="soft">All metrics on 8-bit luminance in float64, as the reference suite of '
            'the field defines them. MI in nats; VIF and SSIM are sums over both sources; SSIM '
            'uses the constants that published tables carry (data range 2), SSIM255 those of '
            '8-bit images; PSNR takes the fused image’s own maximum as peak; Qabf follows the '
            'suite where edge strengths tie. Formulas and sources: docs/metrics.md. A dash is a '
            'value that is undefined, such as SCD of a source alone.</p>'
        ),
    )
