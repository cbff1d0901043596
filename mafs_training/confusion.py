"""Running validation scores on the device of the run."""

from __future__ import annotations

from mafs_model.classes import IGNORE_INDEX
import torch
from torch import Tensor


class ConfusionMeter:
    """
    Confusion matrix pooled over all images.

    Args:
        num_classes: number of classes C.
        ignore_index: label without class.

    """

    def __init__(self, num_classes: int, ignore_index: int = IGNORE_INDEX) -> None:
        self.num_classes, self.ignore_index = num_classes, ignore_index
        self.matrix = torch.zeros(num_classes, num_classes, dtype=torch.int64)

    def add_images(self, prediction: Tensor, labels: Tensor) -> None:
        """Count predictions int64 [B,H,W] against labels [B,H,W]."""
        valid = labels != self.ignore_index
        cells = labels[valid] * self.num_classes + prediction[valid]
        counts = torch.bincount(cells, minlength=self.num_classes**2)
        self.matrix += counts.view(self.num_classes, self.num_classes).cpu()

    def iou(self) -> Tensor:
        """Intersection over union per class [C]; NaN for a class neither present nor predicted."""
        matrix = self.matrix.double()
        hit = matrix.diagonal()
        return hit / (matrix.sum(0) + matrix.sum(1) - hit)

    def mean_iou(self) -> float:
        """
        Return the mean over classes that occur in the labels or the predictions.

        NaN if there are none at all.
        """
        return float(self.iou().nanmean())
