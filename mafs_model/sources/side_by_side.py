"""One image that shows both cameras, as many viewers record them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from mafs_model.errors import ImageError
from mafs_model.sources.items import Images, Item, PairSource
from mafs_model.sources.sequences import as_thermal
from mafs_model.types import Layout, UInt8Image
import numpy as np


class SplitPairs:
    """
    Pairs cut out of a source of single images; see ``items.PairSource``.

    Args:
        source: its visible images show both cameras.
        layout: which part is which, one of :data:`mafs_model.types.LAYOUTS`.

    """

    def __init__(self, source: PairSource, layout: Layout) -> None:
        self._source = source
        self._layout = layout
        self.is_sequence = source.is_sequence
        self.is_live = source.is_live
        self.rate_hz = source.rate_hz
        self.problems = source.problems
        self.files = source.files

    @property
    def names(self) -> list[str] | None:
        """Return the names of all pairs."""
        return self._source.names

    @property
    def count(self) -> int | None:
        """Return the number of pairs."""
        return self._source.count

    def __iter__(self) -> Iterator[Item]:
        """Yield the pairs."""
        for item in self._source:
            yield Item(item.name, partial(self._cut, item), item.time_s)

    def first(self) -> Images | None:
        """Return the two parts of the first image in the colours it is stored in."""
        images = self._source.first()
        if images is None or images.visible is None:
            return None
        return split(images.visible, self._layout)

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _cut(self, item: Item) -> Images:
        """Return the parts of one image; raises ImageError."""
        images = item.read()
        assert images.visible is not None
        parts = split(images.visible, self._layout)
        assert parts.thermal is not None
        return Images(parts.visible, as_thermal(parts.thermal))


def split(image: UInt8Image, layout: Layout) -> Images:
    """
    Return the halves of an image that shows both cameras.

    Args:
        image: uint8 [H,W,3] RGB; the middle column or row of an odd side is left out.
        layout: one of :data:`mafs_model.types.LAYOUTS`.

    Raises:
        ImageError: too small to hold two images.

    """
    height, width = image.shape[:2]
    if min(height, width) < 2:
        raise ImageError('size', f'image is {width}x{height}, too small to hold two')
    if layout.endswith('left'):
        first, second = image[:, : width // 2], image[:, -(width // 2) :]
    else:
        first, second = image[: height // 2], image[-(height // 2) :]
    halves = np.ascontiguousarray(first), np.ascontiguousarray(second)
    visible, thermal = halves if layout.startswith('visible') else halves[::-1]
    return Images(visible, thermal)
