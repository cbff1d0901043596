"""From the modulated features and both sources to the fused luminance."""

from __future__ import annotations

import math
from typing import cast

from mafs_model.network.config import MAFSConfig
from mafs_model.network.layers.convolution import ConvNormAct
from mafs_model.network.layers.resampling import CellConv, SmoothCells
import torch
from torch import nn, Tensor
import torch.nn.functional as F


class BlendDecoder(nn.Module):
    r"""
    Fused luminance from weights predicted at low resolution and applied to full-size pixels.

    Every source s (visible luminance Y, thermal T) is split into a base, the smoothly enlarged
    mean of blocks, and a detail: ``s = B_s + D_s``. The network predicts one value per cell,
    smoothly enlarged (S), for the blend logit :math:`\omega`, the guidance :math:`\kappa`, the
    detail logit :math:`\delta`, the detail gain :math:`\eta`, and the gain :math:`\gamma` and the
    shift :math:`\beta` of the base:

    .. math::
        l &= S(\omega) + 64\,S(\kappa) (Y - T), \quad
        w = \sigma(l), \quad B = w B_Y + (1 - w) B_T \\
        m &= \sigma(l + S(\delta + k (|D_Y| - |D_T|))), \quad
        D = S(1 + \tanh\eta) (m D_Y + (1 - m) D_T) \\
        F &= S(1 + \tfrac34 \tanh\gamma) B + S(\tfrac34 \tanh\beta) + D

    Where something goes is decided per cell, with features; which source a pixel takes follows
    its own brightness, at full resolution. Choosing detail by cell, not by pixel, matters: ``|D|``
    vanishes at every zero crossing, and a choice by pixel flickers between the sources inside
    one texture.

    The first line is the adaptive fusion module at the level of pixels, gain and shift are the
    last step of the progressive fusion. Large :math:`\kappa` makes w the step that picks the
    brighter source, exactly at full resolution. Detail follows the blend, so a choice of one
    source is that source unaltered, unless :math:`\delta` or the stronger detail say otherwise.
    All detail comes from a source.

    :math:`\kappa` and k start high, the rest next to zero: an untrained network shows the brighter
    source and takes detail from the source in which it is stronger, so its image is about as
    sharp as the sharper one. Training starts from a good fusion, not from noise.

    The arithmetic runs on cells, ``[B, stride^2, H / stride, W / stride]``: the pixels of a cell
    are channels. No map but the result is ever rearranged to full size.

    Args:
        channels: channels of the features.
        hidden: channels of the prediction.
        stride: pixels per cell of the features.

    """

    HEADS = ('blend', 'guidance', 'detail', 'detail_gain', 'gain', 'shift')
    # The scales let one learning rate move everything at a useful pace.
    GUIDANCE_SCALE = 64.0
    SHARPNESS_SCALE = 16.0
    TONE_RANGE = 0.75
    FIRST_GUIDANCE = 1.0
    FIRST_DETAIL_SHARPNESS = 1024.0
    FIRST_STD = 1e-4  # maps of random features would be noise on a good fusion
    BASE_RADIUS_PX = 4

    def __init__(self, channels: int, hidden: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.hidden = ConvNormAct(channels, hidden)
        for name in self.HEADS:
            self.add_module(name, CellConv(hidden, 1, 1, std=self.FIRST_STD))
        nn.init.constant_(cast(Tensor, self.guidance.bias), self.FIRST_GUIDANCE)
        self.unshuffle: nn.Module = nn.PixelUnshuffle(stride)
        self.smooth = SmoothCells(stride, self.BASE_RADIUS_PX)
        first = math.log(self.FIRST_DETAIL_SHARPNESS) / self.SHARPNESS_SCALE
        self.log_sharpness = nn.Parameter(torch.tensor(first))

    @property
    def sharpness(self) -> Tensor:
        """How sharply the stronger detail wins: k, per unit of brightness."""
        return (self.SHARPNESS_SCALE * self.log_sharpness).exp()

    def predict(self, features: Tensor) -> tuple[Tensor, ...]:
        """
        Return the maps of ``HEADS``, each ``[B, 1, h, w]``, from features ``[B, channels, h, w]``.

        One convolution for all: six of a single channel each would take several times as long.
        """
        heads = [cast(CellConv, getattr(self, name)) for name in self.HEADS]
        weight = torch.cat([head.weight for head in heads])
        bias = torch.cat([cast(Tensor, head.bias) for head in heads])
        return F.conv2d(self.hidden(features), weight, bias).split(1, dim=1)

    def enlarge(self, *maps: Tensor) -> tuple[Tensor, ...]:
        """Enlarge maps ``[B, 1, h, w]`` smoothly at once, each to ``[B, stride^2, h, w]``."""
        return self.smooth(torch.cat(maps)).chunk(len(maps))

    def forward(self, features: Tensor, visible: Tensor, thermal: Tensor) -> Tensor:
        """
        Fuse two luminance images.

        Args:
            features: modulated finest level ``[B, channels, H / stride, W / stride]``.
            visible: visible luminance ``[B, 1, H, W]`` in 0..1.
            thermal: thermal image ``[B, 1, H, W]`` in 0..1.

        Returns:
            Fused luminance ``[B, 1, H, W]``, not clipped.

        """
        blend, guidance, detail, detail_gain, gain, shift = self.predict(features)
        visible = self.unshuffle(visible)  # [B, stride^2, h, w]
        thermal = self.unshuffle(thermal)
        visible_base, thermal_base, blend, guidance, detail_gain, gain, shift = self.enlarge(
            visible.mean(dim=1, keepdim=True),
            thermal.mean(dim=1, keepdim=True),
            blend,
            self.GUIDANCE_SCALE * guidance,
            1.0 + detail_gain.tanh(),
            1.0 + self.TONE_RANGE * gain.tanh(),
            self.TONE_RANGE * shift.tanh(),
        )
        visible_detail, thermal_detail = visible - visible_base, thermal - thermal_base

        blend = torch.addcmul(blend, guidance, visible - thermal)
        base = torch.addcmul(thermal_base, blend.sigmoid(), visible_base - thermal_base)

        activity = (visible_detail.abs() - thermal_detail.abs()).mean(dim=1, keepdim=True)
        stronger = self.smooth(detail + self.sharpness * activity)
        share = (blend + stronger).sigmoid()
        fused = torch.addcmul(thermal_detail, share, visible_detail - thermal_detail)

        toned = torch.addcmul(shift, base, gain)
        return F.pixel_shuffle(torch.addcmul(toned, fused, detail_gain), self.stride)


class DirectDecoder(nn.Module):
    """
    Fused luminance decoded from features at full resolution, as published.

    The finest level is enlarged by sub-pixel convolution, joined by shallow features of both
    sources and decoded by densely connected convolutions. Source: MAFS, section III, fusion
    decoder. Costs several times the blend and may invent or lose detail; kept for the large
    variant and for comparison.

    Args:
        channels: channels of the features.
        hidden: channels at full resolution.
        stride: pixels per cell of the features.

    """

    BLOCKS = 3

    def __init__(self, channels: int, hidden: int, stride: int) -> None:
        super().__init__()
        self.reduce = ConvNormAct(channels, hidden)
        self.stride = stride
        self.enlarge = CellConv(
            hidden, hidden, stride, kernel_size=3, std=(2.0 / (9 * hidden)) ** 0.5
        )
        self.visible_shallow = nn.Conv2d(1, hidden, 3, padding=1)
        self.thermal_shallow = nn.Conv2d(1, hidden, 3, padding=1)
        self.blocks = nn.ModuleList(ConvNormAct(hidden, hidden) for _ in range(self.BLOCKS))
        self.head = nn.Conv2d(hidden, 1, 3, padding=1)

    def forward(self, features: Tensor, visible: Tensor, thermal: Tensor) -> Tensor:
        """Decode; arguments and result as for :class:`BlendDecoder`."""
        x = (
            F.pixel_shuffle(self.enlarge(self.reduce(features)), self.stride)
            + self.visible_shallow(visible)
            + self.thermal_shallow(thermal)
        ).relu()
        for block in self.blocks:
            x = x + block(x)  # dense connections by sums: every block sees all earlier ones
        return (self.head(x).tanh() + 1.0) * 0.5


def create_fusion_decoder(config: MAFSConfig) -> nn.Module:
    """Build the decoder that the configuration names."""
    kind = DirectDecoder if config.fusion_decoder == 'direct' else BlendDecoder
    return kind(config.widths[0], config.fusion_width, config.stem_stride)
