"""Wheels of a car, as polygons in its own coordinates (along from the rear, across, up), m."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

RADIUS_M = 0.32
TYRE_WIDTH_M = 0.21
_TURN = np.linspace(0, 2 * np.pi, 18, endpoint=False)
_DISC = RADIUS_M * np.stack([np.cos(_TURN), np.zeros_like(_TURN), np.sin(_TURN)], axis=1)
_SPOKES = 5


@dataclass(frozen=True)
class Part:
    """
    One polygon of a wheel.

    Args:
        corners: [N, 3], m.
        albedo: grey.
        warm: K above the tyre.

    """

    corners: Points
    albedo: float
    warm: float


def tread(axle_m: float, half_width_m: float, side: int) -> Points:
    """Return points whose hull is a whole tyre; side is -1 (left) or 1."""
    outer = _DISC + (axle_m, side * (half_width_m - 0.005), RADIUS_M)
    inner = _DISC + (axle_m, side * (half_width_m - TYRE_WIDTH_M), RADIUS_M)
    return np.concatenate([outer, inner])


def disc(axle_m: float, half_width_m: float, side: int, sill_m: float, hot: bool) -> list[Part]:
    """Return arch, tyre, rim and spokes as seen from outside, in the order to paint them."""
    centre = np.array((axle_m, side * (half_width_m + 0.005), RADIUS_M))
    arch = 1.17 * _DISC + centre
    arch[:, 2] = np.maximum(arch[:, 2], sill_m + 0.02)
    parts = [
        Part(arch, 0.006, -4.0),
        Part(_DISC + centre, 0.028, 0.0),
        Part(0.64 * _DISC + centre, 0.16, 1.5 * hot),
        Part(0.56 * _DISC + centre, 0.055, 3.0 * hot),
    ]
    for angle in np.arange(_SPOKES) * 2 * np.pi / _SPOKES + axle_m:
        corners = [
            (0.6 * RADIUS_M * r * np.cos(angle + d), 0.0, 0.6 * RADIUS_M * r * np.sin(angle + d))
            for r, d in ((0.15, -0.5), (1.0, -0.13), (1.0, 0.13), (0.15, 0.5))
        ]
        parts.append(Part(np.array(corners) + centre, 0.24, 1.5 * hot))
    return parts
