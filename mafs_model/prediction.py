"""What is wanted of a pair of images, and what was computed for it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from mafs_model.detections import Detection
from mafs_model.images.overlay import OverlayStyle
from mafs_model.types import Float32Image, Mode, UInt8Image


@dataclass(frozen=True)
class Outputs:
    """
    Which results are wanted; what is not wanted is not computed.

    Attributes:
        fused: the fused colour image.
        labels: the label image (class ids).
        confidence: the largest class probability per pixel.
        overlay: how the fused image is painted with the classes; None: not wanted.
        detections: the objects of a label image; smallest area in px, None: not wanted.
        temperature: the temperature of every pixel.

    """

    fused: bool = True
    labels: bool = True
    confidence: bool = True
    overlay: OverlayStyle | None = None
    detections: int | None = None
    temperature: bool = False

    @property
    def any(self) -> bool:
        """Return whether anything is wanted at all."""
        images = self.fused or self.labels or self.confidence or self.temperature
        return images or self.overlay is not None or self.detections is not None

    def with_sources(self) -> Outputs:
        """Return these and everything that overlay and detections are made from."""
        needed = self
        if self.overlay is not None:
            by_confidence = self.confidence or self.overlay.min_confidence > 0.0
            needed = replace(needed, fused=True, labels=True, confidence=by_confidence)
        if self.detections is not None:
            needed = replace(needed, labels=True, confidence=True)
        return needed


@dataclass(frozen=True)
class Prediction:
    """
    The results for one pair of images; all of them have the same size.

    The arrays belong to the caller: they are not overwritten by a later prediction.

    Attributes:
        fused: uint8 [H,W,3] RGB, or None if not wanted.
        labels: uint8 [H,W] class ids, or None if not wanted.
        confidence: uint8 [H,W], 255 = probability 1, or None if not wanted.
        overlay: uint8 [H,W,3] RGB, or None if not wanted.
        detections: the objects, or None if not wanted.
        temperature: float32 [H,W], degrees Celsius, NaN where the thermal camera does not look, or
            None if not wanted or not measured by this camera.
        mode: which images were used, ``'classical'`` if no network was; the predictor says it.
        timings_ms: wall time of the stages ``preprocess``, ``inference``, ``postprocess``, said by
            the predictor.
        notices: what a user should know about this pair, one sentence each.

    """

    fused: UInt8Image | None = None
    labels: UInt8Image | None = None
    confidence: UInt8Image | None = None
    overlay: UInt8Image | None = None
    detections: tuple[Detection, ...] | None = None
    temperature: Float32Image | None = None
    mode: Mode = 'idle'
    timings_ms: dict[str, float] = field(default_factory=dict)
    notices: tuple[str, ...] = ()

    def only(self, outputs: Outputs) -> Prediction:
        """Return what is wanted of it."""
        return replace(
            self,
            fused=self.fused if outputs.fused else None,
            labels=self.labels if outputs.labels else None,
            confidence=self.confidence if outputs.confidence else None,
            overlay=self.overlay if outputs.overlay is not None else None,
            detections=self.detections if outputs.detections is not None else None,
            temperature=self.temperature if outputs.temperature else None,
        )
