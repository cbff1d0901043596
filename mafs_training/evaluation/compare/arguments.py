"""The arguments of `mafs-eval compare`."""

from __future__ import annotations

from pathlib import Path

from mafs_training.evaluation.argument_parts import (
    add_command,
    Commands,
    level,
)


def add_arguments(commands: Commands) -> None:
    """Describe `mafs-eval compare`."""
    parser = add_command(
        commands,
        'compare',
        jobs=False,
        text=(
            'Compare two JSON results, or the runs of several seeds a side, over the images they '
            'share: differences B - A with intervals of seeds and of images.'
        ),
    )
    parser.add_argument('first', type=Path, nargs='?', metavar='A.json')
    parser.add_argument('second', type=Path, nargs='?', metavar='B.json')
    for side, letter in (('before', 'A'), ('after', 'B')):
        parser.add_argument(
            f'--{side}',
            type=Path,
            nargs='+',
            metavar=f'{letter}.json',
            help='results of runs that differ in their seed alone, three or more',
        )
    parser.add_argument(
        '--method',
        action='append',
        default=[],
        metavar='NAME|A=B',
        help='method to compare; A=B compares A of the first side with B of the '
        'second (default: all of the same name)',
    )
    parser.add_argument(
        '--level',
        type=level,
        default=0.95,
        metavar='P',
        help='coverage of the intervals (default: %(default)s)',
    )
