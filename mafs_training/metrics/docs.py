"""
Writes the table of fusion metrics into docs/metrics.md.

`python -m mafs_training.metrics.docs [FILE]` replaces what stands between the markers of the file.
"""

from __future__ import annotations

from pathlib import Path
import sys

from mafs_training import generated
from mafs_training.metrics.fusion import TABLE

FILE = Path('docs/metrics.md')


def metric_rows() -> str:
    """Return the table as Markdown, one row for each metric."""
    rows = ['| key | formula | constants and conventions | source |', '|---|---|---|---|']
    rows += [f'| {m.name} | {m.formula} | {m.conventions} | {m.source} |' for m in TABLE]
    return '\n'.join(rows)


def filled(text: str) -> str:
    """Return a document with the table between its markers; raises ValueError without them."""
    return generated.filled(text, 'fusion metrics', metric_rows())


if __name__ == '__main__':
    generated.write(Path(sys.argv[1]) if sys.argv[1:] else FILE, filled)
