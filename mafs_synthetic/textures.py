"""Patterns: smooth noise and the random draws that all textures are made of."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]


def smooth_noise(rng: np.random.Generator, height: int, width: int, grain_px: float) -> Float:
    """
    Noise of mean 0 and standard deviation 1 whose blobs are about grain_px wide, [H, W].

    It wraps around at its borders, so that a texture can repeat without a seam.
    """
    rows, columns = max(2, round(height / grain_px)), max(2, round(width / grain_px))
    coarse = rng.standard_normal((rows, columns)).astype(np.float32)
    coarse = np.pad(coarse, 2, mode='wrap')
    size = (round(width * (columns + 4) / columns), round(height * (rows + 4) / rows))
    fine = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    top, left = (fine.shape[0] - height) // 2, (fine.shape[1] - width) // 2
    fine = fine[top : top + height, left : left + width]
    return (fine - fine.mean()) / max(float(fine.std()), 1e-6)


def fractal_noise(
    rng: np.random.Generator, height: int, width: int, grain_px: float, octaves: int = 4
) -> Float:
    """Sum of `smooth_noise` from grain_px down by halves, standard deviation 1, [H, W]."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        grain = grain_px / 2**octave
        if grain < 1:
            break
        total += 0.6**octave * smooth_noise(rng, height, width, grain)
    return total / max(float(total.std()), 1e-6)


def stack(colour: NDArray[np.floating], temperature: NDArray[np.floating]) -> Float:
    """Albedo RGB [h, w, 3] and temperature [h, w] to a texture [h, w, 4]."""
    return np.dstack([colour, temperature]).astype(np.float32)
