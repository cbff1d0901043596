"""Frames of both cameras in order: a folder, a recording, or the synthetic drive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mafs_model.errors import ConfigError, DatasetError, ImageError
from mafs_model.images.image_files import match_pairs, read_thermal, read_visible
from mafs_training.datasets.layouts import LAYOUTS
import numpy as np
from numpy.typing import NDArray

SYNTHETIC = 'synthetic'
_SYNTHETIC_S = 4.0
_MAX_S = 600.0


@dataclass(frozen=True)
class SequenceFrame:
    """
    Both images of one time.

    Attributes:
        name: file name without suffix, stamp in nanoseconds, or number.
        visible: uint8 [H, W, 3] RGB.
        thermal: uint8, uint16 or float32 [h, w].
        restart: the time jumped back or a frame is lost before it: no transition leads here.

    """

    name: str
    visible: NDArray[np.uint8]
    thermal: NDArray[Any]
    restart: bool = False


@dataclass
class Sequence:
    """
    Frames to be read once, in order.

    Attributes:
        title: what it is, for tables.
        frames: the frames.
        problems: filled while reading: one line for each frame that cannot be used.

    """

    title: str
    frames: Iterator[SequenceFrame]
    problems: list[str]


def open_sequence(
    source: str,
    stack: ExitStack,
    *,
    rate_hz: float = 15.0,
    rgb_topic: str | None = None,
    thermal_topic: str | None = None,
) -> Sequence:
    """
    Open a sequence.

    Args:
        source: folder with vi/ and ir/ (or visible/thermal and the like), whose files are taken
            in the natural order of their names; a bag; or 'synthetic' or 'synthetic:SECONDS'.
        stack: closes what is opened.
        rate_hz: frames per second of the synthetic drive.
        rgb_topic: of a bag; None: guessed.
        thermal_topic: of a bag; None: guessed.

    Raises:
        MafsError: it is not there or not such a thing.

    """
    if source.partition(':')[0] == SYNTHETIC and not Path(source).exists():
        return _synthetic(source, rate_hz)
    path = Path(source).expanduser()
    if not path.exists():
        raise DatasetError(
            f'sequence not found: {source} (expected a folder with vi/ and ir/, a bag, or '
            f'{SYNTHETIC}:SECONDS)'
        )
    layout = LAYOUTS['generic']
    for visible in layout.visible:
        for thermal in layout.thermal:
            if (path / visible).is_dir() and (path / thermal).is_dir():
                return _folders(path / visible, path / thermal)
    return _bag(path, stack, rgb_topic, thermal_topic)


def _folders(visible: Path, thermal: Path) -> Sequence:
    """Return the pairs of two folders in the natural order of their names."""
    pairs, problems = match_pairs(visible, thermal)
    if not pairs:
        raise DatasetError(f'no image name is in both {visible} and {thermal}')

    def frames() -> Iterator[SequenceFrame]:
        gap = False
        for pair in pairs:
            assert pair.visible is not None
            assert pair.thermal is not None
            try:
                images = read_visible(pair.visible), read_thermal(pair.thermal)
            except ImageError as error:
                problems.append(str(error))
                gap = True
                continue
            yield SequenceFrame(pair.name, *images, restart=gap)
            gap = False

    return Sequence(f'{len(pairs)} pairs of {visible.parent}', frames(), problems)


def _bag(path: Path, stack: ExitStack, rgb: str | None, thermal: str | None) -> Sequence:
    """Return the pairs of a recording, formed as the node forms them."""
    from mafs_model.bags.reader import open_bag
    from mafs_model.bags.topics import choose_topics
    from mafs_training.evaluation.bag.pairs import BagPairing, PairingSettings

    reader = stack.enter_context(open_bag(path))
    topics = choose_topics(reader, rgb, thermal)
    pairing = BagPairing(reader, topics['visible'], topics['thermal'], PairingSettings())
    problems: list[str] = []

    def frames() -> Iterator[SequenceFrame]:
        for pair in pairing:
            assert isinstance(pair.visible.image, np.ndarray)
            assert isinstance(pair.thermal.image, np.ndarray)
            yield SequenceFrame(
                str(pair.visible_ns), pair.visible.image, pair.thermal.image, pair.restart
            )
        if reader.damage:
            problems.append(f'bag {path} is damaged: {reader.damage}')

    return Sequence(f'bag {path}', frames(), problems)


def _synthetic(source: str, rate_hz: float) -> Sequence:
    """Return frames of the project's own night drive."""
    from mafs_synthetic import NightDrive

    text = source.partition(':')[2]
    try:
        seconds = float(text) if text else _SYNTHETIC_S
    except ValueError:
        seconds = float('nan')
    if not 0 < seconds <= _MAX_S:
        raise ConfigError(
            f'{source!r}: expected {SYNTHETIC}:SECONDS with a number above 0, at most {_MAX_S:g}'
        )
    count = max(2, round(seconds * rate_hz))

    def frames() -> Iterator[SequenceFrame]:
        drive = NightDrive()
        for number in range(count):
            frame = drive.frame(number / rate_hz)
            yield SequenceFrame(f'{number:05d}', frame.visible, frame.thermal)

    return Sequence(f'synthetic night drive, {seconds:g} s at {rate_hz:g} frames/s', frames(), [])
