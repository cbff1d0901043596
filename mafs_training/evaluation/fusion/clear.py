"""How clear boxed objects are in fused images: counts, scores and groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

from mafs_training.datasets.boxes import Box
from mafs_training.evaluation.ratios import Ratio, ratio_groups, ratio_table
from mafs_training.metrics.box_contrast import box_contrasts, clearness
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]

RATIOS = (
    Ratio(
        'clear',
        'clear',
        'clear',
        ('boxes',),
        'share of boxed objects with a contrast of at least min(32 grey levels, 0.8 of the better '
        "camera's)",
    ),
    Ratio('kept', 'kept', 'kept', ('boxes',), "share with at least 0.8 of the better camera's"),
    Ratio('lost', 'lost', 'lost', ('boxes',), 'share with less than 10 grey levels', lower=True),
)
_COUNTS = ('clear', 'kept', 'lost')
_THERMAL, _VISIBLE = '(thermal)', '(visible)'


def clear_counts(
    images: Mapping[str, Grey],
    thermal: Grey,
    visible: Grey,
    boxes: Mapping[str, Sequence[Box]],
) -> dict[str, dict[str, dict[str, int]]]:
    """
    Count how many objects of a pair are clear, kept and lost in each fused image.

    Args:
        images: method to luminance of its fused image, uint8 [H, W].
        thermal: uint8 [H, W].
        visible: luminance, uint8 [H, W].
        boxes: class name to boxes.

    Returns:
        method to class to {'boxes', 'clear', 'kept', 'lost'}.

    """
    counts: dict[str, dict[str, dict[str, int]]] = {method: {} for method in images}
    everything = {**images, _THERMAL: thermal, _VISIBLE: visible}
    for name, found in boxes.items():
        contrasts = [one.contrast for one in box_contrasts(everything, found)]
        for method in images:
            judged = [astuple(clearness(c[method], c[_VISIBLE], c[_THERMAL])) for c in contrasts]
            sums = [sum(column) for column in zip(*judged, strict=True)] or [0] * len(_COUNTS)
            counts[method][name] = {
                'boxes': len(judged),
                **dict(zip(_COUNTS, sums, strict=True)),
            }
    return counts


def clear_part(
    clear: Mapping[str, Mapping[str, Any]],
    methods: Sequence[str],
    folder: Path,
    groups: Mapping[str, Sequence[str]],
) -> dict[str, Any] | None:
    """
    Return what a document says of boxed objects in fused images; None where nothing was measured.

    Args:
        clear: pair to method to class to count.
        methods: in the order of the tables.
        folder: of the boxes.
        groups: group name to pair names.

    """
    per_image = {
        method: {name: rows[method] for name, rows in clear.items() if method in rows}
        for method in methods
    }
    if not any(per_image.values()):
        return None
    return {
        'boxes': folder,
        'scores': ratio_groups(per_image, groups, RATIOS),
        'per_image': per_image,
    }


def clear_table(part: Mapping[str, Any]) -> str:
    """Return the table that is printed: one row a group, class and method."""
    title = (
        'boxed objects in the fused images: clear, kept and lost, share of boxes with 95 % '
        'bootstrap interval over images'
    )
    return f'{title}\n{ratio_table(part["scores"], RATIOS)}'
