"""The generated parts of a model card, as Markdown made from weights and results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import math
from typing import Any

from mafs_model.checkpoint import Checkpoint
from mafs_model.decision import Decision
from mafs_training.evaluation.card.tables import (
    data_name,
    interval_text,
    listed,
    markdown_table,
    percent_text,
    plain_text,
    value_cell,
)
from mafs_training.evaluation.fusion.clear import RATIOS as CLEAR_RATIOS
from mafs_training.evaluation.fusion.verdicts import headline
from mafs_training.evaluation.goals import goals_sentence, reached_text
from mafs_training.evaluation.model.modalities import MODALITIES, present_classes
from mafs_training.evaluation.model.robustness import MISSING
from mafs_training.evaluation.objects.run import RATIOS as ALL_OBJECT_RATIOS
from mafs_training.evaluation.ratios import Ratio, ratio_header, ratio_rows
from mafs_training.evaluation.tables import number
from mafs_training.metrics.fusion import LOWER_IS_BETTER

Documents = Sequence[Mapping[str, Any]]

# The scores of labels against boxes that the card shows.
_SHOWN = ('found', 'found_tall', 'precision', 'false_per_frame')
OBJECT_RATIOS = [r for r in ALL_OBJECT_RATIOS if r.name in _SHOWN]

_NOTHING = 'Not measured.'


def weights_block(checkpoint: Checkpoint, size_bytes: int) -> str:
    """Return what the weights file says of itself."""
    metadata = checkpoint.metadata
    values = sum(tensor.numel() for tensor in checkpoint.state_dict.values())
    classes = checkpoint.classes
    decision = Decision.from_metadata(metadata)
    peaks = [f'{classes.names[class_id]} {peak:g}' for class_id, peak in decision.peaks]
    rows = [
        ['weights', f'`{checkpoint.weights_id}`'],
        ['SHA-256', f'`{metadata["sha256"]}`'],
        ['variant', str(checkpoint.architecture.get('variant', '-'))],
        ['numbers stored', f'{values / 1e6:.2f} million, {size_bytes / 1e6:.1f} MB'],
        ['classes', f'{classes.dataset}: {", ".join(classes.names)}'],
        ['temperature', f'{decision.temperature:g}'],
        ['least peak of a region', ', '.join(peaks) or 'none'],
        ['made with', ', '.join(f'{k} {v}' for k, v in metadata.get('versions', {}).items())],
    ]
    return markdown_table(['', ''], rows, numbers=False)


def recipe_block(checkpoint: Checkpoint) -> str:
    """Return command, data and validation values as training wrote them down."""
    metadata = checkpoint.metadata
    lines = ['Command:', '', '```', str(metadata.get('command') or 'not recorded'), '```', '']
    lines += ['Data:', '', *listed(metadata.get('data'))]
    if metadata.get('metrics'):
        shown = ', '.join(f'{k} {plain_text(v)}' for k, v in sorted(metadata['metrics'].items()))
        lines += ['', f'At the end of training: {shown}']
    return '\n'.join(lines)


def fusion_block(documents: Documents) -> str:
    """Return verdicts and means of the fusion metrics, one part a data set."""
    chosen = [d for d in documents if d['kind'] == 'fusion'] or [
        d for d in documents if d['kind'] == 'model'
    ]
    parts = [
        _fusion_part(document, method, rows)
        for document in chosen
        for method, rows in document.get('verdicts', {}).items()
        if rows
    ]
    return '\n\n'.join(parts) or _NOTHING


def _fusion_part(document: Mapping[str, Any], method: str, rows: Mapping[str, Any]) -> str:
    """Return the part of one data set."""
    count = document['methods'][method]['EN']['n']
    verdicts = markdown_table(
        ['metric', method, '95 %', 'best rival', 'which', 'difference', '95 %', 'reached'],
        [
            [
                metric + (' (lower)' if metric in LOWER_IS_BETTER else ''),
                number(row['value'], 3),
                interval_text(row['ci95']),
                number(row['best'], 3),
                row['rival'],
                f'{row["difference"]:+.3f}',
                interval_text(row['difference_ci95']),
                'yes' if row['at_least'] else '**no**',
            ]
            for metric, row in rows.items()
        ],
    )
    shown = document['metrics']
    means = {
        **{
            name: {m: cell['mean'] for m, cell in table.items()}
            for name, table in document['methods'].items()
        },
        **document.get('references', {}),
    }
    table = markdown_table(
        ['method', *shown],
        [[name, *(number(row.get(m), 3) for m in shown)] for name, row in means.items()],
    )
    return (
        f'### Fusion: {data_name(document)}, {count} pairs\n\n{headline(rows, method)}.\n\n'
        f'{verdicts}\n\nMeans:\n\n{table}{_goals_part(document, method)}'
    )


def _goals_part(document: Mapping[str, Any], method: str) -> str:
    """Return which goals are reached, where the result was judged by some."""
    rows = (document.get('goals') or {}).get(method)
    if not rows:
        return ''
    table = markdown_table(
        ['goal', method, 'limit', 'reached'],
        [[r['goal'], number(r['value'], 3), number(r['limit'], 3), reached_text(r)] for r in rows],
    )
    return f'\n\nGoals: {goals_sentence(rows, method)}.\n\n{table}'


def labels_block(documents: Documents, checkpoint: Checkpoint) -> str:
    """Return labels of both images and of each alone, and the calibration."""
    parts = [
        _labels_part(document)
        for document in documents
        if document['kind'] == 'model' and document.get('modalities')
    ]
    calibration = checkpoint.metadata.get('calibration')
    if isinstance(calibration, Mapping):
        parts.append(
            _calibration_part(calibration, Decision.from_metadata(checkpoint.metadata).temperature)
        )
    return '\n\n'.join(parts) or _NOTHING


def _labels_part(document: Mapping[str, Any]) -> str:
    modalities, gains = document['modalities'], document['gains']
    names = present_classes(_with_nan(modalities))
    rows = []
    for group in modalities['both']:
        for modality in MODALITIES:
            if group in modalities[modality]:
                scores = modalities[modality][group]
                rows.append(
                    [
                        f'{group}: {modality.replace("_", " ")}',
                        str(scores['images']),
                        value_cell(scores['mIoU']),
                        value_cell(scores['mIoU_present']),
                        number(scores.get('ECE'), 3),
                        *(
                            value_cell({'value': entry['IoU'], 'ci95': entry['IoU_ci95']})
                            for entry in (scores['per_class'][n] for n in names)
                        ),
                    ]
                )
        for modality, gain in gains.get(group, {}).items():
            keys = ('mIoU', 'mIoU_present', '', *(f'IoU {n}' for n in names))
            cells = [value_cell(gain[k], signed=True) if k in gain else '' for k in keys]
            rows.append([f'{group}: both minus {modality.replace("_", " ")}', '', *cells])
    table = markdown_table(['input', 'images', 'mIoU', 'present', 'ECE', *names], rows)
    return (
        f'### Labels: {data_name(document)}\n\nAgreement with the reference labels of the data '
        'set, 95 % bootstrap intervals over images in brackets, of differences paired. mIoU: over '
        f'all classes; present: over those that occur.\n\n{table}'
    )


def _calibration_part(calibration: Mapping[str, Any], temperature: float) -> str:
    rows = [
        [
            split,
            str(scores['images']),
            *(
                number(scores[f'{key}_{when}'])
                for key in ('ECE', 'NLL')
                for when in ('before', 'after')
            ),
        ]
        for split, scores in calibration['splits'].items()
    ]
    header = ['split', 'images', 'ECE before', 'after', 'NLL before', 'after']
    return (
        f'### Calibration\n\nTemperature {temperature:g}, fitted on '
        f'{calibration["fitted_on"]}.\n\n{markdown_table(header, rows)}'
    )


def persons_block(documents: Documents) -> str:
    """Return the contrast of persons."""
    parts = []
    for document in documents:
        persons = document.get('persons') if document['kind'] == 'model' else None
        if not persons:
            continue
        method = document['model']['name']
        rows = [
            [
                f'{group}: {name}',
                str(scores['objects']),
                value_cell(row['contrast'], 1),
                f'{number(100 * row["brighter"]["value"], 0)} %',
                '' if name == method else value_cell(row['gain'], 1, signed=True),
            ]
            for group, scores in persons['groups'].items()
            for name, row in scores['methods'].items()
        ]
        header = ['image', 'persons', 'contrast', 'brighter', f'{method} minus it']
        parts.append(
            f'### Persons: {data_name(document)}\n\nMean of a labelled person minus mean of a '
            f'ring of {persons["ring_px"]} pixels around it, grey levels.\n\n'
            f'{markdown_table(header, rows)}'
        )
    return '\n\n'.join(parts) or _NOTHING


def objects_block(documents: Documents) -> str:
    """Return what labels find and invent, and how clear objects are in the fused images."""
    parts = []
    for document in documents:
        if document.get('objects'):
            parts.append(
                f'### Labels against boxes: {data_name(document)}\n\n'
                'Found: share of boxes that are more than 20 % filled with their class (tall: 25 '
                'px and more); precision: share of regions of 40 pixels and more that lie in '
                'boxes of their class; false/frame: those that do not. 95 % bootstrap '
                'intervals over images in brackets.\n\n'
                + _ratio_part(document['objects']['scores'], OBJECT_RATIOS)
            )
        if document.get('clear'):
            parts.append(
                f'### Boxed objects in the fused image: {data_name(document)}\n\n'
                'Clear: contrast to the surroundings of '
                "at least min(32 grey levels, 0.8 of the better camera's); kept: "
                "at least 0.8 of the better camera's; lost: below 10 grey levels.\n\n"
                + _ratio_part(document['clear']['scores'], CLEAR_RATIOS)
            )
    return '\n\n'.join(parts) or _NOTHING


def _ratio_part(groups: Mapping[str, Any], ratios: Sequence[Ratio]) -> str:
    return markdown_table(ratio_header(ratios), ratio_rows(groups, ratios))


def missing_block(documents: Documents) -> str:
    """Return the curves of a camera that drops out."""
    parts = []
    for document in documents:
        curves = document.get('robustness') if document['kind'] == 'model' else None
        for name in MISSING:
            if curves and name in curves:
                curve = curves[name]
                rows = [
                    [f'{method}, {score}', *(number(v, 3) for v in values)]
                    for method, scores in curve['scores'].items()
                    for score, values in scores.items()
                ]
                steps = [f'{100 * step:g} %' for step in curve['steps']]
                parts.append(
                    f'### {curve["title"]}: {data_name(document)}\n\n'
                    f'{markdown_table([curve["unit"], *steps], rows)}'
                )
    return '\n\n'.join(parts) or _NOTHING


def flicker_block(documents: Documents) -> str:
    """Return the temporal differences of sequences."""
    keys = ('TD', 'ratio_max', 'ratio_mean', 'excess', 'ratio_level', 'ratio_still')
    titles = ['TD', 'of larger source', 'of mean', 'excess', 'of level', 'of still']
    parts = []
    for document in documents:
        if document['kind'] == 'flicker':
            rows = [
                [method, *(value_cell(scores[k]) for k in keys)]
                for method, scores in document['methods'].items()
            ]
            parts.append(
                f'### Flicker: {document["sequence"]}, '
                f'{document["frames"]} frames\n\n{markdown_table(["method", *titles], rows)}'
            )
    return '\n\n'.join(parts) or _NOTHING


def precision_block(documents: Documents) -> str:
    """Return the comparisons of backends and precisions."""
    parts = []
    for document in documents:
        if document['kind'] != 'agree':
            continue
        first, second = (document[which]['name'] for which in ('first', 'second'))
        images = document['agreement']
        rows = [
            [
                name,
                number(row['first'], 3),
                number(row['second'], 3),
                percent_text(row['relative']),
            ]
            for name, row in document['metrics'].items()
        ]
        parts.append(
            f'### {second} against {first}: {data_name(document)}, {len(document["names"])} '
            f'pairs\n\nLabels equal {100 * images["labels"]["value"]:.2f} %, fused image '
            f'{images["fused_mean"]["value"]:.2f} grey levels apart in the mean, '
            f'{images["fused_max"]["value"]:.0f} at most; '
            f'{"all" if document["within"] else "NOT all"} within the limits.\n\n'
            f'{markdown_table(["metric", first, second, "relative"], rows)}'
        )
    return '\n\n'.join(parts) or _NOTHING


def commands_block(documents: Documents) -> str:
    """Return the commands that made the results."""
    lines = [str(document['inputs'].get('command', '')) for document in documents]
    return '\n'.join(['```', *dict.fromkeys(filter(None, lines)), '```']) if lines else _NOTHING


def _with_nan(modalities: Mapping[str, Any]) -> dict[str, Any]:
    """Return scores of a document that was read, with nan again where JSON has null."""
    return {
        modality: {
            group: {
                'per_class': {
                    name: {'IoU': math.nan if entry['IoU'] is None else entry['IoU']}
                    for name, entry in scores['per_class'].items()
                }
            }
            for group, scores in groups.items()
        }
        for modality, groups in modalities.items()
    }
