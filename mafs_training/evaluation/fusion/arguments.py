"""The arguments of `mafs-eval fusion`."""

from __future__ import annotations

from pathlib import Path

from mafs_training.evaluation.argument_parts import (
    add_boxes,
    add_command,
    add_goals,
    add_groups,
    add_runtime,
    Commands,
)


def add_arguments(commands: Commands) -> None:
    """Describe `mafs-eval fusion`."""
    parser = add_command(commands, 'fusion', 'Measure folders of fused images and the baselines.')
    parser.add_argument(
        '--ir', type=Path, required=True, metavar='DIR', help='thermal images, 8-bit grey'
    )
    parser.add_argument(
        '--vi', type=Path, required=True, metavar='DIR', help='visible images, 8-bit'
    )
    parser.add_argument(
        '--fused',
        nargs='+',
        action='extend',
        default=[],
        metavar='[NAME=]DIR',
        help='fused images of one or more methods (default: baselines only)',
    )
    parser.add_argument(
        '--weights',
        metavar='FILE',
        help="also measure what these weights make of the pairs: a file, 'default' or 'classical'",
    )
    parser.add_argument(
        '--save', type=Path, metavar='DIR', help='keep the images of --weights in this folder'
    )
    parser.add_argument(
        '--reference',
        type=Path,
        metavar='FILE',
        help='also show rows measured elsewhere: JSON with methods (and splits), or of mafs-eval',
    )
    parser.add_argument(
        '--reference-method',
        nargs='+',
        default=[],
        metavar='NAME',
        help='rows of --reference to show (default: all)',
    )
    parser.add_argument(
        '--reference-split',
        metavar='NAME',
        help='split of --reference (default: the folder that holds --vi)',
    )
    parser.add_argument(
        '--labels',
        type=Path,
        metavar='DIR',
        help='label images, shown beside best and worst pairs of the report',
    )
    parser.add_argument(
        '--classes',
        default='msrs',
        metavar='NAME|FILE',
        help='class table of --labels (default: %(default)s)',
    )
    parser.add_argument(
        '--common',
        action='store_true',
        help='measure only pairs for which every method has an image',
    )
    parser.add_argument(
        '--variants',
        action='store_true',
        help="add Qabf_XP and MI_bits, the papers' own conventions",
    )
    parser.add_argument(
        '--rank',
        default='Qabf',
        metavar='METRIC',
        help='metric that picks best and worst pairs (default: %(default)s)',
    )
    add_boxes(parser, text='boxes NAME.txt: also how clear the boxed persons, bikes and cars are')
    add_goals(parser)
    add_groups(parser)
    add_runtime(parser)
