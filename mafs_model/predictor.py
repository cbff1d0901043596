"""What Python users call: a predictor for files, arrays, lists and recordings, soon made."""

from __future__ import annotations

from collections.abc import Iterator
import logging
from pathlib import Path
from typing import Any, overload, TYPE_CHECKING

import cv2
from mafs_model.classes import ClassTable
from mafs_model.defaults import MAX_INFERENCE_PIXELS
from mafs_model.detections import MIN_AREA_PX
from mafs_model.errors import ConfigError, ImageError
from mafs_model.extras import require
from mafs_model.images.registration import Registration
from mafs_model.images.thermal import ThermalScaler
from mafs_model.images.thermal_decoder import ThermalDecoder
from mafs_model.inputs import as_thermal, as_visible
from mafs_model.numeric import is_whole
from mafs_model.pair_predictor import PairPredictor
from mafs_model.prediction import Outputs, Prediction
from mafs_model.result import Result
from mafs_model.runtime import create_engine
from mafs_model.runtime.classical import CLASSICAL_NOTICE
from mafs_model.sources.items import Images, PairSource
from mafs_model.sources.live import TIMEOUT_S
from mafs_model.sources.opening import open_pairs, Request
from mafs_model.sources.side_by_side import Layout
from mafs_model.types import Backend, Mode, Precision

if TYPE_CHECKING:
    from mafs_model.tensors import TensorPrediction

__all__ = ['Mode', 'Outputs', 'Prediction', 'Predictor', 'Result']

_LOGGER = logging.getLogger('mafs_model.predictor')

WITH_DETECTIONS = Outputs(detections=MIN_AREA_PX)


class Predictor(PairPredictor):
    """
    Fuses what people have at hand; what it is made of and one pair of arrays: `PairPredictor`.

    Not thread-safe: one thread at a time may call it.
    """

    @classmethod
    def create(  # noqa: PLR0913 - one keyword per choice
        cls,
        weights: str | Path | None = None,
        *,
        device: str = 'auto',
        backend: Backend = 'auto',
        precision: Precision = 'auto',
        inference_size: Any = None,
        output_size: Any = None,
        registration: Registration | None = None,
        thermal_scaler: ThermalScaler | None = None,
        max_pixels: int | None = MAX_INFERENCE_PIXELS,
        thermal_decoder: ThermalDecoder | None = None,
        classes: ClassTable | str | Path | None = None,
        threads: int | None = None,
    ) -> Predictor:
        """
        Create a predictor with the engine that fits.

        Args:
            weights: path of a weights file, ``'default'`` or None for the shipped weights (the
                classical engine if none are shipped), ``'classical'`` for no network.
            device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
            backend: see ``mafs_model.runtime.BACKENDS``.
            precision: see ``mafs_model.runtime.PRECISIONS``.
            inference_size: see `PairPredictor`.
            output_size: see `PairPredictor`.
            registration: see `PairPredictor`.
            thermal_scaler: see `PairPredictor`.
            max_pixels: see `PairPredictor`.
            thermal_decoder: see `PairPredictor`.
            classes: class table, its name or YAML file, instead of that of the weights.
            threads: number of CPU threads of this process; None leaves the libraries' choice.

        Raises:
            ConfigError: a setting is wrong.
            CheckpointError: the weights cannot be used.
            DeviceError: device or backend is not available.

        """
        if isinstance(classes, (str, Path)):
            classes = ClassTable.load(classes)
        if threads is not None:
            set_threads(threads)
        engine = create_engine(
            weights,
            device=device,
            backend=backend,
            precision=precision,
            classes=classes,
            threads=threads,
        )
        return cls(
            engine,
            inference_size=inference_size,
            output_size=output_size,
            registration=registration,
            thermal_scaler=thermal_scaler,
            max_pixels=max_pixels,
            thermal_decoder=thermal_decoder,
        )

    @overload
    def __call__(self, visible: list[Any], thermal: list[Any] | None = None) -> list[Result]: ...

    @overload
    def __call__(self, visible: None, thermal: list[Any]) -> list[Result]: ...

    @overload
    def __call__(self, visible: Any = None, thermal: Any = None) -> Result: ...

    def __call__(self, visible: Any = None, thermal: Any = None) -> Result | list[Result]:
        """
        Fuse what people have at hand; programs call :meth:`predict`.

        Args:
            visible: path, PIL image, array or tensor, see ``mafs_model.inputs``; None if this
                camera is missing; or a list of any of these.
            thermal: the same; a list as long as the other.

        Returns:
            The result, for lists a list of them.

        Raises:
            ImageError: an image is unusable.
            ConfigError: lists of different length.

        """
        if isinstance(visible, list) or isinstance(thermal, list):
            return [self(*pair) for pair in _pairs(visible, thermal)]
        images = Images(
            None if visible is None else as_visible(visible),
            None if thermal is None else as_thermal(thermal),
        )
        named = next((x for x in (visible, thermal) if isinstance(x, (str, Path))), None)
        name = '' if named is None else Path(named).stem
        return self.result(self.predict(*images, WITH_DETECTIONS), images, name)

    def predict_tensors(self, visible: Any = None, thermal: Any = None) -> TensorPrediction:
        """
        Fuse tensors of torch, one pair or a batch, and leave the results where they are computed.

        For programs whose images are on a GPU already: nothing is copied back, and nothing waits
        for it. The images are prepared: bytes, registered, of the size to compute at.

        Args:
            visible: uint8 [H,W,3], [3,H,W], or with an axis B before, on any device; None: this
                camera is missing.
            thermal: uint8 [H,W], [1,H,W], [B,H,W] or [B,1,H,W] on the same grid; None: missing.

        Returns:
            Tensors on the device of the predictor.

        Raises:
            ConfigError: the backend is none of torch, or sizes or a registration were asked for.
            ImageError: no such tensors.
            DeviceError: the device failed, or torch is not installed.

        """
        require('predict_tensors', 'torch')
        from mafs_model.tensors import predict_tensors  # loads torch

        asked = {
            'inference_size': self._inference_size is not None,
            'output_size': self._output_size is not None,
            'registration': not self.registration.is_identity,
        }
        for name, is_asked in asked.items():
            if is_asked:
                raise ConfigError(f'{name} with tensors: expected none, tensors come prepared')
        return predict_tensors(self.engine, self._regrouping, visible, thermal)

    def predict_video(
        self,
        visible: str | Path | int | None = None,
        thermal: str | Path | int | None = None,
        *,
        both: str | Path | None = None,
        layout: Layout | None = None,
        limit: int | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Iterator[Result]:
        """
        Fuse recordings or cameras pair by pair.

        Whatever ``mafs fuse`` takes is taken: films, folders, patterns, TIFF pages, numbers of
        webcams, addresses of streams. Images that cannot be used are left out and logged.

        Args:
            visible: input of the visible camera.
            thermal: input of the thermal camera.
            both: one input that holds both, with ``layout`` or as a folder of two folders.
            layout: where ``both`` shows the cameras.
            limit: number of pairs after which to stop.
            timeout_s: longest wait for an image of a camera.

        Yields:
            Results in order; closing the generator closes files and cameras.

        Raises:
            ConfigError: an input is not there, or does not go with the others.

        """
        request = Request(
            visible=() if visible is None else (str(visible),),
            thermal=() if thermal is None else (str(thermal),),
            both=None if both is None else str(both),
            layout=layout,
            limit=limit,
            timeout_s=timeout_s,
        )
        source = open_pairs(request)
        # Not a generator itself, so that a wrong input is refused where it is named.
        return self._fuse_all(source)

    def _fuse_all(self, source: PairSource) -> Iterator[Result]:
        """Yield the results of a source and close it."""
        try:
            for item in source:
                try:
                    images = item.read()
                    prediction = self.predict(*images, WITH_DETECTIONS)
                except ImageError as error:
                    _LOGGER.warning("pair '%s' is left out: %s", item.name, error)
                    continue
                yield self.result(prediction, images, item.name, item.time_s)
            for problem in source.problems:
                _LOGGER.warning('%s', problem)
        finally:
            source.close()

    def result(
        self, prediction: Prediction, images: Images, name: str = '', time_s: float | None = None
    ) -> Result:
        """Return a prediction with everything that its pictures need."""
        notice = CLASSICAL_NOTICE if self.is_classical else ''
        return Result(prediction, images, self.classes, name, notice, time_s)


def set_threads(threads: int) -> None:
    """
    Set the number of CPU threads of OpenCV in this process; engines set their library's.

    Raises:
        ConfigError: not a whole number of at least 1.

    """
    if not is_whole(threads) or not 1 <= threads <= 1024:
        raise ConfigError(f'threads {threads!r}: expected a whole number from 1 to 1024')
    cv2.setNumThreads(threads)


def _pairs(visible: Any, thermal: Any) -> list[tuple[Any, Any]]:
    """Return two lists, or one and None, as pairs; raises ConfigError."""
    lists = [x for x in (visible, thermal) if x is not None]
    if not all(isinstance(x, list) for x in lists) or len({len(x) for x in lists}) > 1:
        counts = [len(x) if isinstance(x, list) else 'one' for x in lists]
        raise ConfigError(
            f'{counts[0]} visible and {counts[-1]} thermal images, expected two lists of the same '
            'length'
        )
    count = len(lists[0])
    none = [None] * count
    return list(zip(visible or none, thermal or none, strict=True))
