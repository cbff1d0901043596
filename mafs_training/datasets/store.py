"""The pairs of the given sources: in memory, or on disk where they come from a pack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
import itertools
import logging
from pathlib import Path

from mafs_model.classes import IGNORE_INDEX
from mafs_model.errors import DatasetError
from mafs_training.datasets.layouts import find_pairs, PairFiles, read_pair
from mafs_training.datasets.memory import available_bytes
from mafs_training.datasets.packed import PackedPair, read_pack
from mafs_training.datasets.reading import RawPair, relabel
from mafs_training.datasets.spec import parse_source, SourceSpec
import numpy as np

_log = logging.getLogger(__name__)
_MEMORY_FOR_PAIRS = 0.8  # of the free memory at most by pairs


@dataclass
class PairStore:
    """
    Pairs of all sources in one list.

    Decoding a lossless image costs more than a training crop is worth, so that each is decoded
    once: into memory, 8 bit, about 1.5 MB for a 640x480 pair, or by ``mafs-data pack`` to disk.

    Attributes:
        pairs: the pairs.
        weights: how often each is drawn relative to the others.
        description: one line per source, for the metadata of a checkpoint.

    """

    pairs: list[RawPair | PackedPair] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    description: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def labelled(self) -> list[int]:
        """Indices of pairs with a label."""
        return [i for i, pair in enumerate(self.pairs) if pair.labelled]

    @property
    def nbytes(self) -> int:
        """Memory of the images."""
        return sum(pair.nbytes for pair in self.pairs)

    @property
    def packed(self) -> int:
        """Pairs that stay on disk."""
        return sum(isinstance(pair, PackedPair) for pair in self.pairs)


def load_sources(
    texts: Sequence[str],
    num_classes: int | None,
    ignore_index: int = IGNORE_INDEX,
    threads: int = 1,
    labels: bool = True,
) -> PairStore:
    """
    Read all sources: into memory, but for packs.

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
        labelled = sum(pair.labelled for pair in pairs)
        name = spec.kind if spec.kind == 'synthetic' else f'{spec.kind}:{Path(spec.path).name}'
        store.description.append(f'{name} {spec.split}: {len(pairs)} pairs, {labelled} labelled')
    _log.info(
        '%d pairs in memory, %.0f MB%s',
        len(store) - store.packed,
        store.nbytes / 1e6,
        f'; {store.packed} on disk' if store.packed else '',
    )
    return store


def check_masks(
    spec: SourceSpec, pairs: Sequence[RawPair | PackedPair], ignore_index: int
) -> None:
    """
    Refuse labels that are masks of 0 and 255: what 255 marks there would not be trained.

    Raises:
        DatasetError: the source has labels, and none of them any other value.

    """
    found = np.zeros(256, dtype=bool)
    for pair in pairs:
        if pair.labelled:
            found |= pair.label_counts() > 0
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
) -> list[RawPair] | list[PackedPair]:
    if spec.kind == 'pack':
        return read_pack(Path(spec.path).expanduser(), spec, num_classes, ignore_index)
    pairs: list[RawPair] = []
    for pair, count in iterate_source(spec, num_classes, ignore_index, threads):
        if not pairs:
            _check_memory(spec, pair, count)
        pairs.append(pair)
    return pairs


def _check_memory(spec: SourceSpec, pair: RawPair, count: int) -> None:
    """Refuse what memory has no room for before it is read, as far as its number is known."""
    needed, free = count * pair.nbytes, available_bytes()
    if free is not None and needed > _MEMORY_FOR_PAIRS * free:
        raise DatasetError(
            f'{spec.kind}:{spec.path}: {count} pairs take about {needed / 1e9:.1f} GB of memory, '
            f'{free / 1e9:.1f} GB are free: mafs-data pack puts them on disk, from where '
            'pack:FOLDER reads what a step draws'
        )


def iterate_source(
    spec: SourceSpec,
    num_classes: int | None = None,
    ignore_index: int = IGNORE_INDEX,
    threads: int = 1,
) -> Iterator[tuple[RawPair, int]]:
    """
    Read the pairs of a source one after the other.

    Args:
        spec: what to read.
        num_classes: label values must be below it; None: not checked.
        ignore_index: label without class.
        threads: how many files are decoded at a time.

    Yields:
        A pair, and how many there will be, 0 if nobody knows.

    Raises:
        DatasetError: see `find_pairs` and `read_pair`.

    """
    if spec.kind == 'pack':
        packed = read_pack(Path(spec.path).expanduser(), spec, num_classes, ignore_index)
        yield from ((pair.window(), len(packed)) for pair in packed)
    elif spec.kind == 'synthetic':
        from mafs_training.datasets.synthetic import render_pairs

        table, where = spec.label_table(ignore_index), Path(f'synthetic:{spec.path}')
        for pair in render_pairs(spec):
            assert pair.label is not None
            yield replace(pair, label=relabel(pair.label, table, where)), int(spec.path)
    elif spec.kind in ('clip', 'bag'):
        from mafs_training.datasets.recorded import read_recording

        yield from ((pair, 0) for pair in read_recording(spec))
    else:
        files = find_pairs(spec)
        table = spec.label_table(ignore_index)
        for pair in _decoded(files, num_classes, ignore_index, table, threads):
            yield pair, len(files)


def _decoded(
    files: Sequence[PairFiles],
    num_classes: int | None,
    ignore_index: int,
    table: np.ndarray,
    threads: int,
) -> Iterator[RawPair]:
    """Decode several files at a time, never many more than have been asked for."""
    same = [itertools.repeat(value) for value in (num_classes, ignore_index, table)]
    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        for start in range(0, len(files), 4 * threads):
            yield from pool.map(read_pair, files[start : start + 4 * threads], *same)
