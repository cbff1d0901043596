"""Deep supervision of the segmentation decoder: foreground, boundary and coarse semantic maps."""

from __future__ import annotations

from collections.abc import Sequence

from mafs_model.classes import IGNORE_INDEX
from mafs_training.losses.check import check_image
import torch
from torch import Tensor
import torch.nn.functional as F


def foreground_target(
    labels: Tensor, ignore_index: int = IGNORE_INDEX, background: int = 0
) -> Tensor:
    """Float target [B,1,H,W]: 1 for any class but ``background``, 0 for it, -1 without label."""
    target = (labels != background).float()
    return torch.where(labels == ignore_index, -torch.ones_like(target), target).unsqueeze(1)


def boundary_target(labels: Tensor, ignore_index: int = IGNORE_INDEX, radius: int = 1) -> Tensor:
    """
    Float target [B,1,H,W]: 1 where two labelled classes meet within ``radius``, -1 without label.

    A border between a class and an unlabelled area is no boundary.
    """
    valid = (labels != ignore_index).unsqueeze(1)
    values = labels.unsqueeze(1).float()
    size = 2 * radius + 1
    high = F.max_pool2d(values.masked_fill(~valid, -1.0), size, 1, radius)
    low = -F.max_pool2d((-values).masked_fill(~valid, -1e4), size, 1, radius)
    return torch.where(valid, (high != low).float(), torch.full_like(values, -1.0))


def resize_labels(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Nearest-neighbour resize of class ids int64 [B,H,W] to ``size`` (height, width)."""
    if tuple(labels.shape[-2:]) == tuple(size):
        return labels
    return (
        F.interpolate(labels.unsqueeze(1).float(), size=size, mode='nearest-exact')
        .squeeze(1)
        .long()
    )


def balanced_binary_cross_entropy(
    logits: Tensor, target: Tensor, max_weight: float = 20.0
) -> Tensor:
    r"""
    Binary cross-entropy, positives weighted by :math:`\min(n_-/n_+, \text{max\_weight})`.

    Args:
        logits: [B,1,H,W].
        target: 1, 0, or -1 for pixels without label, same shape.
        max_weight: bound of the weight of a positive pixel, >= 1.

    Returns:
        Scalar >= 0; 0 (gradient 0) if no pixel is labelled.

    Raises:
        ValueError: shapes differ.

    """
    check_image('logits', logits, 1)
    if logits.shape != target.shape:
        raise ValueError(f'target: expected shape {list(logits.shape)}, got {list(target.shape)}')
    valid = target >= 0
    if not bool(valid.any()):
        return logits.sum() * 0
    truth = target[valid]
    positives = truth.sum()
    weight = ((truth.numel() - positives) / positives.clamp_min(1)).clamp(1.0, max_weight)
    return F.binary_cross_entropy_with_logits(
        logits[valid].float(), truth.float(), pos_weight=weight.float()
    )


def deep_supervision_loss(
    stage_logits: Sequence[Tensor],
    binary_logits: Tensor | None,
    boundary_logits: Tensor | None,
    labels: Tensor,
    *,
    ignore_index: int = IGNORE_INDEX,
    stage: float,
    binary: float,
    boundary: float,
) -> tuple[Tensor, dict[str, Tensor]]:
    """
    Sum of the auxiliary segmentation losses, each at the resolution of its logits.

    Args:
        stage_logits: class logits [B,C,h,w] of the decoder stages; any resolution.
        binary_logits: foreground logits [B,1,h,w] or None.
        boundary_logits: boundary logits [B,1,h,w] or None.
        labels: class ids int64 [B,H,W] at full size.
        ignore_index: label without class.
        stage: weight of the mean cross-entropy over stages.
        binary: weight of the foreground loss.
        boundary: weight of the boundary loss.

    Returns:
        The scalar loss, and its terms before weighting, detached.

    Source: MAFS, segmentation head with semantic, binary and boundary supervision; weights ours.

    """
    terms: dict[str, Tensor] = {}
    total = torch.zeros((), device=labels.device)
    labelled = bool((labels != ignore_index).any())
    if stage_logits and labelled:
        losses = []
        for logits in stage_logits:
            small = resize_labels(labels, (logits.shape[-2], logits.shape[-1]))
            per_pixel = F.cross_entropy(
                logits.float(), small, ignore_index=ignore_index, reduction='sum'
            )
            losses.append(per_pixel / (small != ignore_index).sum().clamp_min(1))
        terms['stages'] = torch.stack(losses).mean()
        total = total + stage * terms['stages']
    if binary_logits is not None and labelled:
        small = resize_labels(labels, (binary_logits.shape[-2], binary_logits.shape[-1]))
        terms['binary'] = balanced_binary_cross_entropy(
            binary_logits, foreground_target(small, ignore_index)
        )
        total = total + binary * terms['binary']
    if boundary_logits is not None and labelled:
        # the boundary is found at full size and pooled, so that thin ones survive
        full = boundary_target(labels, ignore_index)
        target = F.adaptive_max_pool2d(full, boundary_logits.shape[-2:])
        terms['boundary'] = balanced_binary_cross_entropy(boundary_logits, target)
        total = total + boundary * terms['boundary']
    return total, {name: value.detach() for name, value in terms.items()}
