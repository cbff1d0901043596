"""
Stand-ins of published networks: their layers as their papers and code list them, random weights.

They take as long as the originals, and answer nothing sensible. Written from the layer tables of

- MFNet: Ha et al., IROS 2017 (labels of a visible and a thermal image);
- SeAFusion: Tang et al., Information Fusion 82, 2022 (fusion of luminance and thermal);
- SegFormer-B0: Xie et al., NeurIPS 2021 (labels of one image).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn, Tensor
from torch.nn import functional


def _conv(inputs: int, outputs: int, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(0.2),
    )


class _MiniInception(nn.Module):
    """Three double convolutions, one of each pair with dilation 2."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        widths = (inputs, outputs, outputs)
        self.plain = nn.ModuleList(_conv(width, outputs // 2) for width in widths)
        self.dilated = nn.ModuleList(_conv(width, outputs // 2, 2) for width in widths)

    def forward(self, x: Tensor) -> Tensor:
        for plain, dilated in zip(self.plain, self.dilated, strict=True):
            x = torch.cat((plain(x), dilated(x)), dim=1)
        return x


class MFNet(nn.Module):
    """
    Two encoders of five levels, and a decoder that adds their features level by level.

    Takes visible [B,3,H,W] and thermal [B,1,H,W], float32, H and W divisible by 16; returns
    scores [B,9,H,W].
    """

    def __init__(self, classes: int = 9) -> None:
        super().__init__()
        self.visible = self._encoder(3, (16, 48, 48, 96, 96))
        self.thermal = self._encoder(1, (16, 16, 16, 36, 36))
        self.decoders = nn.ModuleList(
            (_conv(132, 64), _conv(64, 64), _conv(64, 32), _conv(32, classes))
        )

    @staticmethod
    def _encoder(inputs: int, widths: tuple[int, ...]) -> nn.ModuleList:
        one, two, three, four, five = widths
        return nn.ModuleList(
            (
                _conv(inputs, one),
                nn.Sequential(_conv(one, two), _conv(two, two)),
                nn.Sequential(_conv(two, three), _conv(three, three)),
                _MiniInception(three, four),
                _MiniInception(four, five),
            )
        )

    def forward(self, visible: Tensor, thermal: Tensor) -> Tensor:
        """Return the scores of every class."""
        """Return the scores of every class."""
        streams = []
        for x, levels in ((visible, self.visible), (thermal, self.thermal)):
            features = []
            for index, level in enumerate(levels):
                x = level(x if index == 0 else functional.max_pool2d(x, 2))
                features.append(x)
            streams.append(features)
        joined = [torch.cat(pair, dim=1) for pair in zip(*streams, strict=True)]
        x = joined[4]
        for decoder, skip in zip(self.decoders, joined[3::-1], strict=True):
            x = decoder(functional.interpolate(x, scale_factor=2.0, mode='nearest') + skip)
        return x


class _GradientDense(nn.Module):
    """Dense block of two convolutions beside a Sobel gradient, added."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, inputs, 3, padding=1)
        self.second = nn.Conv2d(2 * inputs, inputs, 3, padding=1)
        self.down = nn.Conv2d(3 * inputs, outputs, 1)
        self.sobel_x = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs)
        self.sobel_y = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs)
        self.up = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        dense = torch.cat((x, functional.leaky_relu(self.first(x), 0.1)), dim=1)
        dense = torch.cat((dense, functional.leaky_relu(self.second(dense), 0.1)), dim=1)
        gradient = self.sobel_x(x).abs() + self.sobel_y(x).abs()
        return functional.leaky_relu(self.down(dense) + self.up(gradient), 0.1)


class SeAFusion(nn.Module):
    """
    Two encoders of gradient-dense blocks at full resolution, and four convolutions.

    Takes luminance and thermal, both float32 [B,1,H,W]; returns the fused luminance, the same.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(1, 16, 3, padding=1),
                nn.LeakyReLU(0.2),
                _GradientDense(16, 32),
                _GradientDense(32, 48),
            )
            for _ in range(2)
        )
        self.decoder = nn.Sequential(
            _conv(96, 64),
            _conv(64, 32),
            _conv(32, 16),
            nn.Conv2d(16, 1, 3, padding=1),
            nn.Tanh(),
        )

    def forward(self, luminance: Tensor, thermal: Tensor) -> Tensor:
        """Return the fused luminance."""
        """Return the fused luminance."""
        both = zip(self.encoders, (luminance, thermal), strict=True)
        fused: Tensor = self.decoder(torch.cat([encoder(x) for encoder, x in both], dim=1))
        return fused / 2 + 0.5


class _EfficientBlock(nn.Module):
    """Attention with reduced keys and values, then a mixing feed-forward layer."""

    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads, self.width = heads, width
        self.norm, self.norm_mix = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.project = nn.Linear(width, width)
        self.reduce = nn.Conv2d(width, width, reduction, reduction) if reduction > 1 else None
        self.norm_reduced = nn.LayerNorm(width)
        self.expand, self.contract = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.depthwise = nn.Conv2d(4 * width, 4 * width, 3, padding=1, groups=4 * width)

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        normed = self.norm(tokens)
        source = normed
        if self.reduce is not None:
            image = normed.transpose(1, 2).reshape(batch, self.width, height, width)
            source = self.norm_reduced(self.reduce(image).flatten(2).transpose(1, 2))
        key, value = self.key_value(source).chunk(2, dim=2)
        attended = functional.scaled_dot_product_attention(
            self._heads(self.query(normed)), self._heads(key), self._heads(value)
        )
        tokens = tokens + self.project(attended.transpose(1, 2).flatten(2))
        mixed = self.expand(self.norm_mix(tokens)).transpose(1, 2)
        mixed = self.depthwise(mixed.reshape(batch, -1, height, width)).flatten(2).transpose(1, 2)
        tokens = tokens + self.contract(functional.gelu(mixed))
        return tokens.transpose(1, 2).reshape(batch, self.width, height, width)


class SegFormerB0(nn.Module):
    """
    Hierarchical Transformer of four stages with a decoder of linear layers.

    Takes an image float32 [B,3,H,W], H and W divisible by 32; returns scores [B,C,H/4,W/4].
    """

    def __init__(self, classes: int = 9, decoder: int = 256) -> None:
        super().__init__()
        widths, heads, reductions = (32, 64, 160, 256), (1, 2, 5, 8), (8, 4, 2, 1)
        before = (3, *widths[:3])
        self.embeddings = nn.ModuleList(
            nn.Conv2d(a, b, 7 if a == 3 else 3, 4 if a == 3 else 2, 3 if a == 3 else 1)
            for a, b in zip(before, widths, strict=True)
        )
        self.embedding_norms = nn.ModuleList(nn.LayerNorm(width) for width in widths)
        self.stages = nn.ModuleList(
            nn.Sequential(*(_EfficientBlock(*settings) for _ in range(2)))
            for settings in zip(widths, heads, reductions, strict=True)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in widths)
        self.linear = nn.ModuleList(nn.Conv2d(width, decoder, 1) for width in widths)
        self.fuse = nn.Sequential(
            nn.Conv2d(4 * decoder, decoder, 1, bias=False), nn.BatchNorm2d(decoder), nn.ReLU()
        )
        self.classify = nn.Conv2d(decoder, classes, 1)

    @staticmethod
    def _normed(norm: nn.Module, x: Tensor) -> Tensor:
        normed: Tensor = norm(x.permute(0, 2, 3, 1))
        return normed.permute(0, 3, 1, 2)

    def forward(self, image: Tensor) -> Tensor:
        """Return the scores of every class."""
        """Return the scores of every class."""
        x, levels = image, []
        for embed, norm_in, stage, norm, linear in zip(
            self.embeddings,
            self.embedding_norms,
            self.stages,
            self.norms,
            self.linear,
            strict=True,
        ):
            x = self._normed(norm, stage(self._normed(norm_in, embed(x))))
            levels.append(linear(x))
        size = levels[0].shape[2:]
        enlarged = [
            functional.interpolate(level, size=size, mode='bilinear', align_corners=False)
            for level in levels
        ]
        scores: Tensor = self.classify(self.fuse(torch.cat(enlarged[::-1], dim=1)))
        return scores


# Name of the peer: how to build it, channels of its inputs.
PEERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    'MFNet (labels)': (MFNet, (3, 1)),
    'SeAFusion (fusion)': (SeAFusion, (1, 1)),
    'SegFormer-B0 (labels, one image)': (SegFormerB0, (3,)),
}
