"""Holds all pairs of the given sources as uint8 arrays in memory."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
import itertools
import logging
from pathlib import Path

from mafs_model.classes import IGNORE_INDEX
from mafs_model.errors import DatasetError
from mafs_training.datasets.layouts import find_pairs, PairFiles, read_pair
from mafs_training.datasets.packed import read_pack
from mafs_training.datasets.reading import RawPair, relabel
from mafs_training.datasets.spec import parse_source, SourceSpec
import numpy as np

_log = logging.getLogger(__name__)


@dataclass
class PairStore:
    """
    Pairs of all sources in one list.

    Decoding a lossless image costs more than a training crop is worth, so that each is decoded
    once; what is kept is 8 bit, about 1.5 MB for a 640x480 pair.

    Attributes:
        pairs: the pairs.
        weights: how often each is drawn relative to the others.
        description: one line per source, for the metadata of a checkpoint.

    """

    pairs: list[RawPair] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    description: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def labelled(self) -> list[int]:
        """Indices of pairs with a label."""
        return [i for i, pair in enumerate(self.pairs) if pair.label is not None]

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        return sum(
            p.visible.nbytes + p.thermal.nbytes + (0 if p.label is None else p.label.nbytes)
            for p in self.pairs
        )


def load_sources(
    texts: Sequence[str],
    num_classes: int | None,
    ignore_index: int = IGNORE_INDEX,
    threads: int = 1,
    labels: bool = True,
) -> PairStore:
    """
    Read all sources into memory.

    Args:
        texts: sources in the form of `mafs_training.datasets.spec.parse_source`.
        num_classes: label values must be below it; None: not checked.
        ignore_index: label without class.
        threads: how many files are decoded at a time.
        labels: read them; False for a stage that does not look at them.

    Raises:
        DatasetError: see `find_pairs` and `read_pair`; or no source at all.

    """
    if not texts:
        raise DatasetError('no data source given, expected for instance msrs:/data/MSRS')
    store = PairStore()
    for text in texts:
        spec = parse_source(text)
        if not labels:
            spec = replace(spec, labels='none')
        pairs = _load(spec, num_classes, ignore_index, threads)
        store.pairs += pairs
        store.weights += [spec.weight] * len(pairs)
        check_masks(spec, pairs, ignore_index)
        labelled = sum(pair.label is not None for pair in pairs)
        name = spec.kind if spec.kind == 'synthetic' else f'{spec.kind}:{Path(spec.path).name}'
        store.description.append(f'{name} {spec.split}: {len(pairs)} pairs, {labelled} labelled')
    _log.info('%d pairs in memory, %.0f MB', len(store), store.nbytes / 1e6)
    return store


def check_masks(spec: SourceSpec, pairs: Sequence[RawPair], ignore_index: int) -> None:
    """
    Refuse labels that are masks of 0 and 255: what 255 marks there would not be trained.

    Raises:
        DatasetError: the source has labels, and none of them any other value.

    """
    found = np.zeros(256, dtype=bool)
    for pair in pairs:
        if pair.label is not None:
            found |= np.bincount(pair.label.ravel(), minlength=256) > 0
            if found[1:ignore_index].any():
                return
    if found[0] and found[ignore_index]:
        raise DatasetError(
            f'{spec.kind}:{spec.path}: the labels hold 0 and {ignore_index} only, where '
            f'{ignore_index} means no class: masks, expected class ids; ?map=255:1 makes 255 '
            'class 1, ?labels=none leaves the labels out'
        )


def _load(
    spec: SourceSpec, num_classes: int | None, ignore_index: int, threads: int
) -> list[RawPair]:
    if spec.kind == 'synthetic':
        from mafs_training.datasets.synthetic import render_pairs

        table = spec.label_table(ignore_index)
        return [
            pair if pair.label is None else replace(pair, label=relabel(pair.label, table, path))
            for path in [Path(f'synthetic:{spec.path}')]
            for pair in render_pairs(spec)
        ]
    if spec.kind in ('clip', 'bag'):
        from mafs_training.datasets.recorded import read_recording

        return list(read_recording(spec))
    if spec.kind == 'pack':
        return read_pack(Path(spec.path).expanduser(), spec, num_classes, ignore_index)
    files: list[PairFiles] = find_pairs(spec)
    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        return list(
            pool.map(
                read_pair,
                files,
                itertools.repeat(num_classes),
                itertools.repeat(ignore_index),
                itertools.repeat(spec.label_table(ignore_index)),
            )
        )
