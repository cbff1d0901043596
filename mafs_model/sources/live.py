"""Webcams and network streams: the newest image of each, with bounded waits."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
import threading
import time
from typing import Any

import cv2
from mafs_model.defaults import CAMERA_TIMEOUT_S
from mafs_model.errors import ConfigError, DeviceError, ImageError
from mafs_model.sources.given import Given
from mafs_model.sources.items import Camera, Images, Item
from mafs_model.sources.sequences import as_thermal, decode, Frame, open_container
import numpy as np
from numpy.typing import NDArray

TIMEOUT_S = CAMERA_TIMEOUT_S
_FIRST_LOOK_S = 0.2  # How often a wait looks whether it is over.


class LiveCamera:
    """
    A camera whose newest image can be taken; a thread of its own reads it.

    Args:
        given: webcam or stream.
        camera: which camera it is.
        timeout_s: longest wait for an image.

    Raises:
        ConfigError: it cannot be opened.

    """

    def __init__(self, given: Given, camera: Camera, timeout_s: float = TIMEOUT_S) -> None:
        self.what = f"{camera} '{given.shown}'"
        self._timeout_s = timeout_s
        self._changed = threading.Condition()
        self._image: NDArray[Any] | None = None
        self._number = 0  # of the newest image
        self._end: str | None = None
        self._stop = threading.Event()
        self._device = _open(given, camera, self.what, timeout_s)
        self._thread = threading.Thread(target=self._read, name=f'camera {camera}', daemon=True)
        self._thread.start()

    def newest(self, after: int, timeout_s: float | None = None) -> tuple[int, NDArray[Any]]:
        """
        Return the newest image and its number, waiting for one with a larger number.

        Args:
            after: number of the image that is known already, 0 at the beginning.
            timeout_s: longest wait; None: that of the camera.

        Raises:
            ImageError: no new image in time, or the camera has ended.

        """
        limit = self._timeout_s if timeout_s is None else timeout_s
        deadline = time.monotonic() + limit
        with self._changed:
            while self._number <= after and self._end is None:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise ImageError('data', f'{self.what}: no image for {limit:g} s')
                self._changed.wait(min(left, _FIRST_LOOK_S))
            if self._number > after:
                assert self._image is not None
                return self._number, self._image
            raise ImageError('data', f'{self.what}: {self._end}')

    @property
    def ended(self) -> bool:
        """Return whether the camera has sent its last image."""
        return self._end is not None

    def close(self) -> None:
        """Stop reading; may be repeated."""
        self._stop.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=self._timeout_s + 1.0)

    def _read(self) -> None:
        """Keep the newest image until the end."""
        end = 'the stream has ended'
        try:
            for frame in self._device.frames():
                if self._stop.is_set():
                    break
                with self._changed:
                    self._image, self._number = frame.image, self._number + 1
                    self._changed.notify_all()
        except (ImageError, DeviceError) as error:
            end = str(error)
        finally:
            self._device.close()
            with self._changed:
                self._end = end
                self._changed.notify_all()


class LivePairs:
    """
    Pairs of the newest images of one or two cameras; see ``items.PairSource``.

    The visible camera gives the pace; the thermal image is the newest there is.

    Args:
        cameras: the open cameras.
        limit: number of pairs after which to stop, None for no limit.

    """

    is_sequence = True
    is_live = True
    rate_hz: float | None = None
    names = None
    files = ()

    def __init__(self, cameras: dict[Camera, LiveCamera], limit: int | None = None) -> None:
        self.cameras = cameras
        self.limit = limit
        self.count = limit
        self.problems: list[str] = []

    def __iter__(self) -> Iterator[Item]:
        """Yield pairs until a camera ends, falls silent, or the limit is reached."""
        pace = 'visible' if 'visible' in self.cameras else 'thermal'
        seen = 0
        count = 0
        start: float | None = None
        while self.limit is None or count < self.limit:
            try:
                seen, image = self.cameras[pace].newest(seen)  # type: ignore[index]
                images = {pace: image}
                if len(self.cameras) == 2:
                    images['thermal'] = self.cameras['thermal'].newest(0)[1]
            except ImageError as error:
                if not (count and any(c.ended for c in self.cameras.values())):
                    self.problems.append(str(error))
                return
            count += 1
            start = time.monotonic() if start is None else start
            pair = partial(Images, *_images(images))
            yield Item(f'frame_{count:06d}', pair, time.monotonic() - start)

    def first(self) -> Images | None:
        """Return the first images; raises ConfigError if a camera sends none in time."""
        try:
            return Images(
                *(
                    self.cameras[c].newest(0)[1] if c in self.cameras else None  # type: ignore[index]
                    for c in ('visible', 'thermal')
                )
            )
        except ImageError as error:
            raise ConfigError(str(error)) from None

    def close(self) -> None:
        """Stop the cameras."""
        for camera in self.cameras.values():
            camera.close()


def _images(images: dict[str, NDArray[Any]]) -> Images:
    """Return frames as a pair."""
    thermal = images.get('thermal')
    return Images(images.get('visible'), None if thermal is None else as_thermal(thermal))


class _Webcam:
    """A camera of this computer, read by OpenCV."""

    def __init__(self, given: Given, camera: Camera, what: str) -> None:
        target: int | str = given.text if given.path is not None else int(given.text)
        self._capture = cv2.VideoCapture(target)
        if not self._capture.isOpened():
            self._capture.release()
            raise ConfigError(
                f'{what}: no such camera, or it is in use; `ls /dev/video*` lists them'
            )
        self._what = what
        self._counts = camera == 'thermal' and self._ask_for_counts()

    def frames(self) -> Iterator[Frame]:
        """Yield the images."""
        while True:
            good, image = self._capture.read()
            if not good:
                raise ImageError('data', f'{self._what}: the camera has stopped')
            if self._counts:
                yield Frame(_counts_of(image))
            elif image.ndim == 2:
                yield Frame(image)
            else:
                yield Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))

    def close(self) -> None:
        """Free the camera."""
        self._capture.release()

    def _ask_for_counts(self) -> bool:
        """Ask a thermal camera for 16-bit counts (Y16); return whether it gives them."""
        code = cv2.VideoWriter.fourcc(*'Y16 ')
        self._capture.set(cv2.CAP_PROP_FOURCC, code)
        if int(self._capture.get(cv2.CAP_PROP_FOURCC)) != code:
            return False
        return bool(self._capture.set(cv2.CAP_PROP_CONVERT_RGB, 0))


def _counts_of(image: NDArray[Any]) -> NDArray[Any]:
    """Return 16-bit counts, whatever shape OpenCV hands the bytes out in."""
    if image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 2:
        return image.view(np.uint16)[..., 0]
    return image


class _NetworkStream:
    """A stream from the network, read by PyAV."""

    def __init__(self, given: Given, camera: Camera, what: str, timeout_s: float) -> None:
        options = {'rtsp_transport': 'tcp'} if given.text.startswith('rtsp') else {}
        self._container = open_container(given.text, what, timeout_s, options)
        self._camera: Camera = camera
        self._what = what

    def frames(self) -> Iterator[Frame]:
        """Yield the images."""
        return decode(self._container, self._camera, self._what, None)

    def close(self) -> None:
        """Close the connection."""
        self._container.close()


def _open(given: Given, camera: Camera, what: str, timeout_s: float) -> _Webcam | _NetworkStream:
    """Open a webcam or a stream."""
    if given.kind == 'camera':
        return _Webcam(given, camera, what)
    return _NetworkStream(given, camera, what, timeout_s)
