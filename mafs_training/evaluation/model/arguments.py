"""The arguments of `mafs-eval model`."""

from __future__ import annotations

from pathlib import Path

from mafs_training.evaluation.argument_parts import (
    add_boxes,
    add_command,
    add_data,
    add_goals,
    add_groups,
    add_limit,
    add_runtime,
    add_split,
    add_weights,
    Commands,
)


def add_arguments(commands: Commands) -> None:
    """Describe `mafs-eval model`."""
    parser = add_command(
        commands, 'model', 'Measure weights on a data set: fusion, labels, speed and robustness.'
    )
    add_weights(parser)
    add_data(parser)
    add_split(parser)
    parser.add_argument(
        '--labelled', action='store_true', help='leave out pairs without label image'
    )
    add_limit(parser)
    parser.add_argument(
        '--robustness',
        choices=('full', 'quick', 'missing', 'off'),
        default='full',
        help='curves over disturbances: all, three steps of each, only those of a missing camera, '
        'none (default: %(default)s)',
    )
    parser.add_argument(
        '--save',
        type=Path,
        metavar='DIR',
        help='write fused/, labels/ and confidence/ images here',
    )
    add_boxes(
        parser,
        text='boxes NAME.txt of the objects (default: boxes/ beside the images, if it is there)',
    )
    add_runtime(parser)
    add_goals(parser)
    add_groups(parser)
