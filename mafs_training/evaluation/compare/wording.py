"""What the printed table and the page of a comparison call things."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

TITLES = {
    'objects': '{}: labels against boxes',
    'clear': '{}: boxed objects in the fused image',
}


def scores_by_title(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return heading to the rows of a part, as tables and report show them."""
    parts = dict(document['fusion'])
    for part, title in TITLES.items():
        parts.update({title.format(m): rows for m, rows in document[part].items()})
    if document['labels']:
        parts['labels against reference labels (pooled over images)'] = document['labels']
    return parts


def listed(files: Sequence[Any]) -> str:
    """Name the files of a side."""
    return ', '.join(map(str, files))


def judged(row: Mapping[str, Any]) -> str:
    """Return what is said of B: by seeds, in brackets what only these images say."""
    if row['verdict']:
        return str(row['verdict'])
    return f'({row["image_verdict"]})' if row['image_verdict'] else ''
