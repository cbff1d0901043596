"""Image files: reading them upright (EXIF), writing PNG, matching pairs by name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
import re
from typing import Any, Literal

import cv2
from mafs_model.errors import ConfigError, ImageError
from mafs_model.files import write_bytes
from mafs_model.images.encodings import decode_compressed
from mafs_model.images.orientation import read_orientation, turn_upright
from mafs_model.images.quiet import quiet_decoders
from mafs_model.images.radiometric_jpeg import maker_of, read_embedded_visible, read_radiometric
from mafs_model.images.thermal_decoder import ThermalDecoder
from mafs_model.types import ThermalImage, UInt8Image
import numpy as np
from numpy.typing import NDArray

SUFFIXES = ('.png', '.jpg', '.jpeg', '.tif', '.tiff', '.bmp', '.webp', '.pgm', '.ppm')
_CHECKED_MAGIC = (b'\x89PNG', b'\xff\xd8')  # formats whose completeness encodings checks
_MAX_BYTES = 1 << 30


@dataclass(frozen=True)
class PairFiles:
    """
    Files of one pair.

    Attributes:
        name: common name without suffix.
        visible: file of the visible image, None if there is none.
        thermal: file of the thermal image, None if there is none.

    """

    name: str
    visible: Path | None
    thermal: Path | None


def read_visible(path: str | Path) -> UInt8Image:
    """
    Read a visible image as uint8 [H,W,3] RGB; grey becomes colour, alpha is dropped.

    Of a radiometric JPEG of FLIR it is the visible image inside.

    Raises:
        ImageError: missing, unreadable, truncated or 16-bit grey; the message names the file.

    """
    data = _read_bytes(path)
    if data.startswith(_CHECKED_MAGIC):
        if maker_of(data) == 'flir':
            return _named(path, lambda: read_embedded_visible(data))
        return _decode_checked(path, data, 'visible')
    image = _decode(path, data, cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR)
    if image.ndim == 2 and image.dtype != np.uint8:
        raise ImageError(
            'encoding',
            f"image '{path}': {8 * image.dtype.itemsize}-bit grey, which thermal cameras store: "
            'are visible and thermal swapped?',
        )
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.dtype != np.uint8:
        raise ImageError('encoding', f"image '{path}': {image.dtype}, expected 8 or 16 bits")
    return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB if image.ndim == 2 else cv2.COLOR_BGR2RGB)


def read_thermal(path: str | Path, decoder: ThermalDecoder | None = None) -> ThermalImage:
    """
    Read a thermal image as [H,W] uint8, uint16 or float32.

    Of a radiometric JPEG of FLIR it is the temperatures inside, in degrees Celsius.

    Args:
        path: the file.
        decoder: knows the camera; None: the camera is told by the image.

    Raises:
        ImageError: missing, unreadable, truncated or of another number format; the message
            names the file.

    """
    decoder = decoder or ThermalDecoder()
    data = _read_bytes(path)
    maker = maker_of(data)
    if maker is not None:
        return decoder(_named(path, lambda: read_radiometric(data, maker)))
    if data.startswith(_CHECKED_MAGIC):
        return _decode_checked(path, data, 'thermal', decoder)
    image = _decode(path, data, cv2.IMREAD_UNCHANGED)
    if image.ndim == 3 and image.dtype == np.uint8 and image.shape[2] in {3, 4}:
        image = cv2.cvtColor(image[..., :3].copy(), cv2.COLOR_BGR2RGB)
    return _named(path, lambda: decoder(image))


def write_png(path: str | Path, image: NDArray[Any]) -> None:
    """
    Write uint8 or uint16 [H,W] or uint8 [H,W,3] RGB as PNG; folders are made.

    Raises:
        MafsError: the file cannot be written.

    """
    path = Path(path)
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    encoded, data = cv2.imencode('.png', image)
    assert encoded, 'PNG holds every image that the project makes'
    write_bytes(path, data.tobytes(), durable=False)


def list_images(folder: str | Path) -> list[Path]:
    """
    Return the image files of a folder (not of its subfolders), numbers in numeric order.

    Raises:
        ConfigError: the folder is missing or unreadable.

    """
    folder = Path(folder)
    try:
        files = [p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file()]
    except OSError as error:
        raise ConfigError(f"folder '{folder}': cannot be read: {error.strerror}") from None
    return sorted(files, key=lambda p: natural_key(p.name))


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Return a sort key that puts ``frame9`` before ``frame10``."""
    return [
        (0, int(part), '') if part.isascii() and part.isdigit() else (1, 0, part.lower())
        for part in re.split(r'(\d+)', name)
    ]


def match_pairs(
    visible: str | Path | None, thermal: str | Path | None
) -> tuple[list[PairFiles], list[str]]:
    """
    Match two files, or the files of two folders by their names without suffix.

    Args:
        visible: file or folder, None if this camera is missing.
        thermal: file or folder, None if this camera is missing.

    Returns:
        The pairs in natural order, and one line for each file left over.

    Raises:
        ConfigError: nothing given, a path is missing, or a file is given with a folder.

    """
    paths = {'visible': visible, 'thermal': thermal}
    given = {kind: Path(p).expanduser() for kind, p in paths.items() if p is not None}
    if not given:
        raise ConfigError('no input: expected a visible or a thermal file or folder')
    for kind, path in given.items():
        if not path.exists():
            raise ConfigError(f"{kind} '{path}': no such file or folder")
    if len({path.is_dir() for path in given.values()}) > 1:
        raise ConfigError(
            'one input is a file and the other a folder, expected two files or two folders'
        )
    if all(path.is_file() for path in given.values()):
        name = next(iter(given.values())).stem
        return [PairFiles(name, given.get('visible'), given.get('thermal'))], []
    return _match_folders(given)


def _match_folders(folders: dict[str, Path]) -> tuple[list[PairFiles], list[str]]:
    """Match the files of one or two folders."""
    problems: list[str] = []
    found: dict[str, dict[str, Path]] = {}
    for kind, folder in folders.items():
        by_name = defaultdict(list)
        for path in list_images(folder):
            by_name[path.stem].append(path)
        for name, files in by_name.items():
            if len(files) > 1:
                problems.append(
                    f"{kind} '{name}': several files "
                    f'({", ".join(p.name for p in files)}), expected one'
                )
        found[kind] = {name: files[0] for name, files in by_name.items() if len(files) == 1}
    names = set.intersection(*(set(files) for files in found.values()))
    for kind, usable in found.items():
        other = 'thermal' if kind == 'visible' else 'visible'
        problems += [
            f"{kind} '{path}': no {other} file of the same name"
            for name, path in usable.items()
            if name not in names
        ]
    pairs = [
        PairFiles(n, found.get('visible', {}).get(n), found.get('thermal', {}).get(n))
        for n in sorted(names, key=natural_key)
    ]
    return pairs, problems


def _read_bytes(path: str | Path) -> bytes:
    """Return the content of a file; raises ImageError."""
    path = Path(path)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ImageError('size', f"image '{path}': larger than {_MAX_BYTES >> 20} MiB")
        data = path.read_bytes()
    except OSError as error:
        raise ImageError('decode', f"image '{path}': cannot be read: {error.strerror}") from None
    if not data:
        raise ImageError('decode', f"image '{path}': empty file")
    return data


def _decode_checked(
    path: str | Path,
    data: bytes,
    kind: Literal['visible', 'thermal'],
    decoder: ThermalDecoder | None = None,
) -> NDArray[Any]:
    """Decode PNG or JPEG with the checks of topics; the message names the file."""
    image = _named(path, lambda: decode_compressed('', data, kind, decoder or ThermalDecoder()))
    return turn_upright(image, read_orientation(data))


def _named(path: str | Path, decode: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """Return what a function decodes; its errors name the file."""
    try:
        return decode()
    except ImageError as error:
        raise ImageError(error.reason, f"image '{path}': {error}") from None


def _decode(path: str | Path, data: bytes, flags: int) -> NDArray[Any]:
    """Decode any other format; raises ImageError."""
    try:
        with quiet_decoders():
            image = cv2.imdecode(
                np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION
            )
    except cv2.error as error:
        raise ImageError('decode', f"image '{path}': {str(error).splitlines()[0]}") from None
    if image is None:
        raise ImageError('decode', f"image '{path}': not an image, or damaged")
    return turn_upright(image, read_orientation(data))
