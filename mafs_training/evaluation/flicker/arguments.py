"""The arguments of `mafs-eval flicker`."""

from __future__ import annotations

from mafs_training.evaluation.argument_parts import (
    add_command,
    add_runtime,
    add_topics,
    add_weights,
    Commands,
    positive,
    rate,
)


def add_arguments(commands: Commands) -> None:
    """Describe `mafs-eval flicker`."""
    parser = add_command(
        commands,
        'flicker',
        'Measure the change of fused images from frame to frame against that of the sources.',
        jobs=False,
    )
    parser.add_argument(
        'sequence',
        metavar='SEQUENCE',
        help='folder with vi/ and ir/ in the order of names, bag, or synthetic[:SECONDS]',
    )
    add_weights(parser)
    parser.add_argument(
        '--fused',
        nargs='+',
        action='extend',
        default=[],
        metavar='[NAME=]DIR',
        help='fused images of further methods, named as the frames',
    )
    add_topics(parser)
    parser.add_argument(
        '--rate',
        type=rate,
        default=15.0,
        metavar='HZ',
        help='frames per second of the synthetic drive (default: %(default)s)',
    )
    parser.add_argument('--limit', type=positive, metavar='N', help='stop after N frames')
    add_runtime(parser)
