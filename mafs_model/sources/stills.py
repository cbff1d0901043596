"""Single pictures and tables of temperatures as arrays."""

from __future__ import annotations

from pathlib import Path
import re
from typing import Any

from mafs_model.errors import ImageError
from mafs_model.images.encodings import check_size
from mafs_model.images.image_files import read_thermal as read_thermal_picture
from mafs_model.images.image_files import read_visible as read_visible_picture
from mafs_model.types import ThermalImage, UInt8Image
import numpy as np
from numpy.typing import NDArray

_MAX_TABLE_BYTES = 256 << 20
_SEPARATORS = ('\t', ';', ',')
_NUMBER = re.compile(r'[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?|nan|inf', re.IGNORECASE)


def read_visible(path: Path) -> UInt8Image:
    """
    Read a visible picture, upright.

    Returns:
        uint8 [H,W,3] RGB.

    Raises:
        ImageError: unusable, or a table, which no visible image is; the message names the file.

    """
    if path.suffix.lower() in {'.npy', '.csv', '.tsv'}:
        raise ImageError(
            'encoding',
            f"image '{path}': a table of numbers as visible image: are --rgb and --thermal "
            'swapped?',
        )
    return read_visible_picture(path)


def read_thermal(path: Path) -> ThermalImage:
    """
    Read a thermal picture, upright, or a table of temperatures.

    Args:
        path: image file; .npy of [h,w] numbers; .csv or .tsv with one row of the image a line,
            separated by comma, semicolon or tab, lines above the numbers are skipped.

    Returns:
        [h,w] uint8, uint16, or float32 in the unit of the file.

    Raises:
        ImageError: unusable; the message names the file.

    """
    suffix = path.suffix.lower()
    if suffix == '.npy':
        return as_thermal(_load_npy(path), path)
    if suffix in {'.csv', '.tsv'}:
        return as_thermal(_parse_table(path), path)
    return read_thermal_picture(path)


def as_thermal(array: NDArray[Any], path: str | Path) -> ThermalImage:
    """
    Return numbers as a thermal image: [h,w] of uint8, uint16 or float32.

    Args:
        array: [h,w] or [h,w,1] real numbers.
        path: how messages call the source.

    Raises:
        ImageError: another shape or another kind of numbers.

    """
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim != 2 or array.dtype.kind not in 'uif':
        raise ImageError(
            'encoding',
            f"image '{path}': {array.dtype} {array.shape}, expected (height, width) real numbers",
        )
    check_size(*array.shape)
    if array.dtype.kind == 'f':
        return np.ascontiguousarray(array, np.float32)
    if array.dtype.itemsize <= 2 and array.dtype.kind == 'u':
        return np.ascontiguousarray(array, array.dtype.newbyteorder('='))
    low, high = int(array.min()), int(array.max())
    if low >= 0 and high <= np.iinfo(np.uint16).max:
        return np.ascontiguousarray(array, np.uint16)
    return np.ascontiguousarray(array, np.float32)


def _load_npy(path: Path) -> NDArray[Any]:
    """Return the array of an .npy; raises ImageError."""
    try:
        # Mapped, so that a header that claims terabytes costs nothing before its check.
        array: NDArray[Any] = np.load(path, mmap_mode='r', allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        line = ' '.join(str(error).split())[:120]
        raise ImageError('decode', f"image '{path}': not an .npy of numbers: {line}") from None
    return array


def _parse_table(path: Path) -> NDArray[np.float32]:
    """Return the numbers of a text table [h,w]; raises ImageError."""
    try:
        if path.stat().st_size > _MAX_TABLE_BYTES:
            raise ImageError('size', f"image '{path}': larger than {_MAX_TABLE_BYTES >> 20} MiB")
        text = path.read_text(encoding='utf-8-sig', errors='replace')
    except OSError as error:
        raise ImageError('decode', f"image '{path}': cannot be read: {error.strerror}") from None
    lines = [(n, line.strip()) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    first = next((i for i, (_, line) in enumerate(lines) if _fields(line)), None)
    if first is None:
        raise ImageError('decode', f"image '{path}': no line of numbers, expected temperatures")
    rows: list[NDArray[np.float32]] = []
    for number, line in lines[first:]:
        row = _fields(line)
        if row is None:
            raise ImageError('decode', f"image '{path}': line {number} is not numbers only")
        if rows and len(row) != len(rows[0]):
            raise ImageError(
                'decode',
                f"image '{path}': line {number} has {len(row)} numbers, expected {len(rows[0])}",
            )
        rows.append(np.asarray(row, np.float32))
    return np.stack(rows)


def _fields(line: str) -> list[float] | None:
    """Return the numbers of a line of at least two, None if it holds anything else."""
    separator = next((s for s in _SEPARATORS if s in line), None)
    words = [w.strip() for w in (line.split(separator) if separator else line.split())]
    while words and not words[-1]:
        words.pop()  # A separator after the last number.
    if len(words) < 2 or not all(_NUMBER.fullmatch(w) for w in words):
        return None
    return [float(w.replace(',', '.')) for w in words]
