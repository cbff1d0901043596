"""Pairs straight out of recordings: two films of a folder, or a rosbag."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import logging
from pathlib import Path

from mafs_model.bags.reader import open_bag
from mafs_model.bags.topics import choose_topics
from mafs_model.defaults import SLOP_S
from mafs_model.errors import DatasetError
from mafs_model.pairing.nearest import NearestPairer
from mafs_model.sources.opening import open_pairs, Request
from mafs_training.datasets.bags import ExtractResult, paired_images
from mafs_training.datasets.layouts import LAYOUTS
from mafs_training.datasets.reading import as_thermal, match_size, RawPair
from mafs_training.datasets.spec import SourceSpec
import numpy as np
from numpy.typing import NDArray

_FILMS = ('.mp4', '.avi', '.mkv', '.mov', '.webm', '.m4v', '.mpg', '.mpeg')
_NamedImages = tuple[str, NDArray[np.generic], NDArray[np.generic]]
_log = logging.getLogger(__name__)


def read_recording(spec: SourceSpec) -> Iterator[RawPair]:
    """
    Read the pairs of a recording one after the other.

    Args:
        spec: kind 'clip', a folder with a film of each camera (``vi`` and ``ir`` name the files),
            or 'bag' (``vi`` and ``ir`` name the topics). Every n-th pair is taken, and of these
            those that ``only``, ``skip`` and ``limit`` leave.

    Yields:
        Pairs without labels.

    Raises:
        MafsError: what is named is not there, cannot be read, or holds no such pair.

    """
    if spec.labels not in ('', 'none'):
        raise DatasetError(
            f'{spec.kind}:{spec.path}: labels={spec.labels!r}: a recording has no labels; write '
            'its pairs to folders (mafs-data from-bag, mafs fuse) and label those'
        )
    images = _film_images if spec.kind == 'clip' else _bag_images
    taken = 0
    for name, visible, thermal in _selected(spec, images):
        where = Path(f'{spec.kind}:{spec.path} {name}')
        if visible.ndim != 3 or visible.dtype != np.uint8:
            raise DatasetError(f'{where}: visible image is {visible.dtype}, expected RGB of uint8')
        size, rgb = (visible.shape[0], visible.shape[1]), visible.astype(np.uint8, copy=False)
        yield RawPair(name, rgb, match_size(as_thermal(thermal, where), size, where), None)
        taken += 1
    if not taken:
        raise DatasetError(f'{spec.kind}:{spec.path}: no pair with every={spec.every}')


def _selected(
    spec: SourceSpec, images: Callable[[SourceSpec], Iterator[_NamedImages]]
) -> Iterator[_NamedImages]:
    """Yield what the source selects; how many there are is only known at the end."""
    if spec.limit or spec.only != '*' or spec.skip:
        names = [name for name, *_ in images(spec)]
        wanted = {names[index] for index in spec.select(names)}
        yield from (item for item in images(spec) if item[0] in wanted)
    else:
        yield from images(spec)


def _film(root: Path, given: str, names: tuple[str, ...], what: str) -> Path:
    """Return the film of a camera."""
    if given:
        return root / given
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        if path.suffix.lower() in _FILMS and path.stem.lower() in names:
            return path
    raise DatasetError(
        f'clip:{root}: no film of the {what} camera, expected {names[0]}{_FILMS[0]} or a file '
        f'named by ?{"vi" if what == "visible" else "ir"}='
    )


def _film_images(spec: SourceSpec) -> Iterator[_NamedImages]:
    layout, root = LAYOUTS['generic'], Path(spec.path).expanduser()
    visible = _film(root, spec.vi, layout.visible, 'visible')
    thermal = _film(root, spec.ir, layout.thermal, 'thermal')
    source = open_pairs(Request(visible=(str(visible),), thermal=(str(thermal),)))
    try:
        for index, item in enumerate(source):
            if index % spec.every == 0:
                images = item.read()
                assert images.visible is not None
                assert images.thermal is not None
                yield item.name, images.visible, images.thermal
    finally:
        source.close()
    for problem in source.problems:
        _log.warning('clip:%s: %s', spec.path, problem)


def _bag_images(spec: SourceSpec) -> Iterator[_NamedImages]:
    with open_bag(Path(spec.path).expanduser()) as bag:
        topics = choose_topics(bag, spec.vi or None, spec.ir or None, options=('?vi=', '?ir='))
        result = ExtractResult(topics['visible'], topics['thermal'])
        pairer = NearestPairer(round(SLOP_S * 1e9))
        for index, pair in enumerate(paired_images(bag, pairer, result)):
            if index % spec.every == 0:
                stamp = f'{pair.visible.stamp_ns:019d}'
                yield stamp, pair.visible.payload, pair.thermal.payload
    if result.unusable:
        _log.warning('bag:%s: %d images could not be decoded', spec.path, result.unusable)
