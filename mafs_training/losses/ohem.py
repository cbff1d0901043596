"""Cross-entropy over the hard pixels only."""

from __future__ import annotations

import math

from mafs_model.classes import IGNORE_INDEX
from mafs_training.losses.check import check_labels
from torch import Tensor
import torch.nn.functional as F


def ohem_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    threshold: float,
    min_kept: float,
    ignore_index: int = IGNORE_INDEX,
    class_weights: Tensor | None = None,
) -> Tensor:
    r"""
    Mean cross-entropy of the pixels that are not yet learnt.

    Kept are the pixels whose true class has probability below ``threshold``, that is
    :math:`\ell > -\log(\text{threshold})`, at least the hardest ``min_kept`` of those labelled.

    Args:
        logits: [B,C,H,W].
        labels: class ids int64 [B,H,W], ``ignore_index`` = no label.
        threshold: probability above which a pixel counts as learnt, in (0, 1].
        min_kept: fraction of the labelled pixels that is always kept, in (0, 1].
        ignore_index: label without class.
        class_weights: weight per class [C], or None; a weighted mean as in `F.cross_entropy`.

    Returns:
        Scalar >= 0; 0 (with a gradient of 0) if no pixel is labelled.

    Raises:
        ValueError: threshold or min_kept out of range, or shapes that do not fit.

    Source: Shrivastava et al., Online Hard Example Mining (2016); used by MAFS for segmentation.

    """
    check_labels(logits, labels)
    if not 0 < threshold <= 1:
        raise ValueError(f'threshold: expected 0 < threshold <= 1, got {threshold}')
    if not 0 < min_kept <= 1:
        raise ValueError(f'min_kept: expected 0 < min_kept <= 1, got {min_kept}')
    valid = (labels != ignore_index).flatten()
    count = int(valid.sum())
    if count == 0:
        return logits.sum() * 0
    # ignored pixels get loss 0 here and are dropped by the mask
    losses = F.cross_entropy(
        logits, labels, ignore_index=ignore_index, reduction='none'
    ).flatten()[valid]
    kept = max(1, math.ceil(min_kept * count))
    limit = -math.log(threshold)
    hard = losses.detach() > limit
    if int(hard.sum()) < kept:
        losses, order = losses.topk(kept)
        weights = None if class_weights is None else class_weights[labels.flatten()[valid][order]]
    else:
        weights = None if class_weights is None else class_weights[labels.flatten()[valid][hard]]
        losses = losses[hard]
    if weights is None:
        return losses.mean()
    return (losses * weights).sum() / weights.sum().clamp_min(1e-12)
