"""The network as torch runs it fastest operator by operator on a CPU: the same function."""

from __future__ import annotations

import copy

from mafs_model.network.encoder import Stem
from mafs_model.network.folding import FrozenNorm
from mafs_model.network.fusion import HeterogeneousFusionModule
from mafs_model.network.fusion_decoder import PyramidDecoder
from mafs_model.network.layers.resampling import SmoothCells
import torch
from torch import nn, Tensor
import torch.nn.functional as F


class StridedCells(nn.Module):
    """
    Pixels of a cell as channels, ``[B, 1, H, W] -> [B, stride^2, H / stride, W / stride]``.

    The same as :class:`torch.nn.PixelUnshuffle`, as a strided convolution with ones and zeros:
    in half the time, and channels last, like what it is combined with.
    """

    pick: Tensor

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride
        pick = torch.eye(stride**2).view(stride**2, 1, stride, stride)
        self.register_buffer('pick', channels_last(pick))

    def forward(self, plane: Tensor) -> Tensor:
        """Rearrange one plane."""
        return F.conv2d(plane, self.pick, stride=self.stride)


def channels_last(kernel: Tensor) -> Tensor:
    """
    Return a copy of ``[out, in, h, w]`` that makes a convolution give its result channels last.

    With one input channel both formats are the same memory, and ``to`` leaves the strides, by
    which torch decides, at those of the other one.
    """
    _, channels, height, width = kernel.shape
    strides = (channels * height * width, 1, channels * width, channels)
    return torch.empty_strided(kernel.shape, strides, dtype=kernel.dtype).copy_(kernel)


def prepare_eager(folded: nn.Module) -> nn.Module:
    """
    Return a copy of a network for torch on a CPU without a compiler.

    Equal up to rounding, with fewer passes over feature maps: rearrangement of pixels becomes
    part of the first convolutions, the parameter-free normalisation of the progressive fusion
    part of its scale and shift, ReLU works in place. docs/performance.md has what each gave.

    Args:
        folded: result of :func:`mafs_model.network.folding.fold_batch_norm`; it is not changed.

    """
    network = copy.deepcopy(folded).to(memory_format=torch.channels_last)
    for module in list(network.modules()):
        if isinstance(module, Stem):
            module.embed.conv = stride_convolution(module.embed.conv, module.unshuffle)
            module.unshuffle = nn.Identity()
        elif isinstance(module, HeterogeneousFusionModule):
            _fold_modulation(module)
        elif isinstance(module, PyramidDecoder):
            module.unshuffle = StridedCells(module.stride)
        elif isinstance(module, SmoothCells):
            module.tent = channels_last(module.tent)
        elif isinstance(module, nn.ReLU):
            module.inplace = True
    return network.eval().requires_grad_(False)


def stride_convolution(convolution: nn.Conv2d, unshuffle: nn.PixelUnshuffle) -> nn.Conv2d:
    """
    Return one strided convolution of pixels instead of one of cells.

    Args:
        convolution: of cells, with a bias; its channels are those of ``unshuffle``.
        unshuffle: what makes cells of the image.

    """
    factor = unshuffle.downscale_factor
    out, channels, height, width = convolution.weight.shape
    channels //= factor**2
    strided = nn.Conv2d(
        channels,
        out,
        (height * factor, width * factor),
        stride=factor,
        padding=(height // 2 * factor, width // 2 * factor),
    )
    # [out, channel, y in cell, x in cell, cell y, cell x] -> y and x in pixels
    kernel = convolution.weight.view(out, channels, factor, factor, height, width)
    kernel = kernel.permute(0, 1, 4, 2, 5, 3).reshape(strided.weight.shape)
    strided.weight = nn.Parameter(channels_last(kernel), requires_grad=False)
    strided.bias = convolution.bias
    return strided


def _fold_modulation(module: HeterogeneousFusionModule) -> None:
    r"""
    Make the frozen normalisation of the features part of scale and shift.

    With :math:`N(F) = a F + b`: :math:`N(F) s + t = F (a s) + (b s + t)`, and s and t are linear
    in one code.
    """
    norm = module.normalise
    if not isinstance(norm, FrozenNorm):
        return
    assert module.scale.bias is not None
    assert module.shift.bias is not None
    factor, offset = norm.scale.view(-1, 1, 1, 1), norm.shift.view(-1, 1, 1, 1)
    module.shift.weight.add_(offset * module.scale.weight)
    module.shift.bias.add_(offset.flatten() * module.scale.bias)
    module.scale.weight.mul_(factor)
    module.scale.bias.mul_(factor.flatten())
    module.normalise = nn.Identity()
