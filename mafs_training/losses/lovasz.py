"""Lovasz-softmax: a convex surrogate of the mean intersection over union."""

from __future__ import annotations

from mafs_model.classes import IGNORE_INDEX
from mafs_training.losses.check import check_labels
import torch
from torch import Tensor


def jaccard_weights(foreground: Tensor) -> Tensor:
    r"""
    Discrete derivative of the Jaccard loss along pixels sorted by falling error.

    With the i hardest pixels taken as errors the Jaccard loss is
    :math:`\Delta_i = 1 - \frac{P - p_i}{P + n_i}`, where p_i and n_i count foreground and
    background pixels among them and P is all foreground; the weights are
    :math:`\Delta_i - \Delta_{i-1}`.

    Args:
        foreground: 0/1 per pixel [N], sorted by falling error.

    Returns:
        Weights [N], non-negative, with sum at most 1.

    """
    positives = foreground.cumsum(0)
    negatives = (1 - foreground).cumsum(0)
    total = positives[-1]
    loss = 1 - (total - positives) / (total + negatives)
    return torch.cat([loss[:1], loss[1:] - loss[:-1]])


def lovasz_softmax(logits: Tensor, labels: Tensor, ignore_index: int = IGNORE_INDEX) -> Tensor:
    r"""
    Mean over the classes present of the Lovasz extension of the Jaccard loss.

    :math:`\frac{1}{|C|}\sum_c \langle e_c^{\downarrow}, g(y_c^{\downarrow}) \rangle` with the
    errors :math:`e_c = |y_c - p_c|` sorted falling and g the `jaccard_weights`.

    Args:
        logits: [B,C,H,W].
        labels: class ids int64 [B,H,W].
        ignore_index: label without class.

    Returns:
        Scalar in 0..1; 0 (gradient 0) if no pixel is labelled.

    Source: Berman et al., The Lovasz-Softmax loss (2018), Algorithm 1 and eq. 11.

    """
    check_labels(logits, labels)
    valid = labels != ignore_index
    if not bool(valid.any()):
        return logits.sum() * 0
    probabilities = logits.float().softmax(1).permute(0, 2, 3, 1)[valid]  # [N,C]
    targets = labels[valid]
    losses = []
    for index in torch.unique(targets).tolist():
        foreground = (targets == index).to(probabilities.dtype)
        errors, order = (foreground - probabilities[:, index]).abs().sort(descending=True)
        losses.append(errors @ jaccard_weights(foreground[order]))
    return torch.stack(losses).mean()
