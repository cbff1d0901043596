"""
Writes the table of the folders of data sets into docs/training.md.

`python -m mafs_training.datasets.docs [FILE]` replaces what stands between its markers.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
import sys

from mafs_training import generated
from mafs_training.datasets.layouts import Layout, LAYOUTS

FILE = Path('docs/training.md')


def _cells(words: Iterable[str]) -> str:
    return ', '.join(f'`{word}`' for word in words) or '-'


def _row(kind: str, layout: Layout) -> str:
    folders = ' | '.join(_cells(f) for f in (layout.visible, layout.thermal, layout.label))
    classes = f'`{layout.classes}`' if layout.label and kind != 'generic' else '-'
    return f'| `{kind}:PATH` | {folders} | {", ".join(layout.splits) or "-"} | {classes} |'


def layout_rows() -> str:
    """Return the table as Markdown, one row for each layout."""
    rows = [
        '| source | visible images | thermal images | labels | splits | classes |',
        '|---|---|---|---|---|---|',
    ]
    return '\n'.join(rows + [_row(kind, layout) for kind, layout in LAYOUTS.items()])


def filled(text: str) -> str:
    """Return a document with the table between its markers; raises ValueError without them."""
    return generated.filled(text, 'layouts', layout_rows())


if __name__ == '__main__':
    generated.write(Path(sys.argv[1]) if sys.argv[1:] else FILE, filled)
