"""A night drive: the frame of two cameras and its labels at any time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
import math

from mafs_synthetic.canvas import Canvas
from mafs_synthetic.car_models import CarModel
from mafs_synthetic.config import SceneConfig
from mafs_synthetic.geometry import Camera, CAMERA_HEIGHT_M, EGO_X_M, FAR_M, NEAR_M
from mafs_synthetic.glare import car_lights, dazzle, light_road, Source
from mafs_synthetic.ground import Ground, LOOP_M
from mafs_synthetic.layout import House, Layout, Mover, RAIL_X_M
from mafs_synthetic.lighting import LAMP_HEIGHT_M, Light, Lighting
from mafs_synthetic.sensors import ThermalCamera, VisibleCamera
from mafs_synthetic.sky import Sky
from mafs_synthetic.sprite import Float, Shade, Sprite
from mafs_synthetic.vehicles import paint_car
import numpy as np
from numpy.typing import NDArray

_NOISE_HZ = 240.0  # frames closer than this share their noise
_Item = tuple[float, Callable[[], None]]


@dataclass(frozen=True)
class SceneFrame:
    """
    What the cameras see at one time, registered pixel by pixel.

    Args:
        visible: RGB, uint8 [H, W, 3].
        thermal: counts, uint16 [H, W], centikelvin.
        labels: MFNet class ids, uint8 [H, W].

    """

    visible: NDArray[np.uint8]
    thermal: NDArray[np.uint16]
    labels: NDArray[np.uint8]


class NightDrive:
    """
    A drive along a street with cars, people and cyclists.

    Frames depend on the configuration and the time alone: any time can be asked for in any
    order, on any machine.

    Args:
        config: what the scene contains.

    """

    def __init__(self, config: SceneConfig | None = None) -> None:
        self.config = config or SceneConfig()
        self._lighting = Lighting(self.config)
        self._layout = Layout(self.config, self._lighting)
        self._ground = Ground(self.config, self._lighting)
        self._visible = VisibleCamera(self.config)
        self._thermal = ThermalCamera(self.config)
        self._air: tuple[Float, Float] | None = None
        self._sky = Sky(self.config, self._layout.road.steepest)

    def frame(self, t_s: float) -> SceneFrame:
        """
        Render the frame at a time.

        Args:
            t_s: seconds since the start, 0 or more.

        Raises:
            ValueError: t_s is negative or not finite.

        """
        if not (np.isfinite(t_s) and t_s >= 0):
            raise ValueError(f't_s is {t_s}, expected seconds of 0 or more')
        config = self.config
        camera = Camera(config.width, config.height, self._layout.road, config.speed_mps * t_s)
        canvas = Canvas(config.width, config.height)
        canvas.pixels[:] = self._sky.view(camera)
        self._ground.paint(canvas, camera)
        self._haze(canvas, camera)
        self._light_road(canvas, camera, t_s)
        for _, paint in sorted(self._items(canvas, camera, t_s), key=lambda item: -item[0]):
            paint()
        number = round(t_s * _NOISE_HZ)
        visible = self._visible.expose(canvas.pixels[..., :3], number)
        thermal = self._thermal.expose(np.ascontiguousarray(canvas.pixels[..., 3]), number)
        return SceneFrame(visible, thermal, canvas.labels)

    def _haze(self, canvas: Canvas, camera: Camera) -> None:
        """Let the street fade towards the horizon."""
        top = int(np.floor(camera.horizon)) + 1
        region = canvas.pixels[top:]
        if self._air is None:
            rows = np.arange(top, canvas.height) + 0.5 - camera.horizon
            away = camera.focal * CAMERA_HEIGHT_M / rows / self._visibility()
            clear = np.broadcast_to(np.exp(-away)[:, None, None], region.shape).copy()
            veil = (1 - clear) * (*self._sky.veil, 0.0)
            clear[..., 3] = 1
            self._air = clear.astype(np.float32), veil.astype(np.float32)
        clear, veil = self._air
        region *= clear
        region += veil

    def _visibility(self) -> float:
        """Distance at which contrast falls to 1/e, m."""
        return 400.0 * (1 - self.config.haze) ** 2 + 35.0

    def _items(self, canvas: Canvas, camera: Camera, t: float) -> Iterator[_Item]:
        """Everything upright in view, as (distance, painter)."""
        yield from self._static_items(canvas, camera)
        layout, config = self._layout, self.config
        night = config.daylight < 0.35
        for depth, mover, model, heading in self._cars_in_view(t):
            s = camera.s + depth
            light = self._light(camera, s, mover.x)
            yield (
                depth,
                partial(paint_car, canvas, camera, model, s, mover.x, heading, light, night),
            )
            if night and model.running:
                lights = car_lights(s, mover.x, heading, model.length, model.is_tall)
                yield depth - 0.01, partial(dazzle, canvas, camera, lights)
        for person in layout.people:
            depth = person.mover.along(t, config.speed_mps)
            if NEAR_M < depth < FAR_M:
                x, _ = person.mover.across(t)
                sprite = person.pose(t, math.atan2(x - EGO_X_M, depth))
                yield depth, partial(self._sprite, canvas, camera, sprite, camera.s + depth, x)

    def _cars_in_view(self, t: float) -> Iterator[tuple[float, Mover, CarModel, int]]:
        """Distance, place, model and heading of the cars before the camera."""
        layout = self._layout
        for mover, model, heading in (*layout.parked, *layout.cars):
            depth = mover.along(t, self.config.speed_mps)
            if NEAR_M + model.length / 2 < depth < FAR_M:
                yield depth, mover, model, heading

    def _light_road(self, canvas: Canvas, camera: Camera, t: float) -> None:
        """Add what lamps and car lights do to the road."""
        if self.config.daylight >= 0.35:
            return
        sources: list[Source] = []
        for depth, mover, model, heading in self._cars_in_view(t):
            if model.running:
                s = camera.s + depth
                sources += car_lights(s, mover.x, heading, model.length, model.is_tall)
        lighting = self._lighting
        if lighting.lamp_power > 0:
            glare = 14 * min(1.0, lighting.lamp_power)
            sources += [
                Source(s, x, LAMP_HEIGHT_M, lighting.lamp_colour, glare)
                for s, x in lighting.heads(camera.s + NEAR_M, camera.s + FAR_M)
            ]
        light_road(canvas, camera, sources, self.config.wet)

    def _static_items(self, canvas: Canvas, camera: Camera) -> Iterator[_Item]:
        """Houses, trees, lamps, rails, cones and car stops; all repeat every LOOP_M."""
        layout = self._layout
        sprite = partial(self._sprite, canvas, camera)
        for house in layout.houses:
            for s in _repeats(house.s, camera.s, house.front.width_m):
                # Fronts stand beyond all else: painted first, however long they are.
                yield FAR_M + s - camera.s, partial(self._house, canvas, camera, house, s)
        for place in layout.rail_places:
            for s in _repeats(place, camera.s, layout.rail.width_m):
                yield max(NEAR_M, s - camera.s), partial(self._rail, canvas, camera, s)
        for thing, place, x in layout.things:
            for s in _repeats(place, camera.s):
                yield s - camera.s, partial(sprite, thing, s, x)

    def _sprite(self, canvas: Canvas, camera: Camera, sprite: Sprite, s: float, x: float) -> None:
        """Paint something that faces the camera, its foot at (s, x)."""
        depth = s - camera.s
        ((u, v),) = camera.project(np.array([[s, x, 0.0]]))
        scale = camera.scale(depth)
        half, high = sprite.width_m * scale / 2, sprite.height_m * scale
        if u + half < 0 or u - half > canvas.width or high < 1:
            return
        sprite = sprite.sized(2 * half, high)
        canvas.upright(u - half, v - high, u + half, v, sprite, self._shade(camera, s, x))

    def _light(self, camera: Camera, s: float, x: float) -> Light:
        """Light at (s, x) and the air in between."""
        clear = float(np.exp(-max(s - camera.s, 0.0) / self._visibility()))
        veil = self._sky.veil * (1 - clear)
        return replace(self._lighting.at(s, x, camera.s), clear=clear, veil=veil)

    def _shade(self, camera: Camera, s: float, x: float) -> Shade:
        """Return the same for something flat."""
        light = self._light(camera, s, x)
        return Shade(light.ambient + light.lamps, light.own, light.clear, light.veil)

    def _house(self, canvas: Canvas, camera: Camera, house: House, s: float) -> None:
        """Paint a front, in pieces short enough for one light and a bent road."""
        front = house.front
        if s > camera.s + NEAR_M:
            self._gable(canvas, camera, house, s)
        pieces = 3 if s - camera.s < 40 else 1
        for k in reversed(range(pieces)):
            self._wall(canvas, camera, front, house.x, s, k / pieces, (k + 1) / pieces)

    def _gable(self, canvas: Canvas, camera: Camera, house: House, s: float) -> None:
        """Paint the end of a house that faces the camera."""
        gable = house.gable
        left, right = sorted((house.x, house.x + house.side * gable.width_m))
        top = gable.height_m
        ring = [(s, left, top), (s, right, top), (s, right, 0), (s, left, 0)]
        corners = camera.project(np.array(ring))
        if corners[:, 0].max() < 0 or corners[:, 0].min() > canvas.width:
            return
        size = np.ptp(corners, axis=0)
        light = self._shade(camera, s, house.x + 1.5 * house.side)
        canvas.quad(corners, gable.sized(size[0], size[1]), light)

    def _rail(self, canvas: Canvas, camera: Camera, s: float) -> None:
        self._wall(canvas, camera, self._layout.rail, RAIL_X_M, s, 0.0, 1.0)

    def _wall(
        self,
        canvas: Canvas,
        camera: Camera,
        wall: Sprite,
        x: float,
        s: float,
        start: float,
        end: float,
    ) -> None:
        """Paint the part start..end (of its width) of something along the road at x."""
        near = (camera.s + NEAR_M - s) / wall.width_m
        start = max(start, near)
        if start >= end or s + start * wall.width_m > camera.s + FAR_M:
            return
        s0, s1 = s + start * wall.width_m, s + end * wall.width_m
        road = np.array([(s0, x, wall.height_m), (s1, x, wall.height_m), (s1, x, 0), (s0, x, 0)])
        corners = camera.project(road)
        left, right = corners[:, 0].min(), corners[:, 0].max()
        if right - left < 0.3 or right < 0 or left > canvas.width:
            return
        middle = (s0 + s1) / 2
        size = np.ptp(corners, axis=0)
        part = wall.sized(size[0] / (end - start), size[1]).columns(start, end)
        canvas.quad(corners, part, self._shade(camera, middle, x - np.sign(x) * 1.5))


def _repeats(place: float, camera_s: float, length: float = 0.0) -> Iterator[float]:
    """Places within view of something that stands every LOOP_M."""
    s = place + np.ceil((camera_s + NEAR_M - length - place) / LOOP_M) * LOOP_M
    while s < camera_s + FAR_M:
        yield float(s)
        s += LOOP_M
