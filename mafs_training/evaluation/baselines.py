"""Trivial fusion methods that every table shows beside the methods under test."""

from __future__ import annotations

from mafs_model.runtime.classical import LaplacianFusion
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]

BASELINES = ('average', 'maximum', 'laplacian', 'thermal', 'visible')


def fuse_baseline(name: str, thermal: Grey, visible: Grey) -> Grey:
    """
    Fuse two luminance images with a method that needs no thought.

    Args:
        name: 'average' (rounded half to even), 'maximum', 'laplacian' (the runtime's classical
            engine), or 'thermal' and 'visible', which return the source itself.
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
    if name in ('thermal', 'visible'):
        return thermal if name == 'thermal' else visible
    raise ValueError(f'unknown baseline {name!r}; there are {", ".join(BASELINES)}')
