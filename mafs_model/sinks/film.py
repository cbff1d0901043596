"""Results as a film."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
from mafs_model.errors import ConfigError, MafsError
from mafs_model.extras import missing
from mafs_model.files import replacing
from mafs_model.images.preprocessing import resize
from mafs_model.sinks.results import Paint
from mafs_model.types import Picture, UInt8Image
import numpy as np

FILM_SUFFIXES = ('.mp4', '.m4v', '.mov', '.mkv', '.avi')
DEFAULT_RATE_HZ = 10.0
_QUALITY = {'crf': '20', 'preset': 'veryfast'}


class FilmSink:
    """
    Writes a film with one picture of each pair, H.264 (AVI: MPEG-4 part 2).

    The film appears when it is finished; its size is that of the first picture.

    Args:
        path: the file.
        picture: which one.
        rate_hz: pictures per second, None where the input does not say.
        overwrite: replace a file that is there.

    Raises:
        ConfigError: the file is there already, or would not keep class ids.
        DeviceError: PyAV is not installed.

    """

    def __init__(
        self,
        path: Path,
        picture: Picture = 'fused',
        rate_hz: float | None = None,
        overwrite: bool = False,
    ) -> None:
        if path.is_dir():
            raise ConfigError(f"--out '{path}': is a folder with the name of a video")
        if (path.exists() or path.is_symlink()) and not overwrite:
            raise ConfigError(f"--out '{path}': is there already; --overwrite replaces it")
        if picture == 'labels':
            raise ConfigError(
                f"--out '{path}': a video would change class ids, expected a folder, or "
                '--picture colors'
            )
        try:
            import av
        except ModuleNotFoundError:
            raise missing(f"--out '{path}'", 'av') from None
        self._av = av
        self._path = path
        self._picture: Picture = picture
        self._rate = Fraction(rate_hz or DEFAULT_RATE_HZ).limit_denominator(1001)
        self._stack = ExitStack()
        self._container: Any = None
        self._stream: Any = None
        self._finished = False

    def write(self, name: str, paint: Paint) -> None:
        """Add a picture; raises MafsError."""
        image = _even(paint(self._picture))
        try:
            if self._container is None:
                self._begin(image)
            size = (self._stream.height, self._stream.width)
            frame = self._av.VideoFrame.from_ndarray(
                np.ascontiguousarray(resize(image, size)), format='rgb24'
            )
            self._container.mux(self._stream.encode(frame))
        except (self._av.FFmpegError, OSError, ValueError) as error:
            raise MafsError(f"'{self._path}': cannot be written: {error}") from None

    def close(self) -> None:
        """Finish the film and put it in its place; raises MafsError."""
        if self._container is None:
            return
        try:
            self._container.mux(self._stream.encode())
            self._container.close()
        except (self._av.FFmpegError, OSError, ValueError) as error:
            self.abort()
            raise MafsError(f"'{self._path}': cannot be written: {error}") from None
        self._container = None
        self._stack.close()
        self._finished = True

    def abort(self) -> None:
        """Remove the unfinished film."""
        if self._container is None:
            return
        container, self._container = self._container, None
        unfinished = MafsError(f"'{self._path}': not finished")
        with suppress(self._av.FFmpegError, OSError, ValueError):
            container.close()
        with suppress(MafsError):
            # Leaving the block with an error removes the temporary file.
            self._stack.__exit__(MafsError, unfinished, None)

    def files(self) -> Iterator[str]:
        """Yield the film if there is one."""
        if self._finished:
            yield str(self._path)

    def _begin(self, image: UInt8Image) -> None:
        """Open the film in the size of its first picture."""
        temporary = self._stack.enter_context(replacing(self._path))
        options = {'movflags': 'faststart'} if temporary.suffix in {'.mp4', '.m4v', '.mov'} else {}
        self._container = self._av.open(str(temporary), 'w', options=options)
        avi = self._path.suffix.lower() == '.avi'
        self._stream = self._container.add_stream(
            'mpeg4' if avi else 'libx264', rate=self._rate, options={} if avi else _QUALITY
        )
        if avi:
            self._stream.bit_rate = 8_000_000
        self._stream.height, self._stream.width = image.shape[:2]
        self._stream.pix_fmt = 'yuv420p'


def _even(image: UInt8Image) -> UInt8Image:
    """Return the picture with sides that the colour format of films can halve."""
    bottom, right = image.shape[0] % 2, image.shape[1] % 2
    if not bottom and not right:
        return image
    return cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
