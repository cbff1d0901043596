"""Turns a rosbag into folders of paired images, with the node's own pairing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mafs_model.bags.reader import BagReader, open_bag
from mafs_model.bags.topics import choose_topics
from mafs_model.errors import DatasetError, ImageError
from mafs_model.images.image_files import write_png
from mafs_model.pairing.nearest import NearestPairer, Pair

_MOST_MS = 1e9


@dataclass
class ExtractResult:
    """
    What was written.

    Attributes:
        visible: topic of the visible images.
        thermal: topic of the thermal images.
        pairs: pairs found.
        written: pairs written, after thinning and without unusable images.
        unusable: images that could not be decoded.
        unpaired: images without partner.

    """

    visible: str
    thermal: str
    pairs: int = 0
    written: int = 0
    unusable: int = 0
    unpaired: int = 0


def paired_images(
    bag: BagReader, pairer: NearestPairer, result: ExtractResult, offset_ns: int = 0
) -> Iterator[Pair]:
    """
    Iterate over the pairs of a bag as their partners are found.

    Args:
        bag: the open bag.
        pairer: how images become pairs.
        result: has the topics; unusable images are counted in it.
        offset_ns: added to thermal stamps.

    Yields:
        Pairs whose payloads are images.

    """
    kinds = {result.visible: 'visible', result.thermal: 'thermal'}
    for item in bag.images(kinds=kinds):  # type: ignore[arg-type]
        if isinstance(item.image, ImageError):
            result.unusable += 1
            continue
        stream = kinds[item.topic]
        stamp = item.stamp_ns + (offset_ns if stream == 'thermal' else 0)
        yield from pairer.add_frame(stream, stamp, item.image)
    yield from pairer.flush()


def extract_pairs(
    path: Path,
    out: Path,
    *,
    visible: str = '',
    thermal: str = '',
    slop_ms: float,
    thermal_offset_ms: float = 0.0,
    every: int = 1,
    camera: str = 'auto',
) -> ExtractResult:
    """
    Write the pairs of a bag to ``out/vi`` and ``out/ir`` as PNG; thermal values are kept.

    Args:
        path: bag.
        out: folder to create; must not hold images yet.
        visible: topic of the visible images, empty to guess.
        thermal: topic of the thermal images, empty to guess.
        slop_ms: largest distance of the stamps of a pair, milliseconds.
        thermal_offset_ms: added to thermal stamps, milliseconds.
        every: keep every n-th pair.
        camera: what the thermal camera sends, see `mafs_model.images.cameras.load_camera`.

    Returns:
        Counts.

    Raises:
        DatasetError: the folder holds images.
        BagError: the bag cannot be read, or its topics cannot be guessed.

    """
    if every < 1 or not (0 <= slop_ms < _MOST_MS and abs(thermal_offset_ms) < _MOST_MS):
        raise DatasetError(
            f'expected --every >= 1, --slop-ms from 0 and --thermal-offset-ms below {_MOST_MS:g}, '
            f'got {every}, {slop_ms:g} and {thermal_offset_ms:g}'
        )
    folders = {'visible': out / 'vi', 'thermal': out / 'ir'}
    for folder in folders.values():
        if folder.is_dir() and any(folder.iterdir()):
            raise DatasetError(f'{folder}: not empty, choose another --out')
    pairer = NearestPairer(round(slop_ms * 1e6))
    with open_bag(path, camera) as bag:
        topics = choose_topics(
            bag, visible or None, thermal or None, options=('--visible', '--thermal')
        )
        result = ExtractResult(topics['visible'], topics['thermal'])
        for pair in paired_images(bag, pairer, result, round(thermal_offset_ms * 1e6)):
            if result.pairs % every == 0:
                name = f'{pair.visible.stamp_ns:019d}.png'
                write_png(folders['visible'] / name, pair.visible.payload)
                write_png(folders['thermal'] / name, pair.thermal.payload)
                result.written += 1
            result.pairs += 1
    received = sum(pairer.statistics.received.values())
    result.unpaired = received - 2 * result.pairs
    if not result.pairs:
        raise DatasetError(
            f'{path}: no pair of {result.visible} and {result.thermal} within '
            f'{slop_ms:g} ms ({received} images); try --slop-ms or '
            '--thermal-offset-ms'
        )
    return result
