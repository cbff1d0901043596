"""Batch normalisation folded into the convolutions before it: the same function, fewer steps."""

from __future__ import annotations

from mafs_model.layers.convolution import ConvNormAct
import torch
from torch import nn, Tensor
from torch.nn.utils.fusion import fuse_conv_bn_eval


class FrozenNorm(nn.Module):
    """
    A batch normalisation in evaluation mode as one scale and shift per channel.

    Args:
        norm: the layer to replace.

    """

    scale: Tensor
    shift: Tensor

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = (norm.running_var.double() + norm.eps).rsqrt()
        shift = -norm.running_mean.double() * scale
        if norm.affine:
            scale = scale * norm.weight.double()
            shift = shift * norm.weight.double() + norm.bias.double()
        self.register_buffer('scale', scale.float().view(1, -1, 1, 1))
        self.register_buffer('shift', shift.float().view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x * scale + shift``."""
        return x * self.scale + self.shift


@torch.no_grad()
def fold_batch_norm(network: nn.Module) -> nn.Module:
    """
    Fold every batch normalisation of a network, in place, and set it to evaluation mode.

    Args:
        network: a network that is not trained any more.

    Returns:
        The same network.

    """
    network.eval()
    for module in network.modules():
        if isinstance(module, ConvNormAct) and isinstance(module.norm, nn.BatchNorm2d):
            module.conv = fuse_conv_bn_eval(module.conv, module.norm)
            module.norm = nn.Identity()
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, FrozenNorm(child))
    return network.requires_grad_(False)
