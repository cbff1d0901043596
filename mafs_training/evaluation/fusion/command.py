"""`mafs-eval fusion`: prints the table, writes JSON and report."""

from __future__ import annotations

from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mafs_model.classes import ClassTable
from mafs_model.errors import ConfigError
from mafs_model.files import write_text
from mafs_training.evaluation.box_files import folder_of_options
from mafs_training.evaluation.console import say, warn
from mafs_training.evaluation.fusion.baselines import SOURCES
from mafs_training.evaluation.fusion.clear import clear_table
from mafs_training.evaluation.fusion.run import evaluate_fusion
from mafs_training.evaluation.fusion.verdicts import verdict_table
from mafs_training.evaluation.goals import goals_table, judge, read_goals
from mafs_training.evaluation.groups import parse_groups
from mafs_training.evaluation.images import list_images
from mafs_training.evaluation.named_folders import parse_folders
from mafs_training.evaluation.parallel import default_jobs
from mafs_training.evaluation.results import write_json
from mafs_training.evaluation.tables import means_of, metric_table
from mafs_training.metrics.fusion import FUSION_METRICS, LOWER_IS_BETTER, VARIANTS


def run(options: Namespace) -> int:
    """Run the command; returns the number of problems."""
    _check(options)
    methods = parse_folders(options.fused, '--fused')
    references = _references(options)
    boxes = folder_of_options(options.boxes, options.min_score, options.box_classes)
    goals = read_goals(options.goals) if options.goals is not None else None
    with ExitStack() as stack:
        problems: list[str] = []
        model = None
        if options.weights is not None:
            model, folder, problems = _predicted(options, stack, methods)
            methods[model['name']] = folder
        document = evaluate_fusion(
            options.ir,
            options.vi,
            methods,
            patterns=parse_groups(options.group),
            common=options.common,
            variants=options.variants,
            references=references,
            boxes=boxes,
            jobs=options.jobs or default_jobs(),
            quiet=options.quiet,
        )
        document['model'] = model
        if goals is not None:
            document['goals'] = {m: judge(goals, document, m) for m in methods}
        # Images that cannot be read, or lack a partner, are named by the measurement as well.
        document['problems'] += [p for p in problems if p not in document['problems']]
        _finish(options, document)
    return len(document['problems'])


def _check(options: Namespace) -> None:
    """Raise MafsError for what would otherwise show, or be missed, only after measuring."""
    metrics = FUSION_METRICS + (VARIANTS if options.variants else ())
    if options.rank not in metrics:
        raise ConfigError(f'--rank {options.rank!r}: expected one of {", ".join(metrics)}')
    if options.save is not None and options.weights is None:
        raise ConfigError('--save keeps the images of --weights: expected both, or neither')
    if options.labels is not None:
        ClassTable.load(options.classes)
        list_images(options.labels, 'label')


def _finish(options: Namespace, document: dict[str, Any]) -> None:
    """Print the tables, write JSON and report."""
    document['inputs'].update(
        {
            'command': options.command_line,
            'weights': options.weights,
            'reference': options.reference,
        }
    )
    say(render(document))
    warn(document['problems'])
    if options.html:
        from mafs_training.evaluation.fusion.report import fusion_page

        write_text(
            options.html,
            fusion_page(
                document, rank=options.rank, labels=options.labels, classes=options.classes
            ),
        )
    if options.json:
        if options.weights is not None and options.save is None:
            # The last one was made for this run; its folder is gone with the run.
            document['inputs']['fused'][[*document['inputs']['fused']][-1]] = ''
        write_json(document, options.json)


def _references(options: Namespace) -> dict[str, dict[str, float]]:
    """Return the rows of --reference; the split is that of the folder if nothing else is said."""
    if options.reference is None:
        return {}
    from mafs_training.evaluation.fusion.references import read_references

    split = options.reference_split or options.vi.resolve().parent.name
    return read_references(options.reference, FUSION_METRICS, split, options.reference_method)


def _predicted(
    options: Namespace, stack: ExitStack, taken: dict[str, Path]
) -> tuple[dict[str, Any], Path, list[str]]:
    """Fuse the pairs; returns what fused them, the folder and what went wrong."""
    from mafs_training.evaluation.prediction import predict_folders
    from mafs_training.evaluation.predictors import create_predictor, describe, method_name

    folder = options.save or Path(
        stack.enter_context(TemporaryDirectory(prefix='mafs-eval-', ignore_cleanup_errors=True))
    )
    predictor = stack.enter_context(create_predictor(options))
    name = method_name(options.weights, predictor)
    if name in taken:
        raise ConfigError(f'--fused: {name!r} is the name of --weights, use NAME=DIR')
    sources = {'thermal': options.ir, 'visible': options.vi}
    problems = predict_folders(predictor, sources, folder, 'fused', quiet=options.quiet)
    return describe(predictor, name), folder, problems


def render(document: dict[str, Any]) -> str:
    """Return the tables that the command prints."""
    methods = document['methods']
    counts = {method: table['EN']['n'] for method, table in methods.items()}
    references = document.get('references', {})
    shown_counts = {**{m: str(n) for m, n in counts.items()}, **dict.fromkeys(references, '-')}
    parts = [
        (
            f'fusion metrics, mean over pairs ({len(document["names"])} pairs; * best of what '
            'fuses; MSE: lower is better)'
        ),
        metric_table(
            {**means_of(methods), **references},
            document['metrics'],
            LOWER_IS_BETTER,
            shown_counts,
            SOURCES,
        ),
    ]
    for group, means in document['group_means'].items():
        parts += [
            '',
            f'{group} ({len(document["groups"][group])} pairs)',
            metric_table(means, document['metrics'], LOWER_IS_BETTER, aside=SOURCES),
        ]
    if document['clear']:
        parts += ['', clear_table(document['clear'])]
    for method, rows in document.get('verdicts', {}).items():
        parts += ['', verdict_table(rows, method)]
    for method, rows in document.get('goals', {}).items():
        parts += ['', goals_table(rows, method)]
    if len(set(counts.values())) > 1:
        parts += [
            '',
            (
                'note: the methods were measured on different numbers of pairs (column n); '
                '--common restricts all to the pairs they share'
            ),
        ]
    return '\n'.join(parts)
