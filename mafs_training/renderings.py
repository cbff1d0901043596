"""
What other cameras would have made of a scene: renderings of heat, weather, faults, dead images.

A data set shows one thermal camera with one scaling to 8 bit, in the light of one town. The
functions here turn its images into those of others; each takes one image [C,H,W] in 0..1 and draws
from torch's global random state, on the CPU, so that every device draws alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import math

from mafs_training.limits import bounded
import torch
from torch import Tensor
import torch.nn.functional as F


@dataclass
class RenderingOptions:
    """
    How often an image is turned into that of another camera; probabilities per image.

    Attributes:
        thermal_scaling: another scaling to 8 bit: percentiles cut, gain up to 4, gamma, squeezed
            range, or a hot spot that eats the range.
        thermal_fault: stripes of the sensor, a block of rows of other content, blur, or half the
            resolution.
        visible_weather: glare of lamps, haze, a camera without colours, or blur.
        dead_visible: the visible image is constant or nothing but noise, as of a camera that
            publishes without seeing; never together with ``dead_thermal``.
        dead_thermal: the same for the thermal image.

    """

    thermal_scaling: float = bounded(0.0, low=0, high=1)
    thermal_fault: float = bounded(0.0, low=0, high=1)
    visible_weather: float = bounded(0.0, low=0, high=1)
    dead_visible: float = bounded(0.0, low=0, high=1)
    dead_thermal: float = bounded(0.0, low=0, high=1)


def _draw(low: float = 0.0, high: float = 1.0) -> float:
    return float(torch.rand(())) * (high - low) + low


def _draw_log(low: float, high: float) -> float:
    return math.exp(_draw(math.log(low), math.log(high)))


def _quantile(image: Tensor, share: float) -> Tensor:
    """Return the value [] below which a share of the pixels lies; a sort would cost more."""
    count = image.numel()
    return image.flatten().kthvalue(min(count, max(1, round(share * count)))).values


def _as_8bit(image: Tensor) -> Tensor:
    return (image * 255).round() / 255


def cut_percentiles(image: Tensor) -> Tensor:
    """Stretch between two percentiles, among them 1 and 99, the scaling of the node for 16 bit."""
    low, high = _quantile(image, _draw(0.0, 0.03)), _quantile(image, _draw(0.96, 1.0))
    # a span that is a few levels is noise, which no camera stretches to the whole range
    return _as_8bit(((image - low) / (high - low).clamp_min(12 / 255)).clamp(0, 1))


def change_gain(image: Tensor) -> Tensor:
    """Gain of 0.5 to 4 about a level of the scene, which moves to a level of its own."""
    level = _quantile(image, _draw(0.1, 0.9))
    return ((image - level) * _draw_log(0.5, 4.0) + _draw(0.15, 0.6)).clamp(0, 1)


def change_gamma(image: Tensor) -> Tensor:
    """Exponent of 0.4 to 2.5."""
    return image.clamp_min(1e-4).pow(_draw_log(0.4, 2.5))


def squeeze_range(image: Tensor) -> Tensor:
    """Squeeze into 20 to 150 of the 256 levels, anywhere in the range."""
    width = _draw_log(20 / 255, 150 / 255)
    return _as_8bit(image * width + _draw(0.0, 1 - width))


def _blobs(like: Tensor, count: int, smallest: float, largest: float) -> Tensor:
    """Soft discs of height 1 at random places, radii as share of the shorter side: [1,H,W]."""
    height, width = like.shape[-2:]
    rows = torch.arange(height, device=like.device)[:, None]
    columns = torch.arange(width, device=like.device)[None]
    total = like.new_zeros(1, height, width)
    for _ in range(count):
        radius = _draw_log(smallest, largest) * min(height, width)
        squared = (rows - _draw(0, height)) ** 2 + (columns - _draw(0, width)) ** 2
        total = torch.maximum(total, torch.exp(-squared / (2 * radius**2))[None].to(like))
    return total


def add_hot_spot(image: Tensor) -> Tensor:
    """Let a flame, exhaust or lamp take the upper part of the range, the scene keep the rest."""
    spot = (_blobs(image, 1 + int(_draw(0, 2.99)), 0.01, 0.08) * 1.5).clamp(0, 1)
    return _as_8bit(torch.maximum(image * _draw(0.3, 0.8), spot))


def add_stripes(image: Tensor) -> Tensor:
    """Offsets of columns or rows, the fixed pattern of an uncooled sensor."""
    height, width = image.shape[-2:]
    shape = (1, 1, width) if _draw() < 0.6 else (1, height, 1)
    return (image + _draw_log(0.004, 0.05) * torch.randn(shape).to(image)).clamp(0, 1)


def overwrite_rows(image: Tensor) -> Tensor:
    """Replace rows at the top or the bottom, as telemetry, a banner or lost lines do."""
    height, width = image.shape[-2:]
    rows = min(height // 4, 1 + int(_draw_log(1, 16)))
    content = torch.rand(1, rows, width).to(image)
    if _draw() < 0.5:
        content = content.round() if _draw() < 0.5 else content * 0 + _draw()
    if _draw() < 0.5:
        return torch.cat([content, image[:, rows:]], dim=1)
    return torch.cat([image[:, : height - rows], content], dim=1)


def blur(image: Tensor) -> Tensor:
    """Defocus: a Gaussian of 0.6 to 2 pixels."""
    from kornia.filters import gaussian_blur2d

    sigma = _draw(0.6, 2.0)
    size = 2 * math.ceil(2.5 * sigma) + 1
    return gaussian_blur2d(image[None], (size, size), (sigma, sigma), border_type='replicate')[0]


def halve_resolution(image: Tensor) -> Tensor:
    """Show what a sensor of half the resolution gives, enlarged."""
    small = F.interpolate(image[None], scale_factor=0.5, mode='area')
    return F.interpolate(small, size=image.shape[-2:], mode='bilinear', align_corners=False)[0]


def add_glare(image: Tensor) -> Tensor:
    """Head lamps or the sun: soft discs of light that saturate."""
    light = _blobs(image, 1 + int(_draw(0, 2.99)), 0.03, 0.35) * _draw(0.5, 1.5)
    return (image + light * (1 - 0.2 * torch.rand(image.shape[0], 1, 1).to(image))).clamp(0, 1)


def add_haze(image: Tensor) -> Tensor:
    """Fog or smoke: contrast fades towards a light grey, more so where it is thick."""
    thick = _draw(0.3, 0.75) * (1 - 0.6 * _blobs(image, 2, 0.2, 0.6))
    return torch.lerp(image, torch.full_like(image, _draw(0.55, 0.9)), thick)


def drop_colour(image: Tensor) -> Tensor:
    """Return the luminance in all three channels: a monochrome camera."""
    from mafs_model.network.layers.colour import luminance

    return luminance(image[None])[0].expand_as(image)


def dead_image(image: Tensor) -> Tensor:
    """Return an image without scene: black, white, grey, or noise about a level."""
    level = (0.0, 1.0, _draw())[int(_draw(0, 2.99))]
    dead = torch.full_like(image, level)
    if _draw() < 0.5:
        dead = dead + _draw_log(0.004, 0.2) * torch.randn(image.shape).to(image)
    return dead.clamp(0, 1)


Rendering = Callable[[Tensor], Tensor]
THERMAL_SCALINGS: tuple[Rendering, ...] = (
    cut_percentiles,
    cut_percentiles,  # twice: what the node does
    change_gain,
    change_gamma,
    squeeze_range,
    add_hot_spot,
)
THERMAL_FAULTS: tuple[Rendering, ...] = (add_stripes, overwrite_rows, blur, halve_resolution)
VISIBLE_WEATHER: tuple[Rendering, ...] = (add_glare, add_haze, drop_colour, blur)


def _one_of(image: Tensor, renderings: tuple[Rendering, ...], probability: float) -> Tensor:
    if _draw() >= probability:
        return image
    return renderings[int(torch.randint(len(renderings), ()))](image)


def render(visible: Tensor, thermal: Tensor, options: RenderingOptions) -> tuple[Tensor, Tensor]:
    """
    Turn the pairs of a batch into those of other cameras.

    Args:
        visible: RGB [B,3,H,W], 0..1.
        thermal: [B,1,H,W], 0..1.
        options: how often.

    Returns:
        Both images, new tensors of the same shapes, in 0..1.

    """
    pairs = []
    for colour, heat in zip(visible, thermal, strict=True):
        colour = _one_of(colour, VISIBLE_WEATHER, options.visible_weather)
        heat = _one_of(heat, THERMAL_SCALINGS, options.thermal_scaling)
        heat = _one_of(heat, THERMAL_FAULTS, options.thermal_fault)
        u = _draw()
        if u < options.dead_visible:
            colour = dead_image(colour)
        elif u < options.dead_visible + options.dead_thermal:
            heat = dead_image(heat)
        pairs.append((colour, heat))
    return torch.stack([p[0] for p in pairs]), torch.stack([p[1] for p in pairs])
