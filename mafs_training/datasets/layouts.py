"""Finds the pairs of a data set on disk, for each published folder layout."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mafs_model.classes import IGNORE_INDEX
from mafs_model.errors import DatasetError
from mafs_training.datasets.reading import (
    as_label,
    as_thermal,
    as_visible,
    match_size,
    RawPair,
    read_image,
    SUFFIXES,
)
from mafs_training.datasets.spec import SourceSpec
import numpy as np


@dataclass(frozen=True)
class Layout:
    """
    Folders of a data set, with ``{split}`` where the split goes.

    Attributes:
        visible: alternatives for the folder of the visible images.
        thermal: the same for the thermal images.
        label: the same for the class ids.
        splits: official splits; empty if there are none.
        classes: class table of the labels.

    """

    visible: tuple[str, ...]
    thermal: tuple[str, ...]
    label: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    classes: str = 'mfnet'


LAYOUTS: dict[str, Layout] = {
    'generic': Layout(
        ('vi', 'visible', 'rgb'), ('ir', 'thermal', 'infrared'), ('label', 'labels')
    ),
    'msrs': Layout(
        ('{split}/vi',),
        ('{split}/ir',),
        ('{split}/Segmentation_labels', '{split}/label', '{split}/labels'),
        ('train', 'test'),
    ),
    'mfnet': Layout(('images',), ('images',), ('labels',), ('train', 'val', 'test')),
    'fmb': Layout(
        ('{split}/Visible',), ('{split}/Infrared',), ('{split}/Label',), ('train', 'test'), 'fmb'
    ),
    'pst900': Layout(
        ('{split}/rgb',), ('{split}/thermal',), ('{split}/labels',), ('train', 'test'), 'pst900'
    ),
    'roadscene': Layout(('crop_LR_visible', 'vi'), ('cropinfrared', 'ir')),
    'tno': Layout(('vi', 'VIS', 'visible'), ('ir', 'IR', 'infrared')),
    'llvip': Layout(('visible/{split}',), ('infrared/{split}',), (), ('train', 'test')),
}


@dataclass(frozen=True)
class PairFiles:
    """
    Files of one pair.

    Attributes:
        name: common name.
        visible: image file.
        thermal: image file; the same as ``visible`` if that holds four channels.
        label: image file or None.

    """

    name: str
    visible: Path
    thermal: Path
    label: Path | None


def index_images(folder: Path) -> dict[str, Path]:
    """Image files of a folder by name without suffix, sorted; PNG before JPEG for one name."""
    files: dict[str, Path] = {}
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            suffix = path.suffix.lower()
            if suffix in SUFFIXES and not path.name.startswith('.'):
                known = files.get(path.stem)
                if known is None or SUFFIXES.index(suffix) < SUFFIXES.index(known.suffix.lower()):
                    files[path.stem] = path
    return dict(sorted(files.items()))


def _folder(root: Path, alternatives: Iterable[str], split: str) -> Path | None:
    """First existing folder among the alternatives."""
    for text in alternatives:
        folder = root / text.format(split=split)
        if folder.is_dir():
            return folder
    return None


def _require_folder(
    root: Path, alternatives: tuple[str, ...], split: str, kind: str, what: str
) -> Path:
    folder = _folder(root, alternatives, split)
    if folder is None:
        names = ' or '.join(text.format(split=split) for text in alternatives)
        raise DatasetError(f'{kind}:{root}: no {what} images, expected the folder {names}')
    return folder


def _splits(layout: Layout, spec: SourceSpec, root: Path) -> tuple[str, ...]:
    """Return the splits to read: for 'all' the official ones that are there."""
    if spec.split == 'all' or not layout.splits:
        there = tuple(
            split
            for split in layout.splits
            if _folder(root, layout.visible, split) or _folder(root, layout.thermal, split)
        )
        return there or layout.splits or ('',)
    if spec.split not in layout.splits:
        raise DatasetError(
            f'{spec.kind}:{spec.path}: no split {spec.split!r}, expected one of '
            f'{", ".join((*layout.splits, "all"))}'
        )
    return (spec.split,)


def _label_folder(root: Path, layout: Layout, spec: SourceSpec, split: str) -> Path | None:
    if spec.labels == 'none':
        return None
    if spec.labels:
        folder = root / spec.labels.format(split=split)
        if not folder.is_dir():
            raise DatasetError(f'{spec.kind}:{root}: no folder of labels {spec.labels!r}')
        return folder
    return _folder(root, layout.label, split)


def _find_mfnet(root: Path, layout: Layout, spec: SourceSpec) -> list[PairFiles]:
    """Four-channel PNG named in ``<split>.txt``; flipped copies that do not exist are left out."""
    images = index_images(_require_folder(root, layout.visible, '', 'mfnet', '4-channel'))
    folder = _label_folder(root, layout, spec, '')
    labels = index_images(folder) if folder else {}
    names: list[str] = []
    for split in _splits(layout, spec, root):
        listing = root / f'{split}.txt'
        if not listing.is_file():
            raise DatasetError(f'mfnet:{root}: no list of names {listing.name}')
        found = [line.strip() for line in listing.read_text(encoding='utf-8').splitlines()]
        names += [name for name in found if name]
    names = [name for name in names if name in images or not name.endswith('_flip')]
    missing = [name for name in names if name not in images]
    if missing:
        raise DatasetError(
            f'mfnet:{root}: {len(missing)} listed image(s) missing, first {missing[0]!r}'
        )
    return [PairFiles(name, images[name], images[name], labels.get(name)) for name in names]


def find_pairs(spec: SourceSpec) -> list[PairFiles]:
    """
    List the complete pairs of a source on disk.

    Images without partner are left out here; ``mafs-data check`` lists them.

    Args:
        spec: kind is a key of `LAYOUTS`.

    Returns:
        Pairs sorted by name, as far as the specification selects them.

    Raises:
        DatasetError: unknown kind, missing folder or no pair at all.

    """
    layout, root = _layout(spec)
    if spec.kind == 'mfnet':
        pairs = _find_mfnet(root, layout, spec)
    else:
        pairs = []
        for prefix, visible_folder, thermal_folder, label_folder in layout_folders(spec):
            thermal = index_images(thermal_folder)
            labels = index_images(label_folder) if label_folder else {}
            pairs += [
                PairFiles(prefix + name, path, thermal[name], labels.get(name))
                for name, path in index_images(visible_folder).items()
                if name in thermal
            ]
    if not pairs:
        raise DatasetError(f'{spec.kind}:{spec.path}: no pair of images with a common name')
    return [pairs[index] for index in spec.select([pair.name for pair in pairs])]


def _layout(spec: SourceSpec) -> tuple[Layout, Path]:
    """Layout and root of a source, which must exist."""
    layout = LAYOUTS.get(spec.kind)
    if layout is None:
        raise DatasetError(
            f'data source {spec.kind}:{spec.path}: unknown kind, expected one of '
            f'{", ".join((*LAYOUTS, "synthetic", "pack"))}'
        )
    root = Path(spec.path).expanduser()
    if not root.is_dir():
        raise DatasetError(f'{spec.kind}:{spec.path}: no such folder')
    return layout, root


def used_splits(spec: SourceSpec) -> str:
    """Return the splits that a source stands for, 'all' where it has none; for messages."""
    layout, root = _layout(spec)
    return ', '.join(_splits(layout, spec, root)) or 'all'


def layout_folders(spec: SourceSpec) -> list[tuple[str, Path, Path, Path | None]]:
    """
    Find the folders of a source that keeps its images in separate files.

    Args:
        spec: any kind but 'mfnet'.

    Returns:
        Per split: prefix of the names, folders of visible, thermal and label images.

    Raises:
        DatasetError: unknown kind or split, missing folder.

    """
    layout, root = _layout(spec)
    splits = _splits(layout, spec, root)
    return [
        (
            f'{split}/' if len(splits) > 1 else '',
            _require_folder(root, layout.visible, split, spec.kind, 'visible'),
            _require_folder(root, layout.thermal, split, spec.kind, 'thermal'),
            _label_folder(root, layout, spec, split),
        )
        for split in splits
    ]


def read_pair(
    files: PairFiles, num_classes: int | None = None, ignore_index: int = IGNORE_INDEX
) -> RawPair:
    """
    Read the images of a pair.

    Args:
        files: where they are.
        num_classes: if given, label values must be below it or ``ignore_index``.
        ignore_index: label without class.

    Raises:
        DatasetError: an image is unreadable, has another size, or a label is no class id.

    """
    image = read_image(files.visible)
    visible = as_visible(image, files.visible)
    if files.thermal == files.visible:
        if image.ndim != 3 or image.shape[2] != 4:
            raise DatasetError(f'{files.visible}: expected four channels (RGB and thermal)')
        thermal = as_thermal(image, files.thermal)
    else:
        thermal = as_thermal(read_image(files.thermal), files.thermal)
    size = (visible.shape[0], visible.shape[1])
    thermal = match_size(thermal, size, files.thermal)
    label = None
    if files.label is not None:
        label = as_label(read_image(files.label), files.label)
        if label.shape != size:
            raise DatasetError(
                f'{files.label}: label is {label.shape[1]}x{label.shape[0]}, its '
                f'image {size[1]}x{size[0]}'
            )
        if num_classes is not None:
            wrong = np.unique(label[(label >= num_classes) & (label != ignore_index)])
            if wrong.size:
                raise DatasetError(
                    f'{files.label}: label value(s) {wrong.tolist()[:5]} outside '
                    f'the {num_classes} classes'
                )
    return RawPair(files.name, visible, thermal, label)
