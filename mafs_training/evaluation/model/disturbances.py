"""Disturbances of a pair of images, each with a strength: what cameras do on a bad day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
MaybePair = tuple[Image | None, Image | None]


@dataclass(frozen=True)
class Disturbance:
    """
    One way to disturb a pair.

    Attributes:
        name: key in the document.
        title: heading of its curve.
        unit: what the strength is measured in.
        steps: strengths, the first of which changes nothing.
        apply: (visible, thermal, strength, seed) to the disturbed pair; None is a lost image.

    """

    name: str
    title: str
    unit: str
    steps: tuple[float, ...]
    apply: Callable[[Image, Image, float, int], MaybePair]


def add_noise(image: Image, sigma: float, seed: int) -> Image:
    """Add Gaussian noise of a standard deviation in grey levels; repeatable from the seed."""
    if sigma == 0:
        return image
    noise = np.random.default_rng(seed).normal(0.0, sigma, image.shape)
    return np.clip(np.round(image + noise), 0, 255).astype(np.uint8)


def blur(image: Image, sigma_px: float) -> Image:
    """Blur with a Gaussian of a standard deviation in pixels."""
    if sigma_px == 0:
        return image
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma_px))


def darken(image: Image, factor: float) -> Image:
    """Multiply by a factor and round, as shorter exposure and 8-bit digitisation do."""
    return np.round(image * (1.0 - factor)).astype(np.uint8)


def lose_part(image: Image, share: float) -> Image | None:
    """Black out that share of the rows from below, as lost packets do; all of them: None."""
    if share >= 1:
        return None
    if share == 0:
        return image
    damaged = image.copy()
    damaged[round(image.shape[0] * (1 - share)) :] = 0
    return damaged


def shift(image: Image, pixels: float) -> Image:
    """Move the content to the right; the left edge is repeated."""
    if pixels == 0:
        return image
    matrix = np.array([[1.0, 0.0, pixels], [0.0, 1.0, 0.0]])
    size = (image.shape[1], image.shape[0])
    return np.asarray(cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REPLICATE))


DISTURBANCES = (
    Disturbance(
        'noise',
        'Noise in both images',
        'standard deviation, grey levels',
        (0, 5, 10, 20, 40),
        lambda v, t, s, seed: (add_noise(v, s, seed), add_noise(t, s, seed + 1)),
    ),
    Disturbance(
        'blur',
        'Blur of both images',
        'standard deviation, px',
        (0, 1, 2, 3, 5),
        lambda v, t, s, seed: (blur(v, s), blur(t, s)),
    ),
    Disturbance(
        'darkness',
        'Darkness of the visible image',
        'share of light missing',
        (0, 0.5, 0.75, 0.9, 0.97),
        lambda v, t, s, seed: (darken(v, s), t),
    ),
    Disturbance(
        'thermal_dropout',
        'Drop-out of the thermal image',
        'share of rows missing',
        (0, 0.25, 0.5, 0.75, 1),
        lambda v, t, s, seed: (v, lose_part(t, s)),
    ),
    Disturbance(
        'visible_dropout',
        'Drop-out of the visible image',
        'share of rows missing',
        (0, 0.25, 0.5, 0.75, 1),
        lambda v, t, s, seed: (lose_part(v, s), t),
    ),
    Disturbance(
        'misalignment',
        'Misalignment of the thermal image',
        'px',
        (0, 1, 2, 3, 4, 6, 8),
        lambda v, t, s, seed: (v, shift(t, s)),
    ),
)
