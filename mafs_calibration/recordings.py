"""What is calibrated from: folders of pairs, films and bags, as grey images with their stamps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterator
import heapq
from pathlib import Path
from typing import Literal, NamedTuple

from mafs_calibration.defaults import DURATION_S
from mafs_model.bags.reader import open_bag
from mafs_model.bags.topics import choose_topics
from mafs_model.errors import CalibrationError, ConfigError, ImageError
from mafs_model.images.cameras import AUTO, CameraProfile, load_camera
from mafs_model.images.preprocessing import luminance
from mafs_model.images.thermal import ThermalScaler
from mafs_model.images.thermal_decoder import ThermalDecoder
from mafs_model.sources.given import recognise
from mafs_model.sources.opening import open_pairs, Request
from mafs_model.sources.pair_names import FOLDERS
from mafs_model.sources.sequences import Film
from mafs_model.types import ThermalImage, UInt8Image
import numpy as np

Camera = Literal['visible', 'thermal']
CAMERAS: tuple[Camera, Camera] = ('visible', 'thermal')
_NS = 1e-9
_MAX_GAP_S = 0.1  # A pair farther apart than this shows two moments.
_FILMS = ('.mp4', '.avi', '.mkv', '.mov', '.webm', '.m4v')


class Pair(NamedTuple):
    """Two images of one moment: name, visible uint8 [H,W] luminance and thermal uint8 [h,w]."""

    name: str
    visible: UInt8Image
    thermal: UInt8Image


class TimedFrame(NamedTuple):
    """
    One image of a recording with its moments.

    Attributes:
        stamp_s: as the camera gave it.
        camera: which one.
        receive_s: when it was recorded, None where that is not known.
        image: uint8 [H,W] luminance, or the thermal image scaled to uint8.

    """

    stamp_s: float
    camera: Camera
    receive_s: float | None
    image: UInt8Image


class Stills:
    """
    Pairs of pictures, without time.

    Args:
        request: what was named.
        camera: what the thermal camera sends.

    Raises:
        ConfigError: it cannot be read, or does not pair.

    """

    def __init__(self, request: Request, camera: CameraProfile) -> None:
        self._source = open_pairs(request)
        # Files are read as `auto` reads them; a camera that is named has its say after that.
        self._decoder = None if camera.name == AUTO else ThermalDecoder(camera)
        self.problems: list[str] = list(self._source.problems)

    def each(self) -> Iterator[tuple[str, UInt8Image | None, UInt8Image | None]]:
        """Yield name, visible and thermal image; what cannot be read becomes a problem."""
        for item in self._source:
            try:
                images = item.read()
                visible = None if images.visible is None else luminance(images.visible)
                thermal = None if images.thermal is None else self._to_8_bit(images.thermal)
            except ImageError as error:
                self.problems.append(str(error))
                continue
            yield item.name, visible, thermal

    def _to_8_bit(self, image: ThermalImage) -> UInt8Image:
        """Return a single thermal image scaled by itself."""
        picture = image if self._decoder is None else self._decoder(image)
        return ThermalScaler(smoothing=0.0)(picture)

    def pairs(self, count: int, offset_s: float = 0.0) -> list[Pair]:
        """Return up to `count` pairs, evenly spread; `offset_s` has no meaning here."""
        found = [
            Pair(name, visible, thermal)
            for name, visible, thermal in self.each()
            if visible is not None and thermal is not None
        ]
        return [found[i] for i in _spread(len(found), count)]


class Recording(ABC):
    """
    Two streams with stamps.

    Args:
        duration_s: how much from the beginning is read.

    """

    def __init__(self, duration_s: float) -> None:
        self._duration_s = duration_s
        self._stamps: dict[Camera, list[float]] = {}
        self._receipts: dict[Camera, list[float]] = {}
        self.problems: list[str] = []

    @abstractmethod
    def _read(self) -> Iterator[TimedFrame]:
        """Yield the images of both cameras from the beginning, each in the order of its camera."""

    def frames(self) -> Iterator[TimedFrame]:
        """Yield the images of both cameras in the order of the recording."""
        stamps: dict[Camera, list[float]] = {camera: [] for camera in CAMERAS}
        late: dict[Camera, list[float]] = {camera: [] for camera in CAMERAS}
        start: float | None = None
        for frame in self._read():
            moment = frame.stamp_s if frame.receive_s is None else frame.receive_s
            start = moment if start is None else start
            if moment - start > self._duration_s:
                break
            stamps[frame.camera].append(frame.stamp_s)
            if frame.receive_s is not None:
                late[frame.camera].append(frame.receive_s - frame.stamp_s)
            yield frame
        self._stamps, self._receipts = stamps, late

    def _know_stamps(self) -> None:
        if not self._stamps:
            for _ in self.frames():
                pass

    def clock_difference_s(self) -> float:
        """Return what is to be added to thermal stamps so that both were received as stamped."""
        self._know_stamps()
        if not all(self._receipts.get(camera) for camera in CAMERAS):
            return 0.0
        delay = {camera: float(np.median(self._receipts[camera])) for camera in CAMERAS}
        return delay['thermal'] - delay['visible']

    def period_s(self) -> float:
        """Return the longer of both median frame periods; 0 where there are none."""
        self._know_stamps()
        periods = [
            float(np.median(np.diff(np.unique(stamps)))) if len(set(stamps)) > 1 else 0.0
            for stamps in self._stamps.values()
        ]
        return max(periods, default=0.0)

    def pairs(self, count: int, offset_s: float = 0.0) -> list[Pair]:
        """
        Return up to `count` pairs, spread over the recording.

        Args:
            count: how many.
            offset_s: what is added to thermal stamps.

        """
        self._know_stamps()
        wanted = _choose(self._stamps, count, offset_s)
        images: dict[Camera, dict[float, UInt8Image]] = {camera: {} for camera in CAMERAS}
        moments = {
            'visible': {pair[0] for pair in wanted},
            'thermal': {pair[1] for pair in wanted},
        }
        for frame in self.frames():
            if frame.stamp_s in moments[frame.camera]:
                images[frame.camera].setdefault(frame.stamp_s, frame.image)
        return [
            Pair(f'{visible:.3f} s', images['visible'][visible], images['thermal'][thermal])
            for visible, thermal in wanted
            if visible in images['visible'] and thermal in images['thermal']
        ]


class BagRecording(Recording):
    """
    Two topics of a bag.

    Args:
        path: bag folder or file.
        topics: names of the visible and the thermal topic, None to guess.
        duration_s: how much is read.
        camera: what the thermal camera sends.

    Raises:
        BagError: no bag, or the topics cannot be told.

    """

    def __init__(
        self,
        path: Path,
        topics: tuple[str | None, str | None],
        duration_s: float = DURATION_S,
        camera: CameraProfile | str = AUTO,
    ) -> None:
        super().__init__(duration_s)
        self._path = path
        self._camera = camera
        with open_bag(path, camera) as bag:
            self._topics = choose_topics(bag, *topics)

    def _read(self) -> Iterator[TimedFrame]:
        cameras = {topic: camera for camera, topic in self._topics.items()}
        kinds = {topic: camera for camera, topic in self._topics.items()}
        scaler = ThermalScaler()
        refused = 0
        with open_bag(self._path, self._camera) as bag:
            base: int | None = None
            for message in bag.images(*cameras, kinds=kinds):  # type: ignore[arg-type]
                base = message.receive_ns if base is None else base
                if isinstance(message.image, ImageError):
                    refused += 1
                    if refused == 1:
                        self.problems.append(f'{message.topic}: {message.image}')
                    continue
                camera: Camera = cameras[message.topic]  # type: ignore[assignment]
                yield TimedFrame(
                    # Differences of whole nanoseconds: a float holds no stamp of today to 1 us.
                    (message.stamp_ns - base) * _NS,
                    camera,
                    (message.receive_ns - base) * _NS,
                    _grey(message.image, camera, scaler),
                )


class FilmRecording(Recording):
    """
    Two films that were started together.

    Args:
        paths: visible and thermal file.
        duration_s: how much is read.
        camera: what the thermal camera sends.

    Raises:
        ConfigError: a file is no film.

    """

    def __init__(
        self,
        paths: tuple[Path, Path],
        duration_s: float = DURATION_S,
        camera: CameraProfile | str = AUTO,
    ) -> None:
        super().__init__(duration_s)
        self._decode = ThermalDecoder(camera)
        self._films = {
            camera: Film(path, camera) for camera, path in zip(CAMERAS, paths, strict=True)
        }

    def _read(self) -> Iterator[TimedFrame]:
        return heapq.merge(
            *(self._one(camera) for camera in CAMERAS), key=lambda frame: frame.stamp_s
        )

    def _one(self, camera: Camera) -> Iterator[TimedFrame]:
        scaler = ThermalScaler()
        try:
            for frame in self._films[camera].frames():
                if frame.time_s is not None:
                    image = frame.image if camera == 'visible' else self._decode(frame.image)
                    yield TimedFrame(frame.time_s, camera, None, _grey(image, camera, scaler))
        except ImageError as error:
            self.problems.append(str(error))


def open_input(
    both: str | None,
    visible: str | None,
    thermal: str | None,
    *,
    topics: tuple[str | None, str | None] = (None, None),
    duration_s: float = DURATION_S,
    thermal_camera: str = AUTO,
) -> Stills | Recording:
    """
    Return what a command was given.

    Args:
        both: a bag, or a folder that holds both cameras as folders, files or films.
        visible: picture, folder, pattern or film of the visible camera.
        thermal: of the thermal camera.
        topics: of a bag: visible and thermal topic, None to guess.
        duration_s: how much of a recording is read.
        thermal_camera: what the thermal camera sends, see `load_camera`.

    Raises:
        ConfigError: nothing, or something else is there, or there is no such camera.
        BagError: a bag that cannot be used.

    """
    profile = load_camera(thermal_camera)
    if both is not None and (visible is not None or thermal is not None):
        raise ConfigError(f"input '{both}' and --rgb or --thermal: expected one of them")
    if both is None:
        given = {
            camera: recognise(word, camera)
            for camera, word in zip(CAMERAS, (visible, thermal), strict=True)
            if word is not None
        }
        if not given:
            raise ConfigError(
                'no input: expected a bag, a folder with vi/ and ir/, or --rgb and --thermal'
            )
        films = [g.path for g in given.values() if g.kind == 'video' and g.path is not None]
        if len(films) == 2:
            return FilmRecording((films[0], films[1]), duration_s, profile)
        words = {
            'visible': () if visible is None else (visible,),
            'thermal': () if thermal is None else (thermal,),
        }
        return Stills(Request(words['visible'], words['thermal']), profile)
    path = Path(both).expanduser()
    if not path.exists():
        raise ConfigError(f"input '{both}': no such file or folder")
    if _is_bag(path):
        return BagRecording(path, topics, duration_s, profile)
    both_films = _films_of(path) if path.is_dir() else None
    if both_films is not None:
        return FilmRecording(both_films, duration_s, profile)
    return Stills(Request(both=both), profile)


def _is_bag(path: Path) -> bool:
    """Return whether a path is a rosbag2 bag, by its files."""
    if path.is_file():
        return path.suffix in {'.mcap', '.db3', '.bag'}
    return (path / 'metadata.yaml').is_file() or any(
        p.suffix in {'.mcap', '.db3'} for p in path.iterdir()
    )


def _films_of(folder: Path) -> tuple[Path, Path] | None:
    """Return the films of both cameras in a folder, named as folders of cameras are."""
    found = {
        camera: [
            p
            for p in sorted(folder.iterdir())
            if p.suffix.lower() in _FILMS and p.stem.lower() in names
        ]
        for camera, names in FOLDERS.items()
    }
    if all(len(found[camera]) == 1 for camera in CAMERAS):
        return found['visible'][0], found['thermal'][0]
    return None


def _choose(
    stamps: dict[Camera, list[float]], count: int, offset_s: float
) -> list[tuple[float, float]]:
    """Return visible and thermal stamps of pairs, from each part of the recording the nearest."""
    visible = sorted(stamps['visible'])
    candidates = []
    for thermal in sorted(stamps['thermal']):
        moment = thermal + offset_s
        at = bisect_left(visible, moment)
        near = [visible[i] for i in (at - 1, at) if 0 <= i < len(visible)]
        if near:
            nearest = min(near, key=lambda stamp: abs(stamp - moment))
            if abs(nearest - moment) <= _MAX_GAP_S:
                candidates.append((abs(nearest - moment), nearest, thermal))
    if not candidates:
        return []
    chosen = []
    for part in np.array_split(np.arange(len(candidates)), min(count, len(candidates))):
        _, nearest, thermal = min((candidates[i] for i in part), key=lambda item: item[0])
        chosen.append((nearest, thermal))
    return chosen


def _spread(total: int, count: int) -> list[int]:
    """Return up to `count` of `total` indices, evenly spread."""
    return sorted({round(i) for i in np.linspace(0, total - 1, min(total, count))})


def _grey(image: ThermalImage, camera: Camera, scaler: ThermalScaler) -> UInt8Image:
    """Return a luminance or a scaled thermal image, uint8 [H,W]."""
    if camera == 'visible':
        return luminance(image)
    return scaler(image)


def require_timed(source: Stills | Recording) -> Recording:
    """
    Return a recording with stamps.

    Raises:
        CalibrationError: single pictures have none.

    """
    if isinstance(source, Stills):
        raise CalibrationError(
            'single pictures carry no time: expected a bag, or a film of each camera'
        )
    return source
