"""`mafs-eval model`: fusion, labels, robustness and speed of weights on a data set."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from mafs_model.errors import DatasetError
from mafs_model.files import write_text
from mafs_training.datasets.layouts import PairFiles, read_pair
from mafs_training.datasets.reading import RawPair
from mafs_training.datasets.spec import thin
from mafs_training.evaluation.box_files import BoxFolder, folder_of_options
from mafs_training.evaluation.console import say, warn
from mafs_training.evaluation.fusion import command as fusion
from mafs_training.evaluation.goals import judge, read_goals
from mafs_training.evaluation.groups import parse_groups
from mafs_training.evaluation.model.modalities import modality_table
from mafs_training.evaluation.model.persons import persons_table
from mafs_training.evaluation.model.robustness import MISSING, robustness
from mafs_training.evaluation.model.run import measure_pairs, model_document
from mafs_training.evaluation.model.speed import measure_speed
from mafs_training.evaluation.objects.run import objects_table
from mafs_training.evaluation.pairs import evaluation_pairs
from mafs_training.evaluation.parallel import default_jobs
from mafs_training.evaluation.predictors import create_predictor, describe, method_name
from mafs_training.evaluation.results import new_document, write_json
from mafs_training.evaluation.seg import command as seg
from mafs_training.evaluation.tables import number

BOX_FOLDER = 'boxes'
_ROBUSTNESS_PAIRS = {'full': 8, 'quick': 3, 'missing': 8}


def run(options: Namespace) -> int:
    """Run the command; returns the number of problems."""
    files = evaluation_pairs(
        options.data,
        options.dataset,
        options.split,
        label_folder=options.label_dir,
        limit=options.limit or 0,
        labelled=options.labelled,
    )
    boxes = boxes_of(files, options)
    goals = read_goals(options.goals) if options.goals is not None else None
    predictor = create_predictor(options)
    method = method_name(options.weights, predictor)
    document = new_document(
        'model',
        {
            'data': options.data,
            'dataset': options.dataset,
            'split': options.split,
            'command': options.command_line,
            'fused': {method: ''},
        },
    )
    document['model'] = describe(predictor, method)
    outcome = measure_pairs(
        predictor,
        files,
        method=method,
        jobs=options.jobs or default_jobs(),
        boxes=boxes,
        save=options.save,
        quiet=options.quiet,
    )
    document.update(model_document(outcome, predictor, method, parse_groups(options.group), boxes))
    if goals is not None:
        document['goals'] = {method: judge(goals, document, method)}
    document['robustness'] = None
    if options.robustness != 'off':
        document['robustness'] = robustness(
            predictor,
            spread(files, _ROBUSTNESS_PAIRS[options.robustness]),
            method=method,
            quick=options.robustness == 'quick',
            only=MISSING if options.robustness == 'missing' else (),
            quiet=options.quiet,
        )
    document['speed'] = measure_speed(predictor, _first(files))
    say(render(document))
    warn(document['problems'])
    if options.json:
        write_json(document, options.json)
    if options.html:
        from mafs_training.evaluation.model.report import model_page

        write_text(options.html, model_page(document, predictor, files, boxes))
    return len(document['problems'])


def boxes_of(files: Sequence[PairFiles], options: Namespace) -> BoxFolder | None:
    """Return the boxes that the options name, else those beside the images if there are any."""
    folder = options.boxes
    if folder is None:
        beside = files[0].visible.parent.parent / BOX_FOLDER
        folder = beside if beside.is_dir() else None
    return folder_of_options(folder, options.min_score, options.box_classes)


def spread(files: Sequence[PairFiles], count: int) -> list[RawPair]:
    """Return pairs evenly spread over all, and as many with labels."""
    chosen = {
        one.name: one
        for one in (
            *thin(list(files), count),
            *thin([f for f in files if f.label is not None], count),
        )
    }
    pairs = []
    for one in chosen.values():
        try:
            pairs.append(read_pair(one))
        except DatasetError:
            continue  # Reported when the pair was measured.
    return pairs


def _first(files: Sequence[PairFiles]) -> RawPair:
    """Return the first readable pair; there is one, or nothing would have been measured."""
    error: DatasetError | None = None
    for one in files:
        try:
            return read_pair(one)
        except DatasetError as reason:
            error = reason
    raise error or DatasetError('no pair')


def render(document: dict[str, Any]) -> str:
    """Return the tables that the command prints."""
    model, speed = document['model'], document['speed']
    parts = [
        f'model {model["weights_id"]} on {model["device"]} ({model["backend"]})',
        *model['notices'],
        '',
        fusion.render(document),
    ]
    if document['labels'] is not None:
        overall = document['labels']['overall']
        parts += [
            '',
            f'labels: {overall["images"]} images',
            seg.class_table(overall),
            *seg.summary_lines(overall),
            '',
            modality_table(document['modalities'], document['gains']),
        ]
    elif model['classical']:
        parts += ['', 'labels: not measured, there is no network']
    else:
        parts += ['', 'labels: not measured, the data set has none here']
    if document['persons']:
        parts += ['', persons_table(document['persons'], model['name'])]
    if document['objects']:
        parts += ['', objects_table(document['objects'])]
    if document['robustness']:
        parts += [
            '',
            (
                'robustness: score at each strength of a disturbance, measured against '
                'the undisturbed sources'
            ),
            robustness_table(document['robustness']),
        ]
    parts += [
        '',
        (
            f'speed at {speed["size"]}: median {speed["median_ms"]:.1f} ms, 90 % '
            f'{speed["p90_ms"]:.1f} ms, {speed["pairs_per_s"]:.1f} pairs/s '
            f'({speed["in_matmuls"]:.2f} products of 1024x1024 matrices) on '
            f'{speed["machine"]}'
        ),
    ]
    return '\n'.join(parts)


def robustness_table(curves: dict[str, Any]) -> str:
    """Return one row a disturbance, method and score."""
    rows = []
    for name, curve in curves.items():
        for method, scores in curve['scores'].items():
            for score, values in scores.items():
                shown = ' '.join(
                    f'{step:g}:{number(value, 3)}'
                    for step, value in zip(curve['steps'], values, strict=True)
                )
                rows.append([f'{name}, {method}, {score}', shown])
    width = max(len(row[0]) for row in rows)
    return '\n'.join(f'{row[0].ljust(width)}  {row[1]}' for row in rows)
