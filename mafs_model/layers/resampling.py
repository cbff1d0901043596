"""Changes of resolution: sub-pixel convolution, bilinear enlargement, block means."""

from __future__ import annotations

import torch
from torch import nn, Tensor
import torch.nn.functional as F


def upsample(x: Tensor, factor: int) -> Tensor:
    """Enlarge bilinearly, pixel centres aligned: ``[B, C, H, W] -> [B, C, fH, fW]``."""
    return F.interpolate(x, scale_factor=float(factor), mode='bilinear', align_corners=False)


class SubPixelConv(nn.Module):
    """
    Linear map at low resolution whose channels become pixels at high resolution.

    ``[B, in, H, W] -> [B, out, fH, fW]``: cell (y, x) decides all f x f pixels that it covers.
    Weights start small and equal for the pixels of a cell, so that an untrained map is smooth
    and shows no checkerboard.

    Args:
        in_channels: channels of the input.
        out_channels: number of maps at high resolution.
        factor: enlargement f.
        kernel_size: odd size of the kernel in cells.

    """

    def __init__(self, in_channels: int, out_channels: int, factor: int,
                 kernel_size: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels * factor**2, kernel_size,
                              padding=kernel_size // 2)
        self.shuffle = nn.PixelShuffle(factor)
        start = torch.empty(out_channels, *self.conv.weight.shape[1:])
        nn.init.normal_(start, std=0.01)
        with torch.no_grad():
            self.conv.weight.copy_(start.repeat_interleave(factor**2, dim=0))
        nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge ``x``."""
        return self.shuffle(self.conv(x))
