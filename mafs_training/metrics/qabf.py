"""Qabf: how much of the sources' edge strength and orientation the fused image keeps."""

from __future__ import annotations

import math
from typing import Literal

from mafs_training.metrics.plane import as_planes, Float, ImageLike, Plane, require_side
import numpy as np

# Constants of Xydeas and Petrovic: gain, slope and centre of the two sigmoids.
STRENGTH = (0.9994, -15.0, 0.5)
ORIENTATION = (0.9879, -22.0, 0.8)

Convention = Literal['suite', 'xydeas-petrovic']


def edge_transfer(
    fused: ImageLike, thermal: ImageLike, visible: ImageLike, *, convention: Convention = 'suite'
) -> float:
    """
    Qabf: edge preservation of both sources, weighted by the source's edge strength.

    Args:
        fused: fused image, uint8 [H, W] or [H, W, 3] RGB, or a Plane.
        thermal: thermal image of the same size.
        visible: visible image of the same size.
        convention: what the relative strength is where fused image and source have exactly
            the same edge strength g. 'xydeas-petrovic': 1, the ratio the paper defines. 'suite'
            (default): g itself, as the field's common code has it, which published tables use.
            They differ most for a source or a maximum taken as fused image.

    Not a number where neither source has an edge.

    Source: Xydeas and Petrovic, Electronics Letters 36 (2000).

    """
    if convention not in ('suite', 'xydeas-petrovic'):
        raise ValueError(f"convention must be 'suite' or 'xydeas-petrovic', got {convention!r}")
    return edge_transfers(*as_planes(fused, thermal, visible))[convention == 'xydeas-petrovic']


def edge_transfers(fused: Plane, thermal: Plane, visible: Plane) -> tuple[float, float]:
    """Qabf under both conventions ('suite', 'xydeas-petrovic'); only ties differ."""
    require_side(fused, 3, 'Qabf')
    kept = correction = weight = 0.0
    for source in (thermal, visible):
        preserved, difference = _preserved(source, fused)
        kept += preserved
        correction += difference
        weight += float(source.sobel[0].sum())
    if weight == 0:
        return math.nan, math.nan
    return kept / weight, (kept + correction) / weight


def _preserved(source: Plane, fused: Plane) -> tuple[float, float]:
    """Weighted sum of edge preservation, 'suite', and what 'xydeas-petrovic' adds to it."""
    strength_s, angle_s = source.sobel
    strength_f, angle_f = fused.sobel
    low, high = np.minimum(strength_s, strength_f), np.maximum(strength_s, strength_f)
    tie = strength_s == strength_f
    ratio = low / np.where(high > 0, high, 1.0)
    ratio[tie] = strength_f[tie]
    likeness = 1 - np.abs(angle_s - angle_f) * (2 / np.pi)
    weighted = _sigmoid(likeness, ORIENTATION) * strength_s
    preserved = float(np.vdot(_sigmoid(ratio, STRENGTH), weighted))
    tied = ratio[tie]
    change = _sigmoid(np.ones(1), STRENGTH) - _sigmoid(tied, STRENGTH)
    return preserved, float(np.vdot(change, weighted[tie]))


def _sigmoid(x: Float, constants: tuple[float, float, float]) -> Float:
    gain, slope, centre = constants
    return gain / (1 + np.exp(slope * (x - centre)))
