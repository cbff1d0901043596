"""A network without batch normalisation: the same function in fewer steps."""

from __future__ import annotations

from mafs_model.network.layers.folding import fold_normalisation
import torch
from torch import nn, Tensor


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
