"""People: walkers and cyclists as jointed figures, in a cycle of poses."""

from __future__ import annotations

import math

import cv2
from mafs_model.synthetic.config import CLASS_IDS, SceneConfig
from mafs_model.synthetic.sprite import Bytes, Float, Sprite
from mafs_model.synthetic.textures import fractal_noise
import numpy as np

POSES = 16
_SCALE = 96  # px per metre
_SKIN_ALBEDO = np.array([(0.55, 0.39, 0.31), (0.36, 0.24, 0.17), (0.62, 0.47, 0.39)])
_COATS = np.array([(0.03, 0.03, 0.035), (0.06, 0.07, 0.11), (0.16, 0.06, 0.05), (0.10, 0.11, 0.10),
                   (0.30, 0.28, 0.25), (0.05, 0.09, 0.07), (0.42, 0.40, 0.10)])
_TROUSERS = np.array([(0.025, 0.025, 0.03), (0.05, 0.06, 0.10), (0.14, 0.12, 0.09)])


class Figure:
    """
    One person's clothes and warmth; makes a sprite for every pose of a step.

    Args:
        rng: draws the person.
        config: the scene, for its temperature.

    """

    def __init__(self, rng: np.random.Generator, config: SceneConfig) -> None:
        self._poses: dict[tuple[int, bool, bool], Sprite] = {}
        self._metal_k = config.ambient_k - 1.5
        self.skin = _SKIN_ALBEDO[rng.integers(len(_SKIN_ALBEDO))]
        self.coat = _COATS[rng.integers(len(_COATS))] * rng.uniform(0.8, 1.3)
        self.trousers = _TROUSERS[rng.integers(len(_TROUSERS))]
        self.height = float(rng.uniform(1.55, 1.9))
        self.build = float(rng.uniform(0.9, 1.15))
        cold = np.clip((300 - config.ambient_k) / 25, 0, 1)
        self.skin_k = 306.5 - 2.0 * cold
        self.coat_k = config.ambient_k + 0.45 * (306 - config.ambient_k) + rng.normal(0, 0.8)
        self.trousers_k = config.ambient_k + 0.5 * (306 - config.ambient_k) + rng.normal(0, 0.8)

    def pose(self, number: int, side_view: bool, cycling: bool) -> Sprite:
        """
        Make one of POSES sprites of a step, or of a turn of the pedals; made when first asked for.

        Args:
            number: 0..POSES - 1.
            side_view: from the side, moving to the right, or else from behind.
            cycling: with a bike.

        """
        key = number, side_view, cycling
        if key not in self._poses:
            phase = 2 * math.pi * number / POSES
            self._poses[key] = (self._cyclist if cycling else self._walker)(phase, side_view)
        return self._poses[key]

    def _walker(self, phase: float, side_view: bool) -> Sprite:
        pen = _Pen(width_m=1.25, height_m=2.0)
        k = self.height / 1.75
        b = self.build
        swing = 0.42 * math.sin(phase)
        bob = 0.02 * math.cos(2 * phase)
        hip, neck = 0.92 * k + bob, 1.45 * k + bob
        spread = 0.0 if side_view else 0.09 * b
        for sign, colour in ((-1, 0.8), (1, 1.0)):
            angle = swing * sign if side_view else 0.0
            lift = 0.0 if side_view else 0.06 * max(0.0, math.sin(phase) * sign)
            knee_bend = 0.75 * max(0.0, math.sin(phase * 1 + sign * 1.2)) * 0.5
            knee = (sign * spread + 0.45 * k * math.sin(angle), hip - 0.45 * k * math.cos(angle))
            shin = angle - (knee_bend if side_view else 0)
            foot = (knee[0] + 0.44 * k * math.sin(shin),
                    max(0.05, knee[1] - 0.44 * k * math.cos(shin) + lift))
            pen.limb([(sign * spread, hip), knee, foot], (0.095 * b, 0.07 * b, 0.05),
                     self.trousers * colour, self.trousers_k - 0.3)
            toe = (foot[0] + (0.13 if side_view else 0.02 * sign), foot[1] - 0.03)
            pen.limb([foot, toe], (0.045, 0.045), np.array((0.03,) * 3), self.trousers_k - 5)
        shoulder = 0.0 if side_view else 0.2 * b
        for sign in (-1, 1):
            angle = -0.8 * swing * sign if side_view else 0.10 * sign
            elbow = (sign * shoulder + 0.3 * k * math.sin(angle), neck - 0.06 - 0.3 * k)
            bend = angle + (0.35 if side_view else -0.02 * sign)
            hand = (elbow[0] + 0.26 * k * math.sin(bend), elbow[1] - 0.25 * k)
            pen.limb([(sign * shoulder, neck - 0.06), elbow, hand], (0.06 * b, 0.05, 0.04),
                     self.coat * (0.8 if sign < 0 else 1.0), self.coat_k - 0.4)
            pen.limb([hand, (hand[0], hand[1] - 0.05)], (0.04, 0.035), self.skin,
                     self.skin_k - 2.5)
            if sign < 0:  # the torso is in front of the far arm
                self._torso(pen, hip, neck, side_view)
        self._head(pen, 0.03 if side_view else 0.0, neck)
        return pen.finish(self._rng_for(phase), CLASS_IDS['person'])

    def _torso(self, pen: _Pen, hip: float, neck: float, side_view: bool,
               lean: float = 0.0) -> None:
        b = self.build
        half = 0.115 * b if side_view else 0.19 * b
        waist = (hip + neck) / 2
        pen.limb([(0, hip - 0.04), (lean * 0.5, waist), (lean, neck - 0.16), (lean, neck - 0.03)],
                 (half * 0.82, half * 0.78, half * 0.95, half * 0.5), self.coat, self.coat_k)

    def _head(self, pen: _Pen, x: float, neck: float) -> None:
        pen.limb([(x - 0.01, neck), (x, neck + 0.09)], (0.055, 0.05), self.skin, self.skin_k - 0.5)
        pen.limb([(x, neck + 0.15), (x, neck + 0.21)], (0.088, 0.082), self.skin, self.skin_k)
        pen.limb([(x - 0.025, neck + 0.225), (x - 0.01, neck + 0.255)], (0.083, 0.06),
                 np.array((0.05, 0.035, 0.025)), self.skin_k - 3.5)

    def _cyclist(self, phase: float, side_view: bool) -> Sprite:
        pen = _Pen(width_m=2.1 if side_view else 1.0, height_m=2.0)
        metal = self._metal_k
        paint = self.coat * 0.5 + np.array((0.16, 0.16, 0.17))
        if side_view:
            for wheel in (-0.52, 0.52):
                pen.ring((wheel, 0.34), 0.34, 0.022, np.array((0.05,) * 3), metal + 2.5)
            frame = [((-0.52, 0.34), (-0.12, 0.36)), ((-0.12, 0.36), (0.36, 0.88)),
                     ((-0.22, 0.92), (-0.12, 0.36)), ((-0.22, 0.85), (0.38, 0.86)),
                     ((-0.52, 0.34), (-0.2, 0.8)), ((0.36, 0.92), (0.52, 0.34)),
                     ((0.36, 0.92), (0.46, 1.02))]
            for start, end in frame:
                pen.limb([start, end], (0.022, 0.022), paint, metal)
            seat, crank, grip = (-0.23, 0.98), (-0.12, 0.36), (0.42, 1.03)
        else:
            pen.limb([(0, 0.04), (0, 0.66)], (0.035, 0.035), np.array((0.05,) * 3), metal + 2.5)
            pen.limb([(-0.28, 1.02), (0.28, 1.02)], (0.02, 0.02), paint, metal)
            pen.limb([(0, 0.6), (0, 1.0)], (0.025, 0.025), paint, metal)
            seat, crank, grip = (0.0, 0.98), (0.0, 0.36), (0.26, 1.03)
        bike = pen.count()
        for sign in (-1, 1):
            a = phase + (0 if sign > 0 else math.pi)
            pedal = (crank[0] + (0.17 * math.cos(a) if side_view else 0.1 * sign),
                     crank[1] + 0.17 * math.sin(a))
            knee = ((seat[0] + pedal[0]) / 2 + (0.22 if side_view else 0.04 * sign),
                    (seat[1] + pedal[1]) / 2 + 0.1)
            pen.limb([seat, knee, pedal], (0.09, 0.07, 0.05), self.trousers * (0.8 + 0.1 * sign),
                     self.trousers_k + 0.6)
        neck, lean = 1.52, (0.32 if side_view else 0.0)
        half = 0.13 if side_view else 0.175 * self.build
        back = [(seat[0] + part * lean, seat[1] + part * (neck - 0.04 - seat[1]))
                for part in (0.0, 0.45, 0.8, 1.0)]
        pen.limb(back, (half * 0.85, half * 0.82, half * 0.95, half * 0.5), self.coat,
                 self.coat_k + 0.6)
        shoulder = (seat[0] + lean, neck - 0.12)
        for sign in ((1,) if side_view else (-1, 1)):
            hand = (grip[0] * sign if not side_view else grip[0], grip[1])
            start = (shoulder[0] + (0 if side_view else 0.17 * sign), shoulder[1])
            middle = ((start[0] + hand[0]) / 2 + (0 if side_view else 0.07 * sign),
                      (start[1] + hand[1]) / 2 - 0.04)
            pen.limb([start, middle, hand], (0.055, 0.05, 0.04), self.coat, self.coat_k)
        self._head(pen, seat[0] + lean + (0.06 if side_view else 0), neck - 0.03)
        labels = np.where(pen.before(bike), CLASS_IDS['bike'], CLASS_IDS['person'])
        return pen.finish(self._rng_for(phase), labels.astype(np.uint8))

    def _rng_for(self, phase: float) -> np.random.Generator:
        return np.random.default_rng([int(self.height * 1e6), int(phase * 1e3)])


class _Pen:
    """Draws round limbs, lit from above, on a small canvas whose ground is its lower edge."""

    def __init__(self, width_m: float, height_m: float) -> None:
        self.width_m, self.height_m = width_m, height_m
        h, w = round(height_m * _SCALE), round(width_m * _SCALE)
        self._pixels: Float = np.zeros((h, w, 4), np.float32)
        self._cover: Float = np.zeros((h, w), np.float32)
        self._order = np.zeros((h, w), np.int32)
        self._count = 0

    def _px(self, point: tuple[float, float]) -> tuple[float, float]:
        return (point[0] + self.width_m / 2) * _SCALE, (self.height_m - point[1]) * _SCALE

    def limb(self, points: list[tuple[float, float]], radii: tuple[float, ...],
             albedo: np.ndarray, temperature: float) -> None:
        """Draw a tube along points with a radius at each, m."""
        path = np.array([self._px(point) for point in points])
        thick = np.array(radii) * _SCALE
        mask, origin = self._sheet(path, float(thick.max()))
        path = path - origin
        for a, b, ra, rb in zip(path, path[1:], thick, thick[1:], strict=False):
            along = b - a
            normal = np.array((-along[1], along[0])) / max(float(np.hypot(*along)), 1e-6)
            to_a, to_b = normal * ra, normal * rb
            corners = np.array([a + to_a, b + to_b, b - to_b, a - to_a])
            cv2.fillConvexPoly(mask, np.round(corners * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
        for centre, radius in zip(path, thick, strict=True):
            cv2.circle(mask, _fixed(centre), round(radius * 16), 255, -1, cv2.LINE_AA, 4)
        self._lay(mask, origin, albedo, temperature, max(radii))

    def ring(self, centre: tuple[float, float], radius: float, thickness: float,
             albedo: np.ndarray, temperature: float) -> None:
        """Draw a wheel with spokes."""
        c = np.array(self._px(centre))
        mask, origin = self._sheet(c[None], (radius + thickness) * _SCALE)
        c = c - origin
        cv2.circle(mask, _fixed(c), round(radius * _SCALE * 16), 255,
                   max(1, round(2 * thickness * _SCALE)), cv2.LINE_AA, 4)
        for k in range(8):
            a = math.pi * k / 8
            reach = np.array((math.cos(a), math.sin(a))) * radius * _SCALE
            cv2.line(mask, _fixed(c - reach), _fixed(c + reach), 90, 1, cv2.LINE_AA, 4)
        self._lay(mask, origin, albedo, temperature, thickness)

    def _sheet(self, path: np.ndarray, radius: float) -> tuple[Bytes, np.ndarray]:
        """Return an empty mask around points, and its top left corner on the canvas."""
        h, w = self._cover.shape
        margin = 2 + 1.5 * radius
        low = np.clip(np.floor(path.min(axis=0) - margin), 0, (w - 1, h - 1)).astype(int)
        high = np.clip(np.ceil(path.max(axis=0) + margin), low + 1, (w, h)).astype(int)
        return np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8), low

    def _lay(self, mask: Bytes, origin: np.ndarray, albedo: np.ndarray, temperature: float,
             radius: float) -> None:
        """Put a shape over what is there, shaded as if it were round."""
        self._count += 1
        soft = cv2.GaussianBlur(mask, (0, 0), max(0.8, 0.5 * radius * _SCALE))
        slope = cv2.Sobel(soft, cv2.CV_32F, 0, 1, ksize=3) * (radius * _SCALE / 255)
        edge = soft.astype(np.float32) / 255
        shade = np.clip(0.62 + 0.35 * edge + 0.45 * slope, 0.35, 1.4)
        colour = np.dstack([shade[..., None] * albedo.astype(np.float32),
                            temperature - 1.6 * (1 - edge)])
        weight = mask.astype(np.float32) / 255
        area = (slice(origin[1], origin[1] + mask.shape[0]),
                slice(origin[0], origin[0] + mask.shape[1]))
        self._pixels[area] *= 1 - weight[..., None]
        self._pixels[area] += colour * weight[..., None]
        self._cover[area] += (1 - self._cover[area]) * weight
        self._order[area][mask >= 128] = self._count

    def count(self) -> int:
        """Return how many shapes are drawn, see `before`."""
        return self._count

    def before(self, count: int) -> np.ndarray:
        """Return the pixels whose topmost shape is among the first count ones."""
        return (self._order > 0) & (self._order <= count)

    def finish(self, rng: np.random.Generator, labels: int | Bytes) -> Sprite:
        """Add creases and make a sprite."""
        h, w = self._cover.shape
        folds = 1 + 0.09 * fractal_noise(rng, h, w, 14, 3)
        body = self._pixels
        body /= np.maximum(self._cover, 1e-6)[..., None]
        bare = self._cover < 0.02
        body[bare] = body[~bare].mean(axis=0)
        body[..., :3] *= folds[..., None]
        ids = np.full((h, w), labels, np.uint8) if isinstance(labels, int) else labels
        alpha = np.round(self._cover * 255).astype(np.uint8)
        return Sprite(body, alpha, ids, self.width_m, self.height_m)


def _fixed(point: np.ndarray) -> tuple[int, int]:
    """Pixels as fixed point numbers of 4 fractional bits."""
    return round(float(point[0]) * 16), round(float(point[1]) * 16)
