"""Self-attention between channels, whose cost grows linearly with the number of pixels."""

from __future__ import annotations

from mafs_model.network.layers.convolution import ConvNormAct
import torch
from torch import nn, Tensor
import torch.nn.functional as F


class ChannelAttention(nn.Module):
    r"""
    Attention whose tokens are channels and whose features are pixels.

    Per head with queries, keys and values ``Q, K, V`` of shape ``[C / heads, H * W]``:

    .. math:: A = \mathrm{softmax}(\tau \, \hat{Q} \hat{K}^T) V

    where rows of Q and K are scaled to unit length and the temperature is learned. The attention
    map is ``C/heads x C/heads`` at any image size, so a frame of 1/8 resolution costs no more
    than a few 1x1 convolutions. This is the attention of the published MAFS decoder, without its
    depthwise convolutions (slow on CPUs; the feed-forward that follows is a 3x3 convolution).

    Args:
        channels: channels C of input and output.
        heads: number of heads, a divisor of C.

    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Conv2d(channels, channels, 1, bias=False)
        self.key = nn.Conv2d(channels, channels, 1, bias=False)
        self.value = nn.Conv2d(channels, channels, 1, bias=False)
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.project = ConvNormAct(channels, channels, kernel_size=1, activation=False)

    def forward(self, x: Tensor) -> Tensor:
        """Attend over the channels of ``x``, ``[B, C, H, W] -> [B, C, H, W]``."""
        batch, channels, height, width = x.shape
        per_head = (batch, self.heads, channels // self.heads, height * width)
        query = F.normalize(self.query(x).reshape(per_head), dim=-1)  # [B, heads, C/heads, HW]
        key = F.normalize(self.key(x).reshape(per_head), dim=-1)
        value = self.value(x).reshape(per_head)
        weights = (query @ key.transpose(-2, -1)) * self.temperature  # [B, heads, C/h, C/h]
        mixed = weights.softmax(dim=-1) @ value  # [B, heads, C/heads, HW]
        return self.project(mixed.reshape(batch, channels, height, width))


class TransformerBlock(nn.Module):
    """
    Channel attention, then a convolutional feed-forward, both residual.

    Normalisation is that of the projections (batch normalisation after each), which folds into
    them at inference.

    Args:
        channels: channels of input and output.
        heads: heads of the attention.
        expansion: hidden channels of the feed-forward as a multiple of ``channels``.

    """

    def __init__(self, channels: int, heads: int, expansion: int) -> None:
        super().__init__()
        self.attention = ChannelAttention(channels, heads)
        self.expand = ConvNormAct(channels, channels * expansion)
        self.reduce = ConvNormAct(channels * expansion, channels, kernel_size=1, activation=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the refined map, ``[B, C, H, W] -> [B, C, H, W]``."""
        x = x + self.attention(x)
        return x + self.reduce(self.expand(x))
