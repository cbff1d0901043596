"""Folding of batch normalisation into the convolutions before it, for inference in torch."""

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
