"""Every pixel as a point in space, with what was found out about it."""

from __future__ import annotations

from typing import NamedTuple

from mafs_model.prediction import Prediction
from mafs_model.types import Float32Image
import numpy as np

# In this order; each has four bytes. `rgb` is 0x00RRGGBB and `label` a whole number, both in the
# bits of a float32 of the array; the others are float32.
POINT_FIELDS = ('x', 'y', 'z', 'rgb', 'label', 'confidence', 'temperature')
UINT32_FIELDS = frozenset({'label'})


class Pinhole(NamedTuple):
    """
    A rectified camera: focal lengths and principal point in pixels.

    The centre of the first pixel is at 0.
    """

    fx: float
    fy: float
    cx: float
    cy: float


def fill_points(
    target: Float32Image, depth: Float32Image, pinhole: Pinhole, results: Prediction
) -> None:
    """
    Write the points of an image.

    x points to the right, y down and z along the optical axis, in metres.

    Args:
        target: float32 [H,W,7], overwritten with `POINT_FIELDS`.
        depth: float32 [H,W], metres along the optical axis, NaN where it was not measured.
        pinhole: the camera with the pixels of this image.
        results: fused image, labels and confidence [H,W]; temperatures may be missing.

    """
    assert results.fused is not None
    assert results.labels is not None
    assert results.confidence is not None
    height, width = depth.shape
    bits = target.view(np.uint32)
    across = (np.arange(width, dtype=np.float64) - pinhole.cx) / pinhole.fx
    down = (np.arange(height, dtype=np.float64) - pinhole.cy) / pinhole.fy
    np.multiply(depth, across.astype(np.float32), out=target[..., 0])
    np.multiply(depth, down.astype(np.float32)[:, None], out=target[..., 1])
    target[..., 2] = depth
    red, green, blue = (results.fused[..., channel].astype(np.uint32) for channel in range(3))
    bits[..., 3] = red << 16 | green << 8 | blue
    bits[..., 4] = results.labels
    np.multiply(results.confidence, np.float32(1.0 / 255.0), out=target[..., 5])
    target[..., 6] = np.nan if results.temperature is None else results.temperature
