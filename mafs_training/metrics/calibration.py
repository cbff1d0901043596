"""Calibration of confidence: is a pixel of confidence p right in a share p of the cases."""

from __future__ import annotations

from typing import Any

from mafs_model.errors import ImageError
import numpy as np
from numpy.typing import NDArray


class CalibrationCounts:
    """
    Pooled reliability table and the expected calibration error (ECE).

    Args:
        bins: number of equally wide bins of the confidence 0..1; a value on an edge belongs to
            the lower bin, 0 to the first.
        ignore_index: target value of pixels that are left out.

    Source: Naeini, Cooper, Hauskrecht, AAAI 2015; Guo et al., ICML 2017, eq. (3).

    """

    def __init__(self, bins: int = 15, ignore_index: int = 255) -> None:
        if bins < 1:
            raise ValueError(f'bins must be at least 1, got {bins}')
        self.bins = bins
        self.ignore_index = ignore_index
        self.pixels = np.zeros(bins, np.int64)
        self.hits = np.zeros(bins, np.int64)
        self.confidence_sum = np.zeros(bins, np.float64)

    def add_image(
        self, confidence: NDArray[Any], prediction: NDArray[Any], target: NDArray[Any]
    ) -> None:
        """
        Add one image.

        Args:
            confidence: of the predicted class, uint8 [H, W] (255 is certain) or float 0..1.
            prediction: class ids, integer [H, W].
            target: class ids, integer [H, W].

        Raises:
            ImageError: the sizes differ or a float confidence is outside 0..1.

        """
        if not confidence.shape == prediction.shape == target.shape:
            raise ImageError(
                'size',
                (
                    'confidence, prediction and label must have the same size, got '
                    f'{confidence.shape}, {prediction.shape}, {target.shape}'
                ),
            )
        labelled = target != self.ignore_index
        values = confidence[labelled].astype(np.float64)
        if confidence.dtype == np.uint8:
            values /= 255.0
        if values.size and not (values.min() >= 0 and values.max() <= 1):
            raise ImageError(
                'data', f'confidence must lie in 0..1, got {values.min():.3g}..{values.max():.3g}'
            )
        right = prediction[labelled] == target[labelled]
        index = np.clip(np.ceil(values * self.bins).astype(np.int64) - 1, 0, self.bins - 1)
        self.pixels += np.bincount(index, minlength=self.bins)
        self.hits += np.bincount(index[right], minlength=self.bins)
        self.confidence_sum += np.bincount(index, values, minlength=self.bins)

    @property
    def error(self) -> float:
        """ECE: mean over pixels of |accuracy - confidence| of their bin; nan without pixels."""
        total = self.pixels.sum()
        if total == 0:
            return float('nan')
        return float(np.abs(self.hits - self.confidence_sum).sum() / total)

    def table(self) -> list[dict[str, float]]:
        """Per filled bin: number of pixels, mean confidence and accuracy."""
        return [
            {'pixels': int(n), 'confidence': float(c / n), 'accuracy': float(h / n)}
            for n, h, c in zip(self.pixels, self.hits, self.confidence_sum, strict=True)
            if n
        ]
