"""Where the frames of the demo come from: rendered, image folders, or a bag."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
import hashlib
from pathlib import Path
from typing import Any

from mafs_demo.mark import is_ours, remove
from mafs_demo.replay.schedule import default_cameras, Event, Schedule, simulate
from mafs_demo.replay.store import FrameStore, FrameWriter
from mafs_demo.workers import worker_pool
from mafs_model.bags.reader import BagReader, open_bag
from mafs_model.bags.topics import choose_topics
from mafs_model.errors import BagError, ConfigError, ImageError
from mafs_model.streams import STREAMS
import numpy as np
from numpy.typing import NDArray

Progress = Callable[[str, int, int], None]
BAG_LIMIT_S = 60.0
_RENDER_BLOCK = 10  # frames a worker renders at a time


@dataclass(frozen=True)
class Sequence:
    """
    Frames and when they are published.

    Args:
        name: one line that says where they come from.
        store: folder of the prepared frames.
        schedule: what is published when.
        notes: lines the user should read.

    """

    name: str
    store: Path
    schedule: Schedule
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class SequenceOptions:
    """
    What the user asked for.

    Args:
        duration_s: length; for a bag an upper limit. None: 10 s, or the whole bag up to 60 s.
        rate_hz: rate of both cameras (not for a bag).
        size: (height, width) of rendered frames.
        seed: of scene and schedule.

    """

    duration_s: float | None
    rate_hz: float
    size: tuple[int, int]
    seed: int

    @property
    def count(self) -> int:
        """Return the number of frames of each camera."""
        return max(2, round((self.duration_s or 10.0) * self.rate_hz))


def _simulated(options: SequenceOptions, count: int) -> Schedule:
    return simulate(count, options.rate_hz, default_cameras(count), options.seed)


# -- rendered ------------------------------------------------------------------------------------


def _render(task: tuple[int, tuple[int, int], list[float]]) -> list[tuple[Any, Any]]:
    """Render some frames, in a worker process."""
    seed, size, times_s = task
    scene = _scene(seed, size)
    frames = [scene.frame(time_s) for time_s in times_s]
    return [(frame.visible, frame.thermal) for frame in frames]


@lru_cache(maxsize=1)
def _scene(seed: int, size: tuple[int, int]) -> Any:
    """Return the night drive; a worker makes it once, its textures take a second."""
    from mafs_synthetic import NightDrive, SceneConfig

    height, width = size
    return NightDrive(SceneConfig(width=width, height=height, seed=seed))


def render_labels(options: SequenceOptions, index: int) -> NDArray[np.uint8]:
    """Return the true MFNet labels of a rendered frame, uint8 [H,W]."""
    labels: NDArray[np.uint8] = (
        _scene(options.seed, options.size).frame(index / options.rate_hz).labels
    )
    return labels


def _renderer_version() -> str:
    """Return a digest of the renderer's sources: a changed renderer must not use old frames."""
    import mafs_synthetic

    digest = hashlib.sha256()
    for path in sorted(Path(mafs_synthetic.__file__).parent.rglob('*.py')):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def synthetic(options: SequenceOptions, cache: Path, progress: Progress) -> Sequence:
    """Render the night drive, or take it from the cache."""
    height, width = options.size
    key = f'night_{width}x{height}_{options.rate_hz:g}hz_seed{options.seed}_{_renderer_version()}'
    path = cache / key
    count = options.count
    try:
        complete = FrameStore(path).count('visible') >= count
    except ConfigError:
        complete = False
    if not complete:
        _remove_old_renderings(cache)
        _render_all(path, options, count, progress)
    name = f'synthetic night drive, {width}x{height}, seed {options.seed}'
    return Sequence(name, path, _simulated(options, count))


def _remove_old_renderings(cache: Path) -> None:
    """Keep the cache at one sequence: it takes half a gigabyte."""
    for old in cache.glob('night_*'):
        if is_ours(old):
            remove(old)


def _render_all(path: Path, options: SequenceOptions, count: int, progress: Progress) -> None:
    writer = FrameWriter(path)
    times = [index / options.rate_hz for index in range(count)]
    tasks = [
        (options.seed, options.size, times[at : at + _RENDER_BLOCK])
        for at in range(0, count, _RENDER_BLOCK)
    ]
    done = 0
    try:
        progress('rendering', 0, count)
        with worker_pool(len(tasks)) as pool:
            for block in pool.imap(_render, tasks):
                for visible, thermal in block:
                    writer.add_image('visible', visible)
                    writer.add_image('thermal', thermal)
                done += len(block)
                progress('rendering', done, count)
        writer.close()
    except BaseException:
        writer.abort()
        raise


# -- image folders -------------------------------------------------------------------------------


def images(folder: Path, options: SequenceOptions, work: Path, progress: Progress) -> Sequence:
    """
    Turn the folders `vi/` and `ir/` into two camera streams; each image is held for a while.

    Raises:
        ConfigError: a folder is missing, or no two files have the same name.

    """
    from mafs_model.images.image_files import match_pairs, read_thermal, read_visible

    for name in ('vi', 'ir'):
        if not (folder / name).is_dir():
            raise ConfigError(
                f'{folder} has no folder {name}/, expected vi/ (visible) and ir/ '
                '(thermal) with images of the same names'
            )
    pairs, leftovers = match_pairs(folder / 'vi', folder / 'ir')
    if not pairs:
        raise ConfigError(f'{folder}/vi and {folder}/ir have no image names in common')
    hold = max(1, round(options.count / len(pairs)))
    pairs = pairs[: max(1, options.count // hold)] if options.duration_s else pairs
    notes = [f'{len(leftovers)} files without partner are left out'] if leftovers else []
    writer = FrameWriter(work / 'frames')
    used = 0
    try:
        for done, pair in enumerate(pairs, 1):
            assert pair.visible is not None
            assert pair.thermal is not None
            try:
                visible, thermal = read_visible(pair.visible), read_thermal(pair.thermal)
            except ImageError as error:
                notes.append(f'left out: {error}')
                continue
            used += 1
            for _ in range(hold):
                writer.add_image('visible', visible)
                writer.add_image('thermal', thermal)
            progress('reading', done, len(pairs))
        if not used:
            raise ConfigError(f'none of the images in {folder} can be used; {notes[-1]}')
        writer.close()
    except BaseException:
        writer.abort()
        raise
    name = f'{used} image pairs of {folder}, each for {hold / options.rate_hz:.2f} s'
    return Sequence(name, work / 'frames', _simulated(options, used * hold), tuple(notes))


# -- bag -----------------------------------------------------------------------------------------


def from_bag(
    path: Path,
    topics: dict[str, str | None],
    limit_s: float | None,
    work: Path,
    progress: Progress,
) -> Sequence:
    """
    Take two camera streams out of a bag, with the stamps they have there.

    Args:
        path: folder, .mcap or .db3 file.
        topics: 'visible' and 'thermal' to a topic; None: the only one that fits.
        limit_s: longest time that is taken; None: 60 s.
        work: folder for the frames.
        progress: called with (phase, done, total) now and then.

    Raises:
        BagError: the bag or a topic cannot be read, or holds no usable image.

    """
    limit_s = limit_s or BAG_LIMIT_S
    with open_bag(path) as bag:
        chosen = choose_topics(bag, topics['visible'], topics['thermal'])
        writer = FrameWriter(work / 'frames')
        try:
            events, notes = _copy_bag(bag, chosen, limit_s, writer, progress)
            writer.close()
        except BaseException:
            writer.abort()
            raise
    for stream in STREAMS:
        if not any(event.stream == stream for event in events):
            reasons = '; '.join(notes) or 'it is empty'
            raise BagError(f'topic {chosen[stream]} of bag {path} has no usable image: {reasons}')
    events = _from_zero(events)
    name = f'bag {path} ({chosen["visible"]}, {chosen["thermal"]})'
    schedule = Schedule(tuple(sorted(events, key=lambda e: (e.stamp_ns, e.stream))), False)
    return Sequence(name, work / 'frames', schedule, tuple(notes))


def _copy_bag(
    bag: BagReader,
    chosen: dict[str, str],
    limit_s: float,
    writer: FrameWriter,
    progress: Progress,
) -> tuple[list[Event], list[str]]:
    streams: dict[str, Any] = {topic: stream for stream, topic in chosen.items()}
    images = bag.images(kinds=streams)  # refuses topics that are not there
    total = sum(bag.topics[topic].count for topic in streams)
    counts = dict.fromkeys(STREAMS, 0)
    events: list[Event] = []
    problems: dict[str, int] = {}
    notes: list[str] = []
    first_ns: int | None = None
    for done, image in enumerate(images, 1):
        progress('reading', done, total)
        first_ns = image.receive_ns if first_ns is None else first_ns
        if image.receive_ns - first_ns > limit_s * 1e9:
            notes.append(f'only the first {limit_s:g} s are played')
            break
        if isinstance(image.image, ImageError):
            problems[str(image.image)] = problems.get(str(image.image), 0) + 1
            continue
        stream = streams[image.topic]
        writer.add_image(stream, image.image)
        # A driver that does not stamp leaves zero: the time of recording is the best there is.
        stamp_ns = image.stamp_ns or image.receive_ns
        events.append(Event(stream, counts[stream], stamp_ns))
        counts[stream] += 1
    notes += [f'{count} images left out: {text}' for text, count in problems.items()]
    if bag.damage:
        notes.append(f'the bag is damaged, what could be read is played: {bag.damage}')
    return events, notes


def _from_zero(events: list[Event]) -> list[Event]:
    """Count stamps from the first one."""
    start_ns = min(event.stamp_ns for event in events)
    return [Event(e.stream, e.index, e.stamp_ns - start_ns) for e in events]


def thermal_encoding(image: NDArray[Any]) -> str:
    """Return the message encoding of a thermal frame."""
    return {np.dtype(np.uint8): 'mono8', np.dtype(np.uint16): 'mono16'}.get(image.dtype, '32FC1')
