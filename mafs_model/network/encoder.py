"""The two-stream encoder: one pyramid per modality, with an exchange after every stage."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from mafs_model.network.config import MAFSConfig
from mafs_model.network.layers.convolution import ConvNormAct, ResidualBlock
import torch
from torch import nn, Tensor

VISIBLE_CHANNELS, THERMAL_CHANNELS = 3, 1


class LevelFeatures(NamedTuple):
    """Features of both streams at one level, each ``[B, C_level, H / stride, W / stride]``."""

    visible: Tensor
    thermal: Tensor


class Stem(nn.Module):
    """
    Image to first level: ``[B, C, H, W] -> [B, width, H / stride, W / stride]``.

    Pixels of a cell become channels (no information is dropped), then two dense convolutions
    work at the low resolution, where they are cheapest.
    """

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.unshuffle: nn.Module = nn.PixelUnshuffle(stride)
        self.embed = ConvNormAct(channels * stride**2, width)
        self.mix = ConvNormAct(width, width)

    def forward(self, image: Tensor) -> Tensor:
        """Embed one image whose sizes are multiples of the stride."""
        return self.mix(self.embed(self.unshuffle(image)))


class CrossModalExchange(nn.Module):
    r"""
    Each stream is re-weighted, per position and channel, by what both see.

    .. math::
        J = \mathrm{relu}(\mathrm{BN}(P_v V + P_t T)), \quad
        V' = V \cdot 2\sigma(G_v J), \quad T' = T \cdot 2\sigma(G_t J)

    All of P and G are 1x1 convolutions; G starts near zero, so an untrained exchange passes its
    inputs on unchanged. Source: the exchange between the encoder streams of MAFS (section III,
    published as explicit attention-enhanced fusion); here without concatenation and with one
    joint description instead of two.

    Args:
        channels: channels of both streams.
        hidden: channels of the joint description J.

    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.joint = JointDescription(channels, hidden)
        self.visible_gate = _gate(hidden, channels)
        self.thermal_gate = _gate(hidden, channels)

    def forward(self, visible: Tensor, thermal: Tensor) -> LevelFeatures:
        """Re-weight both streams, shapes unchanged."""
        joint = self.joint(visible, thermal)
        return LevelFeatures(
            visible * (2.0 * self.visible_gate(joint).sigmoid()),
            thermal * (2.0 * self.thermal_gate(joint).sigmoid()),
        )


class JointDescription(nn.Module):
    """
    What both streams see, in few channels: ``relu(BN(P_v V + P_t T))`` with 1x1 maps P.

    Equals a 1x1 convolution of the concatenation; the sum of two products avoids the copy.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.visible = nn.Conv2d(channels, hidden, 1, bias=False)
        self.thermal = nn.Conv2d(channels, hidden, 1, bias=False)
        self.norm = nn.BatchNorm2d(hidden)
        self.activation = nn.ReLU()

    def forward(self, visible: Tensor, thermal: Tensor) -> Tensor:
        """``2 x [B, C, H, W] -> [B, hidden, H, W]``."""
        return self.activation(self.norm(self.visible(visible) + self.thermal(thermal)))


class AbsentModality(nn.Module):
    """A learned embedding that takes the place of a missing image after the stem."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.zeros(1, channels, 1, 1))
        nn.init.normal_(self.embedding, std=0.02)

    def forward(self, features: Tensor | None, like: Tensor, present: Tensor | None) -> Tensor:
        """
        Return features, the embedding, or a choice per sample.

        Args:
            features: ``[B, C, H, W]``, or None if no sample has this modality.
            like: features of the other stream, for the shape.
            present: bool ``[B]``, which samples have this modality; None means all.

        """
        if features is None:
            # Computed from the other stream: OpenVINO 2026.4 folds zeros into a constant which it
            # then adds to in place, so that each call starts from the remains of the last one.
            return like * 0.0 + self.embedding
        if present is None:
            return features
        return torch.where(present.view(-1, 1, 1, 1), features, self.embedding)


class EncoderStage(nn.Module):
    """One level of both streams: downsampling, residual blocks, exchange."""

    def __init__(self, in_channels: int, channels: int, depth: int, gate_width: int) -> None:
        super().__init__()
        self.visible = _stream(in_channels, channels, depth)
        self.thermal = _stream(in_channels, channels, depth)
        self.exchange = CrossModalExchange(channels, gate_width)

    def forward(self, visible: Tensor, thermal: Tensor) -> LevelFeatures:
        """``2 x [B, in, H, W] -> 2 x [B, channels, H / 2, W / 2]``."""
        return self.exchange(self.visible(visible), self.thermal(thermal))


class TwoStreamEncoder(nn.Module):
    """
    Visible and thermal image to features at every level (MAFS, section III).

    Attributes:
        strides: pixels per cell of each level, finest first.
        channels: channels of each level.

    """

    def __init__(self, config: MAFSConfig) -> None:
        super().__init__()
        self.strides = config.strides
        self.channels = config.widths
        first, stride = config.widths[0], config.stem_stride
        self.visible_stem = nn.Sequential(
            Stem(VISIBLE_CHANNELS, first, stride), *_blocks(first, config.depths[0])
        )
        self.thermal_stem = nn.Sequential(
            Stem(THERMAL_CHANNELS, first, stride), *_blocks(first, config.depths[0])
        )
        self.visible_absent = AbsentModality(first)
        self.thermal_absent = AbsentModality(first)
        self.stem_exchange = CrossModalExchange(first, first // config.gate_reduction)
        self.stages = nn.ModuleList(
            EncoderStage(fine, coarse, depth, coarse // config.gate_reduction)
            for (fine, coarse), depth in zip(
                pairwise(config.widths), config.depths[1:], strict=True
            )
        )

    def forward(
        self,
        visible: Tensor | None,
        thermal: Tensor | None,
        *,
        visible_present: Tensor | None = None,
        thermal_present: Tensor | None = None,
    ) -> list[LevelFeatures]:
        """
        Encode images whose sizes are multiples of the coarsest stride.

        Args:
            visible: ``[B, 3, H, W]`` in 0..1, or None if absent.
            thermal: ``[B, 1, H, W]`` in 0..1, or None if absent; not both None.
            visible_present: bool ``[B]``, samples whose visible image counts; None means all.
            thermal_present: bool ``[B]``, samples whose thermal image counts; None means all.

        Returns:
            Features per level, finest first.

        """
        seen = None if visible is None else self.visible_stem(visible)
        felt = None if thermal is None else self.thermal_stem(thermal)
        like = seen if seen is not None else felt
        if like is None:
            raise ValueError('visible and thermal are both None, expected at least one image')
        levels = [
            self.stem_exchange(
                self.visible_absent(seen, like, visible_present),
                self.thermal_absent(felt, like, thermal_present),
            )
        ]
        for stage in self.stages:
            levels.append(stage(*levels[-1]))
        return levels


def _blocks(channels: int, depth: int) -> list[nn.Module]:
    return [ResidualBlock(channels) for _ in range(depth)]


def _stream(in_channels: int, channels: int, depth: int) -> nn.Sequential:
    return nn.Sequential(ConvNormAct(in_channels, channels, stride=2), *_blocks(channels, depth))


def _gate(hidden: int, channels: int) -> nn.Conv2d:
    gate = nn.Conv2d(hidden, channels, 1)
    nn.init.normal_(gate.weight, std=0.01)
    nn.init.zeros_(gate.bias)
    return gate
