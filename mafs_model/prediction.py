"""What is wanted of a pair of images, and what was computed for it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from mafs_model.images.overlay import OverlayStyle
from mafs_model.types import Mode, UInt8Image


@dataclass(frozen=True)
class Outputs:
    """
    Which results are wanted; what is not wanted is not computed.

    Attributes:
        fused: the fused colour image.
        labels: the label image (class ids).
        confidence: the largest class probability per pixel.
        overlay: how the fused image is painted with the classes; None: not wanted.

    """

    fused: bool = True
    labels: bool = True
    confidence: bool = True
    overlay: OverlayStyle | None = None

    @property
    def any(self) -> bool:
        """Return whether anything is wanted at all."""
        return self.fused or self.labels or self.confidence or self.overlay is not None

    def with_sources(self) -> Outputs:
        """Return these and everything that the overlay is painted from."""
        if self.overlay is None:
            return self
        by_confidence = self.overlay.min_confidence > 0.0
        return replace(self, fused=True, labels=True, confidence=self.confidence or by_confidence)


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
        mode: which images were used, ``'classical'`` if no network was; the predictor says it.
        timings_ms: wall time of the stages ``preprocess``, ``inference``, ``postprocess``, said by
            the predictor.
        notices: what a user should know about this pair, one sentence each.

    """

    fused: UInt8Image | None = None
    labels: UInt8Image | None = None
    confidence: UInt8Image | None = None
    overlay: UInt8Image | None = None
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
        )
