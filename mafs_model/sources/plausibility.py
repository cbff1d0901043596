"""Inputs that cannot be meant: the same one for both cameras, or the cameras swapped."""

from __future__ import annotations

from pathlib import Path
import re
from typing import Any

import cv2
from mafs_model.errors import ConfigError
from mafs_model.images.palettes import recognise
from mafs_model.sources.given import Given
from mafs_model.sources.items import Camera, Images
from mafs_model.sources.pair_names import FOLDERS, list_files, radiometric_pairs
import numpy as np
from numpy.typing import NDArray

_GREY_CHROMA = 2.0  # Mean spread of colours, of 255, that JPEG gives to a grey picture at most.
# Mean spread of colours: photographs by day and night have 3 to 50, the usual palettes of thermal
# cameras 90 to 250, and less where most of the image is cold: those are known by their colours.
_NATURAL_CHROMA = (3.0, 60.0)
_SAME_DIFFERENCE = 1.0  # Mean difference, of 255, of two files of the same picture.
_OVERRIDE = '; --unchecked skips this check'


def check_inputs(given: dict[Camera, list[Given]]) -> None:
    """
    Refuse the same input for both cameras, and folders whose names say that they are swapped.

    Raises:
        ConfigError: naming the inputs.

    """
    if len(given) < 2:
        return
    places = {camera: [_place(g) for g in inputs] for camera, inputs in given.items()}
    if sorted(places['visible']) == sorted(places['thermal']):
        if _hold_both(given['visible']):
            return
        kind = {'folder': 'folder', 'camera': 'camera', 'stream': 'stream'}.get(
            given['visible'][0].kind, 'file'
        )
        raise ConfigError(
            f"--rgb and --thermal are the same {kind} '{given['visible'][0].shown}', expected one "
            'of each camera'
        )
    if all(_name_says(g, 'thermal') for g in given['visible']) and all(
        _name_says(g, 'visible') for g in given['thermal']
    ):
        raise ConfigError(
            f"--rgb '{given['visible'][0].shown}' and --thermal '{given['thermal'][0].shown}': "
            f'by their names these are swapped{_OVERRIDE}'
        )


def check_images(images: Images | None) -> None:
    """
    Refuse a first pair that shows the same picture twice or the cameras swapped.

    Args:
        images: the images as they are stored; thermal may be uint8 [H,W,3] RGB.

    Raises:
        ConfigError: saying what was seen.

    """
    visible, thermal = images or (None, None)
    if visible is None or thermal is None or thermal.dtype != np.uint8:
        return
    if same_picture(visible, thermal):
        raise ConfigError(
            'the first visible and the first thermal image are the same picture, expected one of '
            f'each camera{_OVERRIDE}'
        )
    if look_swapped(visible, thermal):
        raise ConfigError(
            'the first visible image is grey or in false colours and the first thermal image a '
            f'colour photograph: are --rgb and --thermal swapped?{_OVERRIDE}'
        )


def _hold_both(inputs: list[Given]) -> bool:
    """Return whether the inputs are radiometric JPEGs, each with both images inside."""
    if any(g.kind not in {'picture', 'folder', 'glob'} for g in inputs):
        return False
    files = list_files(inputs, 'visible')
    return bool(files) and len(radiometric_pairs(inputs)) == len(files)


def same_picture(one: NDArray[np.uint8], other: NDArray[Any]) -> bool:
    """Return whether two uint8 images [H,W] or [H,W,3] show the same, colours aside."""
    grey = [cv2.cvtColor(i, cv2.COLOR_RGB2GRAY) if i.ndim == 3 else i for i in (one, other)]
    if grey[0].shape != grey[1].shape or float(grey[0].std()) < _SAME_DIFFERENCE:
        return False
    return float(cv2.absdiff(*grey).mean()) < _SAME_DIFFERENCE


def look_swapped(visible: NDArray[np.uint8], thermal: NDArray[Any]) -> bool:
    """
    Return whether the thermal image is a photograph and the visible one looks like thermal.

    Two grey images, and two photographs, tell nothing.

    Args:
        visible: uint8 [H,W,3] RGB or [H,W].
        thermal: as it is stored; uint8 [H,W,3] RGB may be one.

    """
    return has_natural_colours(thermal) and (is_grey(visible) or _is_false_coloured(visible))


def is_grey(image: NDArray[np.uint8]) -> bool:
    """Return whether an image [H,W] or [H,W,3] has no colours, JPEG's noise aside."""
    return image.ndim == 2 or _chroma(image) <= _GREY_CHROMA


def _is_false_coloured(image: NDArray[np.uint8]) -> bool:
    """Return whether an image [H,W,3] RGB has the colours of a palette of thermal cameras."""
    return _chroma(image) >= _NATURAL_CHROMA[1] or recognise(image) is not None


def has_natural_colours(image: NDArray[Any]) -> bool:
    """
    Return whether an image is a colour photograph, not grey and not colour-mapped by a palette.

    Args:
        image: uint8 [H,W] or [H,W,3] RGB.

    """
    if image.ndim < 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        return False
    low, high = _NATURAL_CHROMA
    return low < _chroma(image) < high and recognise(image) is None


def _chroma(image: NDArray[np.uint8]) -> float:
    """Return the mean spread of red, green and blue in a pixel, 0 to 255."""
    small = image[:: max(1, image.shape[0] // 240), :: max(1, image.shape[1] // 320)]
    return float((small.max(axis=2).astype(np.int32) - small.min(axis=2)).mean())


def _place(given: Given) -> str:
    """Return where an input lies, the same for two names of one place."""
    if given.path is None:
        return given.text
    return str(given.path.resolve())


def _name_says(given: Given, camera: Camera) -> bool:
    """Return whether the last parts of a path name this camera and not the other."""
    if given.kind in {'camera', 'stream'}:
        return False
    words = {
        word for part in Path(given.text).parts[-2:] for word in re.split(r'[^a-z]+', part.lower())
    }
    other: Camera = 'visible' if camera == 'thermal' else 'thermal'
    return bool(words & set(FOLDERS[camera])) and not words & set(FOLDERS[other])
