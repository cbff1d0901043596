"""What the options of commands that fuse pairs describe: a source of pairs and a predictor."""

from __future__ import annotations

import argparse

from mafs_model.calibration.rig_registration import load_registration
from mafs_model.classes import ClassTable
from mafs_model.errors import ConfigError
from mafs_model.images.cameras import AUTO, load_camera
from mafs_model.images.preprocessing import parse_size
from mafs_model.images.thermal import ThermalScaler
from mafs_model.images.thermal_decoder import ThermalDecoder
from mafs_model.predictor import Predictor
from mafs_model.runtime.device import check_device_name
from mafs_model.runtime.factory import find_weights
from mafs_model.sources.items import PairSource
from mafs_model.sources.opening import open_pairs, Request

_MAX_TIMEOUT_S = 3600.0
_SMOOTHING = 0.9  # of the thermal limits in a recording


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
