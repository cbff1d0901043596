"""Reconstruction loss of the masked autoencoder."""

from __future__ import annotations

from mafs_training.losses.check import check_image, check_same_shape
from mafs_training.losses.sobel import sobel
import torch
from torch import Tensor


def reconstruction_loss(
    prediction: Tensor,
    target: Tensor,
    mask: Tensor | None,
    *,
    intensity: float,
    gradient: float,
    visible_weight: float,
) -> tuple[Tensor, dict[str, Tensor]]:
    r"""
    Weighted L1 distance of intensity and Sobel gradient between reconstruction and original.

    .. math:: \lambda_i \langle |R - I| \rangle_w
              + \lambda_g \langle |\partial_x (R - I)| + |\partial_y (R - I)| \rangle_w

    with weight 1 for masked pixels and ``visible_weight`` for the others, so that the network is
    judged by what it had to infer, yet keeps what it saw.

    Args:
        prediction: reconstruction [B,C,H,W], 0..1.
        target: original image, same shape.
        mask: 1 where the input was hidden [B,1,H,W], or None for all.
        intensity: weight of the intensity term.
        gradient: weight of the gradient term.
        visible_weight: weight of pixels that were not hidden, 0..1.

    Returns:
        The scalar loss, and its terms before weighting, detached.

    Raises:
        ValueError: shapes do not fit.

    Source: MAFS, stage I. The published code takes second-order gradients; first-order ones are
    meant by the text and are what we use.

    """
    check_image('prediction', prediction)
    check_same_shape('prediction', prediction, 'target', target)
    batch, channels, height, width = prediction.shape
    if mask is None:
        mask = prediction.new_ones(batch, 1, height, width)
    if mask.shape != (batch, 1, height, width):
        raise ValueError(
            f'mask: expected shape {[batch, 1, height, width]}, got {list(mask.shape)}'
        )
    weight = mask + visible_weight * (1 - mask)
    norm = (weight.sum() * channels).clamp_min(1e-6)
    difference = prediction - target
    dx, dy = sobel(difference)  # the operator is linear: gradient of the difference
    terms = {
        'intensity': (difference.abs() * weight).sum() / norm,
        'gradient': ((dx.abs() + dy.abs()) * weight).sum() / norm,
    }
    total = intensity * terms['intensity'] + gradient * terms['gradient']
    return total, {name: value.detach() for name, value in terms.items()}


def psnr(prediction: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of images in 0..1, over the whole batch."""
    error = (prediction.detach() - target).square().mean()
    return -10 * torch.log10(error.clamp_min(1e-10))
