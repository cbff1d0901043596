"""The arguments of `mafs-eval bag`."""

from __future__ import annotations

from pathlib import Path

from mafs_model.command_line import add_thermal_camera
from mafs_model.defaults import QUEUE_SIZE, SLOP_S
from mafs_training.evaluation.argument_parts import (
    add_command,
    add_runtime,
    add_topics,
    add_weights,
    Commands,
    offset,
    positive,
    seconds,
    share,
)


def add_arguments(commands: Commands) -> None:
    """Describe `mafs-eval bag`."""
    parser = add_command(
        commands, 'bag', 'Fuse a rosbag2 recording offline and measure the result.'
    )
    parser.add_argument(
        'bags',
        type=Path,
        nargs='+',
        metavar='BAG',
        help='bag folder, .mcap or .db3 file; several, or a folder of bags: one table',
    )
    parser.add_argument(
        '--results',
        type=Path,
        metavar='DIR',
        help='several bags: keep the result of each here, and measure only those that are missing '
        'or have changed',
    )
    parser.add_argument(
        '--executor',
        default='',
        metavar='ADDRESS',
        help='several bags: have the workers of this Dask scheduler measure them '
        '(tcp://host:8786, extra cluster); they run code of this process and see the same paths',
    )
    add_topics(parser)
    add_thermal_camera(parser)
    parser.add_argument(
        '--labels',
        type=Path,
        metavar='DIR',
        help='reference class ids, named by the stamp of the visible image in nanoseconds',
    )
    parser.add_argument(
        '--out-bag', type=Path, metavar='OUT.mcap', help='write fused, label and overlay images'
    )
    add_weights(parser)
    parser.add_argument(
        '--slop',
        type=seconds,
        default=SLOP_S,
        metavar='S',
        help='largest stamp difference of a pair in seconds (default: %(default)s)',
    )
    parser.add_argument(
        '--queue-size',
        type=positive,
        default=QUEUE_SIZE,
        metavar='N',
        help='frames a stream may wait for partners (default: %(default)s)',
    )
    parser.add_argument(
        '--time-offset',
        type=offset,
        default=0.0,
        metavar='S|auto',
        help='seconds added to thermal stamps, or auto (default: %(default)s)',
    )
    parser.add_argument(
        '--thermal-scaling',
        default='percentile',
        choices=('percentile', 'minmax', 'clahe'),
        help='of 16- and 32-bit thermal images (default: %(default)s)',
    )
    parser.add_argument(
        '--thermal-smoothing',
        type=share,
        default=0.9,
        metavar='P',
        help='weight of the past in the scaling limits (default: %(default)s)',
    )
    parser.add_argument(
        '--homography',
        type=Path,
        metavar='FILE',
        help='calibration file, or YAML file with the map from thermal to visible pixels',
    )
    parser.add_argument(
        '--metrics-every',
        type=positive,
        default=30,
        metavar='N',
        help='measure every Nth pair (default: %(default)s)',
    )
    parser.add_argument('--limit', type=positive, metavar='N', help='stop after N pairs')
    parser.add_argument(
        '--live',
        action='store_true',
        help='also play the bag to the node over DDS and compare its outputs '
        'with the offline ones (needs a ROS 2 environment)',
    )
    add_runtime(parser)
