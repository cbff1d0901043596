"""Where the pairs of `mafs-eval model` come from: a published data set or plain folders."""

from __future__ import annotations

from pathlib import Path

from mafs_model.errors import DatasetError
from mafs_training.datasets.layouts import find_pairs, LAYOUTS, PairFiles
from mafs_training.datasets.spec import SourceSpec, thin

LABEL_FOLDERS = ('Segmentation_labels', 'label', 'labels', 'Label', 'label_silver')
_PLAIN = tuple((vi, ir) for vi in LAYOUTS['generic'].visible for ir in LAYOUTS['generic'].thermal)


def evaluation_pairs(
    root: Path,
    dataset: str,
    split: str,
    *,
    label_folder: str | None = None,
    limit: int = 0,
    labelled: bool = False,
) -> list[PairFiles]:
    """
    List the pairs of a split.

    Looked for in this order, in ROOT and in ROOT/DATASET: folders such as vi/ and ir/ below
    SPLIT; the published layout of the data set.

    Args:
        root: folder of the data set or of several.
        dataset: name of a layout such as 'msrs', or a class file (then plain folders only).
        split: name of the split.
        label_folder: folder of the class ids below the split; None: the first known name.
        limit: at most that many pairs, evenly spread; 0 for all.
        labelled: leave out pairs without label image.

    Raises:
        DatasetError: nothing found; the message says where was looked.

    """
    pairs = _all_pairs(root, dataset, split, label_folder)
    if labelled:
        pairs = [pair for pair in pairs if pair.label is not None]
        if not pairs:
            raise DatasetError(f'{root}, split {split!r}: no pair has a label image')
    return thin(pairs, limit)


def _all_pairs(root: Path, dataset: str, split: str, label_folder: str | None) -> list[PairFiles]:
    """Return every pair of a split."""
    if not root.is_dir():
        raise DatasetError(f'data folder not found: {root}')
    for base in (root / split, root / dataset / split):
        if any((base / vi).is_dir() and (base / ir).is_dir() for vi, ir in _PLAIN):
            return find_pairs(
                SourceSpec('generic', str(base), labels=_labels_below(base, label_folder))
            )
    if dataset in LAYOUTS:
        for base in (root / dataset, root):
            if base.is_dir() and (base == root or any(base.iterdir())):
                return find_pairs(
                    SourceSpec(dataset, str(base), split=split, labels=label_folder or '')
                )
    names = ', '.join(sorted(LAYOUTS))
    raise DatasetError(
        f'no pairs below {root}: expected {split}/vi and {split}/ir, or the layout '
        f'of one of {names}, got {dataset!r}'
    )


def _labels_below(base: Path, label_folder: str | None) -> str:
    """Return the folder of labels below a split, 'none' without."""
    if label_folder is not None:
        return label_folder
    return next((name for name in LABEL_FOLDERS if (base / name).is_dir()), 'none')
