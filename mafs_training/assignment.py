"""Balanced assignment of pixels to prototypes: label-free segmentation without collapse."""

from __future__ import annotations

import torch
from torch import nn, Tensor
import torch.nn.functional as F


@torch.no_grad()
def sinkhorn(
    scores: Tensor, epsilon: float, iterations: int = 3, prior: Tensor | None = None
) -> Tensor:
    r"""
    Entropic transport of N samples to K prototypes with a prescribed use of each prototype.

    Maximises :math:`\langle Q, S \rangle + \epsilon H(Q)` over couplings Q whose rows sum to 1/N
    and whose columns sum to ``prior``, by alternately scaling columns and rows in the log domain.

    Args:
        scores: similarity of sample and prototype [N,K].
        epsilon: entropy weight, > 0; small values give hard assignments.
        iterations: scaling rounds, >= 1; each ends with the rows.
        prior: share of each prototype [K], sums to 1; uniform if None.

    Returns:
        Probabilities per sample [N,K]; rows sum to 1, columns to about N * prior.

    Source: Cuturi, Sinkhorn distances (2013); Caron et al., SwAV (2020), section 3.1. SSVIF leaves
        open how collapse is avoided without a pre-trained segmenter; this is our answer.

    """
    if scores.ndim != 2:
        raise ValueError(f'scores: expected shape [N,K], got {list(scores.shape)}')
    if epsilon <= 0 or iterations < 1:
        raise ValueError(f'expected epsilon > 0 and iterations >= 1, got {epsilon}, {iterations}')
    prototypes = scores.shape[1]
    log_q = scores.float() / epsilon
    target = scores.new_full((prototypes,), 1 / prototypes) if prior is None else prior
    log_target = target.float().clamp_min(1e-12).log()
    for _ in range(iterations):
        log_q = log_q + (log_target - log_q.logsumexp(0)).unsqueeze(0)
        log_q = log_q - log_q.logsumexp(1, keepdim=True)
    return log_q.exp()


class Prototypes(nn.Module):
    """
    Unit vectors that embeddings are compared with.

    Args:
        channels: size of an embedding D.
        count: number of prototypes K.
        temperature: divides the cosine similarities.

    """

    def __init__(self, channels: int, count: int, temperature: float = 0.1) -> None:
        super().__init__()
        if count < 2 or temperature <= 0:
            raise ValueError(
                f'expected count >= 2 and temperature > 0, got {count}, {temperature}'
            )
        self.temperature = temperature
        self.vectors = nn.Parameter(F.normalize(torch.randn(count, channels), dim=1))

    def cosine(self, embedding: Tensor) -> Tensor:
        """Cosine similarities [B,K,H,W] of an embedding [B,D,H,W]."""
        vectors = F.normalize(self.vectors, dim=1)
        return F.conv2d(F.normalize(embedding, dim=1), vectors[:, :, None, None])

    def forward(self, embedding: Tensor) -> Tensor:
        """Logits [B,K,H,W] of an embedding [B,D,H,W]."""
        return self.cosine(embedding) / self.temperature


def balanced_targets(
    cosine: Tensor, epsilon: float, iterations: int = 3, prior: Tensor | None = None
) -> Tensor:
    """Sinkhorn targets [B,K,H,W] of similarities [B,K,H,W], balanced over the whole batch."""
    batch, count, height, width = cosine.shape
    flat = cosine.detach().permute(0, 2, 3, 1).reshape(-1, count)  # [B*H*W,K]
    targets = sinkhorn(flat, epsilon, iterations, prior)
    return targets.view(batch, height, width, count).permute(0, 3, 1, 2)


def swapped_prediction_loss(
    logits: Tensor, targets: Tensor, weight: Tensor | None = None
) -> Tensor:
    """
    Cross-entropy of a prediction with the soft targets found by the other branch or view.

    Args:
        logits: [B,K,H,W].
        targets: probabilities [B,K,H,W], no gradient.
        weight: confidence [B,H,W], or None.

    Returns:
        Scalar >= 0.

    """
    loss = -(targets.detach() * logits.float().log_softmax(1)).sum(1)
    if weight is None:
        return loss.mean()
    weight = weight.detach()
    return (loss * weight).sum() / weight.sum().clamp_min(1e-6)


def prototype_usage(logits: Tensor) -> Tensor:
    """Effective share of prototypes in use, exp(entropy of the mean prediction) / K, in (0, 1]."""
    share = logits.detach().float().softmax(1).mean((0, 2, 3)).clamp_min(1e-12)
    return (-(share * share.log()).sum()).exp() / share.numel()
