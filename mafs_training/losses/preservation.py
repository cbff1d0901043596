"""How much of both sources a fused image keeps: information, edges and complementary contrast."""

from __future__ import annotations

import math

from mafs_training.losses.check import check_triple
from mafs_training.losses.sobel import sobel
from mafs_training.losses.ssim import GaussianBlur
import torch
from torch import Tensor

# Gray levels: the published constants are for images of 0..255.
_LEVELS = 255.0

# Windows of the four scales and the variance of the visual noise; Sheikh and Bovik, 2006.
_WINDOWS_PX = (17, 9, 5, 3)
_NOISE_VARIANCE = 2.0 / _LEVELS**2

# Gain, slope and centre of the sigmoids of edge strength and orientation; Xydeas, Petrovic, 2000.
_STRENGTH = (0.9994, -15.0, 0.5)
_ORIENTATION = (0.9879, -22.0, 0.8)

_EPSILON = 1e-8


def _gaussian_valid(image: Tensor, size: int) -> Tensor:
    """Gaussian mean of sigma size / 5 over whole windows: [N,1,H,W] -> [N,1,H-size+1,W-size+1]."""
    return GaussianBlur(image, size, size / 5)(image)


def _fidelity(reference: Tensor, fused: Tensor) -> Tensor:
    """Information of ``reference`` kept in ``fused``, relative to what it carries; [B]."""
    kept = carried = reference.new_zeros(reference.shape[0])
    for scale, size in enumerate(_WINDOWS_PX):
        if scale:
            reference = _gaussian_valid(reference, size)[..., ::2, ::2]
            fused = _gaussian_valid(fused, size)[..., ::2, ::2]
        if min(reference.shape[-2:]) < size:
            break
        moments = torch.cat(
            [reference, fused, reference.square(), fused.square(), reference * fused]
        )
        mean_r, mean_f, rr, ff, rf = _gaussian_valid(moments, size).chunk(5)
        var_r = (rr - mean_r.square()).clamp(min=0)
        var_f = (ff - mean_f.square()).clamp(min=0)
        covariance = rf - mean_r * mean_f
        gain = (covariance / (var_r + _EPSILON)).clamp(min=0)
        noise = (var_f - gain * covariance).clamp(min=0)
        signal = gain.square() * var_r / (noise + _NOISE_VARIANCE)
        kept = kept + torch.log1p(signal).sum(dim=(1, 2, 3))
        carried = carried + torch.log1p(var_r / _NOISE_VARIANCE).sum(dim=(1, 2, 3))
    return kept / (carried + 1.0)  # one nat: a source without content decides nothing


def information_loss(fused: Tensor, visible: Tensor, thermal: Tensor) -> Tensor:
    r"""
    Visual information of the sources that the fused image lacks.

    .. math:: 2 - \mathrm{VIF}(V, F) - \mathrm{VIF}(T, F)

    VIF exceeds 1 where the fused image has more contrast than the source, so the loss also
    rewards contrast that stays faithful.

    Args:
        fused: fused luminance [B,1,H,W], 0..1, at least 17 pixels a side.
        visible: luminance of the visible image, same shape.
        thermal: thermal image, same shape.

    Returns:
        Scalar, 2 where nothing is kept.

    Raises:
        ValueError: shapes differ, or the image is smaller than the largest window.

    Source: Sheikh and Bovik, Image information and visual quality (2006), pixel domain, as used
    for fusion by Han et al. (2013).

    """
    check_triple(fused, visible, thermal, side=_WINDOWS_PX[0])
    return 2 - (_fidelity(visible, fused) + _fidelity(thermal, fused)).mean()


def _strength(image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sobel derivatives of an image and their magnitude."""
    dx, dy = sobel(image)
    return dx, dy, (dx.square() + dy.square() + _EPSILON).sqrt()


def _sigmoid(x: Tensor, constants: tuple[float, float, float]) -> Tensor:
    gain, slope, centre = constants
    return gain * torch.sigmoid(-slope * (x - centre))


def edge_loss(fused: Tensor, visible: Tensor, thermal: Tensor) -> Tensor:
    r"""
    Share of the sources' edges that the fused image loses, :math:`1 - Q^{AB/F}`.

    Each source pixel counts by its edge strength; kept is the product of two sigmoids, one of
    the ratio of strengths and one of the angle between the edges. A large step between two
    flat regions is thus worth as much as many small ones, unlike in a distance of gradients.

    Args:
        fused: fused luminance [B,1,H,W], 0..1.
        visible: luminance of the visible image, same shape.
        thermal: thermal image, same shape.

    Returns:
        Scalar, 0..1.

    Raises:
        ValueError: shapes differ.

    Source: Xydeas and Petrovic, Objective image fusion performance measure (2000), with the
    ratio 1 where strengths tie.

    """
    check_triple(fused, visible, thermal)
    fx, fy, strength_f = _strength(fused)
    kept = weight = fused.new_zeros(fused.shape[0])
    for source in (visible, thermal):
        sx, sy, strength_s = _strength(source)
        ratio = torch.minimum(strength_s, strength_f) / torch.maximum(strength_s, strength_f)
        # Edges have no direction, so the angle is 0..pi/2; the margin keeps the slope finite.
        cosine = ((fx * sx + fy * sy).abs() / (strength_f * strength_s)).clamp(max=1 - 1e-4)
        likeness = 1 - torch.acos(cosine) * (2 / math.pi)
        preserved = _sigmoid(ratio, _STRENGTH) * _sigmoid(likeness, _ORIENTATION)
        kept = kept + (preserved * strength_s).sum(dim=(1, 2, 3))
        weight = weight + strength_s.sum(dim=(1, 2, 3))
    return 1 - (kept / weight).mean()


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    """Pearson correlation of two image batches [B,1,H,W]: [B], 0 where one is flat."""
    a = a - a.mean(dim=(1, 2, 3), keepdim=True)
    b = b - b.mean(dim=(1, 2, 3), keepdim=True)
    norm = (a.square().mean(dim=(1, 2, 3)) * b.square().mean(dim=(1, 2, 3)) + _EPSILON).sqrt()
    return (a * b).mean(dim=(1, 2, 3)) / norm


def complement_loss(fused: Tensor, visible: Tensor, thermal: Tensor) -> Tensor:
    r"""
    Measure how far the fused image without one source is from the other source.

    .. math:: 2 - \rho(T, F - V) - \rho(V, F - T)

    Args:
        fused: fused luminance [B,1,H,W], 0..1.
        visible: luminance of the visible image, same shape.
        thermal: thermal image, same shape.

    Returns:
        Scalar, 0..4.

    Raises:
        ValueError: shapes differ.

    Source: Aslantas and Bendes, sum of the correlations of differences (2015).

    """
    check_triple(fused, visible, thermal)
    both = _correlation(thermal, fused - visible) + _correlation(visible, fused - thermal)
    return 2 - both.mean()
