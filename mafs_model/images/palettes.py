"""Thermal images in false colours, back to grey by the colour table of their palette."""

from __future__ import annotations

from dataclasses import dataclass
import functools
from typing import Any

import cv2
from mafs_model.types import UInt8Image
import numpy as np
from numpy.typing import NDArray

_SAMPLES = 512
# Distance in grey levels per channel. JPEG at usual qualities moves colours by 3 to 8, cameras
# vary their palettes as much. Pale photographs lie near pale palettes: one has to explain the
# colours, being much nearer to them than grey is.
_FITS = 14.0
_BETTER_THAN_GREY = 0.4
_GREY_SPREAD = 6.0
_BITS = 6  # Cells of the inverse table per channel: 4 levels wide, within what JPEG moves anyway.

# OpenCV's rainbow begins with red and ends in violet; that of cameras is its part from blue to
# red, the other way round. Without a trace of violet it is the camera's.
_VIOLET_SHARE = 0.002

# Corners of palettes that OpenCV lacks, as thermal cameras and their programs draw them: share of
# the range, red, green, blue. Between the corners the colours run straight.
_CORNERS: dict[str, tuple[tuple[float, int, int, int], ...]] = {
    'ironbow': (
        (0.0, 0, 0, 10),
        (0.12, 30, 0, 115),
        (0.3, 128, 0, 155),
        (0.45, 190, 20, 140),
        (0.6, 230, 70, 30),
        (0.75, 248, 140, 0),
        (0.9, 254, 215, 50),
        (1.0, 255, 255, 245),
    ),
    'rainbow_blue_red': (
        (0.0, 0, 0, 255),
        (0.25, 0, 255, 255),
        (0.5, 0, 255, 0),
        (0.75, 255, 255, 0),
        (1.0, 255, 0, 0),
    ),
    'rainbow_dark': (
        (0.0, 0, 0, 0),
        (0.15, 0, 0, 160),
        (0.35, 0, 160, 200),
        (0.5, 0, 200, 60),
        (0.65, 220, 220, 0),
        (0.85, 230, 30, 0),
        (1.0, 255, 255, 255),
    ),
    'arctic': (
        (0.0, 0, 0, 20),
        (0.25, 20, 30, 190),
        (0.5, 60, 160, 200),
        (0.7, 150, 110, 60),
        (0.85, 230, 160, 30),
        (1.0, 255, 255, 220),
    ),
    'lava': (
        (0.0, 0, 0, 0),
        (0.2, 20, 60, 90),
        (0.4, 100, 30, 80),
        (0.6, 210, 40, 20),
        (0.8, 250, 170, 30),
        (1.0, 255, 255, 255),
    ),
    'glowbow': (
        (0.0, 0, 0, 0),
        (0.35, 120, 20, 10),
        (0.65, 225, 110, 10),
        (0.85, 250, 200, 40),
        (1.0, 255, 255, 255),
    ),
}
_OPENCV = (
    'inferno', 'hot', 'jet', 'turbo', 'rainbow', 'magma', 'plasma', 'viridis', 'parula', 'cividis',
    'cool', 'autumn', 'winter', 'spring', 'summer', 'ocean', 'deepgreen',
)  # fmt: skip


@functools.cache
def _tables() -> dict[str, NDArray[np.uint8]]:
    """Return the colours of all palettes by name, cold to hot, uint8 [256,3] RGB."""
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    tables = {
        name: cv2.applyColorMap(ramp, getattr(cv2, f'COLORMAP_{name.upper()}'))[:, 0, ::-1]
        for name in _OPENCV
    }
    share = np.linspace(0.0, 1.0, 256)
    for name, corners in _CORNERS.items():
        at = [corner[0] for corner in corners]
        channels = [np.interp(share, at, [c[i] for c in corners]) for i in (1, 2, 3)]
        tables[name] = np.stack(channels, axis=1).round().astype(np.uint8)
    # What gnuplot calls its traditional colours; many cameras' "iron" is this curve.
    iron = np.stack([np.sqrt(share), share**3, np.clip(np.sin(2 * np.pi * share), 0, 1)], axis=1)
    tables['iron'] = (255 * iron).round().astype(np.uint8)
    return {name: np.ascontiguousarray(table) for name, table in tables.items()}


PALETTE_NAMES: tuple[str, ...] = (*_OPENCV, *_CORNERS, 'iron')


@dataclass(frozen=True)
class Palette:
    """
    A recognised palette.

    Attributes:
        name: of :data:`PALETTE_NAMES`.
        distance: mean distance of the image's colours from it, grey levels per channel.

    """

    name: str
    distance: float


def is_grey(image: UInt8Image) -> bool:
    """Return whether a colour image [H,W,3] is grey but for the traces of its compression."""
    sample = _sample(image)
    return _spread(sample) < _GREY_SPREAD


def recognise(image: UInt8Image, likely: str = '') -> Palette | None:
    """
    Return the palette that an image was coloured with.

    Args:
        image: uint8 [H,W,3] RGB.
        likely: the palette of an earlier image, looked at alone if it still fits.

    Returns:
        None for grey images, photographs and palettes that are not known.

    """
    sample = _sample(image)
    if _spread(sample) < _GREY_SPREAD:
        return None
    if likely and (found := _distance(sample, likely)) < _FITS / 2:
        return Palette(likely, found)
    limit = min(_FITS, _BETTER_THAN_GREY * _from_grey(sample))
    distances = {name: _distance(sample, name) for name in PALETTE_NAMES}
    best = min(distances, key=lambda name: distances[name])
    if best in {'rainbow', 'rainbow_blue_red'}:
        best = 'rainbow' if _violet(image) > _VIOLET_SHARE else 'rainbow_blue_red'
    return Palette(best, distances[best]) if distances[best] < limit else None


def to_grey(image: UInt8Image, palette: str) -> UInt8Image:
    """
    Return the grey levels that a palette coloured.

    Args:
        image: uint8 [H,W,3] RGB.
        palette: of :data:`PALETTE_NAMES`.

    Returns:
        uint8 [H,W], 0 where the palette begins.

    """
    shift = 8 - _BITS
    cells = image >> shift
    index = cells[..., 0].astype(np.int32)
    for channel in (1, 2):
        index <<= _BITS
        index |= cells[..., channel]
    return _inverse(palette)[index]


@functools.lru_cache(maxsize=4)
def _inverse(palette: str) -> NDArray[np.uint8]:
    """Return the nearest grey level of every cell of colours, uint8 [64*64*64]."""
    side = 1 << _BITS
    centre = (np.arange(side, dtype=np.float32) + 0.5) * (256 / side) - 0.5
    table = _tables()[palette].astype(np.float32)
    inverse = np.empty((side, side * side), np.uint8)
    rest = np.stack(np.meshgrid(centre, centre, indexing='ij'), axis=-1).reshape(-1, 2)
    for red in range(side):
        inverse[red] = _nearest(
            np.column_stack([np.full(len(rest), centre[red], np.float32), rest]), table
        )
    return inverse.ravel()


def _nearest(colours: NDArray[np.float32], table: NDArray[np.float32]) -> NDArray[Any]:
    """Return the index of the nearest row of a table for each colour."""
    # |c - t|^2 without |c|^2, which is the same for every t.
    return ((table**2).sum(axis=1) - 2.0 * (colours @ table.T)).argmin(axis=1)


def _distance(sample: NDArray[np.float32], palette: str) -> float:
    """Return the mean distance of colours from a palette, the worst tenth left out (logos)."""
    table = _tables()[palette].astype(np.float32)
    apart = np.abs(sample - table[_nearest(sample, table)]).mean(axis=1)
    return float(np.sort(apart)[: max(1, int(0.9 * len(apart)))].mean())


def _spread(sample: NDArray[np.float32]) -> float:
    """Return the mean distance of the channels of colours."""
    return float((sample.max(axis=1) - sample.min(axis=1)).mean())


def _from_grey(sample: NDArray[np.float32]) -> float:
    """Return the mean distance of colours from their grey."""
    return float(np.abs(sample - sample.mean(axis=1, keepdims=True)).mean())


def _violet(image: UInt8Image) -> float:
    """Return the share of violet pixels, between blue and magenta."""
    red, green, blue = (image[::2, ::2, channel] for channel in range(3))
    return float(((blue > 160) & (red > 50) & (green < 70)).mean())


def _sample(image: UInt8Image) -> NDArray[np.float32]:
    """Return some hundred colours of an image, float32 [N,3]."""
    step = max(1, round((image.shape[0] * image.shape[1] / _SAMPLES) ** 0.5))
    return image[step // 2 :: step, step // 2 :: step].reshape(-1, 3).astype(np.float32)
