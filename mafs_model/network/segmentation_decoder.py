"""From the fused code to semantic logits: pixel decoder, Transformer stages, heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mafs_model.network.config import MAFSConfig
from mafs_model.network.layers.attention import TransformerBlock
from mafs_model.network.layers.convolution import ConvNormAct
from mafs_model.network.layers.resampling import CellConv, upsample
from torch import nn, Tensor
import torch.nn.functional as F


class PixelDecoder(nn.Module):
    """
    Bring the deep levels to one width and mix them top-down.

    Source: MAFS, section III, pixel decoder (a feature pyramid before the Transformer stages).
    """

    def __init__(self, widths: Sequence[int], channels: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(
            ConvNormAct(width, channels, kernel_size=1, activation=False) for width in widths
        )

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """``[B, widths[i], H_i, W_i] -> [B, channels, H_i, W_i]``, finest first."""
        mixed = [self.lateral[-1](levels[-1])]
        for level, lateral in zip(reversed(levels[:-1]), reversed(self.lateral[:-1]), strict=True):
            mixed.append(lateral(level) + upsample(mixed[-1], 2))
        return mixed[::-1]


class UpEmbedding(nn.Module):
    """Enlarge the output of a stage twofold and re-embed it with the skip of the finer level."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.embed = ConvNormAct(channels, channels)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """``[B, C, H, W], [B, C, 2H, 2W] -> [B, C, 2H, 2W]``."""
        return skip + upsample(self.embed(x), 2)


class MultiStageDecoder(nn.Module):
    """
    Multi-stage Transformer decoder, coarse to fine.

    Each stage attends and feeds forward at its resolution, is enlarged, joined by the skip of
    the next level; the outputs of all stages are summed at the finest. Source: MAFS, section
    III, multi-stage Transformer decoder. There enlargement comes before the convolutions of the
    up-embedding; ours convolves first, at a quarter of the cost.
    """

    def __init__(self, stages: int, channels: int, heads: int, expansion: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            TransformerBlock(channels, heads, expansion) for _ in range(stages)
        )
        self.up_embeddings = nn.ModuleList(UpEmbedding(channels) for _ in range(stages - 1))

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Return the output of each stage, coarsest first, from levels given finest first."""
        coarse_first = list(reversed(levels))
        outputs = [self.blocks[0](coarse_first[0])]
        for skip, block, up in zip(
            coarse_first[1:], self.blocks[1:], self.up_embeddings, strict=True
        ):
            outputs.append(block(up(outputs[-1], skip)))
        return outputs


class AuxiliaryLogits(NamedTuple):
    """
    Deep supervision, in training only.

    Attributes:
        stage_logits: semantic logits ``[B, classes, h, w]`` of each Transformer stage, coarsest
            first, each at its own resolution.
        binary_logits: foreground (any class but 0) ``[B, 1, h, w]`` at stride 4.
        boundary_logits: boundary between classes ``[B, 1, h, w]`` at stride 4.

    """

    stage_logits: list[Tensor]
    binary_logits: Tensor
    boundary_logits: Tensor


class SegmentationDecoder(nn.Module):
    """
    Fused code to semantic logits at half resolution.

    The head works at stride 4, on the summed stages and the feature that the progressive fusion
    has modulated for the fused image, and decides 2 x 2 pixels per cell by sub-pixel convolution
    (logits at stride 2): enlarging logits further adds time, not information.
    """

    LOGITS_STRIDE = 2

    def __init__(self, config: MAFSConfig) -> None:
        super().__init__()
        width, stages = config.segmentation_width, config.segmentation_levels
        self.first_level = len(config.widths) - stages
        self.sum_factor = config.strides[self.first_level] // 4
        self.pixel_decoder = PixelDecoder(config.widths[self.first_level :], width)
        self.transformer = MultiStageDecoder(
            stages, width, config.attention_heads, config.feed_forward_expansion
        )
        self.from_stages = ConvNormAct(width, config.head_width, kernel_size=1)
        self.from_fusion = ConvNormAct(
            config.widths[config.head_level], config.head_width, kernel_size=1
        )
        self.mix = ConvNormAct(config.head_width, config.head_width)
        self.classify = CellConv(config.head_width, config.num_classes, 4 // self.LOGITS_STRIDE)
        self.stage_heads = nn.ModuleList(
            nn.Conv2d(width, config.num_classes, 1) for _ in range(stages)
        )
        self.binary_head = nn.Conv2d(config.head_width, 1, 1)
        self.boundary_head = nn.Conv2d(config.head_width, 1, 1)

    def forward(
        self, fused: Sequence[Tensor], modulated: Tensor
    ) -> tuple[Tensor, AuxiliaryLogits | None]:
        """
        Segment.

        Args:
            fused: fused code of all levels, finest first.
            modulated: modulated features ``[B, C, H / 4, W / 4]``.

        Returns:
            Logits ``[B, classes, H / 2, W / 2]`` and, in training mode, the auxiliary logits.

        """
        outputs = self.transformer(self.pixel_decoder(fused[self.first_level :]))
        total = outputs[0]
        for output in outputs[1:]:
            total = upsample(total, 2) + output
        features = upsample(self.from_stages(total), self.sum_factor) + self.from_fusion(modulated)
        features = self.mix(features)  # [B, head_width, H / 4, W / 4]
        logits = F.pixel_shuffle(self.classify(features), 4 // self.LOGITS_STRIDE)
        if not self.training:
            return logits, None
        return logits, AuxiliaryLogits(
            [head(output) for head, output in zip(self.stage_heads, outputs, strict=True)],
            self.binary_head(features),
            self.boundary_head(features),
        )
