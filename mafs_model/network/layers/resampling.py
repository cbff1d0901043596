"""Changes of resolution: bilinear enlargement, sub-pixel convolution, smooth cells."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import nn, Tensor
import torch.nn.functional as F


def upsample(x: Tensor, factor: int) -> Tensor:
    """Enlarge bilinearly, pixel centres aligned: ``[B, C, H, W] -> [B, C, fH, fW]``."""
    return F.interpolate(x, scale_factor=float(factor), mode='bilinear', align_corners=False)


class CellConv(nn.Conv2d):
    """
    Convolution that predicts every pixel of a cell, the cell's pixels being channels.

    ``[B, in, h, w] -> [B, out * factor^2, h, w]``; :func:`torch.nn.functional.pixel_shuffle`
    turns the result into ``[B, out, factor * h, factor * w]`` (sub-pixel convolution). Weights
    start small and equal for the pixels of a cell, so that an untrained map is smooth and shows
    no checkerboard.

    Args:
        in_channels: channels of the input.
        out_channels: number of maps at full resolution.
        factor: pixels per cell and axis.
        kernel_size: odd size of the kernel in cells.
        std: standard deviation of the first weights.

    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        factor: int,
        kernel_size: int = 1,
        std: float = 0.01,
    ) -> None:
        super().__init__(
            in_channels, out_channels * factor**2, kernel_size, padding=kernel_size // 2
        )
        start = torch.empty(out_channels, *self.weight.shape[1:])
        nn.init.normal_(start, std=std)
        with torch.no_grad():
            self.weight.copy_(start.repeat_interleave(factor**2, dim=0))
        nn.init.zeros_(cast(Tensor, self.bias))


class SmoothCells(nn.Module):
    """
    Enlarge one map per cell smoothly, the cell's pixels being channels.

    ``[B, 1, h, w] -> [B, factor^2, h, w]``. A pixel at distance d from a cell's centre takes its
    value with weight ``max(0, 1 - |d| / radius)`` per axis, weights normalised to sum one, edges
    repeated. With ``radius == factor`` this is bilinear enlargement, as one fixed convolution at
    low resolution, which is several times faster than interpolation at full size.

    Args:
        factor: pixels per cell and axis.
        radius: half width of the tent, in pixels.

    """

    tent: Tensor

    def __init__(self, factor: int, radius: int) -> None:
        super().__init__()
        self.reach = math.ceil((radius - 0.5) / factor - 0.5 + 0.5 / factor)
        centres = torch.arange(-self.reach, self.reach + 1) * float(factor)
        pixels = torch.arange(factor) - (factor - 1) / 2
        line = (1.0 - (pixels[:, None] - centres[None, :]).abs() / radius).clamp(min=0.0)
        line = line / line.sum(dim=1, keepdim=True)  # [factor, taps]
        tent = torch.einsum('ai,bj->abij', line, line)  # [factor, factor, taps, taps]
        self.register_buffer('tent', tent.flatten(0, 1).unsqueeze(1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge ``x``."""
        return F.conv2d(F.pad(x, (self.reach,) * 4, mode='replicate'), self.tent)
