"""How clearly persons stand out: contrast of labelled objects against their surroundings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import math
from typing import Any

from mafs_model.classes import ClassTable
from mafs_training.evaluation.fusion.baselines import BASELINES, fuse_baseline
from mafs_training.evaluation.fusion.verdicts import span
from mafs_training.evaluation.tables import number, text_table
from mafs_training.metrics.bootstrap import pooled_interval
from mafs_training.metrics.contrast import (
    MIN_OBJECT_PX,
    object_contrasts,
    ObjectContrast,
    RING_PX,
)
from mafs_training.metrics.plane import luminance
import numpy as np
from numpy.typing import NDArray

PERSON = 'person'

Objects = Mapping[str, Sequence[ObjectContrast]]


def person_contrasts(
    fused: NDArray[np.uint8],
    thermal: NDArray[np.uint8],
    visible: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    table: ClassTable,
    method: str,
) -> list[ObjectContrast]:
    """
    Measure the persons of one pair in the fused image, the sources and the baselines.

    Args:
        fused: uint8 [H, W, 3] RGB or grey [H, W].
        thermal: uint8 [H, W].
        visible: uint8 [H, W, 3] RGB or grey [H, W].
        labels: reference class ids [H, W].
        table: class table; without a class 'person' nothing is measured.
        method: name of the fused image.

    Raises:
        ImageError: sizes differ.

    """
    if PERSON not in table.names:
        return []
    grey = luminance(visible)
    images = {method: luminance(fused)}
    images.update({name: fuse_baseline(name, thermal, grey) for name in BASELINES})
    return object_contrasts(
        labels, images, table.names.index(PERSON), ignore_index=table.ignore_index
    )


def persons_document(
    objects: Objects, groups: Mapping[str, Sequence[str]], method: str
) -> dict[str, Any] | None:
    """
    Return the part 'persons' of a document; None without any person.

    Args:
        objects: image name to its persons.
        groups: group name to image names; 'all' is added.
        method: the fused image under test.

    """
    known = {name: list(found) for name, found in objects.items() if found}
    if not known:
        return None
    members = {'all': list(known), **groups}
    chosen = {g: [n for n in names if n in known] for g, names in members.items()}
    return {
        'class': PERSON,
        'ring_px': RING_PX,
        'min_object_px': MIN_OBJECT_PX,
        'groups': {
            group: _group([known[n] for n in names], method)
            for group, names in chosen.items()
            if names
        },
    }


def _group(images: Sequence[Sequence[ObjectContrast]], method: str) -> dict[str, Any]:
    """Return the scores of every image kind over the persons of several pairs."""
    names = list(images[0][0].difference)
    rows = {}
    for name in names:
        rows[name] = {
            'contrast': _mean(images, lambda o, n=name: o.difference[n]),
            'brighter': _mean(images, lambda o, n=name: float(o.difference[n] > 0)),
            'michelson': _mean(images, lambda o, n=name: o.michelson[n]),
            # What the method under test has more than this image, the same persons in both.
            'gain': _mean(images, lambda o, n=name: o.difference[method] - o.difference[n]),
        }
    return {
        'images': len(images),
        'objects': sum(len(found) for found in images),
        'methods': rows,
    }


def _mean(images: Sequence[Sequence[ObjectContrast]], value: Any) -> dict[str, Any]:
    """
    Mean over persons with its interval.

    Images are drawn, not persons: those of one image share light and surroundings.
    """
    sums = np.array(
        [
            [sum(finite), len(finite)]
            for found in images
            for finite in [[v for v in map(value, found) if math.isfinite(v)]]
        ]
    )
    if not sums[:, 1].any():
        return {'value': math.nan, 'ci95': [math.nan, math.nan]}
    sums = sums[sums[:, 1] > 0]
    interval = pooled_interval(sums, lambda pooled: pooled[:, 0] / pooled[:, 1])
    return {'value': interval.value, 'ci95': [interval.low, interval.high]}


def persons_table(persons: Mapping[str, Any], method: str) -> str:
    """Return the table that is printed: one row a group and image kind."""
    rows = []
    for group, scores in persons['groups'].items():
        for name, row in scores['methods'].items():
            rows.append(
                [
                    f'{group}: {name}',
                    str(scores['objects']),
                    number(row['contrast']['value'], 2),
                    span(row['contrast']['ci95'], 2),
                    number(100 * row['brighter']['value'], 1),
                    number(row['michelson']['value'], 3),
                    '' if name == method else f'{row["gain"]["value"]:+.2f}',
                    '' if name == method else span(row['gain']['ci95'], 2),
                ]
            )
    header = ['image', 'persons', 'contrast', '95 %', 'brighter %', 'Michelson']
    title = (
        f'persons against a ring of {persons["ring_px"]} pixels: mean difference in grey '
        f'levels, share that is brighter; last: {method} minus this image'
    )
    return '\n'.join([title, text_table([*header, f'{method} - it', '95 %'], rows)])
