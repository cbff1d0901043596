"""Cars in the picture: which panels are seen, their light, and the ground below."""

from __future__ import annotations

import cv2
from mafs_model.synthetic.canvas import Canvas
from mafs_model.synthetic.car_models import CarModel, TYRE_WIDTH_M, WHEEL_M
from mafs_model.synthetic.config import CLASS_IDS
from mafs_model.synthetic.geometry import Camera, NEAR_M, Points
from mafs_model.synthetic.lighting import Light
from mafs_model.synthetic.sprite import Float
import numpy as np
from numpy.typing import NDArray

_TURN = np.linspace(0, 2 * np.pi, 20, endpoint=False)
_DISC = WHEEL_M * np.stack([np.cos(_TURN), np.zeros_like(_TURN), 1 + np.sin(_TURN)], axis=1)


class _Sheet:
    """
    A small picture of one car, larger than the pixels it will cover.

    Args:
        box: left, top, right, bottom on the canvas, px.

    """

    def __init__(self, box: tuple[int, int, int, int]) -> None:
        self.left, self.top, right, bottom = box
        self.size = right - self.left, bottom - self.top
        longest = max(self.size)
        self.factor = 4 if longest < 60 else 3 if longest < 140 else 2 if longest < 360 else 1
        shape = (self.size[1] * self.factor, self.size[0] * self.factor, 4)
        # Temperature 0 is where nothing is.
        self.pixels: Float = np.zeros(shape, np.float32)

    def fill(self, outline: Points, colour: Points, kelvin: float) -> None:
        """Paint a polygon given in pixels (u, v) of the canvas."""
        fixed = np.round((outline - (self.left, self.top)) * (16 * self.factor) - 8)
        value = (float(colour[0]), float(colour[1]), float(colour[2]), float(kelvin))
        cv2.fillPoly(self.pixels, [fixed.astype(np.int32)], value, cv2.LINE_8, 4)

    def hull(self, points: Points, colour: Points, kelvin: float) -> None:
        """Paint the convex hull of pixels."""
        self.fill(cv2.convexHull(points.astype(np.float32))[:, 0], colour, kelvin)

    def smooth(self) -> None:
        """Round the edges between panels; the outline stays."""
        mask = (self.pixels[..., 3] > 0).astype(np.float32)
        sigma = max(0.6, self.size[0] * self.factor / 110)
        weight = cv2.GaussianBlur(mask, (0, 0), sigma)
        soft = cv2.GaussianBlur(self.pixels, (0, 0), sigma)
        soft *= (mask / np.maximum(weight, 1e-3))[..., None]
        self.pixels = soft

    def paste(self, canvas: Canvas, shade: Light) -> None:
        """Bring the car to the canvas, through the air."""
        pixels = self.pixels
        alpha = (pixels[..., 3] > 0).astype(np.float32)
        if self.factor > 1:
            alpha = cv2.resize(alpha, self.size, interpolation=cv2.INTER_AREA)
            pixels = cv2.resize(pixels, self.size, interpolation=cv2.INTER_AREA)
            pixels /= np.maximum(alpha, 1e-3)[..., None]
        pixels[..., :3] *= np.float32(shade.clear)
        pixels[..., :3] += shade.veil.astype(np.float32)
        canvas.blend(self.left, self.top, pixels, alpha, CLASS_IDS['car'])


def paint_car(
    canvas: Canvas,
    camera: Camera,
    model: CarModel,
    s: float,
    x: float,
    heading: int,
    light: Light,
    lit: bool,
) -> None:
    """
    Paint a car.

    Args:
        canvas: picture.
        camera: view.
        model: the car.
        s: its middle along the road, m.
        x: its middle across the road, m.
        heading: 1 drives as the camera does, -1 towards it.
        light: light at the car and air before it.
        lit: whether its lights are on.

    """
    place = np.array((s, x, 0.0))
    turn = np.array((heading, heading, 1.0))

    def placed(corners: Points) -> Points:
        return place + turn * (corners - (model.length / 2, 0, 0))

    flat_shape = model.quads.reshape(-1, 3)
    view = camera.view(placed(flat_shape))
    if view[:, 2].min() < NEAR_M:
        return
    low, high = _bounds(camera, placed, model)
    box = canvas.clip(*(low - 2), *(high + 2))
    if box is None:
        return
    paint_shadow(canvas, camera, model, s, x)
    sheet = _Sheet(box)
    eye_side = np.sign(-view[:, 0].mean()) * heading  # the side of the car that the camera sees
    black = np.full(3, 0.004) * light.total
    base = np.array(
        [(a, c, u) for a in (0.35, model.length - 0.35) for c in (-0.8, 0.8) for u in (0.16, 0.4)]
    ) * (1, model.half_width, 1)
    sheet.hull(camera.project(placed(base)), black, model.body_k + 3 * model.running)
    for side in (-eye_side, eye_side):
        _paint_wheels(sheet, camera, placed, model, side, light, near=False)
    _paint_body(sheet, camera.project(placed(flat_shape)), view, model, light)
    sheet.smooth()
    side_seen = abs(view[:, 0].mean()) > model.half_width * 0.9
    if side_seen:
        _paint_wheels(sheet, camera, placed, model, eye_side, light, near=True)
    _paint_panels(sheet, camera, placed, model, light, lit, heading)
    sheet.paste(canvas, light)


def _bounds(camera: Camera, placed: object, model: CarModel) -> tuple[Points, Points]:
    """Return the smallest and largest pixel of a car."""
    half = model.half_width * 1.03
    corners = np.array(
        [
            (a, c, u)
            for a in (-0.03, model.length + 0.03)
            for c in (-half, half)
            for u in (0.0, model.top + 0.03)
        ]
    )
    pixels = camera.project(placed(corners))  # type: ignore[operator]
    return pixels.min(axis=0), pixels.max(axis=0)


def _paint_body(sheet: _Sheet, flat: Points, view: Points, model: CarModel, light: Light) -> None:
    """Paint the panels of the body that face the camera, far ones first."""
    count = len(model.quads)
    corners, flat = view.reshape(count, 4, 3), flat.reshape(count, 4, 2)
    normals = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    centres = corners.mean(axis=1)
    middle = view.mean(axis=0)
    inwards = np.einsum('ij,ij->i', normals, centres - middle) < 0
    normals[inwards] *= -1
    towards = -np.einsum('ij,ij->i', normals, centres)
    distance = np.linalg.norm(centres, axis=1)
    facing = towards / distance
    colours = model.albedo * _light_on(normals, facing, centres[:, 1], light) + _gloss(
        normals, light
    )
    for number in np.argsort(-distance):
        if facing[number] > 0:
            sheet.fill(flat[number], colours[number], model.temperature[number])


def _light_on(normals: Points, facing: Points, up: Points, light: Light) -> Points:
    """Irradiance [Q, 3] on panels: sky and lamps from above, headlights from the camera."""
    above = np.clip(0.5 + 0.5 * normals[:, 1], 0, 1)[:, None]
    # Dipped headlights light what is below their own height.
    dipped = (np.clip(facing, 0, 1) * np.clip(0.35 - 0.9 * (up + 0.75), 0.12, 1))[:, None]
    return (
        light.ambient * (0.35 + 0.75 * above)
        + light.lamps * (0.25 + 0.9 * above**2)
        + light.own * 1.25 * dipped
    )


def _gloss(normals: Points, light: Light) -> Points:
    """Reflections of sky and lamps in the varnish, [Q, 3]."""
    shoulder = np.exp(-(((normals[:, 1] - 0.55) / 0.28) ** 2))[:, None]
    return 0.05 * shoulder * (light.lamps * 1.4 + light.ambient)


def _paint_wheels(
    sheet: _Sheet,
    camera: Camera,
    placed: object,
    model: CarModel,
    side: float,
    light: Light,
    near: bool,
) -> None:
    """Paint the wheels of one side: treads first, or the discs that are seen from outside."""
    half = model.half_width - 0.02
    grey = light.total
    for along in model.axles:
        outer = _DISC + (along, side * (half + 0.015), 0)
        if not near:
            inner = _DISC + (along, side * (half - TYRE_WIDTH_M), 0)
            both = camera.project(placed(np.concatenate([outer, inner])))  # type: ignore[operator]
            sheet.hull(both, 0.022 * grey, model.tyre_k)
            continue
        centre = (along, side * (half + 0.02), WHEEL_M)
        for radius, albedo, kelvin in (
            (1.17, 0.006, model.body_k + 1.5),
            (1.0, 0.028, model.tyre_k),
            (0.64, 0.16, model.tyre_k + 1.5 * model.running),
            (0.56, 0.055, model.tyre_k + 3.0 * model.running),
        ):
            ring = (outer - centre) * radius + centre
            if radius > 1:
                ring[:, 2] = np.maximum(ring[:, 2], model.quads[..., 2].min() + 0.02)
            sheet.fill(camera.project(placed(ring)), albedo * grey, kelvin)  # type: ignore[operator]
        for spoke in np.arange(5) * 2 * np.pi / 5 + along:
            corners = np.array(
                [
                    (
                        0.6 * np.cos(spoke + d) * WHEEL_M * r,
                        0,
                        0.6 * np.sin(spoke + d) * WHEEL_M * r,
                    )
                    for r, d in ((0.15, -0.5), (1.0, -0.13), (1.0, 0.13), (0.15, 0.5))
                ]
            )
            spokes = camera.project(placed(corners + centre))  # type: ignore[operator]
            sheet.fill(spokes, 0.24 * grey, model.tyre_k + 1.5 * model.running)


def _paint_panels(
    sheet: _Sheet,
    camera: Camera,
    placed: object,
    model: CarModel,
    light: Light,
    lit: bool,
    heading: int,
) -> None:
    """Paint windows, lights and plates that face the camera."""
    for panel in model.panels:
        corners = placed(panel.corners)  # type: ignore[operator]
        view = camera.view(corners)
        along, across, up = panel.normal
        normal = np.array((heading * across, up, heading * along))
        centre = view.mean(axis=0)
        if normal @ centre >= 0:
            continue
        facing = -float(normal @ centre) / float(np.linalg.norm(centre))
        colour = panel.albedo * (light.ambient + light.lamps * 0.8 + light.own * max(facing, 0.0))
        if panel.albedo.max() < 0.05:
            # Windows reflect the sky, more the flatter one looks at them.
            mirror = 0.05 + 0.35 * (1 - min(facing, 1.0)) ** 3
            colour = colour + mirror * (0.7 * light.ambient + 0.12 * light.lamps)
        beam = max(facing, 0.0) ** 3
        sheet.fill(
            camera.project(corners), colour + lit * beam * panel.emission, panel.temperature
        )


def paint_shadow(canvas: Canvas, camera: Camera, model: CarModel, s: float, x: float) -> None:
    """Darken the ground below a car; exhaust and engine warm it a little."""
    half_l, half_w = model.length / 2 + 0.1, model.half_width + 0.1
    ring = np.array([(s - half_l, x - half_w, 0), (s - half_l, x + half_w, 0),
                     (s + half_l, x + half_w, 0), (s + half_l, x - half_w, 0)])  # fmt: skip
    flat = camera.project(ring)
    margin = 0.25 * camera.scale(max(s - camera.s - half_l, NEAR_M))
    box = canvas.clip(*(flat.min(axis=0) - margin), *(flat.max(axis=0) + margin))
    if box is None:
        return
    left, top, right, bottom = box
    mask: NDArray[np.uint8] = np.zeros((bottom - top, right - left), np.uint8)
    cv2.fillPoly(mask, [np.round((flat - (left, top)) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    sigma = max(0.6, 0.07 * camera.scale(max(s - camera.s, 2)))
    soft = cv2.GaussianBlur(mask, (0, 0), sigma, sigmaY=0.5 * sigma).astype(np.float32) / 255
    region = canvas.pixels[top:bottom, left:right]
    region[..., :3] *= 1 - 0.85 * soft[..., None]
    region[..., 3] += (2.5 if model.running else -0.5) * soft
