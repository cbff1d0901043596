"""
Unsupervised fusion loss: the one table of its terms, and intensity, gradient and structure.

A new term is one line of `FusionOptions` with its sentence, and its function, here or in another
module of this folder: options, limits, command line, documents and training follow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, Field, field, fields
import inspect
from typing import Any

from mafs_training.limits import bounded, Limits
from mafs_training.losses.check import check_triple
from mafs_training.losses.preservation import complement_loss, edge_loss, information_loss
from mafs_training.losses.sobel import sobel
from mafs_training.losses.ssim import ssim_loss
from mafs_training.losses.standing_out import detail_loss, object_loss
import torch
from torch import Tensor
import torch.nn.functional as F

_IMAGES, _LABELS = ('fused', 'visible', 'thermal'), 'labels'


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
    check_triple(fused, visible, thermal)
    return F.l1_loss(fused, torch.maximum(visible, thermal))


def gradient_loss(
    fused: Tensor,
    visible: Tensor,
    thermal: Tensor,
    signed: bool,
    emphasis: float,
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
    check_triple(fused, visible, thermal)
    total = fused.new_zeros(())
    for f, v, t in zip(sobel(fused), sobel(visible), sobel(thermal), strict=True):
        target = emphasis * torch.where(v.abs() >= t.abs(), v, t)
        total = total + (F.l1_loss(f, target) if signed else F.l1_loss(f.abs(), target.abs()))
    return total


def structure_loss(
    fused: Tensor, visible: Tensor, thermal: Tensor, structure_range: float
) -> Tensor:
    r"""
    Lost structural similarity to both sources, the mean of ``1 - SSIM`` to each.

    Arguments and shapes as `intensity_loss`; ``structure_range`` is the
    ``data_range`` of `ssim.ssim_loss`.

    Returns:
        Scalar >= 0.

    Source: MAFS, fusion loss, structural similarity term.

    """
    check_triple(fused, visible, thermal)
    return ssim_loss(fused, visible, thermal, data_range=structure_range)


def term(weight: float, function: Callable[..., Tensor]) -> Any:
    """
    Declare a term of the fusion loss as a field of `FusionOptions`.

    Args:
        weight: default weight; a term of weight 0 is not computed.
        function: of fused, visible and thermal luminance [B,1,H,W], and ``labels`` [B,H,W] if it
            needs them; what else it takes is an option of the same name.

    """
    return field(default=weight, metadata={'limits': Limits(low=0), 'function': function})


@dataclass
class FusionOptions:
    """
    Fusion loss: weights of its terms, and what some of them are told.

    Attributes:
        intensity: weight of the distance to the brighter source.
        gradient: weight of the distance to the stronger gradient.
        structure: weight of the lost structural similarity to both sources.
        information: weight of the visual information that is lost (VIF).
        edges: weight of the edges that are lost (Qabf).
        complement: weight of the complementary contrast that is lost (SCD).
        detail: weight of each source's own detail that is lost.
        objects: weight of the contrast of labelled objects that is lost.
        structure_range: range of grey levels that the constants of structure refer to, of 1;
            2/255 = 0.0078 lets the faintest contrast count.
        signed: gradients are compared with their sign.
        emphasis: factor of the gradient to be reached, 1 or a little above.
        object_classes: ids of those objects, of MFNet car, person and bike.

    """

    intensity: float = term(10.0, intensity_loss)
    gradient: float = term(20.0, gradient_loss)
    structure: float = term(1.0, structure_loss)
    information: float = term(0.0, information_loss)
    edges: float = term(0.0, edge_loss)
    complement: float = term(0.0, complement_loss)
    detail: float = term(0.0, detail_loss)
    objects: float = term(0.0, object_loss)
    structure_range: float = bounded(1.0, above=0)
    signed: bool = True
    emphasis: float = bounded(1.0, above=0)
    object_classes: list[int] = field(default_factory=lambda: [1, 2, 3])


def fusion_terms() -> Iterator[tuple[Field[Any], Callable[..., Tensor], tuple[str, ...]]]:
    """Yield the field of each term, its function, and the options which that is told."""
    for item in fields(FusionOptions):
        function = item.metadata.get('function')
        if function is not None:
            names = inspect.signature(function).parameters
            yield item, function, tuple(name for name in names if name not in _IMAGES)


_TERMS = tuple(fusion_terms())


def fusion_loss(
    fused: Tensor,
    visible: Tensor,
    thermal: Tensor,
    options: FusionOptions,
    labels: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """
    Weighted sum of the terms, in single precision at least, whatever that of the network.

    Local variances are small differences of large numbers: under autocast their convolutions
    would run in half precision, and the loss would soon be NaN.

    Args:
        fused: fused luminance [B,1,H,W], 0..1.
        visible: luminance of the visible image, same shape.
        thermal: thermal image, same shape.
        options: weights of the terms; one of weight 0 is not computed.
        labels: class ids int64 [B,H,W]; without them a term that needs them is left out.

    Returns:
        The scalar loss, and its terms before weighting by name, detached.

    """
    with torch.autocast(fused.device.type, enabled=False):
        images = [
            image if image.dtype == torch.float64 else image.float()
            for image in (fused, visible, thermal)
        ]
        total = images[0].new_zeros(())
        values = {}
        for item, function, names in _TERMS:
            weight = getattr(options, item.name)
            if weight > 0 and (labels is not None or _LABELS not in names):
                told = {
                    name: labels if name == _LABELS else getattr(options, name) for name in names
                }
                value = function(*images, **told)
                values[item.name] = value.detach()
                total = total + weight * value
    return total, values
