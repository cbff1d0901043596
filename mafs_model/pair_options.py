"""
The options of commands that fuse pairs: what is read, how it is prepared, what computes.

Nothing heavy is imported here; :mod:`mafs_model.pair_setup` makes of them what they describe.
"""

from __future__ import annotations

import argparse

from mafs_model.command_line import add_thermal_camera
from mafs_model.defaults import CAMERA_TIMEOUT_S, OPACITY
from mafs_model.types import BACKENDS, LAYOUTS, LIMIT_UNITS, PRECISIONS, SCALING_METHODS

_DEVICE_HELP = 'auto, cpu, cuda or cuda:N (default: auto)'


def add_pair_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of input, preparation and computation."""
    parser.add_argument(
        'input',
        nargs='?',
        metavar='INPUT',
        help='one input that holds both cameras: a folder with vi/ and ir/, or names that end in '
        '_rgb and _th; with --layout anything that shows them side by side',
    )
    source = parser.add_argument_group('input')
    source.add_argument(
        '--rgb',
        nargs='+',
        metavar='WHAT',
        help='visible: image, folder, "pattern*", multi-page TIFF, video, number of a webcam, '
        'rtsp://...',
    )
    source.add_argument(
        '--thermal',
        nargs='+',
        metavar='WHAT',
        help='thermal: the same, with 8 or 16 bit or float images, and .npy or .csv with '
        'temperatures',
    )
    source.add_argument(
        '--pair',
        metavar='RGB*:THERMAL*',
        help="two patterns, e.g. 'DIR/*_rgb.*:DIR/*_th.*'; equal * belong together",
    )
    source.add_argument(
        '--layout',
        choices=LAYOUTS,
        metavar='WHERE',
        help=f'where INPUT shows the cameras: {", ".join(LAYOUTS)}',
    )
    source.add_argument('--frames', type=int, metavar='N', help='stop after N pairs')
    source.add_argument(
        '--timeout',
        type=float,
        default=CAMERA_TIMEOUT_S,
        metavar='S',
        help=f'longest wait for an image of a camera in s (default: {CAMERA_TIMEOUT_S:g})',
    )
    source.add_argument(
        '--unchecked',
        action='store_true',
        help='take also inputs that look swapped or the same',
    )
    _add_preparation_options(parser)
    _add_model_options(parser)


def _add_preparation_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of sizes, registration, thermal scaling and overlay."""
    parser.add_argument(
        '--size',
        metavar='WxH',
        help='size at which the network computes (default: that of the result)',
    )
    parser.add_argument(
        '--output-size',
        metavar='WxH',
        help='size of the results (default: that of the visible image)',
    )
    parser.add_argument(
        '--homography',
        metavar='FILE',
        help='calibration file, or YAML file with the 3x3 map of thermal to visible pixels',
    )
    parser.add_argument(
        '--thermal-scaling',
        default='percentile',
        choices=SCALING_METHODS,
        metavar='NAME',
        help=f'{", ".join(SCALING_METHODS)} (default: percentile)',
    )
    parser.add_argument(
        '--thermal-range',
        nargs=2,
        type=float,
        metavar=('LOW', 'HIGH'),
        help='limits of range, or percentiles',
    )
    add_thermal_camera(parser)
    parser.add_argument(
        '--thermal-unit',
        default='raw',
        choices=LIMIT_UNITS,
        help='unit of --thermal-range for range (default: raw)',
    )
    parser.add_argument(
        '--sequence',
        action='store_true',
        help='the files are frames of one video: smooth the thermal scaling',
    )
    parser.add_argument(
        '--opacity',
        type=float,
        default=OPACITY,
        help='opacity of the class colours in the overlay (default: %(default)s)',
    )


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose weights and what computes."""
    parser.add_argument(
        '--weights',
        metavar='FILE',
        help="weights file, 'default' for the shipped ones, 'classical' for "
        'fusion without a network (default: default)',
    )
    parser.add_argument(
        '--classes',
        metavar='NAME|FILE',
        help='class table instead of that of the weights: mfnet, msrs, fmb, pst900 or a YAML file',
    )
    parser.add_argument('--device', default='auto', help=_DEVICE_HELP)
    parser.add_argument(
        '--backend',
        default='auto',
        choices=BACKENDS,
        metavar='NAME',
        help=f'{", ".join(BACKENDS)} (default: auto)',
    )
    parser.add_argument(
        '--precision',
        default='auto',
        choices=PRECISIONS,
        metavar='NAME',
        help=f'{", ".join(PRECISIONS)} (default: auto)',
    )
    parser.add_argument('--threads', type=int, metavar='N', help='CPU threads')
