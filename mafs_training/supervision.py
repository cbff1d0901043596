"""Supervised segmentation losses of the network and of the segmenter on the fused image."""

from __future__ import annotations

from mafs_model.network.segmentation_decoder import AuxiliaryLogits
from mafs_training.losses import (
    deep_supervision_loss,
    dice_loss,
    lovasz_softmax,
    ohem_cross_entropy,
)
from mafs_training.losses.deep_supervision import resize_labels
from mafs_training.options import SegmentationOptions
import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

_REGIONS = {'lovasz': lovasz_softmax, 'dice': dice_loss}


def enet_weights(counts: NDArray[np.int64], bound: float = 1.1) -> Tensor:
    r"""
    Class weights :math:`1 / \ln(b + p_c)`, scaled to mean 1 over the pixels.

    Args:
        counts: labelled pixels per class [C].
        bound: b > 1; 1.1 lets the rarest class weigh at most about eight times the commonest.

    Returns:
        Weights [C], float32.

    Source: Paszke et al., ENet (2016), section 5.1 (with 1.02).

    """
    share = counts / max(1, counts.sum())
    weights = 1 / np.log(bound + share)
    return (
        torch.from_numpy((weights / max(1e-12, float((weights * share).sum()))).astype(np.float32))
        if counts.sum()
        else torch.ones(len(counts))
    )


def class_loss(
    logits: Tensor,
    labels: Tensor,
    options: SegmentationOptions,
    class_weights: Tensor | None,
    ignore_index: int,
) -> tuple[Tensor, dict[str, Tensor]]:
    """
    Hard-pixel cross-entropy and region loss at the resolution of the logits.

    Args:
        logits: [B,C,h,w], any resolution.
        labels: int64 [B,H,W].
        options: kinds and weights.
        class_weights: [C] or None.
        ignore_index: label without class.

    Returns:
        The scalar loss, and its terms detached.

    """
    logits = logits.float()
    small = resize_labels(labels, (logits.shape[-2], logits.shape[-1]))
    ohem = ohem_cross_entropy(
        logits, small, options.ohem_threshold, options.ohem_min_kept, ignore_index, class_weights
    )
    terms = {'ohem': ohem.detach()}
    total = ohem
    if options.region != 'none' and options.region_weight > 0:
        region = _REGIONS[options.region](logits, small, ignore_index)
        terms[options.region] = region.detach()
        total = total + options.region_weight * region
    return total, terms


def segmentation_loss(
    logits: Tensor,
    aux: AuxiliaryLogits,
    labels: Tensor,
    options: SegmentationOptions,
    class_weights: Tensor | None,
    ignore_index: int,
) -> tuple[Tensor, dict[str, Tensor]]:
    """
    Complete supervised loss of the network, with deep supervision.

    Args:
        logits: [B,C,h,w].
        aux: auxiliary outputs of the network in training mode.
        labels: int64 [B,H,W]; H, W multiples of the network's stride.
        options: kinds and weights.
        class_weights: [C] or None.
        ignore_index: label without class.

    Returns:
        The scalar loss, and its terms detached.

    """
    total, terms = class_loss(logits, labels, options, class_weights, ignore_index)
    deep, deep_terms = deep_supervision_loss(
        aux.stage_logits,
        aux.binary_logits,
        aux.boundary_logits,
        labels,
        ignore_index=ignore_index,
        stage=options.stage,
        binary=options.binary,
        boundary=options.boundary,
    )
    return total + deep, {**terms, **deep_terms}
