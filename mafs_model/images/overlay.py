"""The overlay: the fused image with the classes laid over it, and how it looks."""

from __future__ import annotations

from dataclasses import dataclass, fields
import math

import cv2
from mafs_model.classes import ClassTable
from mafs_model.defaults import OPACITY
from mafs_model.errors import ConfigError
from mafs_model.images.visualization import colorize, draw_legend, put_notice, visible_ids
from mafs_model.types import UInt8Image


@dataclass(frozen=True)
class OverlayStyle:
    """
    How an overlay looks.

    Attributes:
        opacity: weight of the class colours, 0 to 1.
        legend: draw the names of the classes over the lower edge.
        min_confidence: pixels whose class is less probable, 0 to 1, show the fused image alone.

    Raises:
        ConfigError: a number is out of range.

    """

    opacity: float = OPACITY
    legend: bool = False
    min_confidence: float = 0.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        for item in fields(self):
            value = getattr(self, item.name)
            if not 0.0 <= value <= 1.0:
                raise ConfigError(f'overlay {item.name} {value!r}: expected 0 to 1')

    @property
    def least_confidence(self) -> int:
        """Return the smallest value of a confidence image, 255 = 1, that is painted."""
        return math.ceil(255.0 * self.min_confidence - 1e-6)


DEFAULT_STYLE = OverlayStyle()


def paint(
    fused: UInt8Image,
    labels: UInt8Image,
    table: ClassTable,
    style: OverlayStyle = DEFAULT_STYLE,
    confidence: UInt8Image | None = None,
) -> UInt8Image:
    """
    Return the fused image with the class colours laid over it, without legend.

    Pixels of classes without meaning (unlabelled, background, ignored, outside the table) and
    those below the style's confidence show the fused image alone. The same function for tensors
    is :class:`mafs_model.runtime.device_images.Painter`.

    Args:
        fused: uint8 [H,W,3] RGB.
        labels: uint8 [H,W] class ids.
        table: the classes.
        style: how it looks.
        confidence: uint8 [H,W], 255 = 1; only a style with ``min_confidence`` needs it.

    Returns:
        uint8 [H,W,3] RGB, a new array.

    """
    clear = cv2.LUT(labels, 255 - visible_ids(table))
    if style.least_confidence > 0:
        assert confidence is not None, 'Outputs.with_sources asks for it'
        doubtful = cv2.compare(confidence, float(style.least_confidence), cv2.CMP_LT)
        clear = cv2.bitwise_or(clear, doubtful)
    if style.opacity == 0.0 or cv2.countNonZero(clear) == clear.size:
        return fused.copy()
    blended = colorize(labels, table)
    cv2.addWeighted(fused, 1.0 - style.opacity, blended, style.opacity, 0.0, dst=blended)
    cv2.copyTo(fused, clear, blended)
    return blended


class Annotator:
    """
    Writes legend and notice onto overlays; keeps the drawn legend.

    Args:
        table: the classes.

    """

    def __init__(self, table: ClassTable) -> None:
        self._table = table
        self._legend: UInt8Image | None = None

    def __call__(self, image: UInt8Image, style: OverlayStyle, notice: str = '') -> None:
        """
        Draw onto an overlay.

        Args:
            image: uint8 [H,W,3] RGB, changed in place.
            style: how it looks.
            notice: a line at the top; empty: none.

        """
        if style.legend:
            height, width = image.shape[:2]
            if self._legend is None or self._legend.shape[1] != width:
                self._legend = draw_legend(self._table, width)
            rows = min(self._legend.shape[0], height)
            image[height - rows :] = self._legend[:rows]
        if notice:
            put_notice(image, notice)
