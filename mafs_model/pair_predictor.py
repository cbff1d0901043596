"""
The one definition of inference: numpy images of one pair in, numpy images out.

Node, command line and evaluation all call :meth:`PairPredictor.predict`, so they cannot differ.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
import time
from typing import Any, TYPE_CHECKING

from mafs_model.classes import ClassTable
from mafs_model.defaults import MAX_INFERENCE_PIXELS
from mafs_model.detections import find_detections, OBJECT_NAMES, Tracker
from mafs_model.errors import ConfigError, ImageError, ModeError
from mafs_model.images.dead import without_dead
from mafs_model.images.enlargement import enlarge
from mafs_model.images.overlay import Annotator, OverlayStyle, paint
from mafs_model.images.preprocessing import (
    check_size,
    check_thermal,
    check_visible,
    format_size,
    MIN_SIDE_PX,
    resize,
    size_of,
    within_pixels,
)
from mafs_model.images.registration import Registration, Unregistered
from mafs_model.images.temperature import celsius_image
from mafs_model.images.thermal import ThermalScaler
from mafs_model.images.thermal_decoder import ThermalDecoder
from mafs_model.images.visualization import CLEAR_NAMES
from mafs_model.prediction import Outputs, Prediction
from mafs_model.regrouping import all_apart, Regrouping
from mafs_model.runtime import Engine
from mafs_model.runtime.classical import CLASSICAL_NOTICE
from mafs_model.runtime.engine import prepares, registers
from mafs_model.types import Mode, Size, ThermalImage, UInt8Image
import numpy as np

if TYPE_CHECKING:  # typing.Self is not in Python 3.10
    from typing_extensions import Self

ALL_OUTPUTS = Outputs()


class PairPredictor:
    """
    Prepares images, runs an engine and brings its results to the output size.

    Not thread-safe: one thread at a time may call it. The only state that influences results is
    the thermal scaler's range, the last visible size and the objects that are followed;
    :meth:`reset` clears all of it.

    Args:
        engine: what computes.
        inference_size: (height, width) at which the engine runs; None: the output size, or the
            largest of its shape with ``max_pixels``.
        output_size: (height, width) of the results; None: the size of the visible image, without
            one that of the last visible image, else of the thermal image.
        registration: map of the thermal image onto the visible one; None: resizing.
        thermal_scaler: scaling of 16-bit and float images; None: percentiles.
        max_pixels: pixels that a network computes at most, larger images are inferred smaller;
            None: no limit.
        thermal_decoder: knows the thermal camera, takes the picture out of what it sends; None:
            images come as pictures.

    """

    def __init__(
        self,
        engine: Engine,
        *,
        inference_size: Any = None,
        output_size: Any = None,
        registration: Registration | None = None,
        thermal_scaler: ThermalScaler | None = None,
        max_pixels: int | None = MAX_INFERENCE_PIXELS,
        thermal_decoder: ThermalDecoder | None = None,
    ) -> None:
        self._engine: Engine | None = engine
        self._inference_size = (
            None if inference_size is None else check_size(inference_size, 'inference size')
        )
        self._output_size = None if output_size is None else check_size(output_size, 'output size')
        self.registration = registration or Registration()
        self.thermal_scaler = thermal_scaler or ThermalScaler()
        least = MIN_SIDE_PX * MIN_SIDE_PX
        if max_pixels is not None and max_pixels < least:
            raise ConfigError(f'inference pixels {max_pixels}: expected at least {least}')
        # The classical fusion costs little at any size.
        self._max_pixels = None if engine.is_classical else max_pixels
        self._decode_thermal = thermal_decoder
        self._visible_size: Size | None = None
        self._work_size: Size | None = None
        self._regrouping: Regrouping | None = None
        self._annotate = Annotator(engine.classes)
        self._track = Tracker()

    @property
    def engine(self) -> Engine:
        """Return the engine; raises ConfigError after :meth:`close`."""
        if self._engine is None:
            raise ConfigError('predictor is closed, create a new one')
        return self._engine

    @property
    def classes(self) -> ClassTable:
        """Return the class table of the labels."""
        return self.engine.classes if self._regrouping is None else self._regrouping.table

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Return the ids of the classes that are objects (persons, vehicles) or groups of them."""
        grouping = self._regrouping or all_apart(self.engine.classes)
        return tuple(
            class_id
            for class_id, members in enumerate(grouping.members)
            if grouping.table.names[class_id] not in CLEAR_NAMES
            and any(member in OBJECT_NAMES for member in members)
        )

    def regroup(
        self, *, keep: Collection[str] = (), merge: Mapping[str, Collection[str]] | None = None
    ) -> None:
        """
        Make other classes of those of the network, for everything that is computed from now on.

        The confidence stays that of the class that the network has seen.

        Args:
            keep: names of the classes to keep, groups included; empty: all.
            merge: name of a new class -> names of the classes that it stands for.

        Raises:
            ConfigError: a name is unknown, used twice or taken.

        """
        regrouping = all_apart(self.engine.classes).merged(merge or {}).kept(keep)
        self._regrouping = regrouping if keep or merge else None
        self._annotate = Annotator(self.classes)
        self._track = Tracker()

    @property
    def weights_id(self) -> str:
        """Return a short identification of the weights."""
        return self.engine.weights_id

    @property
    def device(self) -> str:
        """Return where the engine computes, e.g. ``cpu`` or ``cuda:0``."""
        return self.engine.device

    @property
    def backend(self) -> str:
        """Return what computes, e.g. ``torch`` or ``opencv``."""
        return self.engine.backend

    @property
    def is_classical(self) -> bool:
        """Return whether no network is behind the results."""
        return self.engine.is_classical

    @property
    def notices(self) -> tuple[str, ...]:
        """Return what a user should know about the set-up, one sentence each."""
        return self.engine.notices

    @property
    def work_size(self) -> Size | None:
        """Return (height, width) at which the last pair was computed, None before the first."""
        return self._work_size

    @property
    def prepares(self) -> bool:
        """Return whether :meth:`prepare` may be called while another thread predicts."""
        return prepares(self.engine)

    def why_not(self, mode: str) -> str:
        """Return why one of ``MODES`` cannot be computed with these weights, '' if it can."""
        return self.engine.why_not(mode)

    def prepare(self, mode: str, size: Size) -> None:
        """
        Make one of ``MODES`` ready, so that its first image costs no load.

        Args:
            mode: which images are to come.
            size: (height, width) to compute at, as :attr:`work_size`.

        Raises:
            ModeError: it cannot be computed.
            ConfigError: the predictor has been closed.

        """
        engine = self.engine
        if prepares(engine):
            engine.prepare(mode, size)

    def predict(
        self,
        visible: UInt8Image | None,
        thermal: ThermalImage | None,
        outputs: Outputs = ALL_OUTPUTS,
    ) -> Prediction:
        """
        Compute the wanted outputs for one pair.

        Args:
            visible: uint8 [H,W,3] RGB, or None if this camera is missing. An image that shows
                nothing (constant, saturated, faint noise) counts as missing, with a notice,
                unless the other one does, too; a dark visible image does not.
            thermal: uint8, uint16 or float32 [h,w], or None if this camera is missing.
            outputs: what to compute.

        Returns:
            Arrays of one size that belong to the caller.

        Raises:
            ImageError: an image is unusable; the predictor stays usable.
            ModeError: the weights cannot be computed for the images given.
            DeviceError: the device failed.

        """
        start = time.perf_counter()
        engine = self.engine
        if visible is None and thermal is None:
            raise ImageError('data', 'no image: expected a visible or a thermal image')
        if thermal is not None and self._decode_thermal is not None:
            thermal = self._decode_thermal(thermal)
        if visible is not None:
            check_visible(visible)
            self._visible_size = size_of(visible)
        size = self._choose_size(thermal)
        work_size = self._inference_size or within_pixels(size, self._max_pixels)
        self._work_size = work_size
        visible, thermal, notices = without_dead(visible, thermal, engine.why_not)
        full_visible = None if visible is None else resize(visible, size)
        scaled = None if thermal is None else self.thermal_scaler(thermal)
        full_thermal = None
        unregistered = self._leave_to(engine, scaled, size) if work_size == size else None
        if scaled is not None and unregistered is None:
            full_thermal = self._register(scaled, full_visible, size)
        needed = outputs.with_sources()
        if work_size != size or self._regrouping is not None:
            # An engine sees neither the output size nor other classes than its own.
            needed = replace(needed, overlay=None)
        small_visible = None if full_visible is None else resize(full_visible, work_size)
        small_thermal = None if full_thermal is None else resize(full_thermal, work_size)
        prepared = time.perf_counter()
        if unregistered is None:
            result = engine.infer(small_visible, small_thermal, needed)
        else:
            assert registers(engine)
            result = engine.infer_unregistered(small_visible, unregistered, needed)
        inferred = time.perf_counter()
        if work_size != size:
            result = enlarge(result, full_visible, full_thermal, work_size, size)
        if self._regrouping is not None and result.labels is not None:
            result = replace(result, labels=self._regrouping(result.labels))
        if outputs.overlay is not None:
            result = self._paint(result, outputs.overlay)
        if outputs.detections is not None or outputs.temperature:
            result = self._measure(result, thermal, size, outputs)
        done = time.perf_counter()
        timings_ms = {
            'preprocess': 1e3 * (prepared - start),
            'inference': 1e3 * (inferred - prepared),
            'postprocess': 1e3 * (done - inferred),
        }
        mode = _mode(visible is not None, thermal is not None, engine.is_classical)
        return replace(result.only(outputs), mode=mode, timings_ms=timings_ms, notices=notices)

    def __repr__(self) -> str:
        """Return one line: weights, backend and device."""
        if self._engine is None:
            return f'{type(self).__name__}(closed)'
        return f'{type(self).__name__}({self.weights_id}, {self.backend}, {self.device})'

    def warm_up(
        self, visible_size: Any, thermal_size: Any, repeats: int = 2, *, alone: bool = False
    ) -> float:
        """
        Run on grey images so that the first real pair is not slower than the others.

        Args:
            visible_size: (height, width) of the visible images to come.
            thermal_size: (height, width) of the thermal images to come.
            repeats: number of runs.
            alone: run on each image alone as well, where the weights can, so that a camera that
                stops costs no load.

        Returns:
            Wall time of the last run on both in ms.

        """
        visible = np.full((*_pair(visible_size, 'visible size'), 3), 128, np.uint8)
        thermal = np.full(_pair(thermal_size, 'thermal size'), 128, np.uint8)
        elapsed = 0.0
        for _ in range(max(1, repeats)):
            for images in ((visible, None), (None, thermal)) if alone else ():
                with suppress(ModeError):
                    self.predict(*images)
            elapsed = sum(self.predict(visible, thermal).timings_ms.values())
        self.reset()
        return elapsed

    def reset(self) -> None:
        """Forget everything learnt from earlier images (after a time jump or a new source)."""
        self.thermal_scaler.reset()
        self._visible_size = None
        self._track = Tracker()

    def close(self) -> None:
        """Free the engine; may be repeated."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def __enter__(self) -> Self:
        """Return self, for ``with``."""
        return self

    def __exit__(self, *unused: object) -> None:
        """Close."""
        self.close()

    def _paint(self, result: Prediction, style: OverlayStyle) -> Prediction:
        """Return results with the overlay, which an engine on a GPU has painted already."""
        painted = result.overlay
        if painted is None:
            assert result.fused is not None
            assert result.labels is not None
            painted = paint(result.fused, result.labels, self.classes, style, result.confidence)
        self._annotate(painted, style, CLASSICAL_NOTICE if self.is_classical else '')
        return replace(result, overlay=painted)

    def _measure(
        self, result: Prediction, thermal: ThermalImage | None, size: Size, outputs: Outputs
    ) -> Prediction:
        """Return results with temperatures, and with objects, followed from the last pair."""
        counts = outside = None
        unit = self.thermal_scaler.image_unit
        if thermal is not None and thermal.dtype != np.uint8 and unit is not None:
            counts = self.registration.warp(thermal, size, self._visible_size)
            outside = self.registration.coverage(size_of(thermal), size, self._visible_size)
            if outputs.temperature:
                result = replace(result, temperature=celsius_image(counts, unit, outside))
        if outputs.detections is None:
            return result
        assert result.labels is not None
        assert result.confidence is not None
        found = find_detections(
            result.labels,
            self.classes.names,
            self.object_ids,
            result.confidence,
            counts=counts,
            unit=unit,
            outside=outside,
            min_area=outputs.detections,
        )
        return replace(result, detections=self._track(found))

    def _choose_size(self, thermal: ThermalImage | None) -> Size:
        """Return (height, width) of the results."""
        if thermal is not None:
            check_thermal(thermal)
        size = self._output_size or self._visible_size
        if size is None:
            assert thermal is not None
            size = size_of(thermal)
            if min(size) < MIN_SIDE_PX:
                raise ImageError(
                    'size',
                    f'thermal image is {format_size(size)} and there is no visible '
                    f'image, expected sides of at least {MIN_SIDE_PX} px or an output size',
                )
        return size

    def _leave_to(
        self, engine: Engine, thermal: UInt8Image | None, size: Size
    ) -> Unregistered | None:
        """Return the thermal image for an engine that registers it, None if nobody needs to."""
        if thermal is None or not registers(engine):
            return None
        return self.registration.unregistered(thermal, size, self._visible_size)

    def _register(self, thermal: UInt8Image, visible: UInt8Image | None, size: Size) -> UInt8Image:
        """Return the thermal image on the output grid."""
        if self.registration.is_identity:
            return resize(thermal, size)
        unregistered = self.registration.unregistered(thermal, size, self._visible_size)
        assert unregistered is not None
        return unregistered.registered(visible)


def _pair(size: Any, name: str) -> Size:
    """Return size as two positive integers; raises ConfigError."""
    try:
        height, width = (int(v) for v in size)
    except (TypeError, ValueError):
        raise ConfigError(f'{name} {size!r}: expected (height, width)') from None
    return height, width


def _mode(has_visible: bool, has_thermal: bool, classical: bool) -> Mode:
    """Return what the result is made of."""
    if not has_thermal:
        return 'visible_only'
    if not has_visible:
        return 'thermal_only'
    return 'classical' if classical else 'fusion'
