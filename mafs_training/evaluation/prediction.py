"""Predictions of a data set, image by image, kept as files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from mafs_model.errors import DatasetError, ImageError, MafsError
from mafs_model.images.image_files import write_png
from mafs_model.predictor import Outputs, Prediction, Predictor
from mafs_training.evaluation.images import match_folders, read_eight_bit, same_size
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm


def predict_folders(
    predictor: Predictor,
    folders: Mapping[str, Path],
    target: Path,
    wanted: Literal['fused', 'labels'],
    *,
    quiet: bool = True,
) -> list[str]:
    """
    Predict the pairs of two folders, or the images of one, and write PNG under their names.

    Each pair is predicted on its own: the predictor is reset before it. Images that lack a
    partner, or that cannot be read, are left out and named.

    Args:
        predictor: the model.
        folders: 'visible' (8-bit), 'thermal' (8-bit grey) or both, with files of the same names.
        target: folder to write.
        wanted: which output.
        quiet: no progress bar.

    Returns:
        One line for each pair that could not be used.

    Raises:
        DatasetError: a folder is unusable or a file cannot be written.

    """
    matched = match_folders(folders)
    problems = list(matched.problems)
    outputs = Outputs(fused=wanted == 'fused', labels=wanted == 'labels', confidence=False)
    for name in tqdm(matched.names, desc='predicting', unit='', disable=quiet):
        try:
            images = {
                kind: read_eight_bit(matched.files[kind][name], kind, grey=kind == 'thermal')
                for kind in folders
            }
            same_size(name, images)
            predictor.reset()
            prediction = predictor.predict(
                _colour(images.get('visible')), images.get('thermal'), outputs
            )
        except ImageError as error:
            message = str(error)
            problems.append(message if name in message else f'{name}: {message}')
            continue
        image = getattr(prediction, wanted)
        assert image is not None, 'it was asked for'
        write_image(target / f'{name}.png', image)
    return problems


def _colour(visible: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
    """Return a visible image with three channels."""
    if visible is None or visible.ndim == 3:
        return visible
    return np.repeat(visible[..., None], 3, axis=2)


def save_images(folder: Path, name: str, prediction: Prediction) -> None:
    """
    Write the outputs of one pair as PNG below fused/, labels/ and confidence/.

    Raises:
        DatasetError: a file cannot be written.

    """
    for kind in ('fused', 'labels', 'confidence'):
        image = getattr(prediction, kind)
        if image is not None:
            write_image(folder / kind / f'{name}.png', image)


def write_image(path: Path, image: np.ndarray) -> None:
    """Write a PNG, its folder included; raises DatasetError."""
    try:
        write_png(path, image)
    except MafsError as error:
        raise DatasetError(str(error)) from None
