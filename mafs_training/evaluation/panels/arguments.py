"""The arguments of `mafs-eval panels`."""

from __future__ import annotations

from pathlib import Path

from mafs_training.evaluation.argument_parts import (
    add_command,
    add_data,
    add_runtime,
    add_split,
    add_weights,
    Commands,
    positive,
)


def add_arguments(commands: Commands) -> None:
    """Describe `mafs-eval panels`."""
    parser = add_command(
        commands,
        'panels',
        'Draw contact sheets of pairs, fused images and labels, the worst ones first.',
        jobs=False,
        html=False,
        json=False,
    )
    add_weights(parser)
    add_data(parser, several=True)
    add_split(parser)
    parser.add_argument(
        '--count',
        type=positive,
        default=24,
        metavar='N',
        help='pairs to show: half of them the worst, the rest up to the best '
        '(default: %(default)s)',
    )
    parser.add_argument(
        '--rank',
        default='Qabf',
        metavar='METRIC',
        help='what is worst: a fusion metric, or mIoU among labelled pairs (default: %(default)s)',
    )
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('out/panels'),
        metavar='DIR',
        help='folder of the sheets (default: %(default)s)',
    )
    add_runtime(parser)
