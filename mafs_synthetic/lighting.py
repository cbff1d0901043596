"""Light that reaches a place: sky, street lamps and the headlights of the own car."""

from __future__ import annotations

from dataclasses import dataclass, field
import math

from mafs_synthetic.config import SceneConfig
from mafs_synthetic.geometry import EGO_X_M, Points
import numpy as np

LAMP_SPACING_M = 50.0
LAMP_HEIGHT_M = 6.5
LAMP_X_M = (-5.2, 6.6)
LAMP_REACH_M = 1.6  # how far the head hangs over the road

_SODIUM = (1.0, 0.62, 0.28)
_LED = (0.92, 0.97, 1.0)
_HEADLIGHT = np.array((1.0, 0.95, 0.84))
_NIGHT_SKY = np.array((0.0075, 0.0095, 0.0135))
_DAY_SKY = np.array((1.75, 1.70, 1.62))


@dataclass(frozen=True)
class Light:
    """
    Light on something upright and the air before it.

    Args:
        ambient: from the sky, RGB [3].
        lamps: from street lamps and other cars, RGB [3].
        own: from the headlights beside the camera, RGB [3].
        clear: share of the light that comes through the air, 0..1.
        veil: light of the air itself, RGB [3].

    """

    ambient: Points
    lamps: Points
    own: Points
    clear: float = 1.0
    veil: Points = field(default_factory=lambda: np.zeros(3))

    @property
    def total(self) -> Points:
        """Sum of all, RGB [3]."""
        return self.ambient + self.lamps + self.own


class Lighting:
    """
    Irradiance in units in which 1 exposes a white surface fully.

    Args:
        config: the scene.

    """

    def __init__(self, config: SceneConfig) -> None:
        rng = np.random.default_rng([config.seed, 1])
        self.daylight = config.daylight
        self.lamp_colour = np.array(_SODIUM if rng.random() < 0.5 else _LED)
        lit = 1 - min(1.0, 3 * config.daylight)
        self.lamp_power = 1.25 * config.lamp_power * lit
        self.headlight_power = 0.9 * (1 - 0.9 * min(1.0, 2 * config.daylight))
        self.ambient = _NIGHT_SKY + config.daylight * _DAY_SKY

    def lamps(self, s: Points, x: Points) -> Points:
        """Light of the street lamps on places (s, x), any shape, RGB last."""
        total = np.zeros(np.broadcast(s, x).shape)
        for side, lamp_x in enumerate(LAMP_X_M):
            head = lamp_x + math.copysign(LAMP_REACH_M, -lamp_x)
            phase = (s - side * LAMP_SPACING_M / 2) / LAMP_SPACING_M
            away = (phase - np.round(phase)) * LAMP_SPACING_M
            distance2 = away**2 + (x - head) ** 2 + LAMP_HEIGHT_M**2
            total += (LAMP_HEIGHT_M**2 / distance2) ** 2.0
        return self.lamp_power * total[..., None] * self.lamp_colour

    def heads(self, start: float, end: float) -> list[tuple[float, float]]:
        """Places (s, x) of the heads of the lamps between two places along the road, m."""
        places = []
        for side, lamp_x in enumerate(LAMP_X_M):
            head = lamp_x + math.copysign(LAMP_REACH_M, -lamp_x)
            shift = side * LAMP_SPACING_M / 2
            first = math.ceil((start - shift) / LAMP_SPACING_M)
            last = math.floor((end - shift) / LAMP_SPACING_M)
            places += [(k * LAMP_SPACING_M + shift, head) for k in range(first, last + 1)]
        return places

    def headlights(self, depth: Points, right: Points) -> Points:
        """Light of the own headlights at a depth and a way to the right of the axis, RGB last."""
        depth = np.maximum(depth, 0.5)
        angle = right / depth
        beam = np.exp(-((angle / 0.30) ** 2)) + 0.25 * np.exp(-((angle / 0.7) ** 2))
        reach = 150.0 / (depth**2 + 90.0) * (1 - np.exp(-((depth / 5.0) ** 2)))
        return self.headlight_power * (beam * reach)[..., None] * _HEADLIGHT

    def at(self, s: float, x: float, camera_s: float) -> Light:
        """Light on something upright at (s, x)."""
        own = self.headlights(np.array(s - camera_s), np.array(x - EGO_X_M))
        return Light(self.ambient, 0.8 * self.lamps(np.array(s), np.array(x)), own)
