"""Report of `mafs-eval seg`."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from mafs_model.classes import ClassTable
from mafs_model.images.people_colors import for_people
from mafs_training.evaluation.html.charts import bar_chart, COLORS, heat_map, line_chart, MUTED
from mafs_training.evaluation.html.page import (
    cell,
    figure,
    legend,
    page,
    problems_note,
    section,
    table,
)
from mafs_training.evaluation.html.pictures import (
    class_legend,
    colored,
    pair_panels,
    panel,
    Picture,
)
from mafs_training.evaluation.images import list_images, read_eight_bit, read_labels
from mafs_training.evaluation.tables import number
import numpy as np
from numpy.typing import NDArray

_BEST_AND_WORST = 3


def seg_page(
    document: Mapping[str, Any], *, visible: Path | None = None, thermal: Path | None = None
) -> str:
    """Return the report of a seg document; the label images are read again for its panels."""
    overall = document['overall']
    inputs = document['inputs']
    sources = {
        kind: list_images(folder, kind)
        for kind, folder in (('thermal', thermal), ('visible', visible))
        if folder is not None
    }
    predictions = list_images(Path(inputs['prediction']), 'prediction')
    labels = list_images(Path(inputs['label']), 'label')

    def load(name: str) -> tuple[NDArray[Any], NDArray[Any], dict[str, Picture]]:
        shown = {
            kind: read_eight_bit(files[name], kind)
            for kind, files in sources.items()
            if name in files
        }
        return (
            read_labels(predictions[name], 'prediction'),
            read_labels(labels[name], 'label'),
            shown,
        )

    return page(
        'Label images',
        f'{inputs["prediction"]} against {inputs["label"]}.',
        seg_facts(overall),
        [
            problems_note(document['problems']),
            *seg_sections(document),
            panels_section(document, load),
        ],
        inputs.get('command', ''),
    )


def seg_facts(overall: Mapping[str, Any]) -> dict[str, str]:
    """Return the tiles at the top."""
    low, high = overall['mIoU']['ci95']
    facts = {
        'images': str(overall['images']),
        'mIoU, all classes': number(overall['mIoU']['value'], 3),
        f'mIoU, present classes (interval of all: {number(low, 3)}–{number(high, 3)})': number(
            overall['mIoU_present']['value'], 3
        ),
        'boundary F1': number(overall['boundary_F1'], 3),
    }
    if 'ECE' in overall:
        facts['calibration error'] = number(overall['ECE'], 4)
    return facts


def seg_sections(document: Mapping[str, Any]) -> list[str]:
    """Return bars, table, confusion matrix and calibration; other reports show them as well."""
    classes = ClassTable.from_dict(document['classes'])
    overall = document['overall']
    parts = [
        section(
            'Classes',
            f'<div class="wide">{iou_bars(overall, classes)}{confusion(overall, classes)}'
            f'</div>{class_rows(overall)}',
            'One confusion matrix for all images; unlabelled pixels are left out. Bars: IoU with '
            '95 % bootstrap interval over images. Matrix: share of a class’s pixels (row) that '
            'are predicted as (column), in percent; the last column is pixels without prediction.',
        )
    ]
    if document['group_scores']:
        parts.append(section('Split by name', _group_rows(document)))
    if overall.get('calibration'):
        parts.append(
            section(
                'Calibration',
                calibration_chart(overall),
                f'Expected calibration error {number(overall["ECE"])}. A point '
                'below the diagonal is overconfident.',
            )
        )
    return parts


def iou_bars(overall: Mapping[str, Any], classes: ClassTable) -> str:
    """Return the bars of IoU per class in the colours of the table."""
    per_class = overall['per_class']
    colors = {c.name: f'rgb{c.color}' for c in for_people(classes).classes}
    return figure(
        bar_chart(
            {name: entry['IoU'] for name, entry in per_class.items()},
            'IoU per class',
            colors=colors,
            high=1.0,
            width=500,
            intervals={
                name: (_finite(entry['IoU_ci95'][0]), _finite(entry['IoU_ci95'][1]))
                for name, entry in per_class.items()
            },
        ),
        'IoU per class',
    )


def confusion(overall: Mapping[str, Any], classes: ClassTable) -> str:
    """Return the confusion matrix as a heat map."""
    counts = np.array(overall['confusion'], np.float64)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.full_like(counts, np.nan), where=totals > 0)
    columns = list(classes.names)
    if counts[:, -1].any():
        columns.append('nothing')
    else:
        shares = shares[:, :-1]
    return figure(
        heat_map(shares, classes.names, columns, 'confusion matrix'),
        'Confusion matrix',
        'row: reference, column: prediction, %',
    )


def class_rows(overall: Mapping[str, Any]) -> str:
    """Return the table of classes."""
    rows = []
    for name, entry in overall['per_class'].items():
        low, high = (number(end, 3) for end in entry['IoU_ci95'])
        rows.append(
            (
                '',
                [
                    cell(escape(name), 'name'),
                    cell(number(entry['IoU'], 3)),
                    cell('-' if low == '-' else f'{low} – {high}'),
                    cell(number(entry['accuracy'], 3)),
                    cell(number(entry['precision'], 3)),
                    cell(number(entry['boundary_F1'], 3)),
                    cell(f'{entry["pixels"]:,}'),
                ],
            )
        )
    return table(['class', 'IoU', '95 %', 'accuracy', 'precision', 'boundary F1', 'pixels'], rows)


def _group_rows(document: Mapping[str, Any]) -> str:
    groups = {'all': document['overall'], **document['group_scores']}
    rows = []
    for group, scores in groups.items():
        cells = [cell(escape(group), 'name'), cell(str(scores['images']))]
        cells += [cell(number(scores[key]['value'], 3)) for key in ('mIoU', 'mIoU_present')]
        cells += [cell(number(entry['IoU'], 3)) for entry in scores['per_class'].values()]
        rows.append(('', cells))
    names = [escape(name) for name in document['overall']['per_class']]
    return table(['group', 'images', 'mIoU', 'mIoU present', *names], rows)


def calibration_chart(overall: Mapping[str, Any]) -> str:
    """Return the reliability diagram."""
    points = [(row['confidence'], row['accuracy']) for row in overall['calibration']]
    chart = line_chart(
        {'measured': points, 'ideal': [(0.0, 0.0), (1.0, 1.0)]},
        {'measured': COLORS[0], 'ideal': MUTED},
        'reliability',
        x_title='confidence',
    )
    return f'<div class="charts"><figure>{chart}</figure></div>' + legend(
        ['measured', 'ideal'], [COLORS[0], MUTED]
    )


def panels_section(document: Mapping[str, Any], load: Any) -> str:
    """
    Return best and worst images.

    Args:
        document: a seg document.
        load: name to (prediction, label, name to further pictures).

    """
    classes = ClassTable.from_dict(document['classes'])
    values = {
        name: entry['mIoU_present']
        for name, entry in document['per_image'].items()
        if entry['mIoU_present'] is not None and np.isfinite(entry['mIoU_present'])
    }
    order = sorted(values, key=values.__getitem__, reverse=True)
    count = min(_BEST_AND_WORST, len(order) // 2) or len(order)
    chosen = [('best', n) for n in order[:count]]
    chosen += [('worst', n) for n in reversed(order[count:][-count:])]
    body = ''
    for kind, name in chosen:
        prediction, label, shown = load(name)
        panels = [panel(image, what) for what, image in shown.items()]
        panels += [
            panel(colored(label, classes), 'reference', exact=True),
            panel(colored(prediction, classes), 'prediction', exact=True),
            panel(errors(prediction, label, classes), 'errors', exact=True),
        ]
        body += pair_panels(f'{kind}: {name}, mIoU of its classes {values[name]:.3f}', panels)
    return section(
        'Best and worst images',
        class_legend(classes) + body,
        'Errors: white is wrong, black right, grey without label.',
    )


def errors(prediction: NDArray[Any], label: NDArray[Any], classes: ClassTable) -> Picture:
    """Return the image of errors, uint8 [H, W]."""
    wrong = np.where(prediction != label, 255, 0)
    return np.where(label == classes.ignore_index, 110, wrong).astype(np.uint8)


def _finite(value: float | None) -> float:
    return float('nan') if value is None else value
