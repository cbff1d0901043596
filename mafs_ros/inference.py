"""From one pair of images to the wanted results: the work of the worker thread, without ROS."""

from __future__ import annotations

from typing import cast

from mafs_model.errors import ConfigError
from mafs_model.images.overlay import OverlayStyle
from mafs_model.images.registration import Registration
from mafs_model.images.thermal import ThermalScaler
from mafs_model.prediction import Outputs, Prediction
from mafs_model.predictor import Predictor
from mafs_model.types import Backend, Precision, ThermalImage, UInt8Image
from mafs_ros.parameters import Settings
import numpy as np

# Typical cameras: the first real pair should not pay for what any size needs once.
_WARM_UP_SIZE = (480, 640)


def create_scaler(settings: Settings) -> ThermalScaler:
    """Return the scaling of thermal images that the settings ask for."""
    low: float | None = None
    high: float | None = None
    if settings.thermal_scaling == 'range':
        low, high = settings.thermal_range_low, settings.thermal_range_high
    elif settings.thermal_scaling in ('percentile', 'clahe'):
        low, high = settings.thermal_percentile_low, settings.thermal_percentile_high
    return ThermalScaler(
        settings.thermal_scaling,
        low,
        high,
        settings.thermal_smoothing,
        unit=settings.thermal_range_unit,
    )


def overlay_style(settings: Settings) -> OverlayStyle:
    """Return how the settings ask for the overlay to look."""
    return OverlayStyle(opacity=settings.overlay_opacity, legend=settings.overlay_legend)


def create_registration(settings: Settings) -> Registration:
    """
    Return the map from the thermal to the visible image.

    Raises:
        ConfigError: the file is missing or malformed.

    """
    if settings.thermal_homography is not None:
        return Registration(np.reshape(settings.thermal_homography, (3, 3)))
    if settings.thermal_homography_file:
        try:
            return Registration.load(settings.thermal_homography_file)
        except ConfigError as error:
            raise ConfigError(f'thermal.homography_file: {error}') from None
    return Registration(None)


class Pipeline:
    """
    A predictor whose settings may change between two pairs.

    Threads: `process` is called by the worker thread only; `update` is called by the executor
    and only leaves settings behind, which `process` takes over before the next pair.

    Args:
        settings: validated parameters.

    Raises:
        MafsError: weights, device, classes or homography cannot be used.

    """

    def __init__(self, settings: Settings) -> None:
        self.registration = create_registration(settings)
        self._settings = settings
        self._applied = settings
        self._reset = False
        self.predictor = self._create_predictor()
        self.classes = self.predictor.classes

    def _create_predictor(self) -> Predictor:
        settings = self._settings
        return Predictor.create(
            settings.weights,
            device=settings.device,
            backend=cast(Backend, settings.backend),
            precision=cast(Precision, settings.precision),
            inference_size=settings.inference_size,
            output_size=settings.output_size,
            registration=self.registration,
            thermal_scaler=create_scaler(settings),
            classes=settings.classes or None,
            threads=settings.threads or None,
        )

    def restart(self) -> None:
        """
        Load the network again, as after a failure of the device; no worker may run.

        Raises:
            MafsError: it cannot be loaded.

        """
        self.predictor.close()
        self.predictor = self._create_predictor()
        self.warm_up()

    @property
    def notices(self) -> tuple[str, ...]:
        """Return what the user should know, unless it is what the user asked for."""
        if self._settings.weights == 'classical':
            return ()
        return self.predictor.notices

    def warm_up(self) -> None:
        """Run once on blank images."""
        size = self._settings.output_size or _WARM_UP_SIZE
        self.predictor.warm_up(size, size)

    def update(self, settings: Settings) -> None:
        """Take over new settings before the next pair."""
        self._settings = settings  # one assignment: the worker sees the old or the new object

    def request_reset(self) -> None:
        """Forget the past (scaling limits) before the next pair, as after a jump in time."""
        self._reset = True

    def close(self) -> None:
        """Free the network."""
        self.predictor.close()

    def process(
        self, visible: UInt8Image | None, thermal: ThermalImage | None, outputs: Outputs
    ) -> Prediction:
        """
        Compute the wanted results of one pair.

        Args:
            visible: uint8 [H,W,3] RGB.
            thermal: uint8, uint16 or float32 [h,w].
            outputs: what somebody listens to.

        Raises:
            MafsError: the images cannot be used, or the device failed.

        """
        self._take_settings()
        return self.predictor.predict(visible, thermal, outputs)

    def _take_settings(self) -> None:
        """Apply what changed since the last pair."""
        settings = self._settings
        if settings is not self._applied:
            changed = settings.changed_from(self._applied)
            if any(
                name.startswith('thermal.') and name != 'thermal.time_offset' for name in changed
            ):
                self.predictor.thermal_scaler = create_scaler(settings)
            self._applied = settings
        if self._reset:
            self._reset = False
            self.predictor.reset()
