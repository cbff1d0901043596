"""Where things are: a winding road and a pinhole camera that follows it."""

from __future__ import annotations

from dataclasses import dataclass
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Positions on the road, metres: s along it, x to the right of its centre line, y above ground.
Points = NDArray[Any]

NEAR_M = 1.2
FAR_M = 130.0
EGO_X_M = 1.75
CAMERA_HEIGHT_M = 1.5


@dataclass(frozen=True)
class Road:
    """Centre line of the road, a sine of the way along it."""

    amplitude_m: float
    wavelength_m: float

    def centre(self, s: Points | float) -> Points:
        """Lateral position of the centre line, m."""
        return np.asarray(
            self.amplitude_m * np.sin(np.multiply(s, 2 * math.pi) / self.wavelength_m)
        )

    @property
    def steepest(self) -> float:
        """Largest slope, lateral metres per metre."""
        return abs(self.amplitude_m) * 2 * math.pi / self.wavelength_m

    def slope(self, s: float) -> float:
        """Lateral metres per metre along the road."""
        k = 2 * math.pi / self.wavelength_m
        return self.amplitude_m * k * math.cos(k * s)


class Camera:
    """
    Pinhole camera above the right lane, looking along the road.

    Args:
        width: px.
        height: px.
        road: the road it follows.
        s: way along the road, m.

    """

    FOCAL = 0.92  # of the width: 57 degrees
    HORIZON = 0.44  # of the height

    def __init__(self, width: int, height: int, road: Road, s: float) -> None:
        self.width, self.height, self.road, self.s = width, height, road, s
        self.focal = self.FOCAL * width
        self.cx = width / 2
        self.horizon = self.HORIZON * height
        self._centre = float(road.centre(s))
        self.turn = road.slope(s)  # tangent of the direction it looks in

    def bend(self, depth: Points | float) -> Points:
        """How far the centre line is to the right of the viewing direction, m, per depth."""
        depth = np.asarray(depth)
        return self.road.centre(self.s + depth) - self._centre - self.turn * depth

    def view(self, points: Points) -> Points:
        """Road positions (s, x, y) [N, 3] to camera positions (right, up, depth) [N, 3]."""
        depth = points[:, 0] - self.s
        right = points[:, 1] - EGO_X_M + self.bend(depth)
        return np.stack([right, points[:, 2] - CAMERA_HEIGHT_M, depth], axis=1)

    def project(self, points: Points) -> Points:
        """Road positions [N, 3], all in front of the camera, to pixels (u, v) [N, 2]."""
        right, up, depth = self.view(points).T
        depth = np.maximum(depth, 0.3)
        return np.stack(
            [self.cx + self.focal * right / depth, self.horizon - self.focal * up / depth], axis=1
        )

    def scale(self, depth: float) -> float:
        """Pixels per metre at a depth."""
        return self.focal / depth
