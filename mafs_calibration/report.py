"""Pictures that show people whether a calibration is right."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
from mafs_calibration.target import CameraResult
from mafs_calibration.tile_shifts import TileShifts
from mafs_model.images.preprocessing import resize
from mafs_model.images.registration import Registration
from mafs_model.images.visualization import colormap_thermal, put_notice
from mafs_model.types import Size, UInt8Image
import numpy as np
from numpy.typing import NDArray

_WIDTH_PX = 640
_SQUARES = 8
_EDGE_COLOR = (255, 90, 0)
_GOOD, _BAD = (60, 220, 90), (255, 60, 60)
_ARROW_SCALE = 4.0  # Residuals of a few px would not be seen otherwise.


def scene_report(
    visible: UInt8Image,
    thermal: UInt8Image,
    before: Registration,
    after: Registration,
    tiles: TileShifts | None,
) -> UInt8Image:
    """
    Return a contact sheet of one pair: blend, edges before and after, residuals.

    Args:
        visible: uint8 [H,W] luminance.
        thermal: uint8 [h,w].
        before: how the images lay on each other without the calibration.
        after: with it.
        tiles: what is left in each part of the image.

    Returns:
        uint8 RGB.

    """
    size: Size = visible.shape[0], visible.shape[1]
    own: Size = thermal.shape[0], thermal.shape[1]
    warped = after.warp(thermal, size)
    outside = after.coverage(own, size)
    panels = [
        put_notice(
            _edges_over(visible, before.warp(thermal, size), before.coverage(own, size)),
            'thermal edges over the visible image, before',
        ),
        put_notice(_edges_over(visible, warped, outside), 'the same, calibrated'),
        put_notice(_checkerboard(visible, warped, outside), 'both images in turns, calibrated'),
        put_notice(
            _arrows(visible, tiles), f'what is left in each part, {_ARROW_SCALE:g} times as long'
        ),
    ]
    return _sheet(panels)


def target_report(results: dict[str, CameraResult]) -> UInt8Image:
    """Return where the board was seen and the residuals there, a panel for each camera."""
    panels = []
    for name, result in results.items():
        height, width = result.camera.size
        scale = _WIDTH_PX / width
        panel = np.full((round(height * scale), _WIDTH_PX, 3), 32, np.uint8)
        for view in result.views.values():
            for point, residual in zip(view.points, view.residuals, strict=True):
                length = float(np.linalg.norm(residual))
                _arrow(panel, point * scale, residual * scale * 20, length, 1.0)
        text = (
            f'{name}: {result.rms_px:.2f} px rms in {len(result.views)} images, '
            f'{result.coverage:.0%} of the image covered; residuals 20 times as long'
        )
        panels.append(put_notice(panel, text))
    return _sheet(panels)


def _edges_over(
    visible: UInt8Image, thermal: UInt8Image, outside: UInt8Image | None
) -> UInt8Image:
    """Return the visible image in grey with the edges of the thermal one in colour."""
    smooth = cv2.GaussianBlur(thermal, (0, 0), 1.5).astype(np.float32)
    gx, gy = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    strength = cv2.magnitude(gx, gy)
    local = cv2.blur(strength, (41, 41)) + 4.0
    alpha = np.clip(strength / local / 2 - 0.4, 0, 1)
    if outside is not None:
        alpha[cv2.dilate(outside, np.ones((5, 5), np.uint8)) > 0] = 0
    grey = cv2.cvtColor(visible, cv2.COLOR_GRAY2RGB).astype(np.float32)
    colour = np.array(_EDGE_COLOR, np.float32)
    blend = grey * (1 - alpha[..., None]) + colour * alpha[..., None]
    return blend.astype(np.uint8)


def _checkerboard(
    visible: UInt8Image, thermal: UInt8Image, outside: UInt8Image | None
) -> UInt8Image:
    """Return both images in squares, one beside the other."""
    height, width = visible.shape
    side = max(1, width // _SQUARES)
    y, x = np.mgrid[:height, :width] // side
    warm = (x + y) % 2 == 1
    if outside is not None:
        warm &= outside == 0
    mixed = cv2.cvtColor(visible, cv2.COLOR_GRAY2RGB)
    mixed[warm] = colormap_thermal(thermal)[warm]
    return mixed


def _arrows(visible: UInt8Image, tiles: TileShifts | None) -> UInt8Image:
    """Return the visible image, darkened, with the residual of each tile."""
    picture = cv2.cvtColor(visible // 2, cv2.COLOR_GRAY2RGB)
    if tiles is not None:
        limit = picture.shape[1] / 640 * 4
        for centre, residual, weight in zip(
            tiles.centres, tiles.residuals, tiles.weights, strict=True
        ):
            if weight > 0.05:
                length = float(np.linalg.norm(residual))
                _arrow(picture, centre, residual * _ARROW_SCALE, length, limit)
    return picture


def _arrow(
    picture: UInt8Image,
    start: NDArray[np.float64],
    step: NDArray[np.float64],
    length: float,
    limit: float,
) -> None:
    """Draw an arrow, red from `limit` on."""
    begin = round(float(start[0])), round(float(start[1]))
    end = round(float(start[0] + step[0])), round(float(start[1] + step[1]))
    colour = _GOOD if length < limit else _BAD
    cv2.circle(picture, begin, 2, colour, cv2.FILLED)
    cv2.arrowedLine(picture, begin, end, colour, 1, cv2.LINE_AA, tipLength=0.3)


def _sheet(panels: Sequence[UInt8Image]) -> UInt8Image:
    """Return panels two by two, at one size."""
    height = round(panels[0].shape[0] * _WIDTH_PX / panels[0].shape[1])
    scaled = [resize(panel, (height, _WIDTH_PX)) for panel in panels]
    if len(scaled) == 1:
        return scaled[0]
    if len(scaled) % 2:
        scaled.append(np.zeros_like(scaled[0]))
    rows = [np.hstack(scaled[i : i + 2]) for i in range(0, len(scaled), 2)]
    return np.vstack(rows)
