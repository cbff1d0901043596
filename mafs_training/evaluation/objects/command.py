"""`mafs-eval objects`: prints the table, writes JSON and report."""

from __future__ import annotations

from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mafs_model.classes import ClassTable
from mafs_model.errors import ConfigError, DatasetError
from mafs_model.files import write_text
from mafs_training.evaluation.box_files import BoxFolder, folder_of_options
from mafs_training.evaluation.console import say, warn
from mafs_training.evaluation.groups import parse_groups
from mafs_training.evaluation.images import list_images
from mafs_training.evaluation.named_folders import parse_folders
from mafs_training.evaluation.objects.run import (
    measure_folders,
    objects_part,
    objects_table,
)
from mafs_training.evaluation.parallel import default_jobs
from mafs_training.evaluation.results import new_document, write_json


def run(options: Namespace) -> int:
    """Run the command; returns the number of problems."""
    _check(options)
    folders = parse_folders(options.labels, '--labels')
    boxes = folder_of_options(options.boxes, options.min_score, options.box_classes)
    assert boxes is not None, 'the parser requires them'
    document = new_document(
        'objects',
        {
            'labels': dict(folders),
            'weights': options.weights,
            'thermal': options.ir,
            'visible': options.vi,
            'command': options.command_line,
        },
    )
    with ExitStack() as stack:
        problems: list[str] = []
        table = None
        if options.weights is not None:
            folder = options.save or Path(stack.enter_context(_temporary()))
            document['model'], table, problems = _predicted(options, folder, folders)
            folders[document['model']['name']] = folder
        if options.classes is not None or table is None:
            table = ClassTable.load(options.classes or 'msrs')
        _measure(options, document, folders, boxes, table, problems)
        if options.html:
            from mafs_training.evaluation.objects.report import objects_page

            write_text(options.html, objects_page(document, boxes, folders, table, options.vi))
    if options.json:
        write_json(document, options.json)
    return len(document['problems'])


def _measure(
    options: Namespace,
    document: dict[str, Any],
    folders: dict[str, Path],
    boxes: BoxFolder,
    table: ClassTable,
    problems: list[str],
) -> None:
    """Measure and print; adds the results to the document."""
    outcomes = measure_folders(
        folders, boxes, table, jobs=options.jobs or default_jobs(), quiet=options.quiet
    )
    document['problems'] = problems + [p for one in outcomes.values() for p in one.problems]
    counts = {method: outcome.images for method, outcome in outcomes.items()}
    part = objects_part(counts, boxes, parse_groups(options.group))
    if part is None:
        raise DatasetError((document['problems'] or ['no label image has boxes'])[0])
    document.update({'objects': part, 'classes': table.to_dict()})
    say(objects_table(part))
    warn(document['problems'])


def _check(options: Namespace) -> None:
    """Raise MafsError for options that do not fit together."""
    if options.weights is None and not options.labels:
        raise ConfigError('expected --labels DIR or --weights FILE')
    if options.weights == 'classical':
        raise ConfigError("--weights 'classical': it has no labels, expected a network")
    if options.weights is not None and options.ir is None and options.vi is None:
        raise ConfigError('--weights needs the images: expected --ir DIR, --vi DIR or both')
    if options.save is not None and options.weights is None:
        raise ConfigError('--save keeps the labels of --weights: expected both, or neither')
    if options.vi is not None:
        list_images(options.vi, 'visible')


def _temporary() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix='mafs-eval-', ignore_cleanup_errors=True)


def _predicted(
    options: Namespace, folder: Path, taken: dict[str, Path]
) -> tuple[dict[str, Any], ClassTable, list[str]]:
    """Write the labels of the weights; returns what predicted, its classes and problems."""
    from mafs_training.evaluation.prediction import predict_folders
    from mafs_training.evaluation.predictors import create_predictor, describe, method_name

    given = {'thermal': options.ir, 'visible': options.vi}
    sources = {kind: path for kind, path in given.items() if path is not None}
    with create_predictor(options) as predictor:
        name = method_name(options.weights, predictor)
        if name in taken:
            raise ConfigError(f'--labels: {name!r} is the name of --weights, use NAME=DIR')
        problems = predict_folders(predictor, sources, folder, 'labels', quiet=options.quiet)
        return describe(predictor, name), predictor.classes, problems
