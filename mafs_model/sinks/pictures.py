"""One picture in the file format that its name asks for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
from mafs_model.errors import ConfigError, MafsError
from mafs_model.files import write_bytes
from mafs_model.sinks.results import Paint
from mafs_model.types import Picture, UInt8Image

PICTURE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.webp', '.bmp', '.tif', '.tiff')
_LOSSY = ('.jpg', '.jpeg', '.webp')
_JPEG_QUALITY = 95


def write_picture(path: Path, image: UInt8Image) -> None:
    """
    Write a picture whole or not at all.

    Args:
        path: its suffix is one of :data:`PICTURE_SUFFIXES`.
        image: uint8 [H,W] or [H,W,3] RGB.

    Raises:
        MafsError: it cannot be written.

    """
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    suffix = path.suffix.lower()
    try:
        encoded, data = cv2.imencode(suffix, image, options if suffix in _LOSSY[:2] else [])
    except cv2.error:
        encoded = False
    if not encoded:
        raise MafsError(f"'{path}': {image.shape[1]}x{image.shape[0]} does not fit {suffix}")
    write_bytes(path, data.tobytes(), durable=False)


class PictureSink:
    """
    Writes one picture of the only pair.

    Args:
        path: the file.
        picture: which one.
        overwrite: replace a file that is there.

    Raises:
        ConfigError: the file is there already, or would not keep class ids.

    """

    def __init__(self, path: Path, picture: Picture = 'fused', overwrite: bool = False) -> None:
        if path.is_dir():
            raise ConfigError(f"--out '{path}': is a folder with the name of a picture")
        if (path.exists() or path.is_symlink()) and not overwrite:
            raise ConfigError(f"--out '{path}': is there already; --overwrite replaces it")
        if picture == 'labels' and path.suffix.lower() in _LOSSY:
            raise ConfigError(
                f"--out '{path}': {path.suffix} would change class ids, expected .png, or "
                '--picture colors'
            )
        self._path = path
        self._picture: Picture = picture
        self._written = False

    def write(self, name: str, paint: Paint) -> None:
        """Write the picture; raises MafsError."""
        write_picture(self._path, paint(self._picture))
        self._written = True

    def close(self) -> None:
        """Do nothing: the picture is in its place."""

    def abort(self) -> None:
        """Do nothing: nothing is unfinished."""

    def files(self) -> Iterator[str]:
        """Yield the picture if there is one."""
        if self._written:
            yield str(self._path)
