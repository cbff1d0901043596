"""Report of `mafs-eval objects`, and the part on objects of other reports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mafs_model.classes import ClassTable
from mafs_model.errors import DatasetError, ImageError
from mafs_model.images.overlay import paint
from mafs_model.images.people_colors import for_people
from mafs_training.datasets.boxes import Box
from mafs_training.evaluation.box_files import BoxFolder, class_ids
from mafs_training.evaluation.html.outlines import (
    BAD,
    GOOD,
    outline,
    outline_box,
    outline_legend,
    Picture,
    WEAK,
)
from mafs_training.evaluation.html.page import page, problems_note, section
from mafs_training.evaluation.html.pictures import class_legend, pair_panels, panel
from mafs_training.evaluation.html.ratios import meanings, ratio_html
from mafs_training.evaluation.images import list_images, read_eight_bit
from mafs_training.evaluation.objects.run import (
    Labels,
    RATIOS,
    read_checked,
    score_objects,
    worst_frames,
)
import numpy as np

SHOWN_FRAMES = 4


def objects_page(
    document: Mapping[str, Any],
    boxes: BoxFolder,
    folders: Mapping[str, Path],
    table: ClassTable,
    visible: Path | None,
) -> str:
    """Return the report; label images and visible images are read again for its panels."""
    part = document['objects']
    facts = {
        'methods': str(len(part['per_image'])),
        'frames': str(len({n for images in part['per_image'].values() for n in images})),
    }
    for kind, scores in next(iter(part['scores']['all'].values())).items():
        facts[f'{kind} boxes'] = str(scores.get('found', {'n': 0})['n'])
    sections = [
        objects_section(part),
        problems_note(document['problems']),
        *(
            _folder_panels(part, method, folder, boxes, table, visible)
            for method, folder in folders.items()
        ),
    ]
    return page(
        'Objects',
        f'Label images against the boxes of {boxes.folder}.',
        facts,
        sections,
        document['inputs'].get('command', ''),
    )


def objects_section(part: Mapping[str, Any]) -> str:
    """Return the table of what labels find, miss and invent."""
    return section(
        'Objects found, missed and invented',
        ratio_html(part['scores'], RATIOS),
        f'{meanings(RATIOS)} Small: 95 % bootstrap intervals over images.',
    )


def _folder_panels(
    part: Mapping[str, Any],
    method: str,
    folder: Path,
    boxes: BoxFolder,
    table: ClassTable,
    visible: Path | None,
) -> str:
    """Return the worst frames of a folder of label images."""
    files = list_images(folder, f'label ({method})')
    backgrounds = list_images(visible, 'visible') if visible is not None else {}
    body = ''
    for name, missed, wrong in worst_frames(part['per_image'][method], SHOWN_FRAMES):
        try:
            labels = read_checked(files[name], len(table), table.ignore_index)
            found = boxes.of_image(name, (labels.shape[0], labels.shape[1]))
            picture = np.zeros((*labels.shape, 3), np.uint8)
            if name in backgrounds:
                picture = read_eight_bit(backgrounds[name], 'visible')
            shown = objects_picture(picture, labels, found, boxes, table)
        except (DatasetError, ImageError):
            continue  # Named when it was measured.
        body += pair_panels(
            f'{name}: {missed} missed, {wrong} in no box', [panel(shown, 'labels')]
        )
    return objects_panels(method, body, table)


def objects_panels(method: str, body: str, table: ClassTable) -> str:
    """Return the card around the panels of the worst frames."""
    if not body:
        return ''
    shown = outline_legend({'found': GOOD, 'missed': BAD, 'in no box': WEAK})
    return section(
        f'Worst frames of {method}: objects',
        shown + class_legend(table) + body,
        'Most boxes missed and regions in no box.',
    )


def objects_picture(
    picture: Picture,
    labels: Labels,
    found: Mapping[str, list[Box]],
    boxes: BoxFolder,
    table: ClassTable,
) -> Picture:
    """Return an image with labels laid over it and boxes and wrong regions outlined."""
    if picture.shape[:2] != labels.shape:
        picture = np.zeros((*labels.shape, 3), np.uint8)
    elif picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=2)
    hits = score_objects(labels, found, class_ids(boxes.names, table))
    drawn = paint(picture, labels.astype(np.uint8), for_people(table))
    for name, one in hits.items():
        for seen, box in zip(one.found, found.get(name, ()), strict=True):
            outline_box(drawn, box, GOOD if seen else BAD)
        for left, top, width, height in one.wrong:
            outline(drawn, left, top, left + width, top + height, WEAK)
    return drawn
