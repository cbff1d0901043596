"""Examines a data set on disk and reports everything that training would stumble over."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, field, replace
import hashlib
import json
from pathlib import Path

from mafs_model.classes import IGNORE_INDEX
from mafs_model.errors import DatasetError
from mafs_training.datasets.layouts import (
    find_pairs,
    layout_folders,
    LAYOUTS,
    PairFiles,
    used_splits,
)
from mafs_training.datasets.reading import (
    as_thermal,
    as_visible,
    read_image,
    read_label,
    relabel,
    same_aspect,
    swapped,
)
from mafs_training.datasets.spec import SourceSpec
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

_SHOWN = 8
_TITLES = {
    'missing_partner': 'images without partner',
    'missing_label': 'pairs without label although there is a folder of labels',
    'orphan_label': 'labels without image',
    'size_mismatch': 'pairs or labels of another aspect ratio',
    'bad_label_values': 'labels with values outside the class table',
    'swapped': 'pairs whose visible image is grey and whose thermal one is in colour: swapped?',
    'duplicates': 'images with the same pixels as another one',
    'unreadable': 'files that cannot be read',
}
_ERRORS = (
    'missing_partner',
    'orphan_label',
    'size_mismatch',
    'bad_label_values',
    'swapped',
    'unreadable',
)


@dataclass
class CheckReport:
    """
    What was found.

    Attributes:
        source: kind and path.
        split: splits that were examined.
        pairs: complete pairs.
        labelled: pairs with a label.
        sizes: number of pairs by size, 'WIDTHxHEIGHT'.
        class_pixels: labelled pixels by class name.
        problems: names by kind of problem.

    """

    source: str
    split: str
    pairs: int = 0
    labelled: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    class_pixels: dict[str, int] = field(default_factory=dict)
    problems: dict[str, list[str]] = field(default_factory=lambda: {key: [] for key in _TITLES})

    @property
    def ok(self) -> bool:
        """Return whether nothing was found that training would refuse or miss."""
        return self.pairs > 0 and not any(self.problems[key] for key in _ERRORS)

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json.dumps({**asdict(self), 'ok': self.ok}, indent=2)

    def to_text(self) -> str:
        """Return the report for a terminal."""
        lines = [
            f'{self.source} {self.split}: {self.pairs} pairs, {self.labelled} labelled',
            'sizes: ' + (', '.join(f'{k} ({v})' for k, v in self.sizes.items()) or 'none'),
        ]
        total = sum(self.class_pixels.values())
        if total:
            lines.append(
                'classes: '
                + ', '.join(
                    f'{name} {100 * count / total:.2f} %'
                    for name, count in self.class_pixels.items()
                )
            )
        for key, title in _TITLES.items():
            names = self.problems[key]
            if names:
                rest = f' and {len(names) - _SHOWN} more' if len(names) > _SHOWN else ''
                lines.append(f'{len(names)} {title}: {", ".join(names[:_SHOWN])}{rest}')
        lines.append('ok' if self.ok else 'problems found')
        return '\n'.join(lines)


def check_source(
    spec: SourceSpec,
    class_names: tuple[str, ...],
    ignore_index: int = IGNORE_INDEX,
    quiet: bool = True,
) -> CheckReport:
    """
    Examine a source on disk.

    Args:
        spec: kind, folder and split; 'limit' is not applied.
        class_names: names of the classes; label values must be below their number.
        ignore_index: label without class.
        quiet: no progress bar.

    Returns:
        The report.

    Raises:
        DatasetError: the folder or the layout's folders do not exist.

    """
    report = CheckReport(f'{spec.kind}:{spec.path}', used_splits(spec))
    _find_leftovers(spec, report)
    try:
        pairs = find_pairs(replace(spec, limit=0))
    except DatasetError as error:
        if 'no pair' not in str(error):
            raise
        return report
    report.pairs = len(pairs)
    counts = np.zeros(256, dtype=np.int64)
    hashes: dict[str, list[str]] = defaultdict(list)
    for files in tqdm(pairs, disable=quiet, unit='pair'):
        table = spec.label_table(ignore_index)
        digest = _check_pair(files, len(class_names), ignore_index, table, report, counts)
        if digest:
            hashes[digest].append(files.name)
    report.class_pixels = (
        {name: int(counts[index]) for index, name in enumerate(class_names)}
        if counts.sum()
        else {}
    )
    report.problems['duplicates'] = [
        f'{name} = {names[0]}' for names in hashes.values() for name in names[1:]
    ]
    return report


def _find_leftovers(spec: SourceSpec, report: CheckReport) -> None:
    """Names that occur in one of the folders only."""
    if spec.kind == 'mfnet':
        return
    for folders in layout_folders(spec):
        prefix, label = folders.prefix, folders.label
        names = [set(files) for files in folders.index(spec)]
        report.problems['missing_partner'] += [
            f'{prefix}{name} (no thermal image)' for name in sorted(names[0] - names[1])
        ]
        report.problems['missing_partner'] += [
            f'{prefix}{name} (no visible image)' for name in sorted(names[1] - names[0])
        ]
        if label:
            both = names[0] & names[1]
            report.problems['missing_label'] += [prefix + n for n in sorted(both - names[2])]
            report.problems['orphan_label'] += [prefix + n for n in sorted(names[2] - both)]


def _check_pair(
    files: PairFiles,
    classes: int,
    ignore_index: int,
    table: NDArray[np.int16],
    report: CheckReport,
    counts: NDArray[np.int64],
) -> str | None:
    """Read one pair; return the digest of its pixels, None if it cannot be read."""
    try:
        image = read_image(files.visible)
        visible = as_visible(image, files.visible)
        one = files.thermal == files.visible
        second = image if one else read_image(files.thermal)
        if not one and swapped(image, second):
            report.problems['swapped'].append(files.name)
            return None
        thermal = as_thermal(second, files.thermal, four_channels=one)
        label = None
        if files.label is not None:
            label = relabel(read_label(files.label), table, files.label)
    except DatasetError as error:
        report.problems['unreadable'].append(f'{files.name} ({error})')
        return None
    size = f'{visible.shape[1]}x{visible.shape[0]}'
    report.sizes[size] = report.sizes.get(size, 0) + 1
    for what, other in (('thermal', thermal), ('label', label)):
        if other is not None and not same_aspect(other.shape, visible.shape):
            report.problems['size_mismatch'].append(
                f'{files.name} ({what} {other.shape[1]}x{other.shape[0]}, visible {size})'
            )
    if label is not None:
        report.labelled += 1
        found = np.bincount(label.ravel(), minlength=256)
        found[ignore_index] = 0
        wrong = np.nonzero(found[classes:])[0] + classes
        if wrong.size:
            report.problems['bad_label_values'].append(
                f'{files.name} ({", ".join(str(v) for v in wrong[:5])})'
            )
        counts += found
    return hashlib.sha256(visible.tobytes() + thermal.tobytes()).hexdigest()


def guess_kind(root: Path) -> str:
    """Return the layout whose folders exist under ``root``, 'generic' if none fits."""
    if (root / 'train.txt').is_file() and (root / 'images').is_dir():
        return 'mfnet'
    for kind, layout in LAYOUTS.items():
        if (
            layout.splits
            and kind != 'mfnet'
            and all(
                any(
                    (root / text.format(split=split)).is_dir()
                    for text in part
                    for split in layout.splits
                )
                for part in (layout.visible, layout.thermal)
            )
        ):
            return kind
    return 'roadscene' if (root / 'cropinfrared').is_dir() else 'generic'
