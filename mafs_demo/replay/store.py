"""Prepared frames of both cameras on disk, mapped into memory by whoever needs them."""

from __future__ import annotations

from collections.abc import Iterator
import json
from pathlib import Path
import shutil
from typing import Any

from mafs_demo.mark import remove, set_mark
from mafs_model.errors import ConfigError
from mafs_model.streams import STREAMS
import numpy as np
from numpy.typing import NDArray

_INDEX = 'index.json'
# Left free on the disk; looked at whenever this many more bytes have been written.
_RESERVE_BYTES = 1_000_000_000
_LOOK_EVERY_BYTES = 64_000_000


class FrameWriter:
    """
    Write frames; the store exists only once it is complete, so an interrupted run leaves none.

    Args:
        path: folder of the store.

    Raises:
        ConfigError: the folder is there and is not ours.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(path.name + '.partial')
        remove(self._partial)
        self._partial.mkdir(parents=True)
        set_mark(self._partial)
        self._files = {s: (self._partial / f'{s}.bin').open('wb') for s in STREAMS}
        self._frames: dict[str, list[Any]] = {stream: [] for stream in STREAMS}
        self._previous: dict[str, Any] = {}
        self._unchecked = _LOOK_EVERY_BYTES

    def add_image(self, stream: str, image: NDArray[Any]) -> None:
        """
        Append a frame; the same array object again is stored once.

        Raises:
            ConfigError: the disk is nearly full.

        """
        if self._previous.get(stream) is not image:
            self._check_disk(image.nbytes)
            self._previous[stream] = image
            at = self._files[stream].tell()
            np.ascontiguousarray(image).tofile(self._files[stream])
            self._frames[stream].append([at, list(image.shape), image.dtype.str])
        else:
            self._frames[stream].append(self._frames[stream][-1])

    def _check_disk(self, size: int) -> None:
        self._unchecked += size
        if self._unchecked < _LOOK_EVERY_BYTES:
            return
        self._unchecked = 0
        free = shutil.disk_usage(self._partial).free
        if free < _RESERVE_BYTES:
            raise ConfigError(
                f'{free / 1e9:.1f} GB of disk space left for {self._path.parent}, '
                f'expected at least {_RESERVE_BYTES / 1e9:g} GB; try a shorter '
                '--duration'
            )

    def close(self, **notes: Any) -> None:
        """Complete the store; `notes` are kept with it."""
        for file in self._files.values():
            file.close()
        (self._partial / _INDEX).write_text(
            json.dumps({'frames': self._frames, 'notes': notes}), encoding='utf-8'
        )
        remove(self._path)
        self._partial.rename(self._path)

    def abort(self) -> None:
        """Remove what was written."""
        for file in self._files.values():
            file.close()
        shutil.rmtree(self._partial, ignore_errors=True)


class FrameStore:
    """
    Read frames.

    Args:
        path: folder that `FrameWriter` completed.

    Raises:
        ConfigError: there is no complete store.

    """

    def __init__(self, path: Path) -> None:
        try:
            content = json.loads((path / _INDEX).read_text(encoding='utf-8'))
            self._frames: dict[str, list[Any]] = content['frames']
            self.notes: dict[str, Any] = content['notes']
            self._data = {
                stream: np.memmap(path / f'{stream}.bin', np.uint8, 'r') for stream in STREAMS
            }
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(f'{path} holds no prepared frames ({error})') from error

    def count(self, stream: str) -> int:
        """Return the number of frames of a stream."""
        return len(self._frames[stream])

    def frame(self, stream: str, index: int) -> NDArray[Any]:
        """Return a frame, read-only: uint8 [H,W,3] RGB, or thermal [H,W] in its own values."""
        at, shape, dtype = self._frames[stream][index]
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        image: NDArray[Any] = self._data[stream][at : at + size].view(dtype).reshape(shape)
        return image

    def preload(self) -> Iterator[str]:
        """Touch every page, so that playing does not wait for the disk; yields per stream."""
        for stream, data in self._data.items():
            int(data[::4096].sum())
            yield stream
