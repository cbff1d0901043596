"""Turns a rosbag into folders of paired images, with the node's own pairing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mafs_model.bag import BagReader, open_bag
from mafs_model.errors import DatasetError, ImageError
from mafs_model.image_files import write_png
from mafs_model.pairing import NearestPairer, Pair


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


def choose_topics(bag: BagReader, visible: str, thermal: str) -> tuple[str, str]:
    """
    Complete the names of the topics.

    Args:
        bag: open bag.
        visible: topic, or empty to guess.
        thermal: topic, or empty to guess.

    Raises:
        DatasetError: the guess is not unique; the message lists the image topics.

    """
    topics = bag.image_topics()
    words = ('thermal', 'infrared', '/ir', 'lwir', 'flir', 'boson', 'lepton')
    hot = [t for t in topics if any(word in t.lower() for word in words)]
    cold = [t for t in topics if t not in hot and 'depth' not in t.lower()]
    for name, given, found in (('--thermal', thermal, hot), ('--visible', visible, cold)):
        if not given and len(found) != 1:
            raise DatasetError(
                f'{bag.path}: {name} cannot be guessed, image topics are '
                f'{", ".join(topics) or "none"}'
            )
    return visible or cold[0], thermal or hot[0]


def _pairs(
    bag: BagReader, pairer: NearestPairer, result: ExtractResult, offset_ns: int
) -> Iterator[Pair]:
    kinds = {result.visible: 'visible', result.thermal: 'thermal'}
    for item in bag.images(kinds=kinds):  # type: ignore[arg-type]
        if isinstance(item.image, ImageError):
            result.unusable += 1
            continue
        stream = kinds[item.topic]
        stamp = item.stamp_ns + (offset_ns if stream == 'thermal' else 0)
        yield from pairer.add(stream, stamp, item.image)
    yield from pairer.flush()


def extract_pairs(
    path: Path,
    out: Path,
    *,
    visible: str = '',
    thermal: str = '',
    slop_ms: float = 20.0,
    thermal_offset_ms: float = 0.0,
    every: int = 1,
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

    Returns:
        Counts.

    Raises:
        DatasetError: the folder holds images, or topics cannot be guessed.
        BagError: the bag cannot be read.

    """
    if every < 1 or slop_ms < 0:
        raise DatasetError(f'expected --every >= 1 and --slop-ms >= 0, got {every}, {slop_ms}')
    folders = {'visible': out / 'vi', 'thermal': out / 'ir'}
    for folder in folders.values():
        if folder.is_dir() and any(folder.iterdir()):
            raise DatasetError(f'{folder}: not empty, choose another --out')
    pairer = NearestPairer(round(slop_ms * 1e6))
    with open_bag(path) as bag:
        result = ExtractResult(*choose_topics(bag, visible, thermal))
        for folder in folders.values():
            folder.mkdir(parents=True, exist_ok=True)
        for pair in _pairs(bag, pairer, result, round(thermal_offset_ms * 1e6)):
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
