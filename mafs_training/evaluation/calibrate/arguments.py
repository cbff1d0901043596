"""The arguments of `mafs-eval calibrate`."""

from __future__ import annotations

from pathlib import Path

from mafs_training.evaluation.argument_parts import (
    add_command,
    add_data,
    add_device,
    add_weights,
    Commands,
)


def add_arguments(commands: Commands) -> None:
    """Describe `mafs-eval calibrate`."""
    parser = add_command(
        commands,
        'calibrate',
        'Fit the temperature of weights to labelled pairs, so that their confidence is true.',
        jobs=False,
        html=False,
    )
    add_weights(parser, classical=False)
    add_data(parser)
    parser.add_argument(
        '--split', default='train', help='folder below ROOT to fit on (default: %(default)s)'
    )
    parser.add_argument(
        '--check',
        nargs='+',
        default=[],
        metavar='SPLIT',
        help='splits on which the fit is only measured',
    )
    parser.add_argument(
        '--out', type=Path, metavar='FILE', help='weights file to write (default: only measure)'
    )
    parser.add_argument(
        '--offset',
        nargs='+',
        default=[],
        metavar='CLASS=VALUE',
        help='added to the logit of a class before the fit: its balance of misses and false '
        'claims, for instance bike=-0.5',
    )
    parser.add_argument(
        '--peak',
        nargs='+',
        default=[],
        metavar='CLASS=VALUE',
        help='least probability that a region of a class must reach somewhere in it to count, for '
        'instance person=0.8 (default: those of the weights); 0: every region counts',
    )
    add_device(parser)
