"""`mafs-eval compare`: prints and writes the differences of two sides."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mafs_model.errors import ConfigError
from mafs_model.files import write_text
from mafs_training.evaluation.compare.run import compare_documents
from mafs_training.evaluation.compare.wording import judged, listed, scores_by_title
from mafs_training.evaluation.console import say
from mafs_training.evaluation.fusion.verdicts import span
from mafs_training.evaluation.results import read_document, write_json
from mafs_training.evaluation.tables import number, text_table

COMPARABLE = ('fusion', 'seg', 'objects', 'model', 'bag')


def run(options: Namespace) -> int:
    """Run the command; returns the number of problems."""
    before, after = _sides(options)
    document = compare_documents(
        [read_document(path, COMPARABLE) for path in before],
        [read_document(path, COMPARABLE) for path in after],
        options.method,
        options.level,
    )
    document['inputs'] = {'before': before, 'after': after, 'command': options.command_line}
    say(render(document))
    if options.json:
        write_json(document, options.json)
    if options.html:
        from mafs_training.evaluation.compare.report import compare_page

        write_text(options.html, compare_page(document))
    return 0


def _sides(options: Namespace) -> tuple[list[Path], list[Path]]:
    """
    Return the files of both sides.

    Raises:
        ConfigError: neither A.json B.json nor --before and --after, or a file twice on a side.

    """
    pair = [path for path in (options.first, options.second) if path is not None]
    if len(pair) == 2 and not (options.before or options.after):
        return [pair[0]], [pair[1]]
    if pair or not (options.before and options.after):
        raise ConfigError(
            'expected A.json B.json, or --before FILE ... --after FILE ..., one file a seed'
        )
    for files, side in ((options.before, '--before'), (options.after, '--after')):
        names = [path.resolve() for path in files]
        twice = [path for path, name in zip(files, names, strict=True) if names.count(name) > 1]
        if twice:
            raise ConfigError(f'{side}: {twice[0]} is given twice, expected one file a seed')
    return options.before, options.after


def render(document: Mapping[str, Any]) -> str:
    """Return the tables that the command prints."""
    percent = f'{100 * document["level"]:g} %'
    before, after = document['runs']
    parts = [
        f'A = {listed(document["inputs"]["before"])}',
        f'B = {listed(document["inputs"]["after"])}',
        f'differences B - A of the means over {before} and {after} runs; {percent} intervals:',
        "seeds (Welch's t over runs), images (paired bootstrap over those that all have)",
        *document['notes'],
    ]
    for title, rows in scores_by_title(document).items():
        parts += ['', title, _table(rows)]
    return '\n'.join(parts)


def _table(rows: Mapping[str, Any]) -> str:
    lines = [
        [
            name,
            number(row['first']),
            number(row['second']),
            number(row['difference']),
            span(row['seed_ci']),
            number(row['seed_p'], 4),
            str(row['images']),
            span(row['ci']),
            number(row['p'], 4),
            judged(row),
        ]
        for name, row in rows.items()
    ]
    header = ['score', 'A', 'B', 'B - A', 'seeds', 'p', 'n', 'images', 'p', 'B is']
    return text_table(header, lines)
