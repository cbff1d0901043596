"""The arguments of `mafs-eval objects`."""

from __future__ import annotations

from pathlib import Path

from mafs_training.evaluation.argument_parts import (
    add_boxes,
    add_command,
    add_groups,
    add_runtime,
    Commands,
)


def add_arguments(commands: Commands) -> None:
    """Describe `mafs-eval objects`."""
    parser = add_command(
        commands,
        'objects',
        'Measure which boxed objects label images find, and what they mark where none is.',
    )
    parser.add_argument(
        '--labels',
        nargs='+',
        action='extend',
        default=[],
        metavar='[NAME=]DIR',
        help='label images (class ids) of one or more methods',
    )
    parser.add_argument(
        '--weights',
        metavar='FILE',
        help="also measure the labels of these weights: a file or 'default'; needs --ir or --vi",
    )
    parser.add_argument('--ir', type=Path, metavar='DIR', help='thermal images for --weights')
    parser.add_argument(
        '--vi',
        type=Path,
        metavar='DIR',
        help='visible images for --weights; also shown in the report',
    )
    parser.add_argument(
        '--save', type=Path, metavar='DIR', help='keep the labels of --weights in this folder'
    )
    add_boxes(parser, required=True, text='boxes: NAME.txt with lines class cx cy w h [score]')
    parser.add_argument(
        '--classes',
        metavar='NAME|FILE',
        help='class table of --labels (default: that of --weights, else msrs)',
    )
    add_groups(parser)
    add_runtime(parser)
