"""The predictor as the parameters want it: the work of the worker thread, without ROS."""

from __future__ import annotations

from collections.abc import Callable
import threading
from typing import Any, cast

from mafs_model.calibration.calibration import Calibration
from mafs_model.calibration.rig_registration import create_registration as registration_of
from mafs_model.errors import ConfigError
from mafs_model.images.cameras import CameraProfile, load_camera, OF_CAMERA
from mafs_model.images.overlay import OverlayStyle
from mafs_model.images.registration import Registration
from mafs_model.images.thermal import ThermalScaler
from mafs_model.images.thermal_decoder import ThermalDecoder
from mafs_model.prediction import Outputs, Prediction
from mafs_model.predictor import Predictor
from mafs_model.types import Backend, Precision, ThermalImage, UInt8Image
from mafs_ros.parameters import Settings, SettingsBox
import numpy as np

# Typical cameras: the first real pair should not pay for what any size needs once.
_WARM_UP_SIZE = (480, 640)


def scaler_options(settings: Settings) -> dict[str, Any]:
    """Return the options of the scaling of thermal images that the settings ask for."""
    low: float | None = None
    high: float | None = None
    if settings.thermal_scaling == 'range':
        low, high = settings.thermal_range_low, settings.thermal_range_high
    elif settings.thermal_scaling in ('percentile', 'clahe'):
        low, high = settings.thermal_percentile_low, settings.thermal_percentile_high
    return {
        'method': settings.thermal_scaling,
        'low': low,
        'high': high,
        'smoothing': settings.thermal_smoothing,
        'unit': settings.thermal_range_unit,
        'scale_8bit': settings.thermal_scale_8bit,
    }


def create_camera(settings: Settings) -> CameraProfile:
    """
    Return what the thermal camera sends, by its profile and the parameters that override it.

    Raises:
        ConfigError: there is no such camera.

    """
    try:
        profile = load_camera(settings.thermal_camera)
    except ConfigError as error:
        raise ConfigError(f'thermal.camera: {error}') from None
    rotation = settings.thermal_rotation
    return profile.overridden(
        unit=settings.thermal_unit,
        byte_order=settings.thermal_byte_order,
        palette=settings.thermal_palette,
        rotation=OF_CAMERA if rotation == OF_CAMERA else int(rotation),
        mirror=settings.thermal_mirror,
        polarity=settings.thermal_polarity,
    )


def overlay_style(settings: Settings) -> OverlayStyle:
    """Return how the settings ask for the overlay to look."""
    return OverlayStyle(
        opacity=settings.overlay_opacity,
        legend=settings.overlay_legend,
        min_confidence=settings.overlay_min_confidence,
    )


def load_calibration(settings: Settings) -> Calibration | None:
    """
    Return the calibration that the settings name, None without one.

    Raises:
        ConfigError: the file is missing or malformed.

    """
    if not settings.calibration_file:
        return None
    try:
        return Calibration.load(settings.calibration_file)
    except ConfigError as error:
        raise ConfigError(f'calibration_file: {error}') from None


def create_registration(settings: Settings, calibration: Calibration | None) -> Registration:
    """
    Return the map from the thermal to the visible image.

    Raises:
        ConfigError: a file is missing or malformed, or does not fit the other settings.

    """
    if settings.thermal_homography is not None:
        return Registration(np.reshape(settings.thermal_homography, (3, 3)))
    if settings.thermal_homography_file:
        try:
            return Registration.load(settings.thermal_homography_file)
        except ConfigError as error:
            raise ConfigError(f'thermal.homography_file: {error}') from None
    if calibration is None:
        return Registration(None)
    distance_m = settings.registration_distance or None
    try:
        return registration_of(calibration, distance_m)
    except ConfigError as error:
        raise ConfigError(f'calibration_file: {error}') from None


class Inference:
    """
    A predictor whose settings may change between two pairs.

    Threads: `predict` and `why_alone_not` are called by the worker thread only; `request_reset`
    is called by the executor and only leaves a note; `load` and `replace` may be called by any
    thread.

    Args:
        settings: what is in force.

    Attributes:
        camera: what the thermal camera sends.
        decode_thermal: takes the picture out of what the thermal camera sends.

    Raises:
        MafsError: weights, device, classes, camera or homography cannot be used.

    """

    def __init__(self, settings: SettingsBox) -> None:
        self.calibration = load_calibration(settings.current)
        self.registration = create_registration(settings.current, self.calibration)
        self._settings = settings
        self._reset = False
        self.camera = camera = create_camera(settings.current)
        self.decode_thermal = ThermalDecoder(camera)
        self._of_camera: dict[str, Any] = {'camera_unit': camera.unit, 'polarity': camera.polarity}
        self._scaler_options = scaler_options(settings.current)
        self._exchange = threading.Lock()  # while another predictor takes the place of this one
        self._closed = False
        self.predictor = self._create_predictor(settings.current.weights)

    def _create_predictor(self, weights: str) -> Predictor:
        settings = self._settings.current
        predictor = Predictor.create(
            weights,
            device=settings.device,
            backend=cast(Backend, settings.backend),
            precision=cast(Precision, settings.precision),
            inference_size=settings.inference_size,
            output_size=settings.output_size,
            registration=self.registration,
            thermal_scaler=self._create_scaler(),
            max_pixels=settings.inference_max_pixels or None,
            classes=settings.classes_table or None,
            threads=settings.threads or None,
        )
        try:
            predictor.regroup(keep=settings.classes_keep, merge=dict(settings.classes_merge))
        except ConfigError as error:
            predictor.close()
            raise ConfigError(f'classes.{error}') from None
        return predictor

    def _create_scaler(self) -> ThermalScaler:
        return ThermalScaler(**self._scaler_options, **self._of_camera)

    @property
    def calibrated_offset_s(self) -> float | None:
        """Return what the calibration adds to thermal stamps, None where it does not say."""
        latency = None if self.calibration is None else self.calibration.latency
        return None if latency is None else latency.offset_s

    def restart(self) -> None:
        """
        Load the network again, as after a failure of the device; no worker may run.

        Raises:
            MafsError: it cannot be loaded.

        """
        with self._exchange:
            self.predictor.close()
            self._scaler_options = scaler_options(self._settings.current)
            self.predictor = self._create_predictor(self._settings.current.weights)
        self.warm_up()

    def load(self, weights: str) -> Predictor:
        """
        Return a predictor with other weights, ready for the first pair; nothing else changes.

        Args:
            weights: as the parameter of this name.

        Raises:
            MafsError: they cannot be used with the other settings.

        """
        predictor = self._create_predictor(weights)
        try:
            self._warm_up(predictor)
        except BaseException:
            predictor.close()
            raise
        return predictor

    def replace(self, predictor: Predictor, announce: Callable[[], None]) -> None:
        """
        Use another predictor from now on, with the scaling of thermal images as it is.

        Args:
            predictor: from `load`; no pair may be in work.
            announce: called once it is in use, before anything is computed with it.

        Raises:
            ConfigError: this inference has been closed.

        """
        with self._exchange:
            if self._closed:
                raise ConfigError('the node has been cleaned up meanwhile')
            predictor.thermal_scaler = self.predictor.thermal_scaler
            former, self.predictor = self.predictor, predictor
            announce()
        former.close()

    @property
    def notices(self) -> tuple[str, ...]:
        """Return what the user should know, unless it is what the user asked for."""
        if self._settings.current.weights == 'classical':
            return ()
        return self.predictor.notices

    def why_alone_not(self, stream: str) -> str:
        """Return why 'visible' or 'thermal' cannot be computed alone, '' if it can."""
        return self.predictor.why_not(f'{stream}_only')

    @property
    def may_be_alone(self) -> bool:
        """Return whether the settings ask for one camera alone, whatever it shows."""
        settings = self._settings.current
        return (
            settings.on_missing == 'single'
            or settings.thermal_on_shutter == 'visible_only'
            or settings.on_misregistration == 'visible_only'
        )

    def warm_up(self) -> None:
        """Run on blank images, each alone as well where that takes no load (see `Standby`)."""
        self._warm_up(self.predictor)

    def _warm_up(self, predictor: Predictor) -> None:
        """Warm up with images of the sizes of the calibration, if any: it refuses others."""
        settings = self._settings.current
        default = settings.output_size or _WARM_UP_SIZE
        known = self.registration, self.calibration
        thermal = next((k.thermal_size for k in known if k and k.thermal_size), default)
        visible = next((k.visible_size for k in known if k and k.visible_size), default)
        alone = self.may_be_alone and not predictor.prepares
        predictor.warm_up(visible, thermal, alone=alone)

    def request_reset(self) -> None:
        """Forget the past (scaling limits) before the next pair, as after a jump in time."""
        self._reset = True

    def close(self) -> None:
        """Free the network."""
        with self._exchange:
            self._closed = True
            self.predictor.close()

    def predict(
        self, visible: UInt8Image | None, thermal: ThermalImage | None, outputs: Outputs
    ) -> Prediction:
        """
        Compute the wanted results of one pair.

        Args:
            visible: uint8 [H,W,3] RGB, or None if this camera is missing.
            thermal: uint8, uint16 or float32 [h,w], or None if this camera is missing.
            outputs: what somebody listens to.

        Raises:
            MafsError: the images cannot be used, or the device failed.

        """
        options = scaler_options(self._settings.current)
        if options != self._scaler_options:
            self._scaler_options = options
            self.predictor.thermal_scaler = self._create_scaler()
        if self._reset:
            self._reset = False
            self.predictor.reset()
        return self.predictor.predict(visible, thermal, outputs)
