"""What people hand to a predictor in Python, as the arrays it computes with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mafs_model.errors import ImageError
from mafs_model.images.preprocessing import gray_to_rgb
from mafs_model.sources import stills
from mafs_model.sources.sequences import as_thermal as decode_thermal
from mafs_model.types import ThermalImage, UInt8Image
import numpy as np
from numpy.typing import NDArray


def as_visible(image: Any) -> UInt8Image:
    """
    Return a visible image.

    Args:
        image: path; PIL image (turned upright by its EXIF); array or tensor uint8 [H,W,3] RGB,
            [H,W,4] RGBA, [H,W] or [H,W,1] grey; a tensor may also be [C,H,W].

    Returns:
        uint8 [H,W,3] RGB.

    Raises:
        ImageError: anything else; the message names type, shape and number format.

    """
    if isinstance(image, (str, Path)):
        return stills.read_visible(Path(image).expanduser())
    array = _array(image, 'visible')
    if array.dtype != np.uint8:
        hint = ' (multiply 0..1 by 255)' if array.dtype.kind == 'f' else ''
        raise ImageError('encoding', f'visible image is {array.dtype}, expected uint8 RGB{hint}')
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim == 2:
        return gray_to_rgb(np.ascontiguousarray(array))
    if array.ndim == 3 and array.shape[2] in {3, 4}:
        return np.ascontiguousarray(array[..., :3])
    raise ImageError(
        'encoding', f'visible image has shape {array.shape}, expected (height, width, 3)'
    )


def as_thermal(image: Any) -> ThermalImage:
    """
    Return a thermal image.

    Args:
        image: path, also of .npy and .csv; PIL image; array or tensor of real numbers [H,W] or
            [H,W,1] (a tensor may also be [1,H,W]), or uint8 [H,W,3] colours of a
            palette, which is taken back; of other colours the luminance.

    Returns:
        [H,W] uint8, uint16, or float32 in the unit it had.

    Raises:
        ImageError: anything else; the message names type, shape and number format.

    """
    if isinstance(image, (str, Path)):
        return stills.read_thermal(Path(image).expanduser())
    array = _array(image, 'thermal')
    if array.ndim == 3 and array.shape[2] in {3, 4} and array.dtype == np.uint8:
        return decode_thermal(np.ascontiguousarray(array[..., :3]))
    return stills.as_thermal(array, 'thermal')


def _array(image: Any, camera: str) -> NDArray[Any]:
    """Return arrays, PIL images and tensors as an array of rows, columns and channels."""
    if isinstance(image, np.ndarray):
        return image
    kind = type(image)
    if kind.__module__.partition('.')[0] == 'PIL' or hasattr(image, 'getexif'):
        return _from_pil(image)
    if hasattr(image, 'detach') and hasattr(image, 'cpu'):  # a tensor of torch
        array: NDArray[Any] = image.detach().cpu().numpy()
        if array.ndim == 3 and array.shape[0] in {1, 3, 4} and array.shape[2] not in {1, 3, 4}:
            array = array.transpose(1, 2, 0)
        return array
    raise ImageError(
        'encoding',
        f'{camera} image is {kind.__name__}, expected a path, an array, a PIL image or a tensor',
    )


def _from_pil(image: Any) -> NDArray[Any]:
    """Return a PIL image, upright, as an array."""
    from PIL import ImageOps

    image = ImageOps.exif_transpose(image)
    grey = {'L', 'I;16', 'I;16B', 'I;16L', 'I', 'F'}
    return np.asarray(image if image.mode in grey else image.convert('RGB'))
