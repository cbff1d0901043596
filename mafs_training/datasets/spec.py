"""Text form of a data source, such as ``generic:data/train?labels=label_silver&weight=2``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeVar
from urllib.parse import parse_qsl

from mafs_model.errors import DatasetError
import numpy as np

SPLITS = ('train', 'val', 'test', 'all')
_KEYS = ('split', 'labels', 'weight', 'limit', 'seed', 'size', 'step', 'only', 'skip')


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
            (rendered scenes) or 'pack' (one file made by ``mafs-data pack``).
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
    if not colon:
        kind, path = 'generic', head
    if not path:
        raise DatasetError(f'data source {text!r}: expected KIND:PATH, e.g. msrs:/data/MSRS')
    values: dict[str, object] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in _KEYS:
            raise DatasetError(
                f'data source {text!r}: unknown key {key!r}, expected one of {", ".join(_KEYS)}'
            )
        values[key] = _convert(text, key, value)
    return SourceSpec(kind, path, **values)  # type: ignore[arg-type]


def _convert(text: str, key: str, value: str) -> object:
    try:
        if key == 'split' and value not in SPLITS:
            raise ValueError
        if key in ('limit', 'seed'):
            number = int(value)
            if number < 0:
                raise ValueError
            return number
        if key in ('weight', 'step'):
            real = float(value)
            if not 0 < real < 1e6:
                raise ValueError
            return real
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
            'size': 'WIDTHxHEIGHT of at least 32x32, for instance 640x480',
        }[key]
        raise DatasetError(f'data source {text!r}: {key}={value!r}, expected {expected}') from None
    return value
