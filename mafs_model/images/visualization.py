"""Pictures for people: colour masks, legends, thermal colours and notices."""

from __future__ import annotations

from collections.abc import Collection

import cv2
from mafs_model.classes import ClassTable
from mafs_model.types import UInt8Image
import numpy as np

# Classes that mean "nothing known here"; an overlay leaves them clear.
CLEAR_NAMES = frozenset({'unlabelled', 'unlabeled', 'background', 'void', 'unknown'})
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_ROW_PX = 22
_SWATCH_PX = 14
_PANEL_COLOR = (32, 32, 32)
_TEXT_COLOR = (235, 235, 235)


def _thermal_palette() -> UInt8Image:
    """Return OpenCV's inferno colours as RGB [256,1,3]: even steps, readable when printed grey."""
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    bgr = cv2.applyColorMap(ramp, cv2.COLORMAP_INFERNO)
    return np.ascontiguousarray(bgr[..., ::-1])


_THERMAL_PALETTE = _thermal_palette()


def colorize(labels: UInt8Image, table: ClassTable) -> UInt8Image:
    """
    Return the colour mask of a label image.

    Args:
        labels: uint8 [H,W] class ids.
        table: the classes; values outside it become black.

    Returns:
        uint8 [H,W,3] RGB.

    """
    # applyColorMap is a plain three-channel look-up, an order of magnitude faster than indexing.
    return cv2.applyColorMap(labels, table.palette[:, None, :])


def colormap_thermal(thermal: UInt8Image) -> UInt8Image:
    """Return an 8-bit thermal image [H,W] in inferno colours, uint8 [H,W,3] RGB."""
    return cv2.applyColorMap(thermal, _THERMAL_PALETTE)


def draw_legend(table: ClassTable, width: int, ids: Collection[int] | None = None) -> UInt8Image:
    """
    Return a strip with the colour and name of each class, to be put under an image.

    Args:
        table: the classes.
        width: width of the strip in px; entries wrap to as many rows as they need.
        ids: class ids to show; None for all but those without meaning.

    Returns:
        uint8 [h,width,3] RGB; h is a multiple of the row height, at least one row.

    """
    shown = [
        c for c in table.classes if (c.id in ids if ids is not None else c.name not in CLEAR_NAMES)
    ]
    places: list[tuple[int, int]] = []
    x, row = 8, 0
    for entry in shown:
        needed = _SWATCH_PX + 6 + _text_width(entry.name) + 16
        if x > 8 and x + needed > width:
            x, row = 8, row + 1
        places.append((x, row))
        x += needed
    strip = np.empty(((row + 1) * _ROW_PX, width, 3), np.uint8)
    strip[:] = _PANEL_COLOR
    for entry, (x, row) in zip(shown, places, strict=True):
        top = row * _ROW_PX + (_ROW_PX - _SWATCH_PX) // 2
        corner = (x + _SWATCH_PX, top + _SWATCH_PX)
        cv2.rectangle(strip, (x, top), corner, entry.color, cv2.FILLED)
        # Dark classes would vanish on the dark panel without a frame.
        cv2.rectangle(strip, (x, top), corner, _TEXT_COLOR, 1)
        cv2.putText(
            strip,
            entry.name,
            (x + _SWATCH_PX + 6, top + _SWATCH_PX - 2),
            _FONT,
            0.45,
            _TEXT_COLOR,
            1,
            cv2.LINE_AA,
        )
    return strip


def put_notice(image: UInt8Image, text: str) -> UInt8Image:
    """
    Write a line of text on a dark bar at the top of the image.

    Args:
        image: uint8 [H,W,3], changed in place.
        text: one line; it shrinks until it fits the width. Only ASCII can be drawn.

    Returns:
        The same image.

    """
    text = text.encode('ascii', 'replace').decode('ascii')
    scale = max(0.3, min(0.5, 0.5 * (image.shape[1] - 16) / max(1, _text_width(text, 0.5))))
    height = max(12, round(44 * scale))
    bar = image[:height]
    np.right_shift(bar, 2, out=bar)
    cv2.putText(
        image, text, (8, round(0.7 * height)), _FONT, scale, (255, 220, 120), 1, cv2.LINE_AA
    )
    return image


def visible_ids(table: ClassTable) -> UInt8Image:
    """Return a look-up uint8 [256]: 255 for label values that an overlay shows."""
    ids = np.zeros(256, np.uint8)
    ids[[c.id for c in table.classes if c.name not in CLEAR_NAMES]] = 255
    return ids


def _text_width(text: str, scale: float = 0.45) -> int:
    """Return the width of a text in px."""
    return int(cv2.getTextSize(text, _FONT, scale, 1)[0][0])
