"""The options of commands that fuse pairs: what is read, how it is prepared, what computes."""

from __future__ import annotations

import argparse

from mafs_model.calibration.rig_registration import load_registration
from mafs_model.classes import ClassTable
from mafs_model.command_line import add_thermal_camera
from mafs_model.defaults import OPACITY
from mafs_model.errors import ConfigError
from mafs_model.images.cameras import AUTO, load_camera
from mafs_model.images.preprocessing import parse_size
from mafs_model.images.thermal import METHODS, ThermalScaler, UNITS
from mafs_model.images.thermal_decoder import ThermalDecoder
from mafs_model.predictor import Predictor
from mafs_model.runtime.device import check_device_name
from mafs_model.runtime.factory import BACKENDS, find_weights, PRECISIONS
from mafs_model.sources.items import PairSource
from mafs_model.sources.live import TIMEOUT_S
from mafs_model.sources.opening import open_pairs, Request
from mafs_model.sources.side_by_side import LAYOUTS

_DEVICE_HELP = 'auto, cpu, cuda or cuda:N (default: auto)'
_MAX_TIMEOUT_S = 3600.0
_SMOOTHING = 0.9  # of the thermal limits in a recording


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
        default=TIMEOUT_S,
        metavar='S',
        help=f'longest wait for an image of a camera in s (default: {TIMEOUT_S:g})',
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
        choices=METHODS,
        metavar='NAME',
        help=f'{", ".join(METHODS)} (default: percentile)',
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
        choices=UNITS,
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


def open_source(arguments: argparse.Namespace) -> PairSource:
    """
    Return the pairs that the options name.

    Raises:
        ConfigError: an input is not there, or does not go with the others.

    """
    if arguments.frames is not None and arguments.frames < 1:
        raise ConfigError(f'--frames {arguments.frames}: expected a whole number of at least 1')
    if not 0 < arguments.timeout <= _MAX_TIMEOUT_S:
        raise ConfigError(
            f'--timeout {arguments.timeout:g}: expected more than 0, at most {_MAX_TIMEOUT_S:g}'
        )
    return open_pairs(
        Request(
            visible=arguments.rgb or (),
            thermal=arguments.thermal or (),
            both=arguments.input,
            pattern=arguments.pair,
            layout=arguments.layout,
            limit=arguments.frames,
            timeout_s=arguments.timeout,
            unchecked=arguments.unchecked,
        )
    )


def check_settings(arguments: argparse.Namespace) -> None:
    """Raise ConfigError or CheckpointError for what is wrong whatever the input."""
    check_device_name(arguments.device)
    for size in (arguments.size, arguments.output_size):
        if size:
            parse_size(size)
    if arguments.homography:
        load_registration(arguments.homography)
    if arguments.classes:
        ClassTable.load(arguments.classes)
    if arguments.weights not in {None, 'default', 'classical'}:
        find_weights(arguments.weights)
    _scaler(arguments, is_sequence=False)


def create_predictor(arguments: argparse.Namespace, is_sequence: bool = False) -> Predictor:
    """
    Return the predictor that the options describe.

    Args:
        arguments: parsed options of the model and of the preparation of images.
        is_sequence: the pairs are moments of one recording.

    Raises:
        MafsError: settings, weights or device are wrong.

    """
    camera = load_camera(arguments.thermal_camera)
    return Predictor.create(
        arguments.weights,
        device=arguments.device,
        backend=arguments.backend,
        precision=arguments.precision,
        threads=arguments.threads,
        classes=arguments.classes,
        inference_size=parse_size(arguments.size) if arguments.size else None,
        output_size=parse_size(arguments.output_size) if arguments.output_size else None,
        registration=load_registration(arguments.homography) if arguments.homography else None,
        thermal_scaler=_scaler(arguments, is_sequence or arguments.sequence),
        thermal_decoder=None if camera.name == AUTO else ThermalDecoder(camera),
    )


def _scaler(arguments: argparse.Namespace, is_sequence: bool) -> ThermalScaler:
    """Return the scaling of thermal images; raises ConfigError."""
    low, high = arguments.thermal_range or (None, None)
    camera = load_camera(arguments.thermal_camera)
    return ThermalScaler(
        arguments.thermal_scaling,
        low,
        high,
        unit=arguments.thermal_unit,
        camera_unit=camera.unit,
        polarity=camera.polarity,
        # Unrelated files must not influence each other, whatever their order.
        smoothing=_SMOOTHING if is_sequence else 0.0,
    )
