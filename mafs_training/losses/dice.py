"""Soft Dice loss."""

from __future__ import annotations

from mafs_model.classes import IGNORE_INDEX
from mafs_training.losses.check import check_labels
from torch import Tensor
import torch.nn.functional as F


def dice_loss(
    logits: Tensor, labels: Tensor, ignore_index: int = IGNORE_INDEX, smooth: float = 1.0
) -> Tensor:
    r"""
    One minus the soft Dice overlap, mean over the classes present in the batch.

    :math:`1 - \frac{2\sum p_c y_c + s}{\sum p_c + \sum y_c + s}`, sums over labelled pixels.

    Args:
        logits: [B,C,H,W].
        labels: class ids int64 [B,H,W].
        ignore_index: label without class.
        smooth: added to both sides of the fraction, > 0; keeps tiny classes stable.

    Returns:
        Scalar in 0..1; 0 (gradient 0) if no pixel is labelled.

    Source: Milletari et al., V-Net (2016), eq. 4, without the squares.

    """
    check_labels(logits, labels)
    valid = labels != ignore_index
    if not bool(valid.any()):
        return logits.sum() * 0
    probabilities = logits.float().softmax(1).permute(0, 2, 3, 1)[valid]  # [N,C]
    targets = F.one_hot(labels[valid], logits.shape[1]).to(probabilities.dtype)
    present = targets.sum(0) > 0
    overlap = (probabilities * targets).sum(0)
    size = probabilities.sum(0) + targets.sum(0)
    return (1 - (2 * overlap + smooth) / (size + smooth))[present].mean()
