"""Shape, paint and warmth of cars: a side profile, drawn out and rounded to a body of panels."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from mafs_synthetic import wheels
from mafs_synthetic.config import SceneConfig
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Quads = list[tuple[list[tuple[float, float, float]], Points, float]]

_PAINTS = np.array(
    [
        (0.45, 0.46, 0.48),
        (0.05, 0.05, 0.06),
        (0.66, 0.66, 0.64),
        (0.33, 0.045, 0.04),
        (0.045, 0.10, 0.26),
        (0.16, 0.18, 0.17),
        (0.50, 0.43, 0.30),
        (0.25, 0.27, 0.30),
    ]
)


@dataclass(frozen=True)
class Shape:
    """
    Side view of a kind of car.

    Args:
        profile: (along from the rear, up) from the rear sill over the roof to the front sill, m.
        rear_glass: numbers of the profile points between which the rear window lies.
        windscreen: the same for the windscreen.
        width_m: width, m.
        belt_m: height of the lower edge of the side windows, m.

    """

    profile: tuple[tuple[float, float], ...]
    rear_glass: tuple[int, int]
    windscreen: tuple[int, int]
    width_m: float
    belt_m: float


_SEDAN = (
    (0.02, 0.28), (0.0, 0.45), (0.0, 0.62), (0.06, 0.86), (0.18, 0.97), (0.75, 1.02),
    (1.05, 1.18), (1.45, 1.37), (1.9, 1.43), (2.4, 1.43), (2.75, 1.36), (3.1, 1.16),
    (3.4, 1.0), (4.1, 0.90), (4.42, 0.78), (4.5, 0.62), (4.52, 0.42), (4.46, 0.28),
)  # fmt: skip
_HATCHBACK = (
    (0.03, 0.28), (0.0, 0.5), (0.02, 0.8), (0.10, 0.98), (0.30, 1.30), (0.55, 1.44), (1.2, 1.50),
    (1.9, 1.49), (2.3, 1.42), (2.65, 1.2), (2.95, 1.0), (3.55, 0.90), (3.80, 0.76), (3.88, 0.58),
    (3.88, 0.4), (3.82, 0.28),
)  # fmt: skip
_SUV = (
    (0.03, 0.34), (0.0, 0.6), (0.02, 0.95), (0.08, 1.1), (0.25, 1.45), (0.5, 1.62), (1.2, 1.70),
    (2.2, 1.69), (2.6, 1.6), (3.0, 1.32), (3.3, 1.09), (4.1, 0.99), (4.4, 0.85), (4.48, 0.62),
    (4.46, 0.42), (4.4, 0.34),
)  # fmt: skip
_VAN = (
    (0.02, 0.36), (0.0, 0.7), (0.01, 1.2), (0.05, 1.85), (0.2, 2.08), (1.5, 2.15), (3.0, 2.13),
    (3.7, 2.02), (4.05, 1.62), (4.4, 1.24), (4.85, 1.02), (5.0, 0.8), (5.02, 0.5), (4.95, 0.36),
)  # fmt: skip
_SHAPES = (
    Shape(_SEDAN, (5, 7), (10, 12), 1.78, 0.97),
    Shape(_HATCHBACK, (3, 5), (8, 10), 1.70, 0.98),
    Shape(_SUV, (3, 5), (8, 10), 1.86, 1.08),
    Shape(_VAN, (2, 3), (7, 9), 1.95, 1.24),
)


@dataclass(frozen=True)
class Panel:
    """
    A flat part that lies on the body: window, light, plate, grille.

    Args:
        corners: (along from the rear, across, up) [N, 3], m, in order round the outside.
        normal: direction it faces, [3].
        albedo: RGB [3].
        temperature: K.
        emission: radiance RGB when the lights are on, [3].

    """

    corners: Points
    normal: tuple[float, float, float]
    albedo: Points
    temperature: float
    emission: Points


class Body:
    """
    Quadrilaterals of a body.

    Args:
        parts: four corners, albedo RGB and temperature in K of each.

    Attributes:
        quads: corners (along from the rear, across, up), [Q, 4, 3], m.
        albedo: RGB [Q, 3].
        temperature: K, [Q].

    """

    def __init__(self, parts: Quads) -> None:
        self.quads = np.array([corners for corners, _, _ in parts])
        self.albedo = np.array([albedo for _, albedo, _ in parts])
        self.temperature = np.array([kelvin for _, _, kelvin in parts])


class CarModel:
    """
    One car; a parked one has cooled down and is dark.

    Args:
        rng: draws the car.
        config: the scene, for its temperature.
        running: whether engine and lights are on.

    Attributes:
        fine: the body from near.
        coarse: the body from afar.
        panels: what lies on the body.
        treads: points of its four tyres, [N, 3] each.
        discs: the wheels from outside, of the left (-1) and the right (1) side.

    """

    def __init__(self, rng: np.random.Generator, config: SceneConfig, running: bool) -> None:
        self.shape = _SHAPES[rng.choice(len(_SHAPES), p=(0.33, 0.3, 0.25, 0.12))]
        self.running = running
        self.paint = _PAINTS[rng.integers(len(_PAINTS))]
        base = config.ambient_k + 10 * config.daylight
        self.body_k = base - 0.6 + rng.normal(0, 0.6)
        self.bonnet_k = base + (rng.uniform(6, 12) if running else rng.uniform(-1, 3))
        self.tyre_k = base + (rng.uniform(7, 13) if running else 0.5)
        self.glass_k = base - 2.5
        self._profile = np.array(self.shape.profile)
        self.length = float(self._profile[:, 0].max())
        self.half_width = self.shape.width_m / 2
        self.top = float(self._profile[:, 1].max())
        axles = (0.185 * self.length, 0.80 * self.length)
        sill = float(self._profile[0, 1])
        crown = self._profile[self._profile[:, 1] >= 0.6]
        self._crown_along, self._crown_up = crown[np.argsort(crown[:, 0], kind='stable')].T
        self.fine = Body(self._skin((-1.0, -0.6, 0.6, 1.0)) + self._sides(13))
        self.coarse = Body(self._skin((-1.0, 1.0)) + self._sides(6))
        half = self.half_width - 0.02
        self.treads = [wheels.tread(axle, half, side) for axle in axles for side in (-1, 1)]
        self.discs = {
            side: [p for axle in axles for p in wheels.disc(axle, half, side, sill, running)]
            for side in (-1, 1)
        }
        self.panels = [*self._glass(), *self._front(), *self._rear()]

    @property
    def is_tall(self) -> bool:
        """Whether it is a van or the like, with lights higher up."""
        return self.top >= 1.6

    def width_at(self, along: float, up: float) -> float:
        """Half the width at a place of the side view, m: rounded ends, narrow roof."""
        end = 1 - 0.13 * abs(2 * along / self.length - 1) ** 5
        above = max(0.0, up - self.shape.belt_m) / max(self.top - self.shape.belt_m, 0.2)
        below = max(0.0, 0.5 - up)
        return self.half_width * end * (1 - 0.2 * above - 0.16 * below)

    def _kelvin(self, along: float, up: float, level: float) -> float:
        """Temperature of sheet metal; `level` is 1 for what looks at the sky."""
        warm = np.clip((along - 0.66 * self.length) / (0.2 * self.length), 0, 1)
        engine = warm * (self.bonnet_k - self.body_k) * np.clip((1.15 - up) / 0.3, 0, 1)
        return self.body_k + float(engine) - 1.6 * level

    def _skin(self, cuts: tuple[float, ...]) -> Quads:
        """Draw the profile out across the car, cut lengthwise at parts of its half width."""
        parts = []
        for (a0, u0), (a1, u1) in pairwise(self._profile):
            w0, w1 = self.width_at(a0, u0), self.width_at(a1, u1)
            level = max(0.0, (a1 - a0) / max(float(np.hypot(a1 - a0, u1 - u0)), 1e-6))
            dark = 0.35 if max(u0, u1) < 0.46 else 1.0  # the lower bumper is plastic
            for low, high in pairwise(cuts):
                corners = [(a0, low * w0, u0), (a0, high * w0, u0), (a1, high * w1, u1),
                           (a1, low * w1, u1)]  # fmt: skip
                kelvin = self._kelvin((a0 + a1) / 2, (u0 + u1) / 2, level)
                parts.append((corners, self.paint * dark, kelvin))
        return parts

    def _sides(self, count: int) -> Quads:
        """Build both sides from upright strips, from sill to roof."""
        parts = []
        stations = np.linspace(0.03, self.length - 0.04, count)
        belt = self.shape.belt_m
        sill = float(self._profile[0, 1])
        for a0, a1 in pairwise(stations):
            tops = [float(np.interp(a, self._crown_along, self._crown_up)) for a in (a0, a1)]
            levels = [(sill, sill), (0.48, 0.48), *[[min(f * belt, t) for t in tops]
                      for f in (0.82, 1.0)], tops]  # fmt: skip
            for (l0, l1), (h0, h1) in pairwise(levels):
                if max(h0 - l0, h1 - l1) < 0.01:
                    continue
                ring = ((a0, l0), (a1, l1), (a1, h1), (a0, h0))
                dark = 0.4 if h0 < 0.5 else 1.0
                kelvin = self._kelvin((a0 + a1) / 2, (l0 + h0) / 2, 0.0)
                for side in (-1, 1):
                    corners = [(a, side * self.width_at(a, u), u) for a, u in ring]
                    parts.append((corners, self.paint * dark, kelvin))
        return parts

    def _panel(
        self,
        outline: list[tuple[float, float, float]],
        normal: tuple[float, float, float],
        albedo: tuple[float, float, float],
        kelvin: float,
        emission: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> Panel:
        return Panel(np.array(outline), normal, np.array(albedo), kelvin, np.array(emission))

    def _glass(self) -> list[Panel]:
        """Side windows with a pillar, rear window and windscreen."""
        dark = (0.028, 0.032, 0.038)
        rear, front = self.shape.rear_glass, self.shape.windscreen
        a0, a1 = self._profile[rear[0], 0] + 0.12, self._profile[front[1], 0] - 0.12
        low = self.shape.belt_m + 0.03
        stations = np.linspace(a0, a1, 12)
        tops = np.interp(stations, self._crown_along, self._crown_up) - 0.09
        upper = [(a, u) for a, u in zip(stations, tops, strict=True) if u > low + 0.02]
        outline = [(upper[0][0] - 0.04, low), *upper, (upper[-1][0] + 0.04, low)]
        middle = (a0 + a1) / 2 + 0.1
        height = float(np.interp(middle, self._crown_along, self._crown_up))
        pillar = [(middle - 0.05, low), (middle - 0.05, height - 0.08),
                  (middle + 0.05, height - 0.08), (middle + 0.05, low)]  # fmt: skip
        panels = []
        for side in (-1.0, 1.0):
            for ring, albedo, kelvin in (
                (outline, dark, self.glass_k),
                (pillar, tuple(0.3 * self.paint), self.body_k),
            ):
                corners = [(a, side * (self.width_at(a, u) + 0.006), u) for a, u in ring]
                panels.append(self._panel(corners, (0, side, 0.25), albedo, kelvin))
        for (first, last), facing in ((rear, -1.0), (front, 1.0)):
            edge = self._profile[first : last + 1]
            left = [(a + 0.01 * facing, -0.86 * self.width_at(a, u), u + 0.008) for a, u in edge]
            right = [(a, -c, u) for a, c, u in reversed(left)]
            along, up = edge[-1] - edge[0]
            size = float(np.hypot(along, up))
            normal = (-up / size, 0.0, along / size)
            panels.append(self._panel(left + right, normal, dark, self.glass_k))
        return panels

    def _box(
        self, front: bool, low: tuple[float, float], high: tuple[float, float]
    ) -> list[tuple[float, float, float]]:
        """Return a rectangle (across, up) on the front or rear, along its curve."""
        ring = []
        for c, u in ((low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])):
            half = self._profile[len(self._profile) // 2 :] if front else self._profile
            half = half[::-1] if front else half[: len(half) // 2]
            along = float(np.interp(u, half[:, 1], half[:, 0])) + (0.012 if front else -0.012)
            ring.append((along, c * self.width_at(along, u), u))
        return ring

    def _front(self) -> list[Panel]:
        """Build headlights, grille, plate and intake."""
        n, on = (1.0, 0.0, 0.1), float(self.running)
        glow = (70.0 * on, 66.0 * on, 58.0 * on)
        y = 0.74 if self.is_tall else 0.64
        faces: list[Any] = [
            (self._box(True, (-0.55, y - 0.08), (0.55, y + 0.05)), (0.02,) * 3, 8 * on, None),
            (self._box(True, (-0.6, 0.34), (0.6, 0.44)), (0.015,) * 3, 5 * on, None),
            (self._box(True, (-0.27, 0.46), (0.27, 0.56)), (0.62, 0.62, 0.56), 0.0, None),
        ]
        for side in (-1, 1):
            lens = self._box(True, (side * 0.58, y - 0.05), (side * 0.95, y + 0.08))
            faces.append((lens, (0.55, 0.56, 0.58), 3 * on, None))
            lamp = self._box(True, (side * 0.68, y - 0.03), (side * 0.85, y + 0.06))
            faces.append((lamp, (0.7, 0.7, 0.7), 8 * on, glow))
        return [self._panel(ring, n, albedo, self.body_k + warm, light or (0.0, 0.0, 0.0))
                for ring, albedo, warm, light in faces]  # fmt: skip

    def _rear(self) -> list[Panel]:
        """Build tail lights, plate, bumper line and exhaust."""
        n, on = (-1.0, 0.0, 0.1), float(self.running)
        y = 0.92 if self.is_tall else 0.76
        faces: list[Any] = [
            (self._box(False, (-0.9, 0.60), (0.9, 0.625)), tuple(0.3 * self.paint), 0.0, None),
            (self._box(False, (-0.3, 0.64), (0.3, 0.76)), (0.6, 0.6, 0.54), 0.0, (0.05,) * 3),
            (self._box(False, (-0.7, 0.30), (-0.52, 0.37)), (0.04,) * 3, 32 * on, None),
        ]
        glow = (5.5 * on, 0.22 * on, 0.12 * on)
        for side in (-1, 1):
            lens = self._box(False, (side * 0.62, y - 0.09), (side * 0.96, y + 0.09))
            faces.append((lens, (0.32, 0.02, 0.02), 2 * on, (0.9 * on, 0.03 * on, 0.02 * on)))
            lamp = self._box(False, (side * 0.76, y - 0.05), (side * 0.93, y + 0.06))
            faces.append((lamp, (0.4, 0.03, 0.02), 3 * on, glow))
        return [self._panel(ring, n, albedo, self.body_k + warm, light or (0.0, 0.0, 0.0))
                for ring, albedo, warm, light in faces]  # fmt: skip
