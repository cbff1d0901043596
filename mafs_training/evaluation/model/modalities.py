"""The same network with both images, and with each of them alone: one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import math
from typing import Any

from mafs_model.classes import ClassTable
from mafs_training.evaluation.fusion.verdicts import span
from mafs_training.evaluation.seg.run import LabelScore, pooled_scores
from mafs_training.evaluation.tables import number, text_table
from mafs_training.metrics.bootstrap import paired_pooled_difference
from mafs_training.metrics.segmentation import iou_statistics
import numpy as np
from numpy.typing import NDArray

MODALITIES = ('both', 'visible_only', 'thermal_only')

Scores = Mapping[str, Mapping[str, LabelScore]]


def modality_scores(
    labels: Scores, groups: Mapping[str, Sequence[str]], table: ClassTable
) -> dict[str, dict[str, Any]]:
    """
    Return modality to group to pooled scores.

    Args:
        labels: modality to image name to its score.
        groups: group to image names; 'all' is added.
        table: class table.

    """
    return {
        modality: {
            group: pooled_scores([scores[n] for n in names if n in scores], table)
            for group, names in {'all': list(scores), **groups}.items()
            if any(n in scores for n in names)
        }
        for modality, scores in labels.items()
    }


def modality_gains(
    labels: Scores, groups: Mapping[str, Sequence[str]], table: ClassTable
) -> dict[str, dict[str, Any]]:
    """
    Return what both images have over one alone, with paired bootstrap intervals over images.

    Returns:
        group to modality to {score: {value, ci95, p}}; scores are 'mIoU', 'mIoU_present' and
        'IoU NAME' of each class that occurs.

    """
    both = labels['both']
    statistics = iou_statistics(table.names)
    gains: dict[str, dict[str, Any]] = {}
    for group, names in {'all': list(both), **groups}.items():
        for modality in MODALITIES[1:]:
            alone = labels[modality]
            shared = [n for n in names if n in both and n in alone]
            if shared:
                gains.setdefault(group, {})[modality] = _differences(
                    np.stack([alone[n].counts for n in shared]),
                    np.stack([both[n].counts for n in shared]),
                    statistics,
                )
    return gains


def _differences(
    alone: NDArray[np.int64], both: NDArray[np.int64], statistics: Mapping[str, Any]
) -> dict[str, Any]:
    """Return both - alone of every statistic that is defined."""
    rows = {}
    for name, statistic in statistics.items():
        values = [
            float(statistic(c.sum(axis=0, keepdims=True).astype(np.float64))[0])
            for c in (alone, both)
        ]
        if all(map(math.isfinite, values)):
            interval = paired_pooled_difference(alone, both, statistic)
            rows[name] = {
                'value': interval.value,
                'ci95': [interval.low, interval.high],
                'p': interval.p_value,
            }
    return rows


def present_classes(modalities: Mapping[str, Any]) -> list[str]:
    """Return the classes that occur in a reference or a prediction of any modality."""
    per_class = [groups['all']['per_class'] for groups in modalities.values()]
    return [
        name
        for name in per_class[0]
        if any(math.isfinite(scores[name]['IoU']) for scores in per_class)
    ]


def modality_table(modalities: Mapping[str, Any], gains: Mapping[str, Any]) -> str:
    """Return the table that is printed: scores of each input by group, then the gain of both."""
    names = present_classes(modalities)
    rows = []
    for group in modalities['both']:
        rows += [
            _row(f'{group}: {modality}', modalities[modality][group], names)
            for modality in MODALITIES
            if group in modalities[modality]
        ]
        for modality, gain in gains.get(group, {}).items():
            rows.append(
                [
                    f'{group}: both - {modality}',
                    '',
                    _signed(gain, 'mIoU'),
                    _signed(gain, 'mIoU_present'),
                    span(gain['mIoU_present']['ci95'], 3) if 'mIoU_present' in gain else '-',
                    '',
                    *(_signed(gain, f'IoU {name}') for name in names),
                ]
            )
    absent = [n for n in modalities['both']['all']['per_class'] if n not in names]
    lines = [text_table(['input', 'n', 'mIoU', 'present', '95 %', 'ECE', *names], rows)]
    lines.append('95 %: interval of mIoU over the present classes, of differences paired')
    if absent:
        lines.append(f'in no reference and no prediction: {", ".join(absent)}')
    return '\n'.join(lines)


def _row(title: str, scores: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    return [
        title,
        str(scores['images']),
        number(scores['mIoU']['value'], 3),
        number(scores['mIoU_present']['value'], 3),
        span(scores['mIoU_present']['ci95'], 3),
        number(scores.get('ECE'), 3),
        *(number(scores['per_class'][n]['IoU'], 3) for n in names),
    ]


def _signed(gain: Mapping[str, Any], name: str) -> str:
    return f'{gain[name]["value"]:+.3f}' if name in gain else '-'
