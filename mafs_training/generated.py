"""The parts of a document that are made from a table of the code, between two markers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

_END = '<!-- /generated -->'


def filled(text: str, name: str, table: str) -> str:
    """
    Return a document with a table between the markers of its name.

    Args:
        text: the document.
        name: what the first marker says.
        table: what belongs there, in Markdown.

    Raises:
        ValueError: the markers are not there.

    """
    begin = f'<!-- generated: {name} -->'
    before, found, rest = text.partition(begin)
    _, end, after = rest.partition(_END)
    if not (found and end):
        raise ValueError(f'expected {begin} and {_END}')
    return f'{before}{begin}\n{table}\n{_END}{after}'


def write(path: Path, fill: Callable[[str], str]) -> None:
    """Bring a document up to date."""
    path.write_text(fill(path.read_text(encoding='utf-8')), encoding='utf-8')
