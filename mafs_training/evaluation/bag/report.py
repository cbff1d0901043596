"""Report of `mafs-eval bag`."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from itertools import pairwise
from typing import Any

from mafs_model.images.overlay import paint
from mafs_model.images.people_colors import for_people
from mafs_model.predictor import Predictor
from mafs_model.streams import NS_PER_S
from mafs_training.evaluation.bag.run import BagOutcome
from mafs_training.evaluation.fusion.report import (
    conventions_section,
    means_table,
    method_colors,
    verdict_section,
)
from mafs_training.evaluation.html.charts import (
    bar_chart,
    box_chart,
    COLORS,
    histogram,
    line_chart,
    MUTED,
)
from mafs_training.evaluation.html.page import (
    cell,
    figure,
    legend,
    note,
    page,
    problems_note,
    section,
    table,
)
from mafs_training.evaluation.html.pictures import class_legend, pair_panels, panel
from mafs_training.evaluation.seg.report import seg_sections
from mafs_training.metrics.fusion import METRICS
import numpy as np

_SHOWN_OVER_TIME = ('VIF', 'Qabf', 'SSIM', 'SCD', 'EN', 'AG')
_SHOWN_SAMPLES = 6


def bag_page(document: Mapping[str, Any], outcome: BagOutcome, predictor: Predictor) -> str:
    """Return the report of a bag document; the sample pairs come from the run's outcome."""
    pairing, latency, inputs = document['pairing'], document['latency'], document['inputs']
    facts = {
        'recorded': f'{pairing["duration_s"]:.1f} s',
        'pairs': f'{pairing["pairs"]}',
        'of the slower stream paired': f'{100 * pairing["match_rate"]:.1f} %',
        'largest offset': f'{pairing["offset_max_ms"]:.1f} ms',
        'median latency': f'{latency["median_ms"]:.1f} ms',
        'real time': f'{latency["times_real_time"]:.1f}×',
    }
    sections = [
        note(document['model']['notices'], 'Mind:') + problems_note(document['problems']),
        samples_section(document, outcome, predictor),
        pairing_section(document),
        section(
            'Fusion metrics',
            means_table(document),
            f'Means over {len(document["names"])} measured pairs; ± is half the width of '
            'the 95 % bootstrap interval; neighbouring frames are alike, so that it is '
            'rather too narrow. Trivial baselines in grey.',
        ),
        *(verdict_section(rows, m) for m, rows in document['verdicts'].items()),
        over_time_section(document),
        latency_section(document),
    ]
    if document['labels'] is not None:
        sections += seg_sections(document['labels'])
    if document['live'] is not None:
        sections.append(live_section(document['live']))
    sections.append(conventions_section())
    return page(
        'Bag report',
        f'{inputs["bag"]}: {inputs["visible_topic"]} and '
        f'{inputs["thermal_topic"]}, fused by {document["model"]["weights_id"]}.',
        facts,
        sections,
        inputs.get('command', ''),
    )


def samples_section(document: Mapping[str, Any], outcome: BagOutcome, predictor: Predictor) -> str:
    """Return pairs evenly spread over the bag."""
    kept = outcome.samples.kept
    chosen = np.linspace(0, len(kept) - 1, min(_SHOWN_SAMPLES, len(kept))).round().astype(int)
    start = document['pairs'][0]['visible_ns']
    body = ''
    for index in chosen:
        sample = kept[index]
        fused, labels = sample.prediction.fused, sample.prediction.labels
        assert fused is not None
        assert labels is not None
        assert isinstance(sample.pair.visible.image, np.ndarray)
        panels = [
            panel(sample.thermal, 'thermal, as the model sees it'),
            panel(sample.pair.visible.image, 'visible'),
            panel(fused, 'fused'),
        ]
        if not predictor.is_classical:
            panels.append(panel(paint(fused, labels, for_people(predictor.classes)), 'labels'))
        time_s = (sample.pair.visible_ns - start) / NS_PER_S
        body += pair_panels(
            f'{time_s:.2f} s, offset {sample.pair.offset_ns / 1e6:+.1f} ms', panels
        )
    head = '' if predictor.is_classical else class_legend(predictor.classes)
    return section('Pairs along the bag', head + body)


def pairing_section(document: Mapping[str, Any]) -> str:
    """Return what was paired and what was not."""
    pairing = document['pairing']
    rows = []
    for stream in ('visible', 'thermal'):
        drops = pairing['dropped'].get(stream, {})
        unusable = sum(pairing['unusable'].get(stream, {}).values())
        reasons = ', '.join(f'{reason} {count}' for reason, count in sorted(drops.items()))
        rows.append(
            (
                '',
                [
                    cell(stream, 'name'),
                    cell(str(pairing['frames'].get(stream, 0))),
                    cell(str(unusable)),
                    cell(str(sum(drops.values()))),
                    cell(escape(reasons) or '–'),
                ],
            )
        )
    start = document['pairs'][0]['visible_ns']
    times = [(row['visible_ns'] - start) / NS_PER_S for row in document['pairs']]
    offsets = [row['offset_ms'] for row in document['pairs']]
    gaps = [1e3 * (b - a) for a, b in pairwise(times)]
    charts = ''.join(
        [
            figure(
                line_chart(
                    {'offset': list(zip(times, offsets, strict=True))},
                    {'offset': COLORS[0]},
                    'offset over time',
                    x_title='s',
                    dots=False,
                ),
                'Offset over time',
                'thermal minus visible stamp, ms',
            ),
            figure(histogram(offsets, 'offsets', x_title='ms'), 'Distribution of offsets'),
            figure(
                histogram(gaps, 'time between pairs', x_title='ms', color=COLORS[4]),
                'Time between successive pairs',
            ),
        ]
    )
    return section(
        'Pairing',
        table(['stream', 'frames', 'unusable', 'without partner', 'why'], rows)
        + f'<div class="charts">{charts}</div>',
        'Mutually nearest stamps, as in the node.',
    )


def over_time_section(document: Mapping[str, Any]) -> str:
    """Return metrics of the model and of the maximum along the bag."""
    model, start = document['model']['name'], document['pairs'][0]['visible_ns']
    colors = {model: COLORS[0], 'visible': COLORS[6], 'maximum': MUTED}
    charts = ''
    for metric in _SHOWN_OVER_TIME:
        series = {
            name: [
                ((int(stamp) - start) / NS_PER_S, value)
                for stamp, value in document['methods'][name][metric]['values'].items()
            ]
            for name in ('maximum', 'visible', model)
        }
        charts += figure(
            line_chart(series, colors, f'{metric} over time', x_title='s'),
            metric,
            METRICS[metric].meaning,
        )
    all_colors = method_colors(list(document['methods']), document['baselines'])
    boxes = ''.join(
        figure(
            box_chart(
                {m: list(t[metric]['values'].values()) for m, t in document['methods'].items()},
                all_colors,
                f'distribution of {metric}',
            ),
            metric,
            METRICS[metric].meaning,
        )
        for metric in document['metrics']
    )
    shown = legend(list(colors), list(colors.values()))
    return section(
        'Metrics over time',
        f'{shown}<div class="charts">{charts}</div><details><summary>'
        f'Distributions of all metrics</summary><div class="charts">{boxes}</div></details>',
    )


def latency_section(document: Mapping[str, Any]) -> str:
    """Return latency over time, its distribution and its stages."""
    latency = document['latency']
    start = document['pairs'][0]['visible_ns']
    curve = [
        ((row['visible_ns'] - start) / NS_PER_S, row['latency_ms']) for row in document['pairs']
    ]
    values = [row['latency_ms'] for row in document['pairs']]
    marks = {'median': latency['median_ms'], '99 %': latency['p99_ms']}
    charts = ''.join(
        [
            figure(
                line_chart(
                    {'latency': curve},
                    {'latency': COLORS[0]},
                    'latency over time',
                    x_title='s',
                    dots=False,
                    zero=True,
                ),
                'Latency over time',
                'ms',
            ),
            figure(
                histogram(values, 'latency', x_title='ms', marks=marks), 'Distribution of latency'
            ),
            figure(
                bar_chart(latency['stages_ms'], 'stages', digits=1), 'Median of each stage', 'ms'
            ),
        ]
    )
    return section(
        'Latency',
        f'<div class="charts">{charts}</div>',
        f'From two arrays to fused, label and confidence image: median '
        f'{latency["median_ms"]:.1f} ms, 90 % {latency["p90_ms"]:.1f} ms, 99 % '
        f'{latency["p99_ms"]:.1f} ms. With reading and decoding {latency["pairs_per_s"]:.1f} '
        f'pairs/s, {latency["times_real_time"]:.2f} times real time.',
    )


def live_section(live: Mapping[str, Any]) -> str:
    """Return the comparison with the node."""
    rows = [
        ('', [cell(name, 'name'), cell(str(value))])
        for name, value in (
            ('pairs formed offline', live['offline_pairs']),
            ('pairs processed by the node', live['processed']),
            ('pairs dropped under load', live['dropped']),
            ('pairs that offline does not form', live['unexpected']),
            ('images compared pixel by pixel', live['compared']),
            ('identical', live['identical']),
            ('different', live['different']),
        )
    ]
    return section(
        'The same bag through the node',
        table(['', 'count'], rows),
        'Played over DDS to the running node; its outputs were recorded and compared '
        'with the offline ones.',
    )
