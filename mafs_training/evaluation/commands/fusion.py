"""`mafs-eval fusion`: prints the table, writes JSON and report."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from mafs_model.errors import ConfigError
from mafs_training.evaluation.console import say, warn
from mafs_training.evaluation.fusion_run import beaten_by_baselines, evaluate_fusion
from mafs_training.evaluation.groups import parse_groups
from mafs_training.evaluation.parallel import default_jobs
from mafs_training.evaluation.results import write_json, write_text
from mafs_training.evaluation.tables import means_of, metric_table
from mafs_training.metrics.fusion import LOWER_IS_BETTER


def run(options: Namespace) -> int:
    """Run the command; returns the number of problems."""
    document = evaluate_fusion(
        options.ir,
        options.vi,
        parse_methods(options.fused),
        patterns=parse_groups(options.group),
        common=options.common,
        variants=options.variants,
        jobs=options.jobs or default_jobs(),
        quiet=options.quiet,
    )
    if options.rank not in document['metrics']:
        raise ConfigError(
            f'--rank {options.rank!r}: expected one of {", ".join(document["metrics"])}'
        )
    document['inputs']['command'] = options.command_line
    say(render(document))
    warn(document['problems'])
    if options.json:
        write_json(document, options.json)
    if options.html:
        from mafs_training.evaluation.report.fusion import fusion_page

        write_text(
            options.html,
            fusion_page(
                document, rank=options.rank, labels=options.labels, classes=options.classes
            ),
        )
    return len(document['problems'])


def parse_methods(texts: list[str]) -> dict[str, Path]:
    """
    Parse [NAME=]DIR arguments; without NAME the folder's name is taken.

    Raises:
        ConfigError: two methods of one name, or an empty name.

    """
    methods: dict[str, Path] = {}
    for text in texts:
        name, separator, folder = text.partition('=')
        path = Path(folder if separator else text)
        name = name if separator else path.resolve().name
        if not name or not str(path):
            raise ConfigError(f'--fused must be DIR or NAME=DIR, got {text!r}')
        if name in methods:
            raise ConfigError(f'--fused: method {name!r} is given twice, use NAME=DIR')
        methods[name] = path
    return methods


def render(document: dict[str, Any]) -> str:
    """Return the tables that the command prints."""
    methods = document['methods']
    counts = {method: table['EN']['n'] for method, table in methods.items()}
    parts = [
        (
            f'fusion metrics, mean over pairs ({len(document["names"])} pairs; * best; '
            'MSE: lower is better)'
        ),
        metric_table(means_of(methods), document['metrics'], LOWER_IS_BETTER, counts),
    ]
    for group, means in document['group_means'].items():
        parts += [
            '',
            f'{group} ({len(document["groups"][group])} pairs)',
            metric_table(means, document['metrics'], LOWER_IS_BETTER),
        ]
    notes = []
    for method in document['inputs']['fused']:
        beaten = beaten_by_baselines(document, method, LOWER_IS_BETTER)
        if beaten:
            notes.append(
                f'{method}: a trivial baseline is at least as good in '
                + ', '.join(f'{metric} ({baseline})' for metric, baseline in beaten.items())
            )
    if notes:
        parts += ['', *notes]
    if len(set(counts.values())) > 1:
        parts += [
            '',
            (
                'note: the methods were measured on different numbers of pairs (column n); '
                '--common restricts all to the pairs they share'
            ),
        ]
    return '\n'.join(parts)
