"""Finds the pairs of a data set on disk, for each published folder layout."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mafs_model.classes import IGNORE_INDEX
from mafs_model.errors import DatasetError
from mafs_training.datasets.reading import (
    as_thermal,
    as_visible,
    check_classes,
    match_size,
    RawPair,
    read_image,
    read_label,
    relabel,
    SUFFIXES,
)
from mafs_training.datasets.spec import SourceSpec
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Layout:
    """
    Folders of a data set, with ``{split}`` where the split goes; names match in any case.

    Attributes:
        visible: alternatives for the folder of the visible images; ``**/`` before a name: every
            folder of that name, however deep.
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
        ('vi', 'vis', 'visible', 'rgb', 'color', 'images'),
        ('ir', 'thermal', 'infrared', 'th', 'lwir', 'modal', 'thermal_raw'),
        ('label', 'labels', 'segmentation_labels', 'gt', 'masks', 'label_silver'),
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
        ('{split}/rgb',),
        ('{split}/thermal', '{split}/thermal_raw'),
        ('{split}/labels',),
        ('train', 'test'),
        'pst900',
    ),
    'roadscene': Layout(('crop_LR_visible', 'vi'), ('cropinfrared', 'ir')),
    'tno': Layout(('vi', 'VIS', 'visible'), ('ir', 'IR', 'infrared')),
    'm3fd': Layout(('vis',), ('ir',)),
    'kaist': Layout(('**/visible',), ('**/lwir',)),
    'llvip': Layout(('visible/{split}',), ('infrared/{split}',), (), ('train', 'test')),
}

# Sources that are no folders of images: rendered, packed, two films, a rosbag.
OTHER_KINDS = ('synthetic', 'pack', 'clip', 'bag')


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


# Names in one folder that end so belong together; the second one is thermal.
_ENDINGS = (
    ('_rgb', '_th'), ('_rgb', '_ir'), ('_rgb', '_previewdata'), ('_vi', '_ir'), ('_vis', '_ir'),
    ('_co', '_ir'),
)  # fmt: skip


def _below(root: Path, text: str) -> Path | None:
    """Return a folder by its path below the root, in any case of letters; the exact one first."""
    folder = root
    for part in Path(text).parts:
        if (folder / part).is_dir():
            folder = folder / part
            continue
        try:
            alike = sorted(p for p in folder.iterdir() if p.name.lower() == part.lower())
        except OSError:
            return None
        folders = [path for path in alike if path.is_dir()]
        if not folders:
            return None
        folder = folders[0]
    return folder


def _folder(root: Path, alternatives: Iterable[str], split: str) -> Path | None:
    """First existing folder among the alternatives."""
    for text in alternatives:
        folder = _below(root, text.format(split=split))
        if folder is not None:
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


def _given(text: str, layout: Layout) -> tuple[str, ...]:
    """Return where a folder that the source names may be: below the split as well."""
    return (text,) if '{split}' in text or not layout.splits else ('{split}/' + text, text)


def _label_folder(root: Path, layout: Layout, spec: SourceSpec, split: str) -> Path | None:
    if spec.labels == 'none':
        return None
    if spec.labels:
        folder = _folder(root, _given(spec.labels, layout), split)
        if folder is None:
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
        for folders in layout_folders(spec):
            visible, thermal, labels = folders.index(spec)
            pairs += [
                PairFiles(folders.prefix + name, path, thermal[name], labels.get(name))
                for name, path in visible.items()
                if name in thermal
            ]
    pairs = _listed(pairs, spec, root)
    if not pairs:
        raise DatasetError(f'{spec.kind}:{spec.path}: no pair of images with a common name')
    return [pairs[index] for index in spec.select([pair.name for pair in pairs])]


def _listed(pairs: list[PairFiles], spec: SourceSpec, root: Path) -> list[PairFiles]:
    """Keep the pairs that the list of the source names, in its order."""
    if not spec.listing:
        return pairs
    path = next((p for p in (root / spec.listing, Path(spec.listing)) if p.is_file()), None)
    if path is None:
        raise DatasetError(f'{spec.kind}:{root}: no list of names {spec.listing!r}')
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f'{path}: no list of names: {error}') from None
    known = {_common(pair.name.rpartition('/')[2], spec.vi_suffix): pair for pair in pairs}
    names = [
        _common(PurePosixPath(line.split()[0].replace('\\', '/')).stem, spec.vi_suffix)
        for line in lines
        if line.strip()
    ]
    missing = [name for name in names if name not in known]
    if missing:
        raise DatasetError(
            f'{spec.kind}:{root}: {len(missing)} of {len(names)} names of {spec.listing} have no '
            f'pair, first {missing[0]!r}'
        )
    return [known[name] for name in names]


def _layout(spec: SourceSpec) -> tuple[Layout, Path]:
    """Layout and root of a source, which must exist."""
    layout = LAYOUTS.get(spec.kind)
    if layout is None:
        raise DatasetError(
            f'data source {spec.kind}:{spec.path}: unknown kind, expected one of '
            f'{", ".join((*LAYOUTS, *OTHER_KINDS))}'
        )
    root = Path(spec.path).expanduser()
    if not root.is_dir():
        raise DatasetError(f'{spec.kind}:{spec.path}: no such folder')
    return layout, root


def used_splits(spec: SourceSpec) -> str:
    """Return the splits that a source stands for, 'all' where it has none; for messages."""
    layout, root = _layout(spec)
    return ', '.join(_splits(layout, spec, root)) or 'all'


@dataclass(frozen=True)
class PairFolders:
    """
    Where the images of a source, or of one split or sequence of it, are.

    Attributes:
        prefix: put before their names.
        visible: folder of the visible images.
        thermal: folder of the thermal images; may be the same.
        label: folder of the labels, or None.
        endings: what ends the names of visible and thermal images.

    """

    prefix: str
    visible: Path
    thermal: Path
    label: Path | None
    endings: tuple[str, str] = ('', '')

    def index(self, spec: SourceSpec) -> tuple[dict[str, Path], dict[str, Path], dict[str, Path]]:
        """Image files of the three folders by their common name."""
        endings = (spec.vi_suffix or self.endings[0], spec.ir_suffix or self.endings[1])
        visible, thermal = (
            _shared_names(index_images(folder), ending)
            for folder, ending in zip((self.visible, self.thermal), endings, strict=True)
        )
        labels = index_images(self.label) if self.label else {}
        return visible, thermal, {_common(name, endings[0]): p for name, p in labels.items()}


def _common(name: str, ending: str) -> str:
    """Return a name without its ending, whose case does not matter."""
    long = ending and name.lower().endswith(ending.lower())
    return name[: -len(ending)] if long else name


def _shared_names(files: dict[str, Path], ending: str) -> dict[str, Path]:
    """Return the files whose names end so, by what is before."""
    return {
        _common(name, ending): path
        for name, path in files.items()
        if name.lower().endswith(ending.lower())
    }


def layout_folders(spec: SourceSpec) -> list[PairFolders]:
    """
    Find the folders of a source that keeps its images in separate files.

    Args:
        spec: any kind but 'mfnet'.

    Returns:
        One or several for each split.

    Raises:
        DatasetError: unknown kind or split, missing folder.

    """
    layout, root = _layout(spec)
    splits = _splits(layout, spec, root)
    visible = _given(spec.vi, layout) if spec.vi else layout.visible
    thermal = _given(spec.ir, layout) if spec.ir else layout.thermal
    if visible[0].startswith('**/'):
        return _nested(root, visible[0][3:], thermal[0].removeprefix('**/'), spec)
    single = (
        _one_folder(root, spec) if spec.kind == 'generic' and not (spec.vi or spec.ir) else None
    )
    if single is not None:
        return [single]
    return [
        PairFolders(
            f'{split}/' if len(splits) > 1 else '',
            _require_folder(root, visible, split, spec.kind, 'visible'),
            _require_folder(root, thermal, split, spec.kind, 'thermal'),
            _label_folder(root, layout, spec, split),
        )
        for split in splits
    ]


def _one_folder(root: Path, spec: SourceSpec) -> PairFolders | None:
    """Pairs that lie in one folder and differ by the end of their names, or None."""
    layout = LAYOUTS['generic']
    if _folder(root, layout.thermal, ''):
        return None
    for folder in (root, _folder(root, layout.visible, '')):
        names = index_images(folder) if folder else {}
        wanted = [(spec.vi_suffix, spec.ir_suffix)] if spec.vi_suffix and spec.ir_suffix else []
        for endings in wanted or _ENDINGS:
            if folder and all(_shared_names(names, ending) for ending in endings):
                label = _label_folder(root, layout, spec, '')
                return PairFolders('', folder, folder, label, endings)
    return None


def _nested(root: Path, visible: str, thermal: str, spec: SourceSpec) -> list[PairFolders]:
    """Every folder of visible images with one of thermal images beside it, as KAIST has them."""
    found = []
    for folder in sorted(path for path in root.rglob('*') if path.name.lower() == visible.lower()):
        beside = _below(folder.parent, thermal)
        if beside is not None:
            prefix = (
                '' if folder.parent == root else f'{folder.parent.relative_to(root).as_posix()}/'
            )
            found.append(PairFolders(prefix, folder, beside, None))
    if not found:
        raise DatasetError(
            f'{spec.kind}:{root}: expected folders {visible} and {thermal} beside each other'
        )
    return found


def layout_classes(spec: SourceSpec) -> str:
    """
    Return the class table that the labels of a source are written in, '' if nobody says so.

    Labels of one's own, and those that are changed by ``map``, ``shift`` or ``ignore``, may be in
    any table.
    """
    if spec.kind == 'synthetic':
        return 'mfnet'
    layout = LAYOUTS.get(spec.kind)
    own = spec.kind == 'generic' or spec.labels or spec.relabels
    return '' if layout is None or own or not layout.label else layout.classes


def read_pair(
    files: PairFiles,
    num_classes: int | None = None,
    ignore_index: int = IGNORE_INDEX,
    table: NDArray[np.int16] | None = None,
) -> RawPair:
    """
    Read the images of a pair.

    Args:
        files: where they are.
        num_classes: if given, label values must be below it or ``ignore_index``.
        ignore_index: label without class.
        table: what label values become, see `SourceSpec.label_table`.

    Raises:
        DatasetError: an image is unreadable, has another aspect ratio, or a label is no class id.

    """
    image = read_image(files.visible)
    visible = as_visible(image, files.visible)
    if files.thermal == files.visible:
        if image.ndim != 3 or image.shape[2] != 4:
            raise DatasetError(f'{files.visible}: expected four channels (RGB and thermal)')
        thermal = as_thermal(image, files.thermal, four_channels=True)
    else:
        thermal = as_thermal(read_image(files.thermal), files.thermal)
    size = (visible.shape[0], visible.shape[1])
    thermal = match_size(thermal, size, files.thermal)
    label = None
    if files.label is not None:
        label = match_size(read_label(files.label), size, files.label, 'label')
        if table is not None:
            label = relabel(label, table, files.label)
        check_classes(label, num_classes, ignore_index, files.label)
    return RawPair(files.name, visible, thermal, label)
