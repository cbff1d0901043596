"""`mafs-eval agree`: compares two backends or precisions of the same weights on a data set."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, cast

from mafs_model.errors import ConfigError
from mafs_model.predictor import Predictor
from mafs_model.runtime.agreement import TOLERANCES
from mafs_model.runtime.factory import find_weights
from mafs_model.types import Backend, BACKENDS, Precision
from mafs_training.evaluation.agree.run import (
    agree_document,
    compare_predictors,
    METRIC_TOLERANCE,
)
from mafs_training.evaluation.console import say, warn
from mafs_training.evaluation.fusion.verdicts import span
from mafs_training.evaluation.pairs import evaluation_pairs
from mafs_training.evaluation.predictors import describe
from mafs_training.evaluation.results import new_document, write_json
from mafs_training.evaluation.tables import number, text_table


def run(options: Namespace) -> int:
    """Run the command; returns the number of problems."""
    settings = [parse_engine(text) for text in (options.first, options.second)]
    weights = find_weights(options.weights)
    files = evaluation_pairs(
        options.data,
        options.dataset,
        options.split,
        label_folder=options.label_dir,
        limit=options.limit or 0,
    )
    with ExitStack() as stack:
        predictors = [
            stack.enter_context(
                Predictor.create(
                    weights,
                    device=options.device,
                    backend=cast(Backend, backend),
                    precision=cast(Precision, precision),
                    threads=options.threads,
                )
            )
            for backend, precision in settings
        ]
        outcome = compare_predictors(predictors[0], predictors[1], files, quiet=options.quiet)
        document = new_document(
            'agree',
            {
                'data': options.data,
                'dataset': options.dataset,
                'split': options.split,
                'command': options.command_line,
            },
        )
        for key, predictor, (_, precision) in zip(
            ('first', 'second'), predictors, settings, strict=True
        ):
            described = describe(predictor, f'{predictor.backend} {precision}')
            document[key] = {**described, 'precision': precision}
    tolerance = TOLERANCES[settings[1][1]]
    document.update(agree_document(outcome, tolerance))
    document['problems'] = outcome.problems
    if not document['within']:
        document['problems'].append(
            f'{document["second"]["name"]} is outside the tolerance of {settings[1][1]}'
        )
    say(render(document))
    warn(document['problems'])
    if options.json:
        write_json(document, options.json)
    return len(document['problems'])


def parse_engine(text: str) -> tuple[str, str]:
    """
    Parse BACKEND:PRECISION.

    Raises:
        ConfigError: not of that form, or a name that is unknown.

    """
    backend, _, precision = text.partition(':')
    backends = [name for name in BACKENDS if name != 'auto']
    if backend not in backends or precision not in TOLERANCES:
        raise ConfigError(
            f'{text!r}: expected BACKEND:PRECISION, a backend of {", ".join(backends)} and a '
            f'precision of {", ".join(TOLERANCES)}'
        )
    return backend, precision


def render(document: Mapping[str, Any]) -> str:
    """Return the tables that the command prints."""
    names = document['first']['name'], document['second']['name']
    agreement = [
        [
            title,
            number(entry['value'], 4),
            span(entry['ci95']),
            number(entry['worst'], 4),
            '-' if entry['limit'] is None else f'{entry["limit"]:g}',
            _mark(entry['within']),
        ]
        for title, entry in (
            ('labels, share equal', document['agreement']['labels']),
            ('fused, mean difference', document['agreement']['fused_mean']),
            ('fused, largest difference', document['agreement']['fused_max']),
            ('confidence, mean difference', document['agreement']['confidence_mean']),
        )
    ]
    metrics = [
        [
            name,
            number(row['first']),
            number(row['second']),
            f'{100 * row["relative"]:+.3f}' if row['within'] is not None else '-',
            span(row['difference_ci95']),
            _mark(row['within']),
        ]
        for name, row in document['metrics'].items()
    ]
    title = (
        f'{document["first"]["weights_id"]}: {names[1]} against {names[0]}, '
        f'{len(document["names"])} pairs, {document["labelled"]} with labels'
    )
    percent = f'within {100 * METRIC_TOLERANCE:g} %'
    header = ['metric', *names, 'relative %', '95 % of difference', percent]
    images = text_table(['images', 'mean', '95 %', 'worst', 'limit', 'within'], agreement)
    verdict = 'all within' if document['within'] else 'NOT all within'
    return '\n'.join([title, '', images, '', text_table(header, metrics), '', verdict])


def _mark(within: bool | None) -> str:
    return '-' if within is None else 'yes' if within else 'NO'
