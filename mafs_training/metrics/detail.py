"""Kept detail: how much fine structure of the darker camera survives in the fused image."""

from __future__ import annotations

import math

from mafs_training.metrics.plane import as_planes, ImageLike, Plane

# The other source is brighter by more than this, in grey levels of the smoothed images.
BRIGHTER = 15
# Detail counts from this magnitude, in grey levels, and where it is that much the stronger one.
LEAST_DETAIL = 4
STRONGER = 1.5
# An image with fewer such pixels says nothing.
LEAST_PIXELS = 200


def visible_kept(fused: ImageLike, thermal: ImageLike, visible: ImageLike) -> float:
    """
    Share of the visible detail that is kept where the thermal image is the brighter one.

    Detail d is an image minus its Gaussian of 1.5 px. Over the pixels at which the thermal image
    (smoothed by 4 px) is brighter by more than 15 grey levels and the visible detail exceeds 4
    grey levels and 1.5 times the thermal detail, the value is <d_fused, d_visible> /
    <d_visible, d_visible>: 1 is kept, 0 is lost. Not a number with 200 such pixels or fewer.

    Args:
        fused: uint8 [H, W] or [H, W, 3] RGB, or a Plane.
        thermal: thermal image of the same size.
        visible: visible image of the same size.

    """
    f, t, v = as_planes(fused, thermal, visible)
    return _kept(f, v, t)


def thermal_kept(fused: ImageLike, thermal: ImageLike, visible: ImageLike) -> float:
    """Share of the thermal detail that is kept under glare; see :func:`visible_kept`."""
    f, t, v = as_planes(fused, thermal, visible)
    return _kept(f, t, v)


def _kept(fused: Plane, darker: Plane, brighter: Plane) -> float:
    """Projection of the fused detail on that of the darker source."""
    own, other = darker.detail, brighter.detail
    chosen = brighter.smooth - darker.smooth > BRIGHTER
    chosen &= (abs(own) > LEAST_DETAIL) & (abs(own) > STRONGER * abs(other))
    if int(chosen.sum()) <= LEAST_PIXELS:
        return math.nan
    wanted = own[chosen]
    return float(fused.detail[chosen] @ wanted / (wanted @ wanted))
