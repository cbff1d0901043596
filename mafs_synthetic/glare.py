"""Lamps and car lights as the camera sees them: glare, pools on the road, reflections in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mafs_synthetic.canvas import Canvas
from mafs_synthetic.geometry import Camera, NEAR_M, Points
import numpy as np

HEADLIGHT = np.array((1.0, 0.95, 0.85))
TAIL_LIGHT = np.array((1.0, 0.035, 0.02))
_ASPHALT = 0.12


@dataclass(frozen=True)
class Source:
    """
    One light.

    Args:
        s: place along the road, m.
        x: place across the road, m.
        up: height, m.
        colour: RGB [3], the largest about 1.
        glare: radiance in its middle.
        pool: irradiance of the road before it, towards the camera; 0: none.

    """

    s: float
    x: float
    up: float
    colour: Points
    glare: float
    pool: float = 0.0


def car_lights(s: float, x: float, heading: int, length: float, tall: bool) -> list[Source]:
    """
    Return the lights of a driving car that point at the camera.

    Args:
        s: middle of the car along the road, m.
        x: the same across, m.
        heading: 1: it drives as the camera does and shows its tail lights.
        length: of the car, m.
        tall: whether its lights are higher up.

    """
    end = s - length / 2
    if heading > 0:
        up = 0.92 if tall else 0.76
        return [Source(end, x + side, up, TAIL_LIGHT, 1.5, 0.12) for side in (-0.68, 0.68)]
    up = 0.74 if tall else 0.65
    return [Source(end, x + side, up, HEADLIGHT, 22.0, 0.75) for side in (-0.62, 0.62)]


def light_road(canvas: Canvas, camera: Camera, sources: Sequence[Source], wet: float) -> None:
    """
    Light the road before lights, and mirror them in it where it is wet.

    Args:
        canvas: picture with nothing but sky and ground in it.
        camera: view.
        sources: the lights.
        wet: 0 is a dry road, 1 one with a film of water.

    """
    for light in sources:
        depth = light.s - camera.s
        if light.pool:
            reach_m = 8.0 if light.glare > 5 else 2.0
            near = max(depth - reach_m, NEAR_M + 0.5)
            if near < depth:
                middle = (near + depth) / 2
                (u, v), (_, v0), (_, v1) = camera.project(
                    np.array([(camera.s + d, light.x, 0.0) for d in (middle, near, depth)])
                )
                reach = (1.5 * camera.scale(middle), max(0.65 * (v0 - v1), 1.0))
                canvas.glow(u, v, reach, light.pool * _ASPHALT * light.colour, spread=1.5)
        if wet and depth > NEAR_M:
            ((u, v),) = camera.project(np.array([(light.s, light.x, -light.up)]))
            scale = camera.scale(depth)
            strength = wet * 0.045 * light.glare**0.6 * min(1.0, depth / 12)
            reach = (max(1.5, 0.55 * scale), max(3.0, (1.0 + 0.5 * light.up) * scale))
            top = camera.horizon + 1
            reach = (reach[0], min(reach[1], max(v - top, 1.0)))
            canvas.glow(u, v, reach, strength * light.colour, spread=2.0)


def dazzle(canvas: Canvas, camera: Camera, sources: Sequence[Source]) -> None:
    """Put the glare of lights over the picture."""
    for light in sources:
        depth = max(light.s - camera.s, 1.0)
        ((u, v),) = camera.project(np.array([(light.s, light.x, light.up)]))
        strength = min(1.0, 20.0 / depth) * light.glare
        reach = (1.5 if light.glare > 5 else 0.6) * camera.scale(depth)
        canvas.glow(u, v, (reach, reach), strength * light.colour)
