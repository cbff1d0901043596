"""Sobel derivatives of image batches."""

from __future__ import annotations

from mafs_training.losses.check import check_image
from torch import Tensor
import torch.nn.functional as F


def sobel(image: Tensor) -> tuple[Tensor, Tensor]:
    """
    Sobel derivatives, scaled so that a unit ramp has derivative 1, borders replicated.

    Args:
        image: [B,C,H,W].

    Returns:
        Horizontal (left to right) and vertical (top to bottom) derivative, each [B,C,H,W].

    """
    check_image('image', image)
    p = F.pad(image, (1, 1, 1, 1), mode='replicate')
    # slices: on a CPU a 1-channel 3x3 convolution is several times slower
    rows = p[..., :-2, :] + 2 * p[..., 1:-1, :] + p[..., 2:, :]
    columns = p[..., :-2] + 2 * p[..., 1:-1] + p[..., 2:]
    dx = (rows[..., 2:] - rows[..., :-2]) / 8
    dy = (columns[..., 2:, :] - columns[..., :-2, :]) / 8
    return dx, dy
