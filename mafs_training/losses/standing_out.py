"""What must stand out in a fused image: detail and objects of the camera that sees them."""

from __future__ import annotations

from collections.abc import Sequence

from mafs_training.losses.check import check_labels, check_triple
from mafs_training.losses.ssim import GaussianBlur
import torch
from torch import Tensor
import torch.nn.functional as F

# Scales of the detail: standard deviations in pixels with the taps of their windows.
_SCALES = ((1.5, 9), (4.0, 25))
# One level of 8 bit.
_LEVEL = 1 / 255
# A source owns a detail that is stronger than this and that many times the other source's.
_LEAST_DETAIL, _MARGIN = 4 * _LEVEL, 1.5
# Detail under a brighter other source is what a fusion by brightness loses, so it counts more.
_BRIGHTER, _UNDER_LIGHT = 15 * _LEVEL, 4.0
# Objects are looked at in cells of this many pixels, within windows of so many cells: twenty to
# seventy pixels, the sizes of persons.
_CELL_PX, _WINDOWS = 4, (5, 9, 17)
# Share of the better source's contrast that is wanted, and the contrast that is enough.
_SHARE, _ENOUGH = 0.95, 40 * _LEVEL
_BACKGROUND = 0


def detail_loss(fused: Tensor, visible: Tensor, thermal: Tensor) -> Tensor:
    r"""
    Share of each source's own detail that is missing in the fused image.

    With the detail :math:`d = s - G_\sigma s`, the places M where it exceeds 1.5 times that of the
    other source, and weights u (4 where the other source is brighter, else 1), at two scales:

    .. math:: \frac{\sum_M u\,|d_s|\,\max(0, |d_s| - \mathrm{sgn}(d_s)\,d_F)}{\sum_M u\,d_s^2}

    Args:
        fused: fused luminance [B,1,H,W], 0..1, at least 25 pixels a side.
        visible: luminance of the visible image, same shape.
        thermal: thermal image, same shape.

    Returns:
        Scalar; 0: all kept, 1: nothing, the mean over sources and scales.

    Raises:
        ValueError: shapes differ, or the image is smaller than the largest window.

    """
    check_triple(fused, visible, thermal)
    terms = []
    for sigma, taps in _SCALES:
        blur, edge = GaussianBlur(fused, taps, sigma), taps // 2
        smooth = blur(torch.cat([fused, visible, thermal], 1))
        inner = torch.cat([fused, visible, thermal], 1)[..., edge:-edge, edge:-edge]
        shown, seen, felt = (inner - smooth).split(1, dim=1)
        brightness = smooth[:, 2:] - smooth[:, 1:2]
        for own, other, brighter in ((seen, felt, brightness), (felt, seen, -brightness)):
            strength = own.abs()
            owned = (strength > _LEAST_DETAIL) & (strength > _MARGIN * other.abs())
            weight = owned * (1 + (_UNDER_LIGHT - 1) * (brighter > _BRIGHTER))
            missing = (strength - own.sign() * shown).clamp_min(0)
            energy = (weight * own.square()).sum()
            terms.append((weight * strength * missing).sum() / energy.clamp_min(1e-4))
    return torch.stack(terms).mean()


def _contrast(cells: Tensor, inside: Tensor, around: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Mean inside minus mean around within a window: [B,N,h,w]; and where both are there."""

    def pool(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, size, 1, size // 2)

    within, beside = pool(inside), pool(around)
    known = (within > 0.5 / size**2) & (beside > 1.0 / size**2)
    means = pool(cells * inside) / within.clamp_min(1e-6)
    return means - pool(cells * around) / beside.clamp_min(1e-6), known


def object_loss(
    fused: Tensor,
    visible: Tensor,
    thermal: Tensor,
    labels: Tensor,
    object_classes: Sequence[int],
) -> Tensor:
    r"""
    Contrast of objects to their surroundings that the fused image lacks.

    The contrast c of a place on an object is the mean of the object minus the mean of the
    background, both within a window around the place. The fused image should reach that of the
    source with the larger one, with its sign, up to 40 levels, beyond which nothing is gained:

    .. math:: \frac{\max(0, t - s\,c_F)}{t}, \quad t = \min(0.95 \max_S |c_S|, 40/255)

    so an object may neither drown in its surroundings nor be averaged away between a camera that
    shows it dark and one that shows it bright. Every object counts alike, whatever its size.

    Args:
        fused: fused luminance [B,1,H,W], 0..1.
        visible: luminance of the visible image, same shape.
        thermal: thermal image, same shape.
        labels: class ids int64 [B,H,W].
        object_classes: ids of the objects; what is neither one of them nor background, which is
            class 0, is left out.

    Returns:
        Scalar in 0..2; 0 (gradient 0) if there is no object.

    Raises:
        ValueError: shapes differ.

    """
    check_triple(fused, visible, thermal)
    check_labels(fused, labels)
    cells = F.avg_pool2d(torch.cat([fused, visible, thermal], 1), _CELL_PX)
    known = F.avg_pool2d((labels == _BACKGROUND).to(fused.dtype)[:, None], _CELL_PX)
    around = (known > 0.9).to(fused.dtype)
    total = fused.new_zeros(())
    count = fused.new_zeros(())
    for ident in object_classes:
        share = F.avg_pool2d((labels == ident).to(fused.dtype)[:, None], _CELL_PX)
        if not bool((share > 0.5).any()):
            continue
        inside = share * (share > 0.5)
        # a cell of a large object counts less: each object sums up to about one
        size = F.avg_pool2d(inside, _WINDOWS[-1], 1, _WINDOWS[-1] // 2).clamp_min(1e-6)
        for window in _WINDOWS:
            contrast, valid = _contrast(cells, inside, around, window)
            shown, sources = contrast[:, :1], contrast[:, 1:].detach()
            strength, stronger = sources.abs().max(1, keepdim=True)
            target = (_SHARE * strength).clamp_max(_ENOUGH)
            sign = sources.gather(1, stronger).sign()
            missing = (target - sign * shown).clamp_min(0) / target.clamp_min(8 * _LEVEL)
            weight = inside / size * (valid & (strength > 6 * _LEVEL))
            total = total + (weight * missing.clamp_max(2)).sum()
            count = count + weight.sum()
    return total / count.clamp_min(1e-6)
