"""Depth images as depth cameras send them, in metres on the grid of another image."""

from __future__ import annotations

from mafs_model.errors import ImageError
from mafs_model.images import encodings
from mafs_model.types import Float32Image, Size
import numpy as np

# As REP 118 has them: millimetres, and metres.
_METRES = {'16UC1': 0.001, '32FC1': 1.0}
# No camera on a robot sees further; what is more is no distance.
MAX_DEPTH_M = 10_000.0
_PROPORTIONS = 0.01  # Sides are whole numbers: 213x160 is still a third of 640x480.


def check_depth(buffer: encodings.ImageBuffer) -> None:
    """
    Refuse what is no depth image, without looking at its values.

    Raises:
        ImageError: reason 'encoding', or one of `encodings.view`.

    """
    if buffer.encoding not in _METRES:
        raise ImageError(
            'encoding',
            f'encoding is {buffer.encoding[:40]!r}, expected 16UC1 (millimetres) or '
            '32FC1 (metres)',
        )
    encodings.view(buffer)


def depth_in_metres(buffer: encodings.ImageBuffer, of: Size, size: Size) -> Float32Image:
    """
    Return the depth of every pixel of an image of the same camera.

    A pixel has the depth of the nearest one, because there is nothing between an object and what
    is behind it.

    Args:
        buffer: the depth image, checked.
        of: (height, width) of the camera to which it is registered; what it covers has these
            proportions.
        size: (height, width) of the result.

    Returns:
        float32 [H,W], metres along the optical axis, NaN where it was not measured.

    Raises:
        ImageError: reason 'size' for other proportions, 'empty' without one distance.

    """
    depth = encodings.view(buffer)
    height, width = depth.shape
    if abs(width * of[0] / (height * of[1]) - 1.0) > _PROPORTIONS:
        raise ImageError(
            'size',
            f'depth image is {width}x{height} and the visible camera {of[1]}x{of[0]}, expected '
            'the same proportions: a depth image that is registered to the visible camera',
        )
    if (height, width) != size:
        rows, columns = (
            ((np.arange(after) + 0.5) * (before / after)).astype(np.intp)
            for before, after in zip((height, width), size, strict=True)
        )
        depth = depth[rows[:, None], columns]
    with np.errstate(invalid='ignore'):  # a signalling NaN is no distance, and no news
        metres = depth.astype(np.float32)
        metres *= np.float32(_METRES[buffer.encoding])
        measured = (metres > 0.0) & (metres <= MAX_DEPTH_M)  # also false for NaN
    metres[~measured] = np.nan
    if not measured.any():
        raise ImageError(
            'empty',
            f'depth image has no distance above 0 and up to {MAX_DEPTH_M:g} m in '
            f'{width}x{height} pixels',
        )
    return metres
