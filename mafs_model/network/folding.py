"""A network without batch normalisation: the same function in fewer steps, for inference."""

from __future__ import annotations

from collections.abc import Sequence
import copy
from typing import cast, TypeVar

from mafs_model.network.encoder import JointDescription
from mafs_model.network.layers.convolution import ConvNormAct
import torch
from torch import nn, Tensor

Network = TypeVar('Network', bound=nn.Module)


def fold_normalisation(network: Network) -> Network:
    """
    Return a copy of a network whose batch normalisations are part of its convolutions.

    The result computes the same, up to rounding, with one pass less over every feature map. It is
    for inference: it has other parameter names than the original and cannot be trained further.
    Graph compilers (OpenVINO, onnxruntime) do this themselves.

    Args:
        network: network in evaluation mode; it is not changed.

    Raises:
        ValueError: if the network is in training mode, where statistics still change.

    """
    if network.training:
        raise ValueError('network is in training mode, expected evaluation mode: call eval()')
    folded = copy.deepcopy(network)
    for module in folded.modules():
        if isinstance(module, ConvNormAct):
            fold_into([module.conv], module.norm)
            module.norm = nn.Identity()
        elif isinstance(module, JointDescription):
            fold_into([module.visible, module.thermal], module.norm)
            module.norm = nn.Identity()
    return folded


def fold_into(convolutions: Sequence[nn.Conv2d], norm: nn.Module) -> None:
    r"""
    Fold ``norm(sum of convolutions)`` into the convolutions, in place.

    With statistics :math:`\mu, \sigma^2` and affine :math:`a, b`, every kernel is scaled by
    :math:`a / \sqrt{\sigma^2 + \epsilon}` and the first one gets the bias
    :math:`b - a \mu / \sqrt{\sigma^2 + \epsilon}`.

    Args:
        convolutions: convolutions without bias whose outputs are summed.
        norm: batch normalisation in evaluation mode; an identity is left alone.

    """
    if not isinstance(norm, nn.BatchNorm2d):
        return
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    with torch.no_grad():
        scale = norm.weight / torch.sqrt(variance + norm.eps)  # [out]
        for convolution in convolutions:
            convolution.weight.mul_(scale.view(-1, 1, 1, 1))
        convolutions[0].bias = nn.Parameter(norm.bias - scale * mean)


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
        return torch.addcmul(self.shift, x, self.scale)


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """
    Return a copy of a network without batch normalisations, for inference only.

    Those after convolutions become part of them, the others one scale and shift. The tracing
    ONNX exporter needs this, too: it cannot write a normalisation after a sum of maps whose
    number of channels it does not see.

    Args:
        network: a network that is not trained any more.

    """
    folded = fold_normalisation(network.eval())
    for module in list(folded.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, FrozenNorm(child))
    return folded.requires_grad_(False)
