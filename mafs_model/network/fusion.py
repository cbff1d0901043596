"""Fusion of features: between the modalities (AFM) and between the levels (PHFM)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

from mafs_model.network.config import MAFSConfig
from mafs_model.network.encoder import JointDescription, LevelFeatures
from mafs_model.network.layers.convolution import ConvNormAct
from mafs_model.network.layers.resampling import upsample
import torch
from torch import nn, Tensor


class AdaptiveFusionModule(nn.Module):
    r"""
    Adaptive fusion module (AFM): recalibrate both streams, then blend them.

    With the global mean :math:`\mathrm{g}` over positions and 1x1 maps in capitals:

    .. math::
        z &= \mathrm{relu}(S_v\,\mathrm{g}(V) + S_t\,\mathrm{g}(T)), \quad
        V' = V (1 + \sigma(E_v z)), \quad T' = T (1 + \sigma(E_t z)) \\
        J &= \mathrm{relu}(\mathrm{BN}(P_v V' + P_t T')), \quad
        w = \sigma(L J + Q\,\mathrm{relu}(R\,\mathrm{g}(J))) \\
        F &= w V' + (1 - w) T'

    ``L J`` is the local (spatial) attention, the rest of the argument the global (channel) one.
    Source: MAFS, section III, adaptive fusion module. There both attentions are multiplied; we
    add them: as log-odds of the same choice they then count as independent evidence, and neither
    can switch the other's gradient off near zero.

    Args:
        channels: channels of both streams and of the result.
        hidden: channels of z and J.

    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.squeeze_visible = nn.Conv2d(channels, hidden, 1)
        self.squeeze_thermal = nn.Conv2d(channels, hidden, 1, bias=False)
        self.excite_visible = nn.Conv2d(hidden, channels, 1)
        self.excite_thermal = nn.Conv2d(hidden, channels, 1)
        self.joint = JointDescription(channels, hidden)
        self.local_attention = nn.Conv2d(hidden, channels, 1)
        self.global_reduce = nn.Conv2d(hidden, hidden, 1)
        self.global_attention = nn.Conv2d(hidden, channels, 1, bias=False)
        for head in (self.local_attention, self.global_attention):
            nn.init.normal_(head.weight, std=0.01)
        nn.init.zeros_(cast(Tensor, self.local_attention.bias))

    def recalibrate(self, visible: Tensor, thermal: Tensor) -> tuple[Tensor, Tensor]:
        """Scale the channels of each stream by 1 to 2 from the global view of both."""
        summary = (
            self.squeeze_visible(global_mean(visible)) + self.squeeze_thermal(global_mean(thermal))
        ).relu()  # [B, hidden, 1, 1]
        return (
            visible * (1.0 + self.excite_visible(summary).sigmoid()),
            thermal * (1.0 + self.excite_thermal(summary).sigmoid()),
        )

    def weight(self, visible: Tensor, thermal: Tensor) -> Tensor:
        """Return the share w of the visible stream in 0..1, ``[B, C, H, W]``."""
        joint = self.joint(visible, thermal)
        overall = self.global_attention(self.global_reduce(global_mean(joint)).relu())
        return (self.local_attention(joint) + overall).sigmoid()

    def forward(self, visible: Tensor, thermal: Tensor) -> Tensor:
        """Blend two streams, ``2 x [B, C, H, W] -> [B, C, H, W]``."""
        visible, thermal = self.recalibrate(visible, thermal)
        return torch.addcmul(thermal, self.weight(visible, thermal), visible - thermal)


class HeterogeneousFusionModule(nn.Module):
    r"""
    One step of the progressive heterogeneous fusion (PHFM): a deep map shapes a finer one.

    .. math::
        C = \mathrm{up}(\mathrm{relu}(\mathrm{BN}(K * G))), \quad
        F' = \mathrm{N}(F) (1 + \Gamma C) + B C

    N is a normalisation without parameters, so that scale and shift come from the deep features
    alone, position by position. K is a 3x3 convolution at the low resolution of the guide G,
    Gamma and B are 1x1 maps after the enlargement. A 3x3 convolution refines the result.
    Source: MAFS, section III, progressive heterogeneous fusion module. There the modulation is
    computed at the resolution of F; ours costs a quarter of it.

    Args:
        channels: channels of the features.
        guide_channels: channels of the guide, which has half the resolution.
        hidden: channels of C.
        norm: ``'batch'`` or ``'instance'``.

    """

    def __init__(self, channels: int, guide_channels: int, hidden: int, norm: str) -> None:
        super().__init__()
        self.normalise: nn.Module = (
            nn.InstanceNorm2d(channels, affine=False)
            if norm == 'instance'
            else nn.BatchNorm2d(channels, affine=False)
        )
        self.shared = ConvNormAct(guide_channels, hidden)
        self.scale = nn.Conv2d(hidden, channels, 1)
        self.shift = nn.Conv2d(hidden, channels, 1)
        self.refine = ConvNormAct(channels, channels)
        nn.init.normal_(self.scale.weight, std=0.02)
        nn.init.ones_(cast(Tensor, self.scale.bias))  # the 1 of 1 + Gamma C

    def modulate(self, features: Tensor, guide: Tensor) -> Tensor:
        """Normalise, scale and shift, without the refinement."""
        code = upsample(self.shared(guide), 2)  # [B, hidden, H, W]
        return torch.addcmul(self.shift(code), self.normalise(features), self.scale(code))

    def forward(self, features: Tensor, guide: Tensor) -> Tensor:
        """``[B, C, H, W], [B, G, H / 2, W / 2] -> [B, C, H, W]``."""
        return self.refine(self.modulate(features, guide))


class ProgressiveFusion(nn.Module):
    """The chain of PHFM steps: the coarsest level guides the next, and so up to the finest."""

    def __init__(self, config: MAFSConfig) -> None:
        super().__init__()
        self.steps = nn.ModuleList(
            HeterogeneousFusionModule(
                fine, coarse, config.modulation_width, config.modulation_norm
            )
            for fine, coarse in pairwise(config.widths)
        )

    def forward(self, fused: Sequence[Tensor]) -> list[Tensor]:
        """Modulate every level but the coarsest; list, shapes and order stay."""
        shaped = [fused[-1]]
        for features, step in zip(reversed(fused[:-1]), reversed(self.steps), strict=True):
            shaped.append(step(features, shaped[-1]))
        return shaped[::-1]


class LevelFusion(nn.Module):
    """One adaptive fusion module per level: pairs of features to the fused code."""

    def __init__(self, config: MAFSConfig) -> None:
        super().__init__()
        self.modules_per_level = nn.ModuleList(
            AdaptiveFusionModule(width, width // config.gate_reduction) for width in config.widths
        )

    def forward(self, levels: Sequence[LevelFeatures]) -> list[Tensor]:
        """Fuse each level, finest first."""
        return [
            module(level.visible, level.thermal)
            for module, level in zip(self.modules_per_level, levels, strict=True)
        ]


def global_mean(x: Tensor) -> Tensor:
    """Mean over positions, ``[B, C, H, W] -> [B, C, 1, 1]``."""
    return torch.mean(x, dim=(2, 3), keepdim=True)
