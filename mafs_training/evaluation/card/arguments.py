"""The arguments of `mafs-eval card`."""

from __future__ import annotations

from pathlib import Path

from mafs_training.evaluation.argument_parts import (
    add_command,
    add_weights,
    Commands,
)


def add_arguments(commands: Commands) -> None:
    """Describe `mafs-eval card`."""
    parser = add_command(
        commands,
        'card',
        'Write the numbers of a model card from weights and results of the other commands.',
        jobs=False,
        html=False,
        json=False,
    )
    parser.add_argument(
        'card', type=Path, metavar='CARD.md', help='the card; made if it is not there'
    )
    add_weights(parser, classical=False)
    parser.add_argument(
        '--results',
        type=Path,
        nargs='+',
        default=[],
        metavar='FILE',
        help='JSON of mafs-eval fusion, objects, model, flicker and agree with these weights',
    )
    parser.add_argument(
        '--check',
        action='store_true',
        help='write nothing; say where the card differs from the results or waits for words',
    )
