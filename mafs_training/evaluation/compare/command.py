"""`mafs-eval compare`: prints and writes the differences of two results."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from mafs_training.evaluation.compare.run import compare_documents
from mafs_training.evaluation.console import say
from mafs_training.evaluation.results import read_json, write_json, write_text
from mafs_training.evaluation.tables import number, text_table

COMPARABLE = ('fusion', 'seg', 'model', 'bag')


def run(options: Namespace) -> int:
    """Run the command; returns the number of problems."""
    first, second = (read_json(path, COMPARABLE) for path in (options.first, options.second))
    document = compare_documents(first, second, options.method, options.level)
    document['inputs'] = {
        'first': options.first,
        'second': options.second,
        'command': options.command_line,
    }
    say(render(document))
    if options.json:
        write_json(document, options.json)
    if options.html:
        from mafs_training.evaluation.compare.report import compare_page

        write_text(options.html, compare_page(document))
    return 0


def render(document: Mapping[str, Any]) -> str:
    """Return the tables that the command prints."""
    percent = f'{100 * document["level"]:g} %'
    parts = [
        f'A = {document["inputs"]["first"]}',
        f'B = {document["inputs"]["second"]}',
        f'differences B - A over shared images, {percent} paired bootstrap intervals',
    ]
    for method, rows in document['fusion'].items():
        parts += ['', method, _table(rows, percent)]
    if document['labels']:
        parts += ['', 'labels (pooled over images)', _table(document['labels'], percent)]
    return '\n'.join(parts)


def _table(rows: Mapping[str, Any], percent: str) -> str:
    lines = []
    for name, row in rows.items():
        low, high = row['ci']
        lines.append(
            [
                name,
                str(row['images']),
                number(row['first']),
                number(row['second']),
                number(row['difference']),
                f'{number(low)}..{number(high)}',
                number(row['p'], 4),
                row['verdict'],
            ]
        )
    return text_table(['score', 'n', 'A', 'B', 'B - A', percent, 'p', 'B is'], lines)
