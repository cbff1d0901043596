"""Recordings of one camera: films, TIFF pages, stacks of arrays and pictures taken in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import cv2
from mafs_model.errors import ConfigError, ImageError
from mafs_model.extras import missing
from mafs_model.images.encodings import check_size
from mafs_model.images.preprocessing import gray_to_rgb
from mafs_model.images.thermal_decoder import ThermalDecoder
from mafs_model.sources import stills
from mafs_model.sources.given import Given
from mafs_model.sources.items import Camera
import numpy as np
from numpy.typing import NDArray

# What a decoder may hand out for thermal: grey as it is stored, everything else as RGB.
_GREY_8 = frozenset({'gray', 'gray8'})
_GREY_16 = frozenset({'gray16le', 'gray16be', 'gray14le', 'gray12le', 'gray10le', 'y16'})


@dataclass(frozen=True)
class Frame:
    """
    One image of a recording.

    Attributes:
        image: uint8 [H,W,3] RGB, or for thermal also [H,W] uint8, uint16 or float32.
        time_s: its moment, None where the recording keeps none.

    """

    image: NDArray[Any]
    time_s: float | None = None


class Sequence(Protocol):
    """
    The images of one camera in order.

    Attributes:
        count: number of images, None where only reading tells.
        rate_hz: images per second, None where it is not known.
        is_timed: whether the images carry moments.

    """

    count: int | None
    rate_hz: float | None
    is_timed: bool

    def frames(self) -> Iterator[Frame]:
        """Yield the images from the beginning; raises ImageError where the recording breaks."""


class Film:
    """
    A video file; see :class:`Sequence`.

    Args:
        path: the file.
        camera: which camera it is of; grey of 8 to 16 bits stays as it is for thermal.

    Raises:
        ConfigError: no film, or one without a picture.

    """

    is_timed = True

    def __init__(self, path: Path, camera: Camera) -> None:
        self.path = path
        self._camera: Camera = camera
        with open_container(str(path), f"{camera} '{path}'") as container:
            stream = container.streams.video[0]
            self.count: int | None = stream.frames or None
            rate = stream.average_rate or stream.guessed_rate
            self.rate_hz: float | None = float(rate) if rate and 0 < rate <= 1000 else None

    def frames(self) -> Iterator[Frame]:
        """Yield the images; raises ImageError where the file breaks off."""
        with open_container(str(self.path), f"{self._camera} '{self.path}'") as container:
            yield from decode(container, self._camera, f"video '{self.path}'", self.rate_hz)


class Pages:
    """
    The pages of a TIFF; see :class:`Sequence`.

    Args:
        path: the file.
        camera: which camera it is of.
        count: number of pages.

    """

    is_timed = False
    rate_hz: float | None = None

    def __init__(self, path: Path, camera: Camera, count: int) -> None:
        self.path = path
        self.count: int | None = count
        self._camera: Camera = camera

    def frames(self) -> Iterator[Frame]:
        """Yield the pages; raises ImageError at a damaged one."""
        for number in range(self.count or 0):
            where = f'{self.path}, page {number + 1}'
            try:
                read, pages = cv2.imreadmulti(
                    str(self.path), start=number, count=1, flags=cv2.IMREAD_UNCHANGED
                )
            except cv2.error:
                read, pages = False, ()
            if not read or not pages:
                raise ImageError('decode', f"image '{where}': damaged page")
            yield Frame(self._array(pages[0], where))

    def _array(self, page: NDArray[Any], where: str) -> NDArray[Any]:
        """Return a page as an image of the camera; raises ImageError."""
        if page.ndim == 3 and page.dtype == np.uint8 and page.shape[2] >= 3:
            return np.ascontiguousarray(page[..., 2::-1])
        if self._camera == 'thermal':
            return stills.as_thermal(page, where)
        if page.ndim == 2 and page.dtype == np.uint8:
            return gray_to_rgb(page)
        raise ImageError(
            'encoding',
            f"image '{where}': {page.dtype} {page.shape}, which thermal cameras store: are --rgb "
            'and --thermal swapped?',
        )


class Stack:
    """
    An .npy of [N,h,w] or [N,H,W,3] numbers; see :class:`Sequence`.

    Args:
        path: the file.
        camera: which camera it is of.

    Raises:
        ConfigError: for the visible camera not uint8 RGB.

    """

    is_timed = False
    rate_hz: float | None = None

    def __init__(self, path: Path, camera: Camera) -> None:
        self.path = path
        self._array = np.load(path, mmap_mode='r', allow_pickle=False)
        if camera == 'visible':
            raise ConfigError(
                f"visible '{path}': {self._array.dtype} {self._array.shape}, a stack of "
                'temperatures: are --rgb and --thermal swapped?'
            )
        self.count: int | None = len(self._array)

    def frames(self) -> Iterator[Frame]:
        """Yield the images; raises ImageError."""
        for number, array in enumerate(self._array):
            yield Frame(stills.as_thermal(array, f'{self.path}, image {number + 1}'))


class Stills:
    """
    Picture files as a recording; see :class:`Sequence`.

    Args:
        paths: the files in order.
        camera: which camera they are of.

    """

    is_timed = False
    rate_hz: float | None = None

    def __init__(self, paths: list[Path], camera: Camera) -> None:
        self._paths = paths
        self._read = stills.read_visible if camera == 'visible' else stills.read_thermal
        self.count: int | None = len(paths)

    def frames(self) -> Iterator[Frame]:
        """Yield the pictures; raises ImageError at a damaged one."""
        for path in self._paths:
            yield Frame(self._read(path))


def open_container(
    address: str, what: str, timeout_s: float | None = None, options: dict[str, str] | None = None
) -> Any:
    """
    Open a film or a stream with PyAV.

    Args:
        address: path or URL.
        what: how messages call it.
        timeout_s: longest wait for the first and for each further piece of a stream.
        options: options of the demuxer.

    Raises:
        ConfigError: it cannot be opened, or has no picture.
        DeviceError: PyAV is not installed.

    """
    try:
        import av
    except ModuleNotFoundError:
        raise missing('films and streams', 'av') from None
    av.logging.set_level(None)  # Broken files are ours to report, in one line.
    try:
        container = av.open(address, timeout=timeout_s, options=options or {})
    except broken() as error:
        raise ConfigError(f'{what}: cannot be opened as video: {_reason(error)}') from None
    if not container.streams.video:
        container.close()
        raise ConfigError(f'{what}: has no picture, expected a video')
    container.streams.video[0].thread_type = 'AUTO'
    return container


def decode(container: Any, camera: Camera, what: str, rate_hz: float | None) -> Iterator[Frame]:
    """
    Yield the images of an open film or stream.

    Args:
        container: of :func:`open_container`.
        camera: which camera it is of.
        what: how messages call it.
        rate_hz: images per second, for frames without a moment.

    Raises:
        ImageError: the data break off.

    """
    number = 0
    frames = container.decode(video=0)
    while True:
        try:
            frame = next(frames)
        except StopIteration:
            return
        except broken() as error:
            raise ImageError(
                'decode', f'{what}: breaks off after {number} images: {_reason(error)}'
            ) from None
        check_size(frame.height, frame.width)
        time_s = frame.time
        if time_s is None and rate_hz:
            time_s = number / rate_hz
        number += 1
        yield Frame(_upright(_pixels(frame, camera), frame), time_s)


def broken() -> tuple[type[Exception], ...]:
    """Return what PyAV raises for damaged data and lost connections."""
    import av

    return (av.FFmpegError, OSError, ValueError)


def as_thermal(image: NDArray[Any]) -> NDArray[Any]:
    """Return a frame as a thermal image [H,W]: palettes taken back, telemetry cut off."""
    return _decoder()(image)


@cache
def _decoder() -> ThermalDecoder:
    """Return what tells cameras by their frames."""
    return ThermalDecoder()


def _pixels(frame: Any, camera: Camera) -> NDArray[Any]:
    """Return the pixels of a frame: RGB, or for thermal grey as it is stored."""
    name = frame.format.name
    if camera == 'thermal' and name in _GREY_8:
        return np.ascontiguousarray(frame.to_ndarray())
    if camera == 'thermal' and name in _GREY_16:
        return np.ascontiguousarray(frame.to_ndarray(format='gray16le'))
    return np.ascontiguousarray(frame.to_ndarray(format='rgb24'))


def _upright(image: NDArray[Any], frame: Any) -> NDArray[Any]:
    """Return the image turned as the film asks for, as those of phones do."""
    turns = round(getattr(frame, 'rotation', 0) / 90) % 4
    return image if turns == 0 else np.ascontiguousarray(np.rot90(image, turns))


def _reason(error: Exception) -> str:
    """Return the cause of an error of PyAV without its number and address."""
    text = getattr(error, 'strerror', None) or str(error)
    return ' '.join(str(text).split())[:120]


def open_sequence(given: list[Given], camera: Camera, paths: list[Path]) -> Sequence:
    """
    Return the recording that the inputs of one camera are.

    Args:
        given: what was recognised.
        camera: which camera.
        paths: the files that they hold, in order, where they are pictures.

    Raises:
        ConfigError: several recordings, or one that cannot be opened.

    """
    recordings = [g for g in given if g.kind in {'video', 'pages'}]
    if not recordings:
        return Stills(paths, camera)
    if len(given) > 1:
        raise ConfigError(
            f'{camera}: {len(given)} inputs with a recording among them '
            f"('{recordings[0].shown}'), expected one recording at a time"
        )
    one = recordings[0]
    assert one.path is not None
    if one.kind == 'video':
        return Film(one.path, camera)
    if one.path.suffix.lower() == '.npy':
        return Stack(one.path, camera)
    from mafs_model.sources.given import count_pages

    return Pages(one.path, camera, count_pages(one.path))
