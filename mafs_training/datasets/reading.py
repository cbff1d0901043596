"""Reads image files as the arrays that training works on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import hashlib
from pathlib import Path

from mafs_model.errors import DatasetError, ImageError
from mafs_training.datasets.palette_png import is_palette_png, palette_indices
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
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.visible.shape[0], self.visible.shape[1]

    @property
    def labelled(self) -> bool:
        """Return whether it has a label."""
        return self.label is not None

    @property
    def nbytes(self) -> int:
        """Memory of the images."""
        label = 0 if self.label is None else self.label.nbytes
        return self.visible.nbytes + self.thermal.nbytes + label

    def label_counts(self) -> NDArray[np.int64]:
        """Pixels by label value [256]; none without label."""
        if self.label is None:
            return np.zeros(256, np.int64)
        return np.bincount(self.label.ravel(), minlength=256)

    def label_image(self) -> NDArray[np.uint8] | None:
        """Return the label."""
        return self.label

    def window(self, rows: slice = slice(None), columns: slice = slice(None)) -> RawPair:
        """Cut a part out of the pair; the images are not copied."""
        label = None if self.label is None else self.label[rows, columns]
        return RawPair(self.name, self.visible[rows, columns], self.thermal[rows, columns], label)

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


def as_thermal(
    image: NDArray[np.generic], path: Path, four_channels: bool = False
) -> NDArray[np.uint8]:
    """
    Convert to uint8 [H,W]; 16-bit and float images by the percentiles of that image.

    Args:
        image: of `read_image`. A colour image must be grey, or coloured by a known palette,
            which is inverted.
        path: for the message.
        four_channels: the fourth channel is the thermal image, not opacity.

    Raises:
        DatasetError: a colour image of no known palette, or values that cannot be scaled.

    """
    if image.ndim == 3:
        image = image[..., 3] if image.shape[2] == 4 and four_channels else _grey(image, path)
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image)  # type: ignore[return-value]
    from mafs_model.images.thermal import ThermalScaler

    try:
        return ThermalScaler(smoothing=0.0)(np.ascontiguousarray(image))
    except ImageError as error:
        raise DatasetError(f'{path}: {error}') from None


def _grey(image: NDArray[np.generic], path: Path) -> NDArray[np.generic]:
    """Return the grey levels of a thermal image that was stored with several channels."""
    first = image[..., 0]
    if all(
        np.array_equal(first, image[..., channel]) for channel in range(1, min(3, image.shape[2]))
    ):
        return first
    if image.dtype == np.uint8:
        from mafs_model.images.palettes import is_grey, recognise, to_grey

        rgb = np.ascontiguousarray(image[..., 2::-1].astype(np.uint8))
        if is_grey(rgb):
            return rgb[..., 1]
        palette = recognise(rgb)
        if palette is not None:
            return to_grey(rgb, palette.name)
    raise DatasetError(
        f'{path}: thermal image is a colour image of no known palette, expected grey levels; are '
        'visible and thermal images swapped?'
    )


def read_label(path: Path) -> NDArray[np.uint8]:
    """
    Read a label image: grey or palette PNG with class ids.

    Returns:
        uint8 [H,W], as stored.

    Raises:
        DatasetError: unreadable, or colours instead of ids.

    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f'{path}: cannot be read: {error.strerror or error}') from None
    if is_palette_png(data):
        return palette_indices(data, str(path))
    return as_label(read_image(path), path)


def relabel(label: NDArray[np.uint8], table: NDArray[np.int16], path: Path) -> NDArray[np.uint8]:
    """
    Change label values by a table of `SourceSpec.label_table`.

    Raises:
        DatasetError: a value that occurs becomes none of 0..255.

    """
    found = np.unique(label)
    wrong = found[(table[found] < 0) | (table[found] > 255)]
    if wrong.size:
        raise DatasetError(
            f'{path}: label value {wrong[0]} is shifted to {table[wrong[0]]}, expected 0 to 255'
        )
    return table[label].astype(np.uint8)


def check_classes(
    label: NDArray[np.uint8], num_classes: int | None, ignore_index: int, where: object
) -> None:
    """
    Refuse label values that are no class.

    Raises:
        DatasetError: names the values and ``where`` they are.

    """
    if num_classes is None:
        return
    wrong = np.unique(label[(label >= num_classes) & (label != ignore_index)])
    if wrong.size:
        raise DatasetError(
            f'{where}: label value(s) {wrong.tolist()[:5]} outside the {num_classes} classes'
        )


def as_label(image: NDArray[np.generic], path: Path) -> NDArray[np.uint8]:
    """Convert to class ids uint8 [H,W]; a colour image must be grey, as ids are."""
    if image.dtype != np.uint8:
        raise DatasetError(f'{path}: label image is {image.dtype}, expected uint8 class ids')
    if image.ndim == 3:
        if (image[..., :1] != image[..., :3]).any():
            raise DatasetError(f'{path}: label image is a colour image, expected class ids')
        image = image[..., 0]
    return np.ascontiguousarray(image)  # type: ignore[return-value]


def same_aspect(first: Sequence[int], second: Sequence[int]) -> bool:
    """Return whether two shapes (height, width, ...) have one aspect ratio, within 2 %."""
    ratio = (first[1] / first[0]) / (second[1] / second[0])
    return 0.98 < ratio < 1.02


def swapped(visible: NDArray[np.generic], thermal: NDArray[np.generic]) -> bool:
    """
    Return whether a pair looks as if its images were exchanged.

    Args:
        visible: of `read_image`, which should be the one in colour.
        thermal: of `read_image`, grey or coloured by a palette.

    """
    from mafs_model.images.palettes import is_grey, recognise

    def is_photograph(image: NDArray[np.generic]) -> bool:
        """Return whether an image has colours that no thermal palette gives."""
        if image.ndim != 3 or image.dtype != np.uint8:
            return False
        rgb = np.ascontiguousarray(image[..., 2::-1].astype(np.uint8))
        return not is_grey(rgb) and recognise(rgb) is None

    return is_photograph(thermal) and not is_photograph(visible)


def match_size(
    thermal: NDArray[np.uint8], size: tuple[int, int], path: Path, what: str = 'thermal image'
) -> NDArray[np.uint8]:
    """
    Bring a thermal image to the size of its visible partner.

    Args:
        thermal: uint8 [h,w].
        size: wanted (height, width).
        path: for the message.
        what: what it is, for the message; a label is not interpolated.

    Raises:
        DatasetError: the aspect ratios differ by more than 2 %: such a pair is not registered.

    """
    if thermal.shape == size:
        return thermal
    import cv2

    if not same_aspect(thermal.shape, size):
        raise DatasetError(
            f'{path}: {what} is {thermal.shape[1]}x{thermal.shape[0]}, its '
            f'visible partner {size[1]}x{size[0]}: the pair is not registered'
        )
    kind = cv2.INTER_NEAREST_EXACT if what == 'label' else cv2.INTER_LINEAR
    return cv2.resize(thermal, (size[1], size[0]), interpolation=kind)
