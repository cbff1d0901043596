"""From one pair of images to the wanted results: the work of the worker thread, without ROS."""

from __future__ import annotations

from dataclasses import dataclass
import time
from typing import Any

from mafs_model.errors import ConfigError
from mafs_model.images.registration import Registration
from mafs_model.images.thermal import ThermalScaler
from mafs_model.images.visualization import draw_legend, overlay, put_notice
from mafs_model.predictor import Outputs, Prediction, Predictor
from mafs_ros.parameters import Settings
import numpy as np
from numpy.typing import NDArray

UInt8Image = NDArray[np.uint8]

NOTICE_CLASSICAL = 'no weights: classical fusion, labels empty'
# Typical cameras: the first real pair should not pay for what any size needs once.
_WARM_UP_SIZE = (480, 640)


@dataclass(frozen=True)
class Wanted:
    """Which outputs somebody listens to; what nobody wants is not computed."""

    fused: bool = False
    labels: bool = False
    confidence: bool = False
    overlay: bool = False

    @property
    def any(self) -> bool:
        """Return whether anything has to be computed."""
        return self.fused or self.labels or self.confidence or self.overlay


@dataclass(frozen=True)
class Results:
    """What was computed for one pair; absent where not wanted."""

    fused: UInt8Image | None
    labels: UInt8Image | None
    confidence: UInt8Image | None
    overlay: UInt8Image | None
    mode: str
    preprocess_ms: float
    inference_ms: float
    postprocess_ms: float


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
    A predictor with the drawing that follows it.

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
        self._legend: UInt8Image | None = None
        self.predictor = self._create_predictor()
        self.classes = self.predictor.classes

    def _create_predictor(self) -> Predictor:
        settings = self._settings
        return Predictor.create(
            settings.weights,
            device=settings.device,
            backend=settings.backend,
            precision=settings.precision,
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
        self, visible: UInt8Image | None, thermal: NDArray[Any] | None, wanted: Wanted
    ) -> Results:
        """
        Compute the wanted results of one pair.

        Args:
            visible: uint8 [H,W,3] RGB.
            thermal: uint8, uint16 or float32 [h,w].
            wanted: the outputs that somebody listens to.

        Raises:
            MafsError: the images cannot be used, or the device failed.

        """
        settings = self._take_settings()
        prediction = self.predictor.predict(
            visible,
            thermal,
            Outputs(
                fused=wanted.fused or wanted.overlay,
                labels=wanted.labels or wanted.overlay,
                confidence=wanted.confidence,
                overlay=settings.overlay_opacity if wanted.overlay else None,
            ),
        )
        start = time.perf_counter()
        painted = self._paint(prediction, settings) if wanted.overlay else None
        drawing_ms = 1e3 * (time.perf_counter() - start)
        timings = prediction.timings_ms
        return Results(
            fused=prediction.fused if wanted.fused else None,
            labels=prediction.labels if wanted.labels else None,
            confidence=prediction.confidence,
            overlay=painted,
            mode=prediction.mode,
            # Generated message code ends the process if a float field gets a whole number.
            preprocess_ms=float(timings.get('preprocess', 0.0)),
            inference_ms=float(timings.get('inference', 0.0)),
            postprocess_ms=float(timings.get('postprocess', 0.0)) + drawing_ms,
        )

    def _take_settings(self) -> Settings:
        """Apply what changed since the last pair and return the settings in force."""
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
        return settings

    def _paint(self, prediction: Prediction, settings: Settings) -> UInt8Image:
        """Return the fused image with class colours, legend and notice."""
        painted = prediction.overlay
        if painted is None:
            assert prediction.fused is not None
            assert prediction.labels is not None
            painted = overlay(
                prediction.fused, prediction.labels, self.classes, settings.overlay_opacity
            )
        if settings.overlay_legend:
            self._add_legend(painted)
        if self.predictor.is_classical:
            painted = put_notice(painted, NOTICE_CLASSICAL)
        return painted

    def _add_legend(self, image: UInt8Image) -> None:
        """Draw the names of the classes over the lower edge of the image."""
        height, width = image.shape[:2]
        if self._legend is None or self._legend.shape[1] != width:
            self._legend = draw_legend(self.classes, width)
        rows = min(self._legend.shape[0], height)
        image[height - rows :] = self._legend[:rows]
