"""What every place for results does, and what is counted on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import cv2
from mafs_model.classes import ClassTable
from mafs_model.types import Picture, UInt8Image
import numpy as np

Paint = Callable[[Picture], UInt8Image]  # makes a picture of one result


class ClassShares:
    """The shares of the classes in all pixels of the results that were added."""

    def __init__(self, classes: ClassTable) -> None:
        self._classes = classes
        self._pixels = np.zeros(256, np.int64)

    def add_labels(self, labels: UInt8Image) -> None:
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

    def write(self, name: str, paint: Paint) -> None:
        """
        Write one result.

        Args:
            name: name of its pair, without suffix.
            paint: makes its pictures.

        Raises:
            MafsError: it cannot be written.

        """

    def close(self) -> None:
        """Finish what was begun and put it in its place."""

    def abort(self) -> None:
        """Remove what is unfinished."""

    def files(self) -> Iterator[str]:
        """Yield the files and folders that hold the results."""
