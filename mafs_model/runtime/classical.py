"""
Fusion without a network: Laplacian pyramid of the luminance, chroma of the visible image.

Burt and Adelson, "The Laplacian pyramid as a compact image code" (1983): band-pass levels are
taken from whichever image has the larger local activity, the low-pass rest is averaged.
"""

from __future__ import annotations

import cv2
from mafs_model.classes import ClassTable
from mafs_model.images.preprocessing import gray_to_rgb, luminance, replace_luminance, size_of
from mafs_model.prediction import Outputs, Prediction
from mafs_model.types import Size, UInt8Image
import numpy as np
from numpy.typing import NDArray

LEVELS = 5  # The rest of a 640x480 image is 20x15: broad brightness only.
_SMALLEST_SIDE_PX = 8
WEIGHTS_ID = 'none (classical Laplacian pyramid)'
CLASSICAL_NOTICE = 'no network weights: fusing classically (Laplacian pyramid), labels are empty'


class ClassicalEngine:
    """The engine that needs no weights: labels are all 0 (unlabelled), confidence 0."""

    backend = 'opencv'
    device = 'cpu'
    weights_id = WEIGHTS_ID
    is_classical = True

    def __init__(self, classes: ClassTable, notices: tuple[str, ...] = ()) -> None:
        self.classes = classes
        self.notices = notices
        self._pyramid: LaplacianFusion | None = None
        self._scratch: UInt8Image | None = None

    def infer(
        self, visible: UInt8Image | None, thermal: UInt8Image | None, outputs: Outputs
    ) -> Prediction:
        """Compute the wanted outputs; see :class:`mafs_model.runtime.engine.Engine`."""
        image = visible if visible is not None else thermal
        assert image is not None, 'the predictor passes at least one image'
        size = size_of(image)
        fused = self._fuse(visible, thermal, size) if outputs.fused else None
        return Prediction(
            fused=fused,
            labels=np.zeros(size, np.uint8) if outputs.labels else None,
            confidence=np.zeros(size, np.uint8) if outputs.confidence else None,
        )

    def why_not(self, mode: str) -> str:
        """Return '': any mode can be computed."""
        return ''

    def close(self) -> None:
        """Free the working memory."""
        self._pyramid = None
        self._scratch = None

    def _fuse(
        self, visible: UInt8Image | None, thermal: UInt8Image | None, size: Size
    ) -> UInt8Image:
        """Return the fused RGB image; a single image passes through as a copy."""
        if visible is None:
            assert thermal is not None
            return gray_to_rgb(thermal)
        if thermal is None:
            return visible.copy()
        if self._pyramid is None or self._pyramid.size != size:
            self._pyramid = LaplacianFusion(size)
            self._scratch = np.empty((*size, 3), np.uint8)
        fused = self._pyramid(luminance(visible), thermal)
        return replace_luminance(visible, fused, self._scratch)


class LaplacianFusion:
    """
    Fuses two luminance images of one size; keeps its working memory.

    Args:
        size: (height, width).
        levels: number of band-pass levels at most; small images get fewer.

    """

    def __init__(self, size: Size, levels: int = LEVELS) -> None:
        self.size = size
        self._sizes = [size]
        while len(self._sizes) <= levels and min(self._sizes[-1]) >= 2 * _SMALLEST_SIDE_PX:
            height, width = self._sizes[-1]
            self._sizes.append(((height + 1) // 2, (width + 1) // 2))
        self._bands = [np.empty(s, np.int16) for s in self._sizes]
        self._other_bands = [np.empty(s, np.int16) for s in self._sizes]
        self._upsampled = [np.empty(s, np.uint8) for s in self._sizes[:-1]]
        self._activity = [(np.empty(s, np.uint8), np.empty(s, np.uint8)) for s in self._sizes]
        self._gaussian = [np.empty(s, np.uint8) for s in self._sizes[1:]]

    def __call__(self, first: UInt8Image, second: UInt8Image) -> UInt8Image:
        """Return the fused luminance uint8 [H,W]; overwritten by the next call."""
        self._decompose(first, self._bands)
        self._decompose(second, self._other_bands)
        for level in range(len(self._sizes) - 1):
            self._select(level)
        rest = self._bands[-1]
        cv2.addWeighted(rest, 0.5, self._other_bands[-1], 0.5, 0.0, dst=rest)
        for level in range(len(self._sizes) - 2, -1, -1):
            height, width = self._sizes[level]
            upper = cv2.pyrUp(
                self._bands[level + 1], dst=self._other_bands[level], dstsize=(width, height)
            )
            cv2.add(self._bands[level], upper, dst=self._bands[level])
        result = self._activity[0][0]
        # Saturating conversion: a sum of bands can leave 0..255.
        return cv2.add(self._bands[0], 0, dst=result, dtype=cv2.CV_8U)

    def _decompose(self, image: UInt8Image, bands: list[NDArray[np.int16]]) -> None:
        """Write the band-pass levels of image and, last, its low-pass rest into bands."""
        current = image
        for level, smaller in enumerate(self._gaussian):
            height, width = self._sizes[level]
            cv2.pyrDown(current, dst=smaller, dstsize=(smaller.shape[1], smaller.shape[0]))
            cv2.pyrUp(smaller, dst=self._upsampled[level], dstsize=(width, height))
            cv2.subtract(current, self._upsampled[level], dst=bands[level], dtype=cv2.CV_16S)
            current = smaller
        np.copyto(bands[-1], current)

    def _select(self, level: int) -> None:
        """
        Replace a band by the other image's where that is locally more active.

        Activity is the 3x3 mean of the magnitude: single noisy pixels do not decide.
        """
        band, other = self._bands[level], self._other_bands[level]
        mine, theirs = self._activity[level]
        cv2.convertScaleAbs(band, dst=mine)
        cv2.convertScaleAbs(other, dst=theirs)
        cv2.blur(mine, (3, 3), dst=mine)
        cv2.blur(theirs, (3, 3), dst=theirs)
        cv2.compare(theirs, mine, cv2.CMP_GT, dst=mine)
        cv2.copyTo(other, mine, band)
