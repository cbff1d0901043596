"""Text form of a data source, such as ``generic:data/train?labels=label_silver&weight=2``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeVar
from urllib.parse import parse_qsl

from mafs_model.errors import DatasetError
from mafs_training.datasets.splits import SPLITS
import numpy as np
from numpy.typing import NDArray

_KEYS = (
    'split', 'labels', 'weight', 'limit', 'seed', 'size', 'step', 'only', 'skip',
    'vi', 'ir', 'vi_suffix', 'ir_suffix', 'list', 'ignore', 'map', 'shift', 'every',
)  # fmt: skip

_FIELDS = {'list': 'listing', 'map': 'mapping'}  # fields that may not be called as their key

_Item = TypeVar('_Item')


def thin(items: list[_Item], limit: int) -> list[_Item]:
    """Keep ``limit`` items, evenly spread over the list; all if limit is 0."""
    if not 0 < limit < len(items):
        return items
    return [items[int(index)] for index in np.linspace(0, len(items) - 1, limit).round()]


@dataclass(frozen=True)
class SourceSpec:
    """
    One data source.

    Attributes:
        kind: layout on disk, see `mafs_training.datasets.layouts.LAYOUTS`, or 'synthetic'
            (rendered scenes), 'pack' (made by ``mafs-data pack``), 'clip' (a film of each camera)
            or 'bag'.
        path: folder, file, or number of scenes for 'synthetic'.
        split: official split, 'train', 'val', 'test', or 'all' of them that are there.
        labels: folder of the labels instead of the layout's; 'none' for no labels.
        weight: how often each pair is drawn relative to the others, > 0.
        limit: use only that many pairs, evenly spread; 0 for all.
        seed: first seed of synthetic scenes.
        size: (height, width) of synthetic scenes.
        step: seconds between synthetic frames of one drive.
        only: use only pairs whose name matches this pattern, e.g. *N, or one of several between
            commas.
        skip: leave out pairs whose name matches this pattern, or one of several between commas;
            how blocks are held out.
        vi: folder of the visible images instead of the layout's; file of a clip, topic of a bag.
        ir: the same of the thermal images.
        vi_suffix: end of the names of visible images, left out of the common name, e.g. _rgb.
        ir_suffix: the same of thermal images, e.g. _th.
        listing: file of names, one a line; only those are used. A line may hold paths; the name of
            the first one counts, without suffix.
        ignore: label values that are not trained.
        mapping: label values that become others.
        shift: added to all label values that neither is said of, but not to 255.
        every: use every n-th frame of a clip or pair of a bag.

    """

    kind: str
    path: str
    split: str = 'train'
    labels: str = ''
    weight: float = 1.0
    limit: int = 0
    seed: int = 0
    size: tuple[int, int] = (480, 640)
    step: float = 1.7
    only: str = '*'
    skip: str = ''
    vi: str = ''
    ir: str = ''
    vi_suffix: str = ''
    ir_suffix: str = ''
    listing: str = ''
    ignore: tuple[int, ...] = ()
    mapping: tuple[tuple[int, int], ...] = ()
    shift: int = 0
    every: int = 1

    @property
    def relabels(self) -> bool:
        """Return whether the labels on disk are changed into others."""
        return bool(self.ignore or self.mapping or self.shift)

    def label_table(self, ignore_index: int) -> NDArray[np.int16]:
        """
        Return what each label value on disk becomes.

        Args:
            ignore_index: label without class.

        Returns:
            [256], outside 0..255 where a shifted value is no label.

        """
        table = np.arange(256, dtype=np.int16) + np.int16(self.shift)
        table[255] = ignore_index
        table[np.array(self.ignore, dtype=np.intp)] = ignore_index
        for value, wanted in self.mapping:
            table[value] = wanted
        return table

    def select(self, names: Sequence[str]) -> list[int]:
        """
        Choose pairs by ``only``, ``skip`` and ``limit``.

        Args:
            names: of all pairs of the source, sorted.

        Returns:
            Indices of those to use, ascending, thinned evenly to the limit.

        Raises:
            DatasetError: none is left.

        """
        chosen = [
            index
            for index, name in enumerate(names)
            if _matches(name, self.only) and not _matches(name, self.skip)
        ]
        if not chosen:
            raise DatasetError(
                f'{self.kind}:{self.path}: none of {len(names)} pairs is left by '
                f'only={self.only!r}, skip={self.skip!r}'
            )
        return thin(chosen, self.limit)


def _matches(name: str, patterns: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns.split(','))


def _label(text: str, low: int = 0) -> int:
    """Return a label value; raises ValueError outside ``low`` to 255."""
    value = int(text)
    if not low <= value <= 255:
        raise ValueError
    return value


def parse_source(text: str) -> SourceSpec:
    """
    Read the text form ``KIND:PATH[?key=value&...]``.

    Args:
        text: for instance ``mfnet:/data/MFNet?split=val``; a text without a known kind is taken
            as a path of kind 'generic'.

    Raises:
        DatasetError: unknown key, or a value out of range; one line that names it.

    """
    head, _, query = text.partition('?')
    kind, colon, path = head.partition(':')
    drive = len(kind) == 1 and path[:1] in ('\\', '/')  # C:\\data or C:/data
    if not colon or drive:
        kind, path = 'generic', head
    if not path:
        raise DatasetError(f'data source {text!r}: expected KIND:PATH, e.g. msrs:/data/MSRS')
    values: dict[str, object] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in _KEYS:
            raise DatasetError(
                f'data source {text!r}: unknown key {key!r}, expected one of {", ".join(_KEYS)}'
            )
        values[_FIELDS.get(key, key)] = _convert(text, key, value)
    return SourceSpec(kind, path, **values)  # type: ignore[arg-type]


def _convert(text: str, key: str, value: str) -> object:
    try:
        if key == 'split' and value not in SPLITS:
            raise ValueError
        if key in ('limit', 'seed', 'every'):
            number = int(value)
            if number < (key == 'every'):
                raise ValueError
            return number
        if key in ('weight', 'step'):
            real = float(value)
            if not 0 < real < 1e6:
                raise ValueError
            return real
        if key == 'shift':
            return _label(value, -255)
        if key == 'ignore':
            return tuple(_label(part) for part in value.split(','))
        if key == 'map':
            pairs = [part.split(':') for part in value.split(',')]
            return tuple((_label(a), _label(b)) for a, b in pairs)
        if key == 'size':
            width, height = (int(part) for part in value.split('x'))
            if min(width, height) < 32:
                raise ValueError
            return height, width
    except ValueError:
        expected = {
            'split': f'one of {", ".join(SPLITS)}',
            'limit': 'an integer >= 0',
            'seed': 'an integer >= 0',
            'weight': 'a number > 0',
            'step': 'a number of seconds > 0',
            'every': 'an integer >= 1',
            'shift': 'an integer of -255 to 255',
            'ignore': 'label values of 0 to 255 between commas, e.g. 0,12',
            'map': 'pairs of label values of 0 to 255, e.g. 1:0,2:1',
            'size': 'WIDTHxHEIGHT of at least 32x32, for instance 640x480',
        }[key]
        raise DatasetError(f'data source {text!r}: {key}={value!r}, expected {expected}') from None
    return value
