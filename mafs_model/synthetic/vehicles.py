"""Cars: a side profile drawn out to a body, with windows, wheels, lights and warm parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
from mafs_model.synthetic.canvas import Canvas
from mafs_model.synthetic.config import CLASS_IDS, SceneConfig
from mafs_model.synthetic.geometry import Camera, NEAR_M
import numpy as np
from numpy.typing import NDArray

_PAINTS = np.array([(0.45, 0.46, 0.48), (0.06, 0.06, 0.07), (0.62, 0.62, 0.60), (0.30, 0.05, 0.04),
                    (0.05, 0.10, 0.24), (0.16, 0.18, 0.17), (0.52, 0.46, 0.33)])


@dataclass(frozen=True)
class _Shape:
    """Side profile (along from the rear, up), m; which of its edges are glass; belt line."""

    points: tuple[tuple[float, float], ...]
    glass: tuple[int, ...]
    width_m: float
    belt_m: float


_SHAPES = (
    _Shape(((0, 0.32), (0, 0.72), (0.10, 0.92), (0.55, 0.98), (1.10, 1.42), (2.15, 1.45),
            (2.95, 1.00), (3.90, 0.88), (4.25, 0.70), (4.30, 0.32)), (3, 5), 1.76, 0.98),
    _Shape(((0, 0.34), (0, 0.95), (0.06, 1.10), (0.30, 1.62), (0.75, 1.72), (2.55, 1.70),
            (3.25, 1.12), (4.05, 1.02), (4.35, 0.80), (4.40, 0.34)), (2, 5), 1.86, 1.08),
    _Shape(((0, 0.32), (0, 0.85), (0.12, 1.02), (0.42, 1.46), (1.0, 1.52), (1.9, 1.50),
            (2.6, 1.00), (3.35, 0.90), (3.68, 0.72), (3.72, 0.32)), (2, 5), 1.68, 0.98),
)
_WHEEL_M = 0.32
_DARK = np.zeros(3)


@dataclass(frozen=True)
class Face:
    """
    One flat polygon of a car.

    Args:
        corners: (along from the rear, across in half widths, up) [N, 3], m.
        albedo: RGB [3].
        temperature: K.
        emission: radiance RGB when the lights are on, [3].

    """

    corners: NDArray[np.float64]
    albedo: NDArray[np.float64]
    temperature: float
    emission: NDArray[np.float64]


class CarModel:
    """
    Shape, paint and warmth of one car; a parked one has cooled down and is dark.

    Args:
        rng: draws the car.
        config: the scene, for its temperature.
        running: whether the engine is on.

    """

    def __init__(self, rng: np.random.Generator, config: SceneConfig, running: bool) -> None:
        self.shape = _SHAPES[rng.integers(len(_SHAPES))]
        self.running = running
        self.paint = _PAINTS[rng.integers(len(_PAINTS))]
        base = config.ambient_k + 10 * config.daylight
        self.body_k = base - 1.0 + rng.normal(0, 0.8)
        self.bonnet_k = base + (rng.uniform(7, 14) if running else rng.uniform(-1, 3))
        self.tyre_k = base + (rng.uniform(8, 14) if running else 0.5)
        self.glass_k = base - 4.5
        self.points = np.array(self.shape.points)
        self.length = float(self.points[:, 0].max())
        self.half_width = self.shape.width_m / 2
        self.faces = [*self._skin(), *self._sides(), *self._ends()]
        self.first_panel = len(self.points)  # later faces lie on earlier ones
        self.corners = np.concatenate([face.corners for face in self.faces])
        self.ends = np.cumsum([len(face.corners) for face in self.faces])

    def _skin(self) -> Iterator[Face]:
        """Draw the profile out: rear, roof, screens, bonnet, front and underside."""
        count = len(self.points)
        for k in range(count):
            a, b = self.points[k], self.points[(k + 1) % count]
            along, up = b - a
            sky = max(0.0, along / max(float(np.hypot(along, up)), 1e-6))
            albedo, kelvin = self.paint * (0.62 + 0.5 * sky), self.body_k - 2.5 * sky
            if k == count - 1:
                albedo, kelvin = np.full(3, 0.01), self.body_k + 6
            elif k in self.shape.glass:
                albedo, kelvin = np.array((0.05, 0.06, 0.07)), self.glass_k
            elif b[0] > 0.62 * self.length and a[1] > 0.5:
                kelvin = self.bonnet_k - 2
            ring = ((*a, -1), (*a, 1), (*b, 1), (*b, -1))
            corners = np.array([(p, side * _tuck(q), q) for p, q, side in ring])
            yield Face(corners, albedo, kelvin, _DARK)

    def _sides(self) -> Iterator[Face]:
        """Both sides with windows and wheels."""
        belt = self.shape.belt_m
        top = float(self.points[:, 1].max())
        above = self.points[self.points[:, 1] > belt + 0.02, 0]
        rear, run = float(above.min()), float(np.ptp(above))
        window = [(max(rear - 0.15 * run, 0.15), belt), (rear + 0.10 * run, top - 0.1),
                  (rear + 0.92 * run, top - 0.1), (rear + 1.33 * run, belt)]
        pillar = [(rear + 0.52 * run, belt), (rear + 0.52 * run, top - 0.1),
                  (rear + 0.56 * run, top - 0.1), (rear + 0.56 * run, belt)]
        turn = np.linspace(0, 2 * np.pi, 18, endpoint=False)
        tyre = _WHEEL_M * np.stack([np.cos(turn), np.sin(turn)], axis=1)
        hub_k = self.tyre_k + 2.5 * self.running
        for side in (-1, 1):
            def on_side(outline: Iterable[tuple[float, float]], out: float,
                        side: int = side) -> NDArray[np.float64]:
                return np.array([(p, side * (_tuck(q) + out), q) for p, q in outline])

            yield Face(on_side(self.points, 0), self.paint * 0.72, self.body_k, _DARK)
            yield Face(on_side(window, 0.004), np.array((0.045, 0.05, 0.06)), self.glass_k, _DARK)
            yield Face(on_side(pillar, 0.006), self.paint * 0.5, self.body_k, _DARK)
            for along in (0.19 * self.length, 0.80 * self.length):
                for radius, grey, kelvin in ((1.12, 0.012, self.body_k + 1),
                                             (1.0, 0.03, self.tyre_k), (0.6, 0.26, hub_k)):
                    wheel = tyre * radius + (along, _WHEEL_M)
                    yield Face(on_side(map(tuple, wheel), 0.006), np.full(3, grey), kelvin, _DARK)

    def _ends(self) -> Iterator[Face]:
        """Lights, number plates, grille and exhaust."""
        white, red = np.array((9.0, 8.6, 7.6)), np.array((1.5, 0.05, 0.03))
        on = float(self.running)
        front, rear = self.length + 0.01, -0.01
        panels = [(front, (-0.5, 0.60), (0.5, 0.80), _DARK, np.full(3, 0.02), 2 + 7 * on)]
        for at, low, high, glow, lens in ((front, 0.60, 0.74, white, np.full(3, 0.5)),
                                          (rear, 0.70, 0.88, red, np.array((0.3, 0.03, 0.02)))):
            panels += [(at, (-0.92, low), (-0.58, high), glow * on, lens, 3 * on),
                       (at, (0.58, low), (0.92, high), glow * on, lens, 3 * on),
                       (at, (-0.28, 0.48), (0.28, 0.60), _DARK, np.array((0.6, 0.6, 0.52)), 0.0)]
        panels.append((rear, (-0.62, 0.30), (-0.46, 0.38), _DARK, np.full(3, 0.05), 30 * on))
        for at, (x0, y0), (x1, y1), emission, albedo, warm in panels:
            quad = np.array([(at, x0, y0), (at, x1, y0), (at, x1, y1), (at, x0, y1)])
            yield Face(quad, albedo, self.body_k + warm, emission)


def _tuck(up: float) -> float:
    """How much narrower a car is at a height, as a part of its half width."""
    return 1.0 - 0.22 * max(0.0, up - 0.95) / 0.6


def paint_car(canvas: Canvas, camera: Camera, model: CarModel, s: float, x: float, heading: int,
              light: NDArray[np.float64], lit: bool) -> None:
    """
    Paint a car.

    Args:
        canvas: picture.
        camera: view.
        model: the car.
        s: its middle along the road, m.
        x: its middle across the road, m.
        heading: 1 drives as the camera does, -1 towards it.
        light: irradiance RGB at the car.
        lit: whether its lights are on.

    """
    along, across, up = model.corners.T
    placed = np.stack([s + heading * (along - model.length / 2),
                       x + heading * model.half_width * across, up], axis=1)
    view = camera.view(placed)
    if view[:, 2].min() < NEAR_M:
        return
    flat = camera.project(placed)
    box = canvas.clip(*(flat.min(axis=0) - 1), *(flat.max(axis=0) + 2))
    if box is None:
        return
    _shadow(canvas, camera, model, s, x)
    left, top, right, bottom = box
    size = right - left, bottom - top
    factor = 3 if max(size) < 90 else 2 if max(size) < 260 else 1
    patch = np.zeros((size[1] * factor, size[0] * factor, 4), np.float32)
    mask = np.zeros(patch.shape[:2], np.uint8)
    pixels = np.round((flat - (left, top)) * (factor * 16) - 8).astype(np.int32)
    middle = camera.view(np.array([[s, x, 0.7]]))[0]
    for number, normal in _towards_camera(model, view, middle):
        face = model.faces[number]
        ring = pixels[model.ends[number] - len(face.corners):model.ends[number]]
        facing = 0.7 + 0.3 * abs(normal[2]) + 0.25 * max(0.0, normal[1])
        colour = face.albedo * light * facing + lit * face.emission
        value = (*map(float, colour), face.temperature)
        cv2.fillPoly(patch, [ring], value, cv2.LINE_8, 4)
        cv2.fillPoly(mask, [ring], 255, cv2.LINE_8, 4)
    # Darker towards the ground; lights are not.
    ramp = np.linspace(1.12, 0.72, patch.shape[0], dtype=np.float32)[:, None, None]
    patch[..., :3] *= np.where(patch[..., :3] > 1.2, np.float32(1), ramp)
    alpha = (mask / 255).astype(np.float32)
    if factor > 1:
        alpha = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        patch = cv2.resize(patch, size, interpolation=cv2.INTER_AREA)
        patch /= np.maximum(alpha, 1e-3)[..., None]
    canvas.blend(left, top, patch, alpha, CLASS_IDS['car'])


def _towards_camera(model: CarModel, view: NDArray[np.float64],
                    middle: NDArray[np.float64]) -> list[tuple[int, list[float]]]:
    """Faces seen from outside and their unit normals, in the order in which to paint them."""
    seen = []
    start = 0
    for number, end in enumerate(model.ends):
        corners = view[start:end]
        start = end
        centre = corners.mean(axis=0)
        e, f = corners[1] - corners[0], corners[2] - corners[0]
        normal = np.array((e[1] * f[2] - e[2] * f[1], e[2] * f[0] - e[0] * f[2],
                           e[0] * f[1] - e[1] * f[0]))
        if normal @ (centre - middle) < 0:
            normal = -normal
        if normal @ centre < 0:
            skin = number < model.first_panel
            order = (0, -float(centre @ centre)) if skin else (1, 0.0)
            unit = normal / max(float(np.sqrt(normal @ normal)), 1e-9)
            seen.append((order, number, unit.tolist()))
    return [(number, normal) for _, number, normal in sorted(seen)]


def _shadow(canvas: Canvas, camera: Camera, model: CarModel, s: float, x: float) -> None:
    """Darken the ground below; the exhaust and engine warm it a little."""
    half_l, half_w = model.length / 2 + 0.15, model.half_width + 0.12
    ring = np.array([(s - half_l, x - half_w, 0), (s - half_l, x + half_w, 0),
                     (s + half_l, x + half_w, 0), (s + half_l, x - half_w, 0)])
    flat = camera.project(ring)
    box = canvas.clip(*(flat.min(axis=0) - 3), *(flat.max(axis=0) + 3))
    if box is None:
        return
    left, top, right, bottom = box
    mask = np.zeros((bottom - top, right - left), np.uint8)
    cv2.fillPoly(mask, [np.round((flat - (left, top)) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(mask, (0, 0), max(0.6, 0.08 * camera.scale(max(s - camera.s, 2)))
                            ).astype(np.float32) / 255
    region = canvas.pixels[top:bottom, left:right]
    region[..., :3] *= 1 - 0.8 * soft[..., None]
    region[..., 3] += (2.5 if model.running else -0.5) * soft
