"""What there is to write about one pair, and the pictures that can be made of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import cv2
from mafs_model.classes import ClassTable
from mafs_model.images.overlay import OverlayStyle, paint
from mafs_model.images.preprocessing import gray_to_rgb, resize
from mafs_model.images.thermal import ThermalScaler
from mafs_model.images.visualization import colorize, draw_legend, put_notice
from mafs_model.prediction import Prediction
from mafs_model.sources.items import Images
from mafs_model.types import UInt8Image
import numpy as np

Picture = Literal['fused', 'labels', 'colors', 'overlay', 'panels']
PICTURES: tuple[Picture, ...] = ('fused', 'labels', 'colors', 'overlay', 'panels')


@dataclass(frozen=True)
class Result:
    """
    One fused pair.

    Attributes:
        name: name of the pair, without suffix.
        images: the pair.
        prediction: what was computed, with fused image and labels.

    """

    name: str
    images: Images
    prediction: Prediction


class Painter:
    """
    Makes the pictures of a result.

    Args:
        classes: table of the labels.
        opacity: weight of the class colours in overlays, 0 to 1.
        notice: a line over every overlay, None for none.

    """

    def __init__(
        self, classes: ClassTable, opacity: float = 0.5, notice: str | None = None
    ) -> None:
        self._classes = classes
        self._style = OverlayStyle(opacity)
        self._notice = notice
        self._scaler = ThermalScaler()

    def paint(self, result: Result, picture: Picture) -> UInt8Image:
        """
        Return one picture of a result.

        Args:
            result: the fused pair.
            picture: ``fused`` image; ``labels``, the class ids [H,W]; ``colors``, the labels in
                the colours of their classes; ``overlay``, these over the fused image with a
                legend under it; ``panels``, thermal, visible, fused and overlay in one picture.

        Returns:
            uint8 [H,W,3] RGB, for ``labels`` uint8 [H,W].

        """
        fused, labels = result.prediction.fused, result.prediction.labels
        assert fused is not None
        assert labels is not None
        if picture == 'fused':
            return fused
        if picture == 'labels':
            return labels
        if picture == 'colors':
            return colorize(labels, self._classes)
        if picture == 'panels':
            return self._panels(result)
        return np.vstack([self._overlay(fused, labels), self._legend(labels, fused.shape[1])])

    def _overlay(self, fused: UInt8Image, labels: UInt8Image) -> UInt8Image:
        """Return the class colours over the fused image, with the notice."""
        picture = paint(fused, labels, self._classes, self._style)
        return picture if self._notice is None else put_notice(picture, self._notice)

    def _legend(self, labels: UInt8Image, width: int) -> UInt8Image:
        """Return the legend of all classes, the same for every picture of a film."""
        return draw_legend(self._classes, width)

    def _panels(self, result: Result) -> UInt8Image:
        """Return thermal, visible, fused and overlay, two by two, over the legend."""
        fused, labels = result.prediction.fused, result.prediction.labels
        assert fused is not None
        assert labels is not None
        size = (fused.shape[0], fused.shape[1])
        dark = np.zeros((*size, 3), np.uint8)
        visible, thermal = result.images
        left = dark if thermal is None else gray_to_rgb(resize(self._scaler(thermal), size))
        right = dark if visible is None else resize(visible, size)
        picture = np.vstack(
            [np.hstack([left, right]), np.hstack([fused, self._overlay(fused, labels)])]
        )
        return np.vstack([picture, self._legend(labels, picture.shape[1])])


class ClassShares:
    """The shares of the classes in all pixels of the results that were added."""

    def __init__(self, classes: ClassTable) -> None:
        self._classes = classes
        self._pixels = np.zeros(256, np.int64)

    def add(self, labels: UInt8Image) -> None:
        """Count the pixels of a label image, uint8 [H,W]."""
        counts = cv2.calcHist([labels], [0], None, [256], [0, 256]).ravel()
        self._pixels += counts.astype(np.int64)

    def shares(self) -> dict[str, float]:
        """Return name -> share, 0 to 1, of the classes that occur, largest first."""
        total = int(self._pixels.sum())
        if total == 0:
            return {}
        found = [
            (name, int(self._pixels[i]) / total)
            for i, name in enumerate(self._classes.names)
            if self._pixels[i]
        ]
        return dict(sorted(found, key=lambda entry: -entry[1]))


class Sink(Protocol):
    """A place for results."""

    def write(self, result: Result, painter: Painter) -> None:
        """Write one result; raises MafsError where that is not possible."""

    def close(self) -> None:
        """Finish what was begun and put it in its place."""

    def abort(self) -> None:
        """Remove what is unfinished."""

    def files(self) -> Iterator[str]:
        """Yield the files and folders that hold the results."""
