"""Trivial fusion methods that every table shows beside the methods under test."""

from __future__ import annotations

from typing import Any

import cv2
from mafs_model.runtime.classical import LaplacianFusion
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Float = NDArray[np.float64]

# A source taken as fused image: the end of a scale, not a method of fusion.
SOURCES = ('thermal', 'visible')
BASELINES = ('average', 'maximum', 'laplacian', 'lapmax', *SOURCES)

_LAPMAX_LEVELS = 4


def fuse_baseline(name: str, thermal: Grey, visible: Grey) -> Grey:
    """
    Fuse two luminance images with a method that needs no thought.

    Args:
        name: 'average' (rounded half to even), 'maximum', 'laplacian' (the runtime's classical
            engine), 'lapmax' (see :func:`fuse_lapmax`), or 'thermal' and 'visible', which
            return the source itself.
        thermal: uint8 [H, W].
        visible: uint8 [H, W].

    Returns:
        uint8 [H, W].

    """
    if name == 'average':
        return np.round((thermal.astype(np.float64) + visible) / 2).astype(np.uint8)
    if name == 'maximum':
        return np.maximum(thermal, visible)
    if name == 'laplacian':
        height, width = visible.shape
        return np.asarray(LaplacianFusion((height, width))(visible, thermal)).copy()
    if name == 'lapmax':
        return fuse_lapmax(thermal, visible)
    if name in SOURCES:
        return thermal if name == 'thermal' else visible
    raise ValueError(f'unknown baseline {name!r}; there are {", ".join(BASELINES)}')


def fuse_lapmax(first: Grey, second: Grey) -> Grey:
    """
    Fuse with a Laplacian pyramid of four levels whose base is the larger of both.

    Of each band the coefficient with the larger 3x3 mean of magnitudes is taken, the first image
    where they are equal. The larger base makes it as bright as the maximum, with the detail of a
    pyramid: the strongest of the simple methods in EN, SD, SF and AG.

    Args:
        first: uint8 [H, W].
        second: uint8 [H, W].

    Returns:
        uint8 [H, W].

    Source: Burt and Adelson, IEEE Trans. Commun. 31, 1983; selection by local activity after
    Burt and Kolczynski, ICCV 1993.

    """
    bands, others = (_pyramid(image.astype(np.float64)) for image in (first, second))
    fused: Any = np.maximum(bands[-1], others[-1])
    for mine, theirs in zip(reversed(bands[:-1]), reversed(others[:-1]), strict=True):
        active = cv2.blur(np.abs(mine), (3, 3)) >= cv2.blur(np.abs(theirs), (3, 3))
        size = (mine.shape[1], mine.shape[0])
        fused = cv2.pyrUp(fused, dstsize=size) + np.where(active, mine, theirs)
    return np.clip(np.round(fused), 0, 255).astype(np.uint8)


def _pyramid(image: Float) -> list[Float]:
    """Return the band-pass levels of an image, the low-pass rest last."""
    levels = []
    for _ in range(_LAPMAX_LEVELS):
        smaller = cv2.pyrDown(image)
        enlarged = cv2.pyrUp(smaller, dstsize=(image.shape[1], image.shape[0]))
        levels.append(image - enlarged)
        image = np.asarray(smaller)
    return [*levels, image]
