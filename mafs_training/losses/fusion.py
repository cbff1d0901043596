"""Unsupervised fusion loss: intensity, gradient and structure of the fused image."""

from __future__ import annotations

from collections.abc import Callable

from mafs_training.losses.check import check_image, check_same_shape
from mafs_training.losses.ssim import ssim_loss
import torch
from torch import nn, Tensor
import torch.nn.functional as F


def sobel(image: Tensor) -> tuple[Tensor, Tensor]:
    """
    Sobel derivatives, scaled so that a unit ramp has derivative 1, borders replicated.

    Args:
        image: [B,C,H,W].

    Returns:
        Horizontal (left to right) and vertical (top to bottom) derivative, each [B,C,H,W].

    """
    check_image('image', image)
    p = F.pad(image, (1, 1, 1, 1), mode='replicate')
    # slices: on a CPU a 1-channel 3x3 convolution is several times slower
    rows = p[..., :-2, :] + 2 * p[..., 1:-1, :] + p[..., 2:, :]
    columns = p[..., :-2] + 2 * p[..., 1:-1] + p[..., 2:]
    dx = (rows[..., 2:] - rows[..., :-2]) / 8
    dy = (columns[..., 2:, :] - columns[..., :-2, :]) / 8
    return dx, dy


def _check_triple(fused: Tensor, visible: Tensor, thermal: Tensor) -> None:
    check_image('fused', fused)
    check_same_shape('fused', fused, 'visible', visible)
    check_same_shape('fused', fused, 'thermal', thermal)


def intensity_loss(fused: Tensor, visible: Tensor, thermal: Tensor) -> Tensor:
    r"""
    Distance to the brighter source, :math:`\mathrm{mean}|F - \max(V, T)|`.

    Args:
        fused: fused luminance [B,1,H,W], 0..1.
        visible: luminance of the visible image, same shape.
        thermal: thermal image, same shape.

    Returns:
        Scalar >= 0.

    Source: MAFS, fusion loss, intensity term.

    """
    _check_triple(fused, visible, thermal)
    return F.l1_loss(fused, torch.maximum(visible, thermal))


def gradient_loss(
    fused: Tensor,
    visible: Tensor,
    thermal: Tensor,
    signed: bool = True,
    emphasis: float = 1.0,
) -> Tensor:
    r"""
    Distance of the Sobel gradient to the larger source gradient, per axis.

    .. math:: \sum_{d \in \{x,y\}} \mathrm{mean}|\partial_d F - e\,\partial_d S^*_d|,
              \quad S^*_d = \arg\max_{S \in \{V,T\}} |\partial_d S|

    Args:
        fused: fused luminance [B,1,H,W], 0..1.
        visible: luminance of the visible image, same shape.
        thermal: thermal image, same shape.
        signed: compare derivatives with their sign, so that an edge may not be inverted; False
            compares magnitudes as the paper's code does.
        emphasis: factor e of the target; above 1 edges become stronger than in the sources.

    Returns:
        Scalar >= 0.

    Source: MAFS, fusion loss, gradient term; the sign and the factor are ours.

    """
    _check_triple(fused, visible, thermal)
    total = fused.new_zeros(())
    for f, v, t in zip(sobel(fused), sobel(visible), sobel(thermal), strict=True):
        target = emphasis * torch.where(v.abs() >= t.abs(), v, t)
        total = total + (F.l1_loss(f, target) if signed else F.l1_loss(f.abs(), target.abs()))
    return total


def structure_loss(
    fused: Tensor, visible: Tensor, thermal: Tensor, data_range: float = 1.0
) -> Tensor:
    r"""
    Lost structural similarity to both sources, the mean of ``1 - SSIM`` to each.

    Arguments and shapes as `intensity_loss`; ``data_range`` as in `ssim.ssim_map`.

    Returns:
        Scalar >= 0.

    Source: MAFS, fusion loss, structural similarity term.

    """
    _check_triple(fused, visible, thermal)
    return ssim_loss(fused, visible, thermal, data_range=data_range)


def fusion_loss(  # noqa: PLR0913 - one keyword per term, as in the options
    fused: Tensor,
    visible: Tensor,
    thermal: Tensor,
    *,
    intensity: float = 10.0,
    gradient: float = 20.0,
    structure: float = 1.0,
    structure_range: float = 1.0,
    signed: bool = True,
    emphasis: float = 1.0,
    information: float = 0.0,
    edges: float = 0.0,
    complement: float = 0.0,
) -> tuple[Tensor, dict[str, Tensor]]:
    """
    Weighted sum of intensity, gradient and structure loss, and of preservation losses.

    Args:
        fused: fused luminance [B,1,H,W], 0..1.
        visible: luminance of the visible image, same shape.
        thermal: thermal image, same shape.
        intensity: weight of `intensity_loss`.
        gradient: weight of `gradient_loss`.
        structure: weight of `structure_loss`; 0 skips its computation.
        structure_range: see `structure_loss`.
        signed: see `gradient_loss`.
        emphasis: see `gradient_loss`.
        information: weight of `preservation.information_loss`; 0 skips it, as the next two.
        edges: weight of `preservation.edge_loss`.
        complement: weight of `preservation.complement_loss`.

    Returns:
        The scalar loss, and its terms before weighting, detached.

    """
    terms = {
        'intensity': intensity_loss(fused, visible, thermal),
        'gradient': gradient_loss(fused, visible, thermal, signed, emphasis),
    }
    total = intensity * terms['intensity'] + gradient * terms['gradient']
    if structure > 0:
        terms['structure'] = structure_loss(fused, visible, thermal, structure_range)
        total = total + structure * terms['structure']
    for name, weight in (
        ('information', information),
        ('edges', edges),
        ('complement', complement),
    ):
        if weight > 0:
            terms[name] = _preservation(name)(fused, visible, thermal)
            total = total + weight * terms[name]
    return total, {name: value.detach() for name, value in terms.items()}


def _preservation(name: str) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Look up a preservation loss; imported here because that module needs `sobel`."""
    from mafs_training.losses import preservation

    return {
        'information': preservation.information_loss,
        'edges': preservation.edge_loss,
        'complement': preservation.complement_loss,
    }[name]


class FusionLoss(nn.Module):
    """Module form of `fusion_loss`; stores its keyword arguments."""

    def __init__(self, **weights: float) -> None:
        super().__init__()
        self.weights = weights

    def forward(
        self, fused: Tensor, visible: Tensor, thermal: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `fusion_loss`."""
        return fusion_loss(fused, visible, thermal, **self.weights)  # type: ignore[arg-type]
