"""The metrics as torchmetrics modules, for validation loops on one or several processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mafs_training.metrics.fusion import FUSION_METRICS, fusion_metrics, VARIANTS
from mafs_training.metrics.segmentation import confusion_counts, ConfusionMatrix
import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor
from torchmetrics import Metric


def to_eight_bit(images: Tensor) -> NDArray[np.uint8]:
    """
    Bring a batch to 8-bit arrays as a file on disk would hold it.

    Args:
        images: [B, C, H, W] with C of 1 or 3, float 0..1 (clipped, rounded) or uint8.

    Returns:
        uint8 [B, H, W] or [B, H, W, 3].

    """
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f'expected [B, 1 or 3, H, W], got {list(images.shape)}')
    if images.dtype != torch.uint8:
        images = (images.detach().float().clamp(0, 1) * 255).round().to(torch.uint8)
    array = images.permute(0, 2, 3, 1).cpu().numpy()
    return array[..., 0] if array.shape[-1] == 1 else array


class FusionMetric(Metric):
    """
    Means over images of fusion metrics.

    Args:
        names: which of FUSION_METRICS and VARIANTS `compute` returns.
        **kwargs: passed to torchmetrics.

    Images on which a metric is undefined are left out of its mean; without any it is nan.

    """

    full_state_update = False
    total: Tensor
    images: Tensor

    def __init__(self, names: Sequence[str] = FUSION_METRICS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        unknown = [name for name in names if name not in FUSION_METRICS + VARIANTS]
        if unknown:
            raise ValueError(
                f'unknown metric {unknown[0]!r}; there are {", ".join(FUSION_METRICS + VARIANTS)}'
            )
        self.names = tuple(names)
        zeros = torch.zeros(len(self.names), dtype=torch.float64)
        self.add_state('total', default=zeros, dist_reduce_fx='sum')
        self.add_state('images', default=zeros.clone(), dist_reduce_fx='sum')

    def update(self, fused: Tensor, thermal: Tensor, visible: Tensor) -> None:
        """Add a batch of [B, 1 or 3, H, W] images, float 0..1 or uint8."""
        batches = [to_eight_bit(images) for images in (fused, thermal, visible)]
        for one in zip(*batches, strict=True):
            values = fusion_metrics(*one, variants=True)
            row = np.array([values[name] for name in self.names])
            finite = np.isfinite(row)
            self.total += torch.from_numpy(np.where(finite, row, 0.0)).to(self.total)
            self.images += torch.from_numpy(finite.astype(np.float64)).to(self.images)

    def compute(self) -> dict[str, Tensor]:
        """Metric name to mean."""
        means = self.total / self.images
        return {name: means[i] for i, name in enumerate(self.names)}


class SegmentationMetric(Metric):
    """
    Scores of label images from a confusion matrix pooled over all updates.

    Args:
        num_classes: number of classes C.
        ignore_index: target value of pixels that are left out.
        **kwargs: passed to torchmetrics.

    """

    full_state_update = False
    counts: Tensor

    def __init__(self, num_classes: int, ignore_index: int = 255, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        zeros = torch.zeros((num_classes, num_classes + 1), dtype=torch.int64)
        self.add_state('counts', default=zeros, dist_reduce_fx='sum')

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add logits [B, C, H, W] or class ids [B, H, W], and targets [B, H, W]."""
        if prediction.ndim == 4:
            prediction = prediction.argmax(dim=1)
        for labels, wanted in zip(prediction, target, strict=True):
            counts = confusion_counts(
                labels.cpu().numpy(), wanted.cpu().numpy(), self.num_classes, self.ignore_index
            )
            self.counts += torch.from_numpy(counts).to(self.counts)

    def compute(self) -> dict[str, Tensor]:
        """Mean IoU over all and over present classes, IoU per class, pixel accuracy."""
        matrix = ConfusionMatrix(self.num_classes, self.ignore_index)
        matrix.counts = self.counts.cpu().numpy()
        return {
            'mIoU': torch.tensor(matrix.mean_iou('all')),
            'mIoU_present': torch.tensor(matrix.mean_iou('present')),
            'IoU': torch.from_numpy(matrix.iou),
            'pixel_accuracy': torch.tensor(matrix.pixel_accuracy),
        }
