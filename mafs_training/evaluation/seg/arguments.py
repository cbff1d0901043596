"""The arguments of `mafs-eval seg`."""

from __future__ import annotations

from pathlib import Path

from mafs_training.evaluation.argument_parts import (
    add_command,
    add_groups,
    Commands,
)


def add_arguments(commands: Commands) -> None:
    """Describe `mafs-eval seg`."""
    parser = add_command(commands, 'seg', 'Measure label images against reference labels.')
    parser.add_argument(
        '--pred', type=Path, required=True, metavar='DIR', help='predicted class ids'
    )
    parser.add_argument(
        '--label', type=Path, required=True, metavar='DIR', help='reference class ids'
    )
    parser.add_argument(
        '--classes',
        required=True,
        metavar='NAME|FILE',
        help='class table: mfnet, msrs, fmb, pst900 or a YAML file',
    )
    parser.add_argument(
        '--confidence',
        type=Path,
        metavar='DIR',
        help='8-bit confidence images, for the calibration error',
    )
    parser.add_argument(
        '--vi', type=Path, metavar='DIR', help='visible images, shown in the report'
    )
    parser.add_argument(
        '--ir', type=Path, metavar='DIR', help='thermal images, shown in the report'
    )
    add_groups(parser)
