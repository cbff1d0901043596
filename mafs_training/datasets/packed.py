"""One uncompressed-array file for many pairs, to train on a machine without image decoders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
import zipfile

from mafs_model.classes import IGNORE_INDEX
from mafs_model.errors import DatasetError
from mafs_model.files import replacing
from mafs_training.datasets.reading import RawPair, relabel
from mafs_training.datasets.spec import SourceSpec
import numpy as np


def write_pack(path: Path, pairs: Sequence[RawPair]) -> None:
    """
    Write pairs to a deflated .npz file that numpy alone can read.

    Horizontal differences (modulo 256) are stored, which deflate packs about twice as tight as
    the pixels themselves.

    Args:
        path: file to write.
        pairs: what to store.

    Raises:
        DatasetError: the file cannot be written.

    """
    arrays: dict[str, np.ndarray] = {'names': np.array([pair.name for pair in pairs])}
    for index, pair in enumerate(pairs):
        for key, image in (('v', pair.visible), ('t', pair.thermal), ('l', pair.label)):
            if image is not None:
                arrays[f'{key}{index}'] = _difference(image)
    with replacing(path, error=DatasetError) as beside, beside.open('wb') as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def _difference(image: np.ndarray) -> np.ndarray:
    result = image.copy()
    result[:, 1:] -= image[:, :-1]
    return result


def _integrate(image: np.ndarray) -> np.ndarray:
    return np.cumsum(image, axis=1, dtype=np.uint8)


def read_pack(
    path: Path, spec: SourceSpec, num_classes: int | None = None, ignore_index: int = IGNORE_INDEX
) -> list[RawPair]:
    """
    Read a file of `write_pack`.

    Args:
        path: the file.
        spec: 'labels', 'only', 'skip' and 'limit' are respected.
        num_classes: label values must be below it; None: not checked.
        ignore_index: label without class.

    Raises:
        DatasetError: missing or damaged file.

    """
    pairs = []
    try:
        with np.load(path, allow_pickle=False) as data:
            names = [str(name) for name in data['names']]
            for index in spec.select(names):
                label = None
                if f'l{index}' in data and spec.labels != 'none':
                    label = _integrate(data[f'l{index}'])
                    label = relabel(label, spec.label_table(ignore_index), path)
                pairs.append(
                    RawPair(
                        names[index],
                        _integrate(data[f'v{index}']),
                        _integrate(data[f't{index}']),
                        label,
                    )
                )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DatasetError(f'{path}: not a file of mafs-data pack: {error}') from None
    for pair in pairs:
        if num_classes is not None and pair.label is not None:
            wrong = (pair.label >= num_classes) & (pair.label != ignore_index)
            if wrong.any():
                raise DatasetError(
                    f'{path}: {pair.name}: label value(s) outside the {num_classes} classes'
                )
    return pairs
