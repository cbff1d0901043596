"""
The only definition of input checks, resizing, colour conversion and value scaling.

Colour is YCbCr BT.601, full range, as OpenCV and JPEG define it; sizes are (height, width).
"""

from __future__ import annotations

from typing import Any

import cv2
from mafs_model.errors import ConfigError, ImageError
from mafs_model.types import Size, ThermalImage, UInt8Image
import numpy as np

MIN_SIDE_PX = 32  # The network's smallest input side.
_GRID_PX = 16  # Shrunken sizes are multiples of what the network pads to anyway.
MIN_THERMAL_SIDE_PX = 8  # Thermal arrays start at 24x32; anything below is no image.
MAX_SIDE_PX = 8192  # OpenCV's remap is limited to 16-bit coordinates; no camera is larger.
PIXEL_SCALE = 1.0 / 255.0  # uint8 image -> network input in 0..1
THERMAL_TYPES = (np.uint8, np.uint16, np.float32)

# BT.601 luma weights of R, G, B.
LUMA_WEIGHTS = (0.299, 0.587, 0.114)


def format_size(size: Size) -> str:
    """Return (height, width) as people write it, e.g. ``640x480`` (width first)."""
    return f'{size[1]}x{size[0]}'


def parse_size(text: str) -> Size:
    """
    Return (height, width) of ``WxH``, e.g. ``640x480`` -> (480, 640).

    Raises:
        ConfigError: text is not two integers joined by ``x`` or out of range.

    """
    parts = text.lower().split('x')
    if len(parts) != 2 or not all(p.strip().isascii() and p.strip().isdigit() for p in parts):
        raise ConfigError(f"size '{text}': expected WIDTHxHEIGHT, e.g. 640x480")
    return check_size((int(parts[1]), int(parts[0])), 'size')


def check_size(size: Any, name: str) -> Size:
    """Return size as (height, width) of int; raises ConfigError if it is none."""
    try:
        height, width = (int(v) for v in size)
        exact = (height, width) == tuple(size)
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f'{name} {size!r}: expected (height, width)') from None
    if not exact or not all(MIN_SIDE_PX <= v <= MAX_SIDE_PX for v in (height, width)):
        raise ConfigError(
            f'{name} {width}x{height}: expected whole sides of {MIN_SIDE_PX} to {MAX_SIDE_PX} px'
        )
    return height, width


def check_visible(image: Any) -> UInt8Image:
    """Return image if it is a usable uint8 [H,W,3] array; raises ImageError."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise ImageError('encoding', f'visible image is {kind}, expected uint8 RGB')
    if image.ndim != 3 or image.shape[2] != 3:
        raise ImageError(
            'encoding', f'visible image has shape {image.shape}, expected (height, width, 3)'
        )
    _check_sides(image, 'visible', MIN_SIDE_PX)
    return image


def check_thermal(image: Any) -> ThermalImage:
    """Return image if it is a usable [H,W] uint8, uint16 or float32 array; raises ImageError."""
    if not isinstance(image, np.ndarray) or image.dtype not in THERMAL_TYPES:
        kind = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise ImageError('encoding', f'thermal image is {kind}, expected uint8, uint16 or float32')
    if image.ndim != 2:
        raise ImageError(
            'encoding', f'thermal image has shape {image.shape}, expected (height, width)'
        )
    _check_sides(image, 'thermal', MIN_THERMAL_SIDE_PX)
    return image


def _check_sides(image: ThermalImage, name: str, smallest: int) -> None:
    """Raise ImageError if a side is out of range."""
    height, width = image.shape[:2]
    if not (smallest <= height <= MAX_SIDE_PX and smallest <= width <= MAX_SIDE_PX):
        raise ImageError(
            'size',
            f'{name} image is {width}x{height}, expected sides of {smallest} to {MAX_SIDE_PX} px',
        )


def size_of(image: ThermalImage) -> Size:
    """Return (height, width) of an image [H,W] or [H,W,C]."""
    return int(image.shape[0]), int(image.shape[1])


def within_pixels(size: Size, max_pixels: int | None) -> Size:
    """Return the largest size of the same shape with so many pixels, size itself if it fits."""
    if max_pixels is None or size[0] * size[1] <= max_pixels:
        return size
    shrink = (max_pixels / (size[0] * size[1])) ** 0.5
    height, width = (int(side * shrink) // _GRID_PX * _GRID_PX for side in size)
    return max(MIN_SIDE_PX, height), max(MIN_SIDE_PX, width)


def resize(image: UInt8Image, size: Size) -> UInt8Image:
    """
    Return image at size (height, width): area averaging down, bilinear up, self if equal.

    Args:
        image: uint8 [h,w] or [h,w,C].
        size: (height, width) of the result.

    """
    if image.shape[:2] == size:
        return image
    shrinks = size[0] <= image.shape[0] and size[1] <= image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, (size[1], size[0]), interpolation=method)


def resize_labels(labels: UInt8Image, size: Size) -> UInt8Image:
    """Return a label image at size (height, width), nearest neighbour, self if equal."""
    if labels.shape[:2] == size:
        return labels
    return cv2.resize(labels, (size[1], size[0]), interpolation=cv2.INTER_NEAREST)


def luminance(visible: UInt8Image, out: UInt8Image | None = None) -> UInt8Image:
    """Return the BT.601 luminance uint8 [H,W] of a uint8 RGB image [H,W,3]."""
    return cv2.cvtColor(visible, cv2.COLOR_RGB2GRAY, dst=out)


def replace_luminance(
    visible: UInt8Image, fused_luminance: UInt8Image, scratch: UInt8Image | None = None
) -> UInt8Image:
    """
    Return RGB with the given luminance and the chroma (Cb, Cr) of the visible image.

    Args:
        visible: uint8 [H,W,3] RGB.
        fused_luminance: uint8 [H,W].
        scratch: uint8 [H,W,3], overwritten; saves an allocation.

    """
    ycrcb = cv2.cvtColor(visible, cv2.COLOR_RGB2YCrCb, dst=scratch)
    cv2.insertChannel(fused_luminance, ycrcb, 0)
    return cv2.cvtColor(ycrcb, cv2.COLOR_YCrCb2RGB)


def gray_to_rgb(image: UInt8Image) -> UInt8Image:
    """Return uint8 [H,W] as a grey RGB image [H,W,3]."""
    return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
