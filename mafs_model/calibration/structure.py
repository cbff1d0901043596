"""
What thermal and visible images have in common: where edges lie and how they run.

A warm person is bright in one image and dark in the other, so intensities cannot be compared, and
neither can the signs of their gradients. The orientation of an edge survives: it is kept as a
complex number of twice its angle, so that opposite gradients agree, with a modulus that saturates
at the local contrast, so that a faint edge at night counts like a strong one by day.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
from mafs_model.types import Size, UInt8Image
import numpy as np
from numpy.typing import NDArray

Structure = NDArray[np.complex64]
Mask = NDArray[np.float32]

_BLUR_PX = 1.0
_NEIGHBOURHOOD_PX = 31
# Gradients below this share of the median energy, or of this many counts^2, are noise.
_NOISE_SHARE = 0.3
_NOISE_FLOOR = 0.02
_STILL_COUNTS = 1  # A pixel that changes by no more over all images shows no scene.


def structure(image: NDArray[np.uint8] | Mask, live: Mask | None = None) -> Structure:
    """
    Return the oriented edges of an image.

    Args:
        image: uint8 or float32 [H,W].
        live: float32 [H,W] of 0 and 1, see :func:`live_area`; None: all of it.

    Returns:
        complex64 [H,W]: modulus 0 to 1, angle twice that of the gradient.

    """
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), _BLUR_PX)
    gx = cv2.Scharr(smooth, cv2.CV_32F, 1, 0, scale=1 / 32)
    gy = cv2.Scharr(smooth, cv2.CV_32F, 0, 1, scale=1 / 32)
    xx, yy, xy = gx * gx, gy * gy, gx * gy
    energy = xx + yy
    noise = _NOISE_SHARE * float(np.median(energy)) + _NOISE_FLOOR
    around = cv2.blur(energy, (_NEIGHBOURHOOD_PX, _NEIGHBOURHOOD_PX))
    # (gx + i gy)^2 / |g|^2 has twice the angle; times |g| / sqrt(|g|^2 + around) is the modulus.
    weight = 1 / np.sqrt((energy + 1e-6) * (energy + around + noise))
    if live is not None:
        weight *= live
    field = np.empty(energy.shape, np.complex64)
    field.real = (xx - yy) * weight
    field.imag = 2 * xy * weight
    return field


def live_area(images: Sequence[UInt8Image]) -> Mask:
    """
    Return where a camera shows its scene: not in dead borders, logos, colour bars.

    Args:
        images: uint8 [H,W] of different moments, at least two for a result that tells.

    Returns:
        float32 [H,W]: 1 where pixels change and, by some pixels, around, else 0.

    """
    if len(images) < 2:
        return np.ones(images[0].shape, np.float32)
    low, high = images[0].copy(), images[0].copy()
    for image in images[1:]:
        np.minimum(low, image, out=low)
        np.maximum(high, image, out=high)
    still = (cv2.subtract(high, low) <= _STILL_COUNTS).astype(np.uint8)
    # Single pixels stand still by chance, areas do not.
    still = cv2.morphologyEx(still, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    if float(still.mean()) > 0.95:  # a still scene, not a still camera
        return np.ones(low.shape, np.float32)
    return 1 - cv2.dilate(still, np.ones((5, 5), np.uint8)).astype(np.float32)


def fit_size(size: Size, width: int) -> Size:
    """Return (height, width) of this width and the proportions of `size`."""
    return max(8, round(size[0] * width / size[1])), width


def agreement(visible: Structure, thermal: Structure) -> float:
    """
    Return how well two structures on one grid agree, -1 to 1.

    Args:
        visible: complex64 [H,W].
        thermal: complex64 [H,W]; 0 where there is nothing to compare.

    """
    where = thermal != 0
    energy = float(np.sum(np.abs(visible[where]) ** 2)) * float(np.sum(np.abs(thermal) ** 2))
    if energy <= 0:
        return 0.0
    return float(np.vdot(thermal, visible).real / np.sqrt(energy))
