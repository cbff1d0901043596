"""Predictions of a data set, image by image, kept as files."""

from __future__ import annotations

from pathlib import Path

from mafs_model.errors import DatasetError, ImageError, MafsError
from mafs_model.images.image_files import write_png
from mafs_model.predictor import Outputs, Prediction, Predictor
from mafs_training.evaluation.images import match_folders, read_eight_bit
import numpy as np
from tqdm import tqdm


def fuse_folders(
    predictor: Predictor, visible: Path, thermal: Path, target: Path, *, quiet: bool = True
) -> list[str]:
    """
    Fuse the pairs of two folders and write the results as PNG under their names.

    Each pair is predicted on its own: the predictor is reset before it. Pairs that cannot be
    read are left out in silence, for the measurement names them.

    Args:
        predictor: the model.
        visible: folder of 8-bit images.
        thermal: folder of 8-bit grey images of the same names.
        target: folder to write.
        quiet: no progress bar.

    Returns:
        One line for each pair that the predictor refused.

    Raises:
        DatasetError: a folder is unusable or a file cannot be written.

    """
    matched = match_folders({'thermal': thermal, 'visible': visible})
    problems = []
    for name in tqdm(matched.names, desc='fusing', unit='', disable=quiet):
        try:
            grey = read_eight_bit(matched.files['thermal'][name], 'thermal', grey=True)
            colour = read_eight_bit(matched.files['visible'][name], 'visible')
        except ImageError:
            continue
        if grey.shape != colour.shape[:2]:
            continue
        if colour.ndim == 2:
            colour = np.repeat(colour[..., None], 3, axis=2)
        predictor.reset()
        try:
            fused = predictor.predict(colour, grey, Outputs(labels=False, confidence=False)).fused
        except ImageError as error:
            problems.append(f'{name}: {error}')
            continue
        assert fused is not None, 'it was asked for'
        write_image(target / f'{name}.png', fused)
    return problems


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
