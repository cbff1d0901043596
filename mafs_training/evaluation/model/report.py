"""Report of `mafs-eval model`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
import math
from typing import Any

from mafs_model.images.preprocessing import size_of
from mafs_model.predictor import Predictor
from mafs_training.datasets.boxes import Box
from mafs_training.datasets.layouts import PairFiles, read_pair
from mafs_training.datasets.reading import RawPair
from mafs_training.evaluation.box_files import BoxFolder
from mafs_training.evaluation.fusion.report import conventions_section, fusion_sections
from mafs_training.evaluation.html.charts import bar_chart, COLORS, line_chart, MUTED
from mafs_training.evaluation.html.outlines import (
    BAD,
    GOOD,
    outline_box,
    outline_legend,
    Picture,
    WEAK,
)
from mafs_training.evaluation.html.page import cell, figure, legend, note, page, section, table
from mafs_training.evaluation.html.pictures import class_legend, colored, pair_panels, panel
from mafs_training.evaluation.model.modalities import MODALITIES, present_classes
from mafs_training.evaluation.objects.report import (
    objects_picture,
    objects_section,
    SHOWN_FRAMES,
)
from mafs_training.evaluation.objects.run import worst_frames
from mafs_training.evaluation.seg.report import seg_facts, seg_sections
from mafs_training.evaluation.tables import number
from mafs_training.metrics.box_contrast import box_contrasts, clearness
from mafs_training.metrics.plane import luminance

_BEST_AND_WORST = 3


def model_page(
    document: Mapping[str, Any],
    predictor: Predictor,
    files: Sequence[PairFiles],
    boxes: BoxFolder | None = None,
) -> str:
    """Return the report; the pairs of its panels are predicted again."""
    model, speed = document['model'], document['speed']
    facts = {
        'pairs': str(len(document['names'])),
        'device, backend': f'{model["device"]}, {model["backend"]}',
        f'median at {speed["size"]}': f'{speed["median_ms"]:.1f} ms',
        'pairs per second': f'{speed["pairs_per_s"]:.1f}',
    }
    sections = [note(model['notices'], 'Mind:'), *fusion_sections(document)]
    if document['labels'] is not None:
        facts.update(
            {f'labels: {k}': v for k, v in seg_facts(document['labels']['overall']).items()}
        )
        sections += [
            *seg_sections(document['labels']),
            modality_section(document['modalities'], document['gains']),
        ]
    if document['persons']:
        sections.append(persons_section(document['persons'], model['name']))
    if document['objects']:
        sections.append(objects_section(document['objects']))
    if document['robustness']:
        sections.append(robustness_section(document['robustness'], model['name']))
    sections += [
        speed_section(speed),
        panels_section(document, predictor, files),
        *([worst_objects(document, predictor, files, boxes)] if boxes is not None else []),
        conventions_section(),
    ]
    return page(
        f'Model {model["name"]}',
        f'{model["weights_id"]} on {document["inputs"]["dataset"]}, split '
        f'{document["inputs"]["split"]}: fused images, labels, robustness and speed.',
        facts,
        sections,
        document['inputs'].get('command', ''),
    )


def modality_section(modalities: Mapping[str, Any], gains: Mapping[str, Any]) -> str:
    """Return the table of both inputs against each alone, and what both have over one."""
    names, rows = present_classes(modalities), []
    for group in modalities['both']:
        for modality in MODALITIES:
            if group not in modalities[modality]:
                continue
            scores = modalities[modality][group]
            rows.append(
                (
                    '',
                    [
                        cell(f'{escape(group)}: {modality.replace("_", " ")}', 'name'),
                        cell(str(scores['images'])),
                        *(_spread(scores[key]) for key in ('mIoU', 'mIoU_present')),
                        cell(number(scores.get('ECE'), 3)),
                        *(
                            _spread({'value': entry['IoU'], 'ci95': entry['IoU_ci95']})
                            for entry in (scores['per_class'][n] for n in names)
                        ),
                    ],
                )
            )
        for modality, gain in gains.get(group, {}).items():
            title = f'{escape(group)}: both minus {modality.replace("_", " ")}'
            keys = ['mIoU', 'mIoU_present', '', *(f'IoU {n}' for n in names)]
            cells = [_spread(gain[k], signed=True) if k in gain else cell('') for k in keys]
            rows.append(('base', [cell(title, 'name'), cell(''), *cells]))
    header = ['input', 'images', 'mIoU', 'mIoU present', 'ECE', *map(escape, names)]
    return section(
        'What each camera contributes',
        table(header, rows),
        'The same network with both images and with one of them missing; small: 95 % bootstrap '
        'intervals over images, of differences paired.',
    )


def _spread(entry: Mapping[str, Any], *, signed: bool = False) -> str:
    """Return a cell with a value and its interval; a difference beyond zero is coloured."""
    value, (low, high) = entry['value'], entry['ci95']
    text = f'{value:+.3f}' if signed and math.isfinite(value) else number(value, 3)
    mark = 'up' if signed and low > 0 else 'down' if signed and high < 0 else ''
    return cell(f'{text} <small>{number(low, 3)} – {number(high, 3)}</small>', mark)


def persons_section(persons: Mapping[str, Any], method: str) -> str:
    """Return the contrast of persons in every image kind."""
    rows = []
    for group, scores in persons['groups'].items():
        for name, row in scores['methods'].items():
            gain = cell('') if name == method else _grey_levels(row['gain'], signed=True)
            rows.append(
                (
                    '' if name == method else 'base',
                    [
                        cell(escape(f'{group}: {name}'), 'name'),
                        cell(str(scores['objects'])),
                        _grey_levels(row['contrast']),
                        cell(f'{number(100 * row["brighter"]["value"], 1)} %'),
                        cell(number(row['michelson']['value'], 3)),
                        gain,
                    ],
                )
            )
    header = [
        'image',
        'persons',
        'contrast',
        'brighter',
        'Michelson',
        f'{escape(method)} minus it',
    ]
    return section(
        'How persons stand out',
        table([*header, f'{escape(method)} minus it'], rows),
        f'Mean of a labelled person minus mean of a ring of {persons["ring_px"]} pixels around it '
        'without other persons, grey levels; 95 % bootstrap intervals over images.',
    )


def _grey_levels(entry: Mapping[str, Any], *, signed: bool = False) -> str:
    value, (low, high) = entry['value'], entry['ci95']
    mark = 'up' if signed and low > 0 else 'down' if signed and high < 0 else ''
    text = f'{value:+.2f}' if signed else number(value, 2)
    return cell(f'{text} <small>{number(low, 2)} – {number(high, 2)}</small>', mark)


def robustness_section(curves: Mapping[str, Any], method: str) -> str:
    """Return the curves over disturbances."""
    colors = {'VIF': COLORS[0], 'Qabf': COLORS[1], 'SSIM': COLORS[2], 'mIoU': COLORS[3]}
    body, scores = '', []
    for curve in curves.values():
        lines, line_colors = {}, {}
        for name, by_score in curve['scores'].items():
            for score, values in by_score.items():
                key = f'{name} {score}'
                lines[key] = list(zip(curve['steps'], values, strict=True))
                line_colors[key] = colors[score] if name == method else MUTED
                if name == method and score not in scores:
                    scores.append(score)
        chart = line_chart(
            dict(reversed(lines.items())),
            line_colors,
            curve['title'],
            x_title=curve['unit'],
            zero=True,
        )
        body += figure(chart, curve['title'])
    shown = legend([*scores, 'maximum: the same scores'], [*(colors[s] for s in scores), MUTED])
    return section(
        'Robustness',
        f'{shown}<div class="charts">{body}</div>',
        'Inputs are disturbed, outputs are measured against the undisturbed sources. Grey: the '
        'pixel-wise maximum under the same disturbance (VIF, Qabf, SSIM). A drop-out of 1 is a '
        'missing image.',
    )


def speed_section(speed: Mapping[str, Any]) -> str:
    """Return latency and its stages."""
    chart = bar_chart(speed['stages_ms'], 'stages', digits=1)
    text = (
        f'{speed["runs"]} runs at {speed["size"]} on {speed["machine"]}, '
        f'{speed["device"]}: median {speed["median_ms"]:.1f} ms, 90 % '
        f'{speed["p90_ms"]:.1f} ms, slowest {speed["max_ms"]:.1f} ms; '
        f'{speed["in_matmuls"]:.2f} times a float32 product of 1024x1024 matrices timed in '
        f'between ({speed["matmul_1024_ms"]:.1f} ms).'
    )
    return section(
        'Speed', f'<div class="charts">{figure(chart, "Median of each stage, ms")}</div>', text
    )


def panels_section(
    document: Mapping[str, Any],
    predictor: Predictor,
    files: Sequence[PairFiles],
    rank: str = 'Qabf',
) -> str:
    """Return best and worst pairs with what the model makes of them."""
    values = {
        n: v
        for n, v in document['methods'][document['model']['name']][rank]['values'].items()
        if v is not None and math.isfinite(v)
    }
    order = sorted(values, key=values.__getitem__, reverse=True)
    count = min(_BEST_AND_WORST, len(order) // 2) or len(order)
    chosen = [('best', n) for n in order[:count]]
    chosen += [('worst', n) for n in reversed(order[count:][-count:])]
    by_name = {one.name: one for one in files}
    classes = predictor.classes
    body = ''
    for kind, name in chosen:
        pair = read_pair(by_name[name])
        predictor.reset()
        prediction = predictor.predict(pair.visible, pair.thermal)
        assert prediction.fused is not None
        assert prediction.labels is not None
        panels = [
            panel(pair.thermal, 'thermal'),
            panel(pair.visible, 'visible'),
            panel(prediction.fused, 'fused'),
        ]
        if not predictor.is_classical:
            panels.append(panel(colored(prediction.labels, classes), 'labels', exact=True))
        if pair.label is not None:
            panels.append(panel(colored(pair.label, classes), 'reference labels', exact=True))
        body += pair_panels(f'{kind}: {name}, {rank} {values[name]:.3f}', panels)
    return section(
        'Best and worst pairs', class_legend(predictor.classes) + body, f'Ranked by {rank}.'
    )


def worst_objects(
    document: Mapping[str, Any],
    predictor: Predictor,
    files: Sequence[PairFiles],
    boxes: BoxFolder,
) -> str:
    """Return the frames with most objects missed, invented or lost in the fused image."""
    method, by_name = document['model']['name'], {one.name: one for one in files}
    body = ''
    for name, title in _worst_by_boxes(document, method).items():
        pair = read_pair(by_name[name])
        predictor.reset()
        prediction = predictor.predict(pair.visible, pair.thermal)
        assert prediction.fused is not None
        found = boxes.of_image(name, size_of(pair.thermal))
        panels = [
            panel(pair.thermal, 'thermal'),
            panel(pair.visible, 'visible'),
            panel(draw_clear(prediction.fused, pair, found), 'fused'),
        ]
        if prediction.labels is not None and not predictor.is_classical:
            shown = objects_picture(
                pair.visible, prediction.labels, found, boxes, predictor.classes
            )
            panels.append(panel(shown, 'labels'))
        body += pair_panels(f'{name}: {title}', panels)
    if not body:
        return ''
    colors = {'found or clear': GOOD, 'neither clear nor lost, or in no box': WEAK}
    outlines = outline_legend({**colors, 'missed or lost': BAD})
    return section(
        'Worst frames: objects',
        outlines + class_legend(predictor.classes) + body,
        'Most boxes missed and regions in no box; most objects lost in the fused image.',
    )


def _worst_by_boxes(document: Mapping[str, Any], method: str) -> dict[str, str]:
    """Return the worst frames by labels, then those with most objects lost, and what is wrong."""
    chosen: dict[str, str] = {}
    if document['objects']:
        for name, missed, wrong in worst_frames(
            document['objects']['per_image'][method], SHOWN_FRAMES
        ):
            chosen[name] = f'{missed} boxes missed, {wrong} regions in no box'
    if document['clear']:
        lost = {
            name: sum(kind['lost'] for kind in kinds.values())
            for name, kinds in document['clear']['per_image'][method].items()
        }
        for name in sorted(lost, key=lambda n: (-lost[n], n))[:SHOWN_FRAMES]:
            if lost[name]:
                text = f'{lost[name]} objects lost in the fused image'
                chosen[name] = f'{chosen[name]}, {text}' if name in chosen else text
    return chosen


def draw_clear(fused: Picture, pair: RawPair, boxes: Mapping[str, Sequence[Box]]) -> Picture:
    """Return the fused image with its objects outlined: clear, neither, lost."""
    images = {'fused': fused, 'thermal': pair.thermal, 'visible': pair.visible}
    grey = {name: luminance(image) for name, image in images.items()}
    drawn = fused.copy()
    for found in boxes.values():
        for one in box_contrasts(grey, found):
            judged = clearness(*(one.contrast[k] for k in ('fused', 'visible', 'thermal')))
            outline_box(drawn, one.box, BAD if judged.lost else GOOD if judged.clear else WEAK)
    return drawn
