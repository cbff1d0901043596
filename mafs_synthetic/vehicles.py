"""Cars in the picture: which panels are seen, their light, and the ground below."""

from __future__ import annotations

import cv2
from mafs_synthetic.canvas import Canvas
from mafs_synthetic.car_models import Body, CarModel
from mafs_synthetic.config import CLASS_IDS
from mafs_synthetic.geometry import Camera, NEAR_M, Points
from mafs_synthetic.lighting import Light
from mafs_synthetic.sprite import Float
import numpy as np
from numpy.typing import NDArray

# Cars that are smaller in the picture are painted with fewer panels, px.
_COARSE_PX = 55


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

    def fixed(self, points: Points) -> NDArray[np.int32]:
        """Return pixels (u, v) of the canvas as fixed point numbers of this sheet."""
        scaled = (points - (self.left, self.top)) * (16 * self.factor) - 8
        return np.round(scaled).astype(np.int32)

    def fill(self, outline: Points, colour: Points, kelvin: float) -> None:
        """Paint a polygon given in pixels (u, v) of the canvas."""
        cv2.fillPoly(
            self.pixels, [self.fixed(outline)], (*map(float, colour), kelvin), cv2.LINE_8, 4
        )

    def hull(self, points: Points, colour: Points, kelvin: float) -> None:
        """Paint the convex hull of pixels."""
        self.fill(cv2.convexHull(points.astype(np.float32))[:, 0], colour, kelvin)

    def smooth(self) -> None:
        """Round the edges between panels; the outline stays."""
        mask = (self.pixels[..., 3] > 0).astype(np.float32)
        sigma = max(0.6, self.size[0] * self.factor / 110)
        # Slits between panels that do not meet are closed.
        width = 2 * round(1.5 * sigma) + 1
        closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((width, width), np.uint8))
        weight = cv2.GaussianBlur(mask, (0, 0), sigma)
        soft = cv2.GaussianBlur(self.pixels, (0, 0), sigma)
        share = closed / np.maximum(weight, 1e-3)
        self.pixels = cv2.multiply(soft, cv2.merge([share] * 4))

    def paste(self, canvas: Canvas, shade: Light) -> None:
        """Bring the car to the canvas, through the air."""
        pixels = self.pixels
        alpha = (pixels[..., 3] > 0).astype(np.float32)
        if self.factor > 1:
            alpha = cv2.resize(alpha, self.size, interpolation=cv2.INTER_AREA)
            pixels = cv2.resize(pixels, self.size, interpolation=cv2.INTER_AREA)
            pixels /= np.maximum(alpha, 1e-3)[..., None]
        pixels = cv2.multiply(pixels, (*[shade.clear] * 3, 1.0))
        pixels = cv2.add(pixels, (*map(float, shade.veil), 0.0))
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
    car = _PlacedCar(camera, model, s, x, heading)
    low, high = car.bounds()
    box = canvas.clip(*(low - 2), *(high + 2))
    if box is None or car.nearest_m() < NEAR_M:
        return
    paint_shadow(canvas, camera, model, s, x)
    sheet = _Sheet(box)
    small = max(sheet.size) < _COARSE_PX
    grey = light.total
    for tread in car.pixels([car.underside(), *model.treads]):
        sheet.hull(tread, 0.02 * grey, model.tyre_k)
    _paint_body(sheet, car, model.coarse if small else model.fine, light)
    sheet.smooth()
    side = car.side_seen()
    if side:
        parts = [p for p in model.discs[side] if not small or p.corners.shape[0] > 4]
        outlines = car.pixels([p.corners for p in parts])
        for part, outline in zip(parts, outlines, strict=True):
            sheet.fill(outline, part.albedo * grey, model.tyre_k + part.warm)
    _paint_panels(sheet, car, model, light, lit)
    sheet.paste(canvas, light)


class _PlacedCar:
    """
    A car on the road, before the camera.

    Args:
        camera: view.
        model: the car.
        s: its middle along the road, m.
        x: its middle across the road, m.
        heading: 1 drives as the camera does, -1 towards it.

    """

    def __init__(self, camera: Camera, model: CarModel, s: float, x: float, heading: int) -> None:
        self._camera, self._model, self._heading = camera, model, heading
        self._place = np.array((s, x, 0.0))
        self._turn = np.array((heading, heading, 1.0))

    def _placed(self, corners: Points) -> Points:
        """Coordinates of the car [N, 3] to those of the road."""
        return self._place + self._turn * (corners - (self._model.length / 2, 0, 0))

    def view(self, corners: Points) -> Points:
        """Return camera positions (right, up, depth) [N, 3]."""
        return self._camera.view(self._placed(corners))

    def pixels(self, polygons: list[Points]) -> list[Points]:
        """Return pixels (u, v) of several polygons."""
        ends = np.cumsum([len(polygon) for polygon in polygons])
        flat = self._camera.project(self._placed(np.concatenate(polygons)))
        return np.split(flat, ends[:-1])

    def facing(self, normal: tuple[float, float, float]) -> Points:
        """Return a direction (along, across, up) of the car as (right, up, depth)."""
        along, across, up = normal
        return np.array((self._heading * across, up, self._heading * along))

    def _box(self) -> Points:
        model = self._model
        half = model.half_width * 1.03
        return np.array(
            [
                (a, c, u)
                for a in (-0.03, model.length + 0.03)
                for c in (-half, half)
                for u in (0.0, model.top + 0.03)
            ]
        )

    def bounds(self) -> tuple[Points, Points]:
        """Return the smallest and the largest pixel."""
        (pixels,) = self.pixels([self._box()])
        return pixels.min(axis=0), pixels.max(axis=0)

    def nearest_m(self) -> float:
        """Return the distance of its nearest part, m."""
        return float(self.view(self._box())[:, 2].min())

    def underside(self) -> Points:
        """Return the corners of what is dark between the wheels."""
        model = self._model
        half = 0.8 * model.half_width
        return np.array(
            [
                (a, c, u)
                for a in (0.35, model.length - 0.35)
                for c in (-half, half)
                for u in (0.16, 0.4)
            ]
        )

    def side_seen(self) -> int:
        """Return which side of the car the camera sees: -1 left, 1 right, 0 neither."""
        right = float(self.view(self._box())[:, 0].mean())
        if abs(right) < self._model.half_width * 0.9:
            return 0
        return self._heading if right < 0 else -self._heading


def _paint_body(sheet: _Sheet, car: _PlacedCar, body: Body, light: Light) -> None:
    """Paint the panels of the body that face the camera, far ones first."""
    count = len(body.quads)
    points = body.quads.reshape(-1, 3)
    view = car.view(points)
    (flat,) = car.pixels([points])
    corners, flat = view.reshape(count, 4, 3), flat.reshape(count, 4, 2)
    normals = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    centres = corners.mean(axis=1)
    inwards = np.einsum('ij,ij->i', normals, centres - view.mean(axis=0)) < 0
    normals[inwards] *= -1
    distance = np.linalg.norm(centres, axis=1)
    facing = -np.einsum('ij,ij->i', normals, centres) / distance
    colours = body.albedo * _light_on(normals, facing, centres[:, 1], light)
    colours += _gloss(normals, light)
    values = np.column_stack([colours, body.temperature]).tolist()
    outlines = sheet.fixed(flat)
    for number in np.argsort(-distance):
        if facing[number] > 0:
            cv2.fillConvexPoly(sheet.pixels, outlines[number], values[number], cv2.LINE_8, 4)


def _paint_panels(
    sheet: _Sheet, car: _PlacedCar, model: CarModel, light: Light, lit: bool
) -> None:
    """Paint windows, lights and plates that face the camera."""
    outlines = car.pixels([panel.corners for panel in model.panels])
    centres = car.view(np.array([panel.corners.mean(axis=0) for panel in model.panels]))
    for panel, outline, centre in zip(model.panels, outlines, centres, strict=True):
        normal = car.facing(panel.normal)
        facing = -float(normal @ centre) / float(np.linalg.norm(centre))
        if facing <= 0:
            continue
        colour = panel.albedo * (light.ambient + light.lamps * 0.8 + light.own * facing)
        if panel.albedo.max() < 0.05:
            # Windows reflect the sky, more the flatter one looks at them.
            mirror = 0.05 + 0.35 * (1 - min(facing, 1.0)) ** 3
            colour = colour + mirror * (0.7 * light.ambient + 0.12 * light.lamps)
        sheet.fill(outline, colour + lit * facing**3 * panel.emission, panel.temperature)


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
