"""From the modulated features and both sources to the fused luminance."""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import cast

from mafs_model.network.config import MAFSConfig
from mafs_model.network.layers.convolution import ConvNormAct
from mafs_model.network.layers.resampling import CellConv, SmoothCells, upsample
import torch
from torch import nn, Tensor
import torch.nn.functional as F


class PyramidDecoder(nn.Module):
    r"""
    Fused luminance from both sources, blended scale by scale with weights that features predict.

    Every source s (visible luminance Y, thermal T) is taken apart into the detail inside the cells
    of the finest level, the bands between the strides of neighbouring levels, and the base at the
    stride of the coarsest, with :math:`m_0` the means of cells and :math:`m_{i+1}` the means of
    2x2 cells of :math:`m_i`:

    .. math::
        d_s = s - S(m_0), \quad b_i = m_i - \mathrm{up}(m_{i+1}), \quad m_L \text{ the base}

    Taken together again they are s, exactly. What happens at a scale is decided by the features
    of that scale: they predict, per cell, a logit :math:`\omega` and a gain :math:`\eta`, and

    .. math::
        w_i &= \sigma(\omega_i + k_i (a(Y_i) - a(T_i))), \quad
        F_i = (1 + \tanh\eta_i) (w_i Y_i + (1 - w_i) T_i)

    with the activity a, the mean of absolute values in the neighbourhood. The base has its
    brightness in the place of the activity, and a gain and a shift:

    .. math::
        w_L = \sigma(\omega_L + 64 \kappa (Y_L - T_L)), \quad
        F_L = (1 + \tfrac34 \tanh\gamma) (w_L Y_L + (1 - w_L) T_L) + \tfrac34 \tanh\beta

    So a sign of the visible image may stand on ground that the thermal image lends its
    brightness, and an object that would drown in its surroundings can be taken, over all scales
    of its size, from the camera in which it stands out. Whatever is in the result was in a
    source, at that place and that scale, times at most 2.

    An untrained network takes the stronger band and the brighter base, a good fusion; training
    starts from there.

    All arithmetic runs on cells: at full size nothing is computed at all, the pixels of a cell
    being channels, and everything coarser is small.

    Args:
        channels: channels of the features of each level, finest first.
        hidden: channels of the prediction.
        stride: pixels per cell of the finest level.

    """

    DETAIL_MAPS, BAND_MAPS, BASE_MAPS = 2, 2, 4
    # The scales let one learning rate move everything at a useful pace.
    GUIDANCE_SCALE = 64.0
    SHARPNESS_SCALE = 16.0
    TONE_RANGE = 0.75
    FIRST_GUIDANCE = 1.0
    FIRST_SHARPNESS = 512.0
    FIRST_STD = 1e-4  # maps of random features would be noise on a good fusion
    BASE_RADIUS_PX = 4

    def __init__(self, channels: Sequence[int], hidden: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        last = len(channels) - 1
        counts = [
            self.DETAIL_MAPS * (level == 0) + (self.BASE_MAPS if level == last else self.BAND_MAPS)
            for level in range(len(channels))
        ]
        # coarser features have been refined by convolutions of their own, twice
        self.hidden = nn.ModuleList(
            ConvNormAct(width, hidden, kernel_size=1 if level else 3)
            for level, width in enumerate(channels)
        )
        self.heads = nn.ModuleList(
            CellConv(hidden, count, 1, std=self.FIRST_STD) for count in counts
        )
        with torch.no_grad():
            cast(Tensor, cast(CellConv, self.heads[-1]).bias)[-3] = self.FIRST_GUIDANCE
        self.unshuffle: nn.Module = nn.PixelUnshuffle(stride)
        self.smooth = SmoothCells(stride, self.BASE_RADIUS_PX)
        first = math.log(self.FIRST_SHARPNESS) / self.SHARPNESS_SCALE
        self.log_sharpness = nn.Parameter(torch.full((len(channels),), first))

    @property
    def sharpness(self) -> Tensor:
        """How sharply the stronger part wins: k of the detail and of each band."""
        return (self.SHARPNESS_SCALE * self.log_sharpness).exp()

    def forward(self, features: Sequence[Tensor], visible: Tensor, thermal: Tensor) -> Tensor:
        """
        Fuse two luminance images.

        Args:
            features: of each level, finest first, ``[B, channels, H / stride, W / stride]``.
            visible: visible luminance ``[B, 1, H, W]`` in 0..1.
            thermal: thermal image ``[B, 1, H, W]`` in 0..1.

        Returns:
            Fused luminance ``[B, 1, H, W]``, not clipped.

        """
        maps = [
            head(hidden(level))
            for head, hidden, level in zip(self.heads, self.hidden, features, strict=True)
        ]
        sharpness = self.sharpness
        visible = self.unshuffle(visible)  # [B, stride^2, h, w]
        thermal = self.unshuffle(thermal)
        pyramid = [torch.cat([visible.mean(1, keepdim=True), thermal.mean(1, keepdim=True)], 1)]
        for _ in maps[1:]:
            pyramid.append(F.avg_pool2d(pyramid[-1], 2))

        fused = self._fuse_base(pyramid[-1], maps[-1][:, -self.BASE_MAPS :])
        for level in range(len(maps) - 2, -1, -1):
            band = pyramid[level] - upsample(pyramid[level + 1], 2)
            given = maps[level][:, -self.BAND_MAPS :]
            fused = upsample(fused, 2) + self._fuse_band(band, given, sharpness[level + 1])

        visible_base, thermal_base, fused, gain = self.enlarge(
            pyramid[0][:, :1], pyramid[0][:, 1:], fused, 1.0 + maps[0][:, 1:2].tanh()
        )
        visible, thermal = visible - visible_base, thermal - thermal_base
        activity = (visible.abs() - thermal.abs()).mean(dim=1, keepdim=True)
        share = self.smooth(maps[0][:, :1] + sharpness[0] * activity).sigmoid()
        detail = torch.addcmul(thermal, share, visible - thermal)
        return F.pixel_shuffle(torch.addcmul(fused, detail, gain), self.stride)

    def enlarge(self, *maps: Tensor) -> tuple[Tensor, ...]:
        """Enlarge maps ``[B, 1, h, w]`` smoothly at once, each to ``[B, stride^2, h, w]``."""
        return self.smooth(torch.cat(maps)).chunk(len(maps))

    def _fuse_base(self, base: Tensor, maps: Tensor) -> Tensor:
        """``2 bases and 4 maps, [B, 2|4, h, w] -> [B, 1, h, w]``."""
        visible, thermal = base[:, :1], base[:, 1:]
        blend, guidance, gain, shift = (maps[:, i : i + 1] for i in range(self.BASE_MAPS))
        share = (blend + self.GUIDANCE_SCALE * guidance * (visible - thermal)).sigmoid()
        blended = torch.addcmul(thermal, share, visible - thermal)
        return blended * (1.0 + self.TONE_RANGE * gain.tanh()) + self.TONE_RANGE * shift.tanh()

    @staticmethod
    def _fuse_band(band: Tensor, maps: Tensor, sharpness: Tensor) -> Tensor:
        """``2 bands and 2 maps, [B, 2, h, w] -> [B, 1, h, w]``."""
        visible, thermal = band[:, :1], band[:, 1:]
        activity = F.avg_pool2d(visible.abs() - thermal.abs(), 3, 1, 1, count_include_pad=False)
        share = (maps[:, :1] + sharpness * activity).sigmoid()
        return torch.addcmul(thermal, share, visible - thermal) * (1.0 + maps[:, 1:].tanh())


class DirectDecoder(nn.Module):
    """
    Fused luminance decoded from features at full resolution, as published.

    The finest level is enlarged by sub-pixel convolution, joined by shallow features of both
    sources and decoded by densely connected convolutions. Source: MAFS, section III, fusion
    decoder. Costs several times the blend and may invent or lose detail; kept for the large
    variant and for comparison.

    Args:
        channels: channels of the finest level.
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

    def forward(self, features: Sequence[Tensor], visible: Tensor, thermal: Tensor) -> Tensor:
        """Decode; arguments and result as for :class:`PyramidDecoder`."""
        x = (
            F.pixel_shuffle(self.enlarge(self.reduce(features[0])), self.stride)
            + self.visible_shallow(visible)
            + self.thermal_shallow(thermal)
        ).relu()
        for block in self.blocks:
            x = x + block(x)  # dense connections by sums: every block sees all earlier ones
        return (self.head(x).tanh() + 1.0) * 0.5


def create_fusion_decoder(config: MAFSConfig) -> nn.Module:
    """Build the decoder that the configuration names."""
    if config.fusion_decoder == 'direct':
        return DirectDecoder(config.widths[0], config.fusion_width, config.stem_stride)
    return PyramidDecoder(config.widths, config.fusion_width, config.stem_stride)
