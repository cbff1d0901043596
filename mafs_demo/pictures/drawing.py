"""Text and boxes on the pictures of the demo."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cv2
from mafs_model.classes import ClassTable
from mafs_model.detections import Detection
from mafs_model.types import UInt8Image
import numpy as np
from PIL import Image, ImageDraw, ImageFont

BACKGROUND = (18, 20, 24)
PANEL = (32, 35, 41)
TEXT = (236, 238, 241)
MUTED = (150, 156, 166)
ACCENT = (255, 176, 64)
_BITMAP_HEIGHT = 11
_CLEAR = frozenset({'unlabelled', 'unlabeled', 'background', 'void', 'unknown'})


@lru_cache(maxsize=16)
def font(size: int) -> Any:
    """Return Pillow's own font; releases before 10.1 have it as one small bitmap only."""
    try:
        return ImageFont.load_default(size)
    except TypeError:
        pass
    for name in ('DejaVuSans.ttf', 'LiberationSans-Regular.ttf'):
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default()


def fit(image: UInt8Image, size: tuple[int, int]) -> UInt8Image:
    """
    Return the image as large as fits into (height, width), centred on the panel colour.

    Args:
        image: uint8 [h,w,3].
        size: of the result.

    """
    height, width = size
    scale = min(height / image.shape[0], width / image.shape[1])
    inner = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    if inner != (image.shape[1], image.shape[0]):
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = cv2.resize(image, inner, interpolation=method)
    if image.shape[:2] == size:
        return image
    result = np.empty((height, width, 3), np.uint8)
    result[:] = PANEL
    top, left = (height - inner[1]) // 2, (width - inner[0]) // 2
    result[top : top + inner[1], left : left + inner[0]] = image
    return result


class Canvas:
    """
    A picture to draw on.

    Args:
        size: (height, width).

    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.image = Image.new('RGB', (size[1], size[0]), BACKGROUND)
        self._draw = ImageDraw.Draw(self.image)

    def paste(self, image: UInt8Image, left: int, top: int) -> None:
        """Put an RGB picture down."""
        self.image.paste(Image.fromarray(np.ascontiguousarray(image)), (left, top))

    def text(
        self,
        left: float,
        top: float,
        text: str,
        size: int,
        color: tuple[int, int, int] = TEXT,
        anchor: str = 'la',
    ) -> None:
        """Write a line; `anchor` as Pillow has it ('la': left and top, 'rm': right and middle)."""
        if hasattr(font(size), 'getmetrics'):
            self._draw.text((left, top), text, color, font(size), anchor)
            return
        # A bitmap font knows no anchor.
        left -= {'l': 0.0, 'm': 0.5, 'r': 1.0}[anchor[0]] * self.width_of(text, size)
        top -= _BITMAP_HEIGHT / 2 if anchor[1] == 'm' else 0
        self._draw.text((left, top), text, color, font(size))

    def width_of(self, text: str, size: int) -> int:
        """Return the width of a line in px."""
        return int(self._draw.textlength(text, font(size)))

    def box(
        self,
        left: float,
        top: float,
        width: float,
        height: float,
        color: tuple[int, int, int],
        outline: tuple[int, int, int] | None = None,
    ) -> None:
        """Draw a filled box with slightly round corners."""
        self._draw.rounded_rectangle((left, top, left + width, top + height), 3, color, outline)

    def array(self) -> UInt8Image:
        """Return uint8 [H,W,3] RGB."""
        return np.asarray(self.image).copy()


def legend_rows(canvas: Canvas, table: ClassTable, width: int, size: int) -> list[list[Any]]:
    """Return the entries of a legend, row by row: (class, left edge)."""
    rows: list[list[Any]] = [[]]
    left = 0
    for entry in table.classes:
        if entry.name in _CLEAR:
            continue
        needed = round(1.6 * size) + canvas.width_of(entry.name, size) + round(1.4 * size)
        if left and left + needed > width:
            rows.append([])
            left = 0
        rows[-1].append((entry, left))
        left += needed
    return rows


def draw_legend(
    canvas: Canvas, table: ClassTable, left: int, top: int, width: int, size: int
) -> int:
    """Draw colour and name of every class; return the height used."""
    rows = legend_rows(canvas, table, width, size)
    pitch = round(1.8 * size)
    for number, row in enumerate(rows):
        for entry, offset in row:
            y = top + number * pitch
            # Dark classes would vanish on the dark background without a frame.
            canvas.box(left + offset, y, size, size, entry.color, MUTED)
            canvas.text(
                left + offset + round(1.5 * size), y + size / 2, entry.name, size, TEXT, 'lm'
            )
    return len(rows) * pitch


def draw_objects(image: UInt8Image, objects: Sequence[Detection], table: ClassTable) -> UInt8Image:
    """
    Draw the boxes of objects, each with number, class and mean temperature over it.

    Args:
        image: uint8 [H,W,3] RGB, changed in place.
        objects: in px of the image.
        table: colours of the classes.

    Returns:
        The same image.

    """
    for found in reversed(objects):  # the largest on top
        color = table.classes[found.class_id].color
        corner = (found.left, found.top)
        opposite = (found.left + found.width - 1, found.top + found.height - 1)
        cv2.rectangle(image, corner, opposite, TEXT, 2)
        cv2.rectangle(image, corner, opposite, color, 1)
        text = f'{found.track} {found.name}'
        if found.temperature is not None:
            text += f' {found.temperature.mean:.0f} C'
        place = (found.left, found.top - 4 if found.top > 14 else found.top + 12)
        # Dark below bright, so that it can be read on any picture.
        for shade, width in ((BACKGROUND, 3), (TEXT, 1)):
            cv2.putText(
                image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, shade, width, cv2.LINE_AA
            )
    return image
