"""The arguments of `mafs-eval agree`."""

from __future__ import annotations

from mafs_training.evaluation.argument_parts import (
    add_command,
    add_data,
    add_device,
    add_limit,
    add_split,
    add_weights,
    Commands,
)


def add_arguments(commands: Commands) -> None:
    """Describe `mafs-eval agree`."""
    parser = add_command(
        commands,
        'agree',
        'Compare two backends or precisions of the same weights on a data set.',
        jobs=False,
        html=False,
    )
    add_weights(parser, classical=False)
    add_data(parser)
    add_split(parser)
    add_limit(parser)
    for which, default in (('first', 'torch:fp32'), ('second', 'openvino:int8')):
        parser.add_argument(
            f'--{which}',
            default=default,
            metavar='BACKEND:PRECISION',
            help=f'the {which} engine (default: %(default)s)',
        )
    add_device(parser)
