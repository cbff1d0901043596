"""
Writes the table of fusion metrics into docs/metrics.md.

`python -m mafs_training.metrics.docs [FILE]` replaces what stands between the markers of the file.
"""

from __future__ import annotations

from pathlib import Path
import sys

from mafs_training.metrics.fusion import TABLE

BEGIN, END = '<!-- generated: fusion metrics -->', '<!-- /generated -->'
FILE = Path('docs/metrics.md')


def metric_rows() -> str:
    """Return the table as Markdown, one row for each metric."""
    rows = ['| key | formula | constants and conventions | source |', '|---|---|---|---|']
    rows += [f'| {m.name} | {m.formula} | {m.conventions} | {m.source} |' for m in TABLE]
    return '\n'.join(rows)


def filled(text: str) -> str:
    """
    Return a document with the table between its markers.

    Raises:
        ValueError: the markers are not there.

    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f'expected {BEGIN} and {END}')
    return f'{before}{begin}\n{metric_rows()}\n{end}{after}'


def main(arguments: list[str]) -> None:
    """Bring a file up to date."""
    path = Path(arguments[0]) if arguments else FILE
    path.write_text(filled(path.read_text(encoding='utf-8')), encoding='utf-8')


if __name__ == '__main__':
    main(sys.argv[1:])
