"""Who and what is on the street: the draws from the seed, and where each is at a time."""

from __future__ import annotations

from dataclasses import dataclass
import math

from mafs_synthetic.car_models import CarModel
from mafs_synthetic.config import SceneConfig
from mafs_synthetic.facades import house
from mafs_synthetic.figures import Figure
from mafs_synthetic.geometry import FAR_M, Road
from mafs_synthetic.ground import LOOP_M
from mafs_synthetic.lighting import LAMP_SPACING_M, LAMP_X_M, Lighting
from mafs_synthetic.props import car_stop, cone, guardrail, lamp, tree
from mafs_synthetic.sprite import Sprite
import numpy as np

BEHIND_M = 14.0
SPAN_M = FAR_M + BEHIND_M
RAIL_X_M = -4.6


@dataclass(frozen=True)
class Mover:
    """
    Something that moves along the road (speed) or across it (crossing).

    Args:
        start: place along the road at time 0, relative to the camera, m.
        speed: along the road, m/s; standing things have 0.
        x: place across the road, m; of one that crosses, the middle of its way.
        sway: half of the way of one that crosses, m, else 0.
        pace: how often it goes to and fro, 1/s, or the rhythm of steps, steps/s.
        phase: where in its cycle it starts, 0..1.

    """

    start: float
    speed: float
    x: float
    sway: float = 0.0
    pace: float = 0.0
    phase: float = 0.0

    def along(self, t: float, camera_speed: float) -> float:
        """Distance in front of the camera, -BEHIND_M..FAR_M, m; who leaves comes back afar."""
        way = self.start + (self.speed - camera_speed) * t
        return (way + BEHIND_M) % SPAN_M - BEHIND_M

    def across(self, t: float) -> tuple[float, int]:
        """Place across the road, m, and the direction: 1 to the right, -1 to the left."""
        if not self.sway:
            return self.x, 1
        cycle = (self.phase + t * self.pace) % 1.0
        there = cycle < 0.5
        way = 4 * cycle - 1 if there else 3 - 4 * cycle
        return self.x + self.sway * way, 1 if there else -1


@dataclass(frozen=True)
class Person:
    """A walker or cyclist: where, who, and the rhythm of the steps."""

    mover: Mover
    figure: Figure
    steps_hz: float
    cycling: bool = False

    def pose(self, t: float, bearing: float) -> Sprite:
        """
        Return the sprite at a time.

        Args:
            t: time, s.
            bearing: direction in which the camera sees the person, radians to the right.

        """
        _, sideways = self.mover.across(t)
        if self.mover.sway:
            heading = sideways * math.pi / 2
        else:
            heading = 0.0 if self.mover.speed > 0 else math.pi
        phase = self.mover.phase + t * self.steps_hz
        return self.figure.pose(phase, heading - bearing, self.cycling)


@dataclass(frozen=True)
class House:
    """A front along the road from s to s + width, a gable across it; side is -1 or 1."""

    s: float
    side: int
    x: float
    front: Sprite
    gable: Sprite


class Layout:
    """
    Everything of one scene.

    Args:
        config: the scene.
        lighting: its light.

    """

    def __init__(self, config: SceneConfig, lighting: Lighting) -> None:
        rng = np.random.default_rng([config.seed, 5])
        self.road = Road(3.2 * config.curvature, float(rng.uniform(150, 210)))
        self.cars = _traffic(rng, config)
        self.parked = _parked(rng, config)
        self.people = _people(rng, config)
        self.houses = _houses(rng, config)
        self.rail = guardrail(config)
        start = float(rng.uniform(0, 60))
        self.rail_places = [
            float(s) for s in np.arange(start, start + 48, self.rail.width_m) if config.guardrail
        ]
        self.things = _things(rng, config, lighting)


def _traffic(rng: np.random.Generator, config: SceneConfig) -> list[tuple[Mover, CarModel, int]]:
    """Cars that drive: one ahead in the own lane, the others towards the camera."""
    cars = []
    for k in range(config.cars):
        model = CarModel(rng, config, running=True)
        if k == 0:
            # As fast as the camera, so it stays ahead; `along` keeps it there for ever.
            cars.append((Mover(float(rng.uniform(16, 26)), config.speed_mps, 1.75), model, 1))
        else:
            gap = SPAN_M / max(1, config.cars - 1)
            start = (k - 1) * gap + float(rng.uniform(0.2, 0.7)) * gap
            cars.append((Mover(start, -9.0, float(rng.uniform(-1.9, -1.6))), model, -1))
    return cars


def _parked(rng: np.random.Generator, config: SceneConfig) -> list[tuple[Mover, CarModel, int]]:
    slots = rng.permutation(np.arange(0, SPAN_M - 8, 8.5))[: config.parked_cars]
    return [
        (
            Mover(float(s + rng.uniform(0, 2)), 0.0, 4.75),
            CarModel(rng, config, False),
            1 if rng.random() < 0.8 else -1,
        )
        for s in slots
    ]


def _people(rng: np.random.Generator, config: SceneConfig) -> list[Person]:
    people = []
    for _ in range(config.pedestrians):
        side = rng.choice((-1, 1))
        x = rng.uniform(-6.6, -4.7) if side < 0 else rng.uniform(6.5, 8.4)
        speed = float(rng.choice((-1, 1)) * rng.uniform(0.9, 1.6))
        mover = Mover(float(rng.uniform(0, SPAN_M)), speed, float(x), phase=float(rng.random()))
        people.append(Person(mover, Figure(rng, config), float(rng.uniform(0.8, 1.1))))
    for _ in range(config.crossing):
        mover = Mover(
            float(rng.uniform(12, SPAN_M * 0.7)),
            0.0,
            0.6,
            float(rng.uniform(5.4, 6.4)),
            float(rng.uniform(0.05, 0.065)),
            float(rng.random()),
        )
        people.append(Person(mover, Figure(rng, config), float(rng.uniform(0.8, 1.1))))
    for k in range(config.cyclists):
        figure = Figure(rng, config)
        if k % 3 == 1:
            mover = Mover(float(rng.uniform(20, 70)), 0.0, 0.6, 7.0, 0.11, float(rng.random()))
            people.append(Person(mover, figure, 1.0, cycling=True))
        else:
            ahead = k % 3 == 0
            mover = Mover(
                float(rng.uniform(9, 40)) if ahead else float(rng.uniform(0, SPAN_M)),
                4.8 if ahead else -4.2,
                3.0 if ahead else -3.1,
                phase=float(rng.random()),
            )
            people.append(Person(mover, figure, 1.1, cycling=True))
    return people


def _things(
    rng: np.random.Generator, config: SceneConfig, lighting: Lighting
) -> list[tuple[Sprite, float, float]]:
    """Trees, lamps, car stops and cones: each with its place along and across the road."""
    trees = [tree(rng, config) for _ in range(3)]
    things = [
        (trees[rng.integers(3)], float(s), 7.4 * side + 1.0)
        for side in (-1, 1)
        for s in np.arange(4, LOOP_M, 12.5)
        if rng.random() < 0.75
    ]
    for index, side in enumerate((-1, 1)):
        post = lamp(config, side, lighting.lamp_colour, lighting.lamp_power)
        things += [
            (post, float(s + index * LAMP_SPACING_M / 2), LAMP_X_M[index])
            for s in np.arange(0, LOOP_M, LAMP_SPACING_M)
        ]
    stop = car_stop(config)
    things += [(stop, float(s), 5.0) for s in np.arange(7, LOOP_M, 25)]
    orange = cone(config)
    start = float(rng.uniform(18, 70))
    return things + [
        (orange, (start + 2.4 * k) % LOOP_M, 3.25 - 0.16 * k) for k in range(config.cones)
    ]


def _houses(rng: np.random.Generator, config: SceneConfig) -> list[House]:
    """Fronts on both sides, with gaps through which the sky shows."""
    models = [
        house(rng, config, float(width), float(rng.uniform(6.5, 16)))
        for width in rng.uniform(9, 16, 7)
    ]
    houses = []
    for side, x in ((-1, -7.9), (1, 9.6)):
        s = float(rng.uniform(0, 6))
        while s < 96:
            front, gable = models[rng.integers(len(models))]
            if rng.random() < 0.82 and s + front.width_m < 100:
                houses.append(House(s, side, x + side * float(rng.uniform(0, 1.2)), front, gable))
            s += front.width_m + float(rng.choice((0.0, 0.0, 3.5)))
    return houses
