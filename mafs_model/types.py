"""What callers ask the predictor for and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Mode = Literal['fusion', 'visible_only', 'thermal_only', 'classical']
Size = tuple[int, int]  # (height, width) in pixels
UInt8Image = NDArray[np.uint8]
ThermalImage = NDArray[Any]  # [H,W] uint8, uint16 or float32, native byte order


@dataclass(frozen=True)
class Outputs:
    """
    Which results are wanted; what is not wanted is not computed.

    Attributes:
        fused: the fused colour image.
        labels: the label image (class ids).
        confidence: the largest class probability per pixel.
        overlay: weight of the class colours, 0 to 1, of an overlay that an engine on a GPU paints
            by the way; others leave it to the caller. None: not wanted.

    """

    fused: bool = True
    labels: bool = True
    confidence: bool = True
    overlay: float | None = None

    @property
    def any(self) -> bool:
        """Return whether anything is wanted at all."""
        return self.fused or self.labels or self.confidence


@dataclass(frozen=True)
class Prediction:
    """
    The results for one pair of images; all of them have the same size.

    The arrays belong to the caller: they are not overwritten by a later prediction.

    Attributes:
        fused: uint8 [H,W,3] RGB, or None if not wanted.
        labels: uint8 [H,W] class ids, or None if not wanted.
        confidence: uint8 [H,W], 255 = probability 1, or None if not wanted.
        mode: which inputs were used, ``'classical'`` if no network was.
        timings_ms: wall time of the stages ``preprocess``, ``inference``, ``postprocess``.
        overlay: uint8 [H,W,3] RGB if it was wanted and the engine paints, else None.

    """

    fused: UInt8Image | None
    labels: UInt8Image | None
    confidence: UInt8Image | None
    mode: Mode
    timings_ms: dict[str, float] = field(default_factory=dict)
    overlay: UInt8Image | None = None
