"""Reading of image folders: which files belong together, and which cannot be used and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
from mafs_model.errors import DatasetError, ImageError
import numpy as np
from numpy.typing import NDArray

SUFFIXES = frozenset({'.png', '.jpg', '.jpeg', '.webp', '.bmp', '.tif', '.tiff'})


@dataclass(frozen=True)
class Matched:
    """
    Files of several folders that share a name.

    Attributes:
        names: file names without suffix that are in every required folder, sorted.
        files: per folder label, name to path (also of names that lack a partner).
        problems: one line for each kind of missing partner.

    """

    names: list[str]
    files: dict[str, dict[str, Path]]
    problems: list[str]


def list_images(folder: Path, what: str) -> dict[str, Path]:
    """
    List the images of a folder by name without suffix.

    Args:
        folder: the folder; its subfolders are not searched.
        what: how messages call it, e.g. 'thermal'.

    Raises:
        DatasetError: no such folder, no image in it, or two files of one name.

    """
    if not folder.is_dir():
        raise DatasetError(f'{what} folder not found: {folder}')
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        if path.stem in files:
            raise DatasetError(
                f'{what} folder {folder} has two images named {path.stem!r}: '
                f'{files[path.stem].name} and {path.name}'
            )
        files[path.stem] = path
    if not files:
        raise DatasetError(
            f'{what} folder has no images ({", ".join(sorted(SUFFIXES))}): {folder}'
        )
    return files


def match_folders(folders: Mapping[str, Path]) -> Matched:
    """
    Match the images of folders that belong together, by name.

    Raises:
        DatasetError: a folder is unusable, or no name is in all of them.

    """
    files = {what: list_images(folder, what) for what, folder in folders.items()}
    everywhere = set.intersection(*(set(found) for found in files.values()))
    if not everywhere:
        listed = ', '.join(f'{what} {folder}' for what, folder in folders.items())
        raise DatasetError(f'no image name is in all folders: {listed}')
    problems = []
    for what, found in files.items():
        for other, partners in files.items():
            missing = sorted(set(found) - set(partners))
            if missing:
                problems.append(
                    f'{listing(missing)}: {what} image without {other} partner in {folders[other]}'
                )
    return Matched(sorted(everywhere), files, problems)


def listing(names: list[str], most: int = 5) -> str:
    """Name the first few and count the rest."""
    shown = ', '.join(names[:most])
    return shown if len(names) <= most else f'{shown} and {len(names) - most} more'


def read_image(path: Path, what: str) -> NDArray[Any]:
    """
    Read an image file as it is stored, colour as RGB.

    Raises:
        ImageError: it cannot be decoded.

    """
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ImageError('decode', f'{path}: {what} image cannot be decoded')
    if image.ndim == 3 and image.shape[2] == 3:
        image = image[..., ::-1]
    return np.asarray(image)


def read_eight_bit(path: Path, what: str, *, grey: bool = False) -> NDArray[np.uint8]:
    """
    Read an 8-bit image.

    Args:
        path: the file.
        what: 'thermal', 'visible' or 'fused', for messages.
        grey: refuse real colour; a grey image stored in three equal channels is taken.

    Returns:
        uint8 [H, W], or [H, W, 3] RGB.

    Raises:
        ImageError: not decodable, not 8-bit, with alpha, or colour where grey is expected.

    """
    image = read_image(path, what)
    if image.dtype != np.uint8:
        raise ImageError(
            'encoding',
            (
                f'{path}: {what} image is {image.dtype.itemsize * 8}-bit ({image.dtype}), '
                'expected '
                '8-bit'
            ),
        )
    if image.ndim == 3 and image.shape[2] != 3:
        raise ImageError(
            'encoding', (f'{path}: {what} image has {image.shape[2]} channels, expected 1 or 3')
        )
    if image.ndim == 3 and grey:
        if not (
            np.array_equal(image[..., 0], image[..., 1])
            and np.array_equal(image[..., 1], image[..., 2])
        ):
            raise ImageError('encoding', (f'{path}: {what} image is in colour, expected grey'))
        image = image[..., 0]
    return np.ascontiguousarray(image)


def read_labels(path: Path, what: str) -> NDArray[Any]:
    """
    Read a label image of class ids.

    Raises:
        ImageError: not decodable or not a single channel of integers.

    """
    image = read_image(path, what)
    if (
        image.ndim == 3
        and image.shape[2] == 3
        and np.array_equal(image[..., 0], image[..., 1])
        and np.array_equal(image[..., 1], image[..., 2])
    ):
        image = image[..., 0]
    if image.ndim != 2:
        raise ImageError(
            'encoding', (f'{path}: {what} is in colour, expected a single channel of class ids')
        )
    if image.dtype.kind not in 'iu':
        raise ImageError('encoding', f'{path}: {what} is {image.dtype}, expected class ids')
    return image


def same_size(name: str, images: Mapping[str, NDArray[Any]]) -> None:
    """
    Check that images of one pair have one size.

    Raises:
        ImageError: naming the pair and every size.

    """
    sizes = {what: f'{image.shape[1]}x{image.shape[0]}' for what, image in images.items()}
    if len(set(sizes.values())) > 1:
        listed = ', '.join(f'{what} {size}' for what, size in sizes.items())
        raise ImageError('size', f'{name}: sizes differ: {listed}')
