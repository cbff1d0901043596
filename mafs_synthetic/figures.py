"""People: walkers and cyclists, clothed and warm, from any side, in a cycle of poses."""

from __future__ import annotations

import math

from mafs_synthetic import skeleton
from mafs_synthetic.config import CLASS_IDS, SceneConfig
from mafs_synthetic.pen import Pen
from mafs_synthetic.skeleton import Array, Joints
from mafs_synthetic.sprite import Sprite
import numpy as np

POSES = 16
DIRECTIONS = 16
_SKIN_ALBEDO = np.array([(0.55, 0.39, 0.31), (0.36, 0.24, 0.17), (0.62, 0.47, 0.39)])
_HAIR = np.array([(0.03, 0.025, 0.02), (0.10, 0.06, 0.035), (0.28, 0.26, 0.24), (0.2, 0.14, 0.07)])
_COATS = np.array(
    [
        (0.03, 0.03, 0.035),
        (0.05, 0.06, 0.11),
        (0.17, 0.05, 0.045),
        (0.10, 0.11, 0.10),
        (0.30, 0.28, 0.25),
        (0.05, 0.09, 0.07),
        (0.45, 0.43, 0.08),
        (0.22, 0.16, 0.10),
    ]
)
_TROUSERS = np.array([(0.025, 0.025, 0.03), (0.05, 0.06, 0.11), (0.14, 0.12, 0.09)])
_SHOE = np.full(3, 0.03)
_RUBBER = np.full(3, 0.04)
_PERSON, _BIKE = CLASS_IDS['person'], CLASS_IDS['bike']


class Figure:
    """
    One person's clothes and warmth; makes a sprite for every pose and direction.

    Args:
        rng: draws the person.
        config: the scene, for its temperature.

    """

    def __init__(self, rng: np.random.Generator, config: SceneConfig) -> None:
        self._poses: dict[tuple[int, int, bool], Sprite] = {}
        self._seed = int(rng.integers(2**31))
        self._metal_k = config.ambient_k - 1.2
        self.skin = _SKIN_ALBEDO[rng.integers(len(_SKIN_ALBEDO))]
        self.hair = _HAIR[rng.integers(len(_HAIR))]
        self.coat = _COATS[rng.integers(len(_COATS))] * rng.uniform(0.8, 1.3)
        self.trousers = _TROUSERS[rng.integers(len(_TROUSERS))]
        self.height = float(rng.uniform(1.55, 1.9))
        self.build = float(rng.uniform(0.9, 1.15))
        self.long_coat = bool(rng.random() < 0.35)
        self.backpack = bool(rng.random() < 0.4)
        self.hat = bool(rng.random() < 0.3)
        cold = np.clip((300 - config.ambient_k) / 25, 0, 1)
        body = 306 - config.ambient_k
        self.skin_k = 306.5 - 2.0 * cold
        self.coat_k = config.ambient_k + rng.uniform(0.33, 0.5) * body
        self.trousers_k = config.ambient_k + rng.uniform(0.42, 0.55) * body

    def pose(self, phase: float, direction: float, cycling: bool) -> Sprite:
        """
        Return the sprite that comes closest; made when first asked for.

        Args:
            phase: of the step or of the pedals, 0..1.
            direction: where the person goes as the camera sees it, radians: 0 away, pi / 2 to
                the right, pi towards the camera.
            cycling: with a bike.

        """
        step = math.floor(phase * POSES) % POSES
        turn = round(direction / (2 * math.pi) * DIRECTIONS) % DIRECTIONS
        key = step, turn, cycling
        if key not in self._poses:
            self._poses[key] = self._draw(
                2 * math.pi * step / POSES, 2 * math.pi * turn / DIRECTIONS, cycling
            )
        return self._poses[key]

    def _draw(self, phase: float, direction: float, cycling: bool) -> Sprite:
        joints = (skeleton.cycling if cycling else skeleton.walking)(phase, self.build)
        view = _View(direction)
        pen = Pen(2.0 if cycling else 1.5, 2.05)
        if cycling:
            self._bike(pen, view)
        else:
            joints = {name: joint * (self.height / 1.75) for name, joint in joints.items()}
        for _, part in sorted(self._parts(joints, view, pen), key=lambda item: -item[0]):
            points, radii, albedo, kelvin = part
            pen.limb(view(points), radii, albedo, kelvin, _PERSON)
        return pen.finish(np.random.default_rng([self._seed, int(phase * 1e3)]), 0.9)

    def _parts(
        self, joints: Joints, view: _View, pen: Pen
    ) -> list[tuple[float, tuple[Array, Array, Array, float]]]:
        """Return limbs, clothes and head with their distance from the camera."""
        b = self.build
        parts = []

        def add(names: list[str], radii: list[float], albedo: Array, kelvin: float,
                nearer: float = 0.0) -> None:  # fmt: skip
            points = np.array([joints[name] for name in names])
            part = points, np.array(radii), albedo, kelvin
            parts.append((view.depth(points) - nearer, part))

        for side in ('left', 'right'):
            add([f'{side}_hip', f'{side}_knee', f'{side}_ankle'],
                [0.092 * b, 0.068 * b, 0.05], self.trousers, self.trousers_k)  # fmt: skip
            add([f'{side}_ankle', f'{side}_toe'], [0.05, 0.038], _SHOE, self.trousers_k - 5)
            add([f'{side}_shoulder', f'{side}_elbow', f'{side}_hand'],
                [0.062 * b, 0.052, 0.04], self.coat, self.coat_k - 0.5)  # fmt: skip
            joints[f'{side}_palm'] = joints[f'{side}_hand'] + (0.01, 0, -0.04)
            add([f'{side}_hand', f'{side}_palm'], [0.04, 0.034], self.skin, self.skin_k - 2.5)
        pelvis, chest, neck = joints['pelvis'], joints['chest'], joints['neck']
        across = view.breadth(0.19 * b, 0.115 * b)
        joints['waist'] = 0.55 * pelvis + 0.45 * chest
        joints['collar'] = neck - (0, 0, 0.03)
        add(['pelvis', 'waist', 'chest', 'collar'],
            [0.82 * across, 0.78 * across, 0.92 * across, 0.5 * across], self.coat,
            self.coat_k, 0.02)  # fmt: skip
        if self.long_coat:
            joints['hem'] = pelvis - (0, 0, 0.26)
            add(
                ['waist', 'hem'], [0.8 * across, 0.95 * across], self.coat, self.coat_k - 0.6, 0.03
            )
        if self.backpack:
            joints['pack'] = chest - (0.19, 0, 0.0)
            joints['pack_low'] = chest - (0.21, 0, 0.26)
            size = view.breadth(0.15, 0.09)
            add(['pack', 'pack_low'], [size, 1.1 * size], 0.5 * self.trousers + 0.03,
                self.coat_k - 5.5)  # fmt: skip
        head = joints['head']
        joints['nape'] = neck + (0, 0, 0.05)
        add(['neck', 'nape'], [0.06, 0.055], self.skin, self.skin_k - 0.6)
        joints['brow'] = head + (0, 0, 0.05)
        add(['head', 'brow'], [0.088, 0.088], self.skin, self.skin_k, 0.06)
        joints['crown'] = head + (-0.035, 0, 0.085)
        joints['back'] = head + (-0.06, 0, 0.0)
        cap = 0.35 * self.coat + 0.04 if self.hat else self.hair
        kelvin = self.coat_k - 1.0 if self.hat else self.skin_k - 4.0
        # Hair is nearer than the face only where the back of the head is.
        add(['crown', 'back'], [0.083, 0.08], cap, kelvin, 0.06)
        joints['top'] = head + (-0.01, 0, 0.115)
        add(['crown', 'top'], [0.07, 0.062], cap, kelvin, 0.12)
        return parts

    def _bike(self, pen: Pen, view: _View) -> None:
        """Draw wheels, frame and handlebar."""
        turn = np.linspace(0, 2 * np.pi, 37)
        paint = 0.5 * self.coat + np.array((0.16, 0.16, 0.17))
        for f, u in skeleton.AXLES:
            rim = np.stack([f + skeleton.WHEEL_M * np.cos(turn), np.zeros_like(turn),
                            u + skeleton.WHEEL_M * np.sin(turn)], axis=1)  # fmt: skip
            for k in range(0, 36, 4):
                spoke = np.array([(f, 0, u), rim[k]])
                pen.line(view(spoke), 0.008, np.full(3, 0.2), self._metal_k, _BIKE, 110)
            pen.line(view(rim), 0.042, _RUBBER, self._metal_k + 2.0, _BIKE)
        (back, front) = skeleton.AXLES
        tubes = [
            (back, skeleton.CRANK), (skeleton.CRANK, skeleton.HEAD_TUBE),
            (skeleton.SADDLE, skeleton.CRANK), ((-0.2, 0.82), skeleton.HEAD_TUBE),
            (back, (-0.19, 0.78)), ((0.33, 0.95), front), ((0.33, 0.95), skeleton.GRIP),
        ]  # fmt: skip
        for (f0, u0), (f1, u1) in tubes:
            ends = np.array([(f0, 0, u0), (f1, 0, u1)])
            pen.limb(view(ends), np.full(2, 0.02), paint, self._metal_k, _BIKE)
        bar = np.array([(skeleton.GRIP[0], side, skeleton.GRIP[1]) for side in (-0.29, 0.29)])
        pen.limb(view(bar), np.full(2, 0.02), _RUBBER, self._metal_k, _BIKE)


class _View:
    """
    Projection of joints (forward, right, up) onto the sheet.

    Args:
        direction: see `Figure.pose`.

    """

    def __init__(self, direction: float) -> None:
        self._sin, self._cos = math.sin(direction), math.cos(direction)

    def __call__(self, points: Array) -> Array:
        """Return (across, up) [N, 2]."""
        across = points[:, 0] * self._sin + points[:, 1] * self._cos
        return np.stack([across, points[:, 2]], axis=1)

    def depth(self, points: Array) -> float:
        """Return how much farther the middle of points is than the middle of the person, m."""
        forward, right = points[:, :2].mean(axis=0)
        return float(forward * self._cos - right * self._sin)

    def breadth(self, wide: float, thick: float) -> float:
        """Return half the breadth of a body that is wide and less thick."""
        return math.hypot(wide * self._cos, thick * self._sin)
