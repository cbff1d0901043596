"""Reads image files as the arrays that training works on."""

from __future__ import annotations

from dataclasses import dataclass
import hashlib
from pathlib import Path

from mafs_model.errors import DatasetError, ImageError
import numpy as np
from numpy.typing import NDArray

SUFFIXES = ('.png', '.jpg', '.jpeg', '.webp', '.bmp', '.tif', '.tiff')


@dataclass(frozen=True)
class RawPair:
    """
    One pair in memory.

    Attributes:
        name: unique within its source.
        visible: RGB, uint8 [H,W,3].
        thermal: uint8 [H,W].
        label: class ids uint8 [H,W], or None.

    """

    name: str
    visible: NDArray[np.uint8]
    thermal: NDArray[np.uint8]
    label: NDArray[np.uint8] | None

    @property
    def digest(self) -> bytes:
        """Checksum of both images: a copy under another name is the same pair."""
        content = hashlib.blake2b(np.ascontiguousarray(self.visible).data, digest_size=16)
        content.update(np.ascontiguousarray(self.thermal).data)
        return content.digest()


def read_image(path: Path) -> NDArray[np.generic]:
    """
    Read an image file as stored (BGR channel order for colour).

    Raises:
        DatasetError: missing, unreadable or empty file.

    """
    import cv2

    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise DatasetError(f'{path}: cannot be read: {error.strerror or error}') from None
    try:
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    except cv2.error:
        image = None
    if image is None:
        raise DatasetError(f'{path}: not a readable image ({data.size} bytes)')
    return image


def as_visible(image: NDArray[np.generic], path: Path) -> NDArray[np.uint8]:
    """Convert what `read_image` gave to RGB uint8 [H,W,3]; grey images are repeated."""
    if image.dtype != np.uint8:
        raise DatasetError(f'{path}: visible image is {image.dtype}, expected uint8')
    if image.ndim == 2:
        return np.repeat(image[..., None], 3, axis=2)
    if image.shape[2] not in (3, 4):
        raise DatasetError(f'{path}: visible image has {image.shape[2]} channels, expected 1 or 3')
    return np.ascontiguousarray(image[..., 2::-1])


def as_thermal(image: NDArray[np.generic], path: Path) -> NDArray[np.uint8]:
    """Convert to uint8 [H,W]; 16-bit and float images by the percentiles of that image."""
    if image.ndim == 3:
        image = image[..., 0] if image.shape[2] < 4 else image[..., 3]
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image)  # type: ignore[return-value]
    from mafs_model.images.thermal import ThermalScaler

    try:
        return ThermalScaler(smoothing=0.0)(np.ascontiguousarray(image))
    except ImageError as error:
        raise DatasetError(f'{path}: {error}') from None


def as_label(image: NDArray[np.generic], path: Path) -> NDArray[np.uint8]:
    """Convert to class ids uint8 [H,W]; a colour image must be grey, as ids are."""
    if image.dtype != np.uint8:
        raise DatasetError(f'{path}: label image is {image.dtype}, expected uint8 class ids')
    if image.ndim == 3:
        if (image[..., :1] != image[..., :3]).any():
            raise DatasetError(f'{path}: label image is a colour image, expected class ids')
        image = image[..., 0]
    return np.ascontiguousarray(image)  # type: ignore[return-value]


def match_size(thermal: NDArray[np.uint8], size: tuple[int, int], path: Path) -> NDArray[np.uint8]:
    """
    Bring a thermal image to the size of its visible partner.

    Args:
        thermal: uint8 [h,w].
        size: wanted (height, width).
        path: for the message.

    Raises:
        DatasetError: the aspect ratios differ by more than 2 %: such a pair is not registered.

    """
    if thermal.shape == size:
        return thermal
    import cv2

    ratio = (thermal.shape[1] / thermal.shape[0]) / (size[1] / size[0])
    if not 0.98 < ratio < 1.02:
        raise DatasetError(
            f'{path}: thermal image is {thermal.shape[1]}x{thermal.shape[0]}, its '
            f'visible partner {size[1]}x{size[0]}: the pair is not registered'
        )
    return cv2.resize(thermal, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
