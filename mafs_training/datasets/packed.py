"""
A pack: pairs in shards from which a crop is read without the rest, for data larger than memory.

A folder of safetensors files with the pixels as they are, and ``index.json`` with what a run asks
of a pair before it is drawn: name, size, labelled pixels by value, checksum. A shard is opened for
a crop and closed after it, so that memory does not grow with what was drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
import json
from pathlib import Path
import re
from typing import Any

from mafs_model.classes import IGNORE_INDEX
from mafs_model.errors import DatasetError
from mafs_model.files import replacing, write_text
from mafs_training.datasets.reading import check_classes, RawPair, relabel
from mafs_training.datasets.spec import SourceSpec
import numpy as np
from numpy.typing import NDArray

INDEX = 'index.json'
_FORMAT = 'mafs-pack 1'
_SHARD = re.compile(r'pairs-\d{5}\.safetensors')
_SHARD_BYTES = 128 << 20
_MOST_INDEX_BYTES = 1 << 30
_LONGEST_SIDE = 1 << 15


@dataclass(frozen=True, eq=False)
class PackedPair:
    """
    One pair on disk; images are read where they are asked for.

    Attributes:
        name: as in `RawPair`.
        shard: file that holds it.
        number: of the pair in the shard.
        size: (height, width).
        digest: as `RawPair.digest`.
        values: labelled pixels by value on disk; None without label.
        table: what label values become; None: as they are.
        num_classes: label values must be below it; None: not checked.
        ignore_index: label without class.

    """

    name: str
    shard: Path
    number: int
    size: tuple[int, int]
    digest: bytes
    values: Mapping[int, int] | None
    table: NDArray[np.int16] | None = None
    num_classes: int | None = None
    ignore_index: int = IGNORE_INDEX

    nbytes = 0  # in memory

    @property
    def labelled(self) -> bool:
        """Return whether it has a label."""
        return self.values is not None

    def label_counts(self) -> NDArray[np.int64]:
        """Pixels by label value [256]; none without label."""
        counts = np.zeros(256, np.int64)
        for value, pixels in (self.values or {}).items():
            counts[value if self.table is None else self.table[value]] += pixels
        return counts

    def label_image(self) -> NDArray[np.uint8] | None:
        """Read the label: class ids uint8 [H,W], or None."""
        return self._read('label', slice(None), slice(None)) if self.labelled else None

    def window(self, rows: slice = slice(None), columns: slice = slice(None)) -> RawPair:
        """
        Read a part of the pair.

        Raises:
            DatasetError: the shard is missing or damaged.

        """
        return RawPair(
            self.name,
            self._read('visible', rows, columns),
            self._read('thermal', rows, columns),
            self._read('label', rows, columns) if self.labelled else None,
        )

    def _read(self, what: str, rows: slice, columns: slice) -> NDArray[np.uint8]:
        from safetensors import safe_open, SafetensorError

        try:
            with safe_open(self.shard, framework='numpy') as file:
                stored = file.get_slice(f'{self.number}.{what}')
                shape = (*self.size, 3) if what == 'visible' else self.size
                if tuple(stored.get_shape()) != shape or stored.get_dtype() != 'U8':
                    raise DatasetError(
                        f'{self.shard}: {self.name}: {what} is {stored.get_dtype()} of '
                        f'{stored.get_shape()}, expected U8 of {list(shape)}'
                    )
                image: NDArray[np.uint8] = stored[rows, columns]
        except (OSError, SafetensorError) as error:
            raise DatasetError(f'{self.shard}: no shard of mafs-data pack: {error}') from None
        if what == 'label':
            if self.table is not None:
                image = relabel(image, self.table, self.shard)
            check_classes(image, self.num_classes, self.ignore_index, self.shard)
        return image


def write_pack(folder: Path, pairs: Iterable[RawPair], shard_bytes: int = _SHARD_BYTES) -> int:
    """
    Write pairs as they come; at most one shard of them is in memory.

    Args:
        folder: to make; one with a whole pack is refused, that of a pack that was broken off is
            written over.
        pairs: what to store.
        shard_bytes: size of a file, about.

    Returns:
        Bytes that were written.

    Raises:
        DatasetError: the folder holds something, or cannot be written.

    """
    _check_free(folder)
    written, shards = 0, []
    for number, shard in enumerate(_shards(pairs, shard_bytes)):
        path = folder / f'pairs-{number:05d}.safetensors'
        written += _write_shard(path, shard)
        shards.append({'file': path.name, 'pairs': [_row(pair) for pair in shard]})
    write_text(
        folder / INDEX, json.dumps({'format': _FORMAT, 'shards': shards}), error=DatasetError
    )
    return written


def _check_free(folder: Path) -> None:
    """Refuse a folder with anything but the shards of a pack that was broken off."""
    try:
        there = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    except OSError as error:
        raise DatasetError(f'{folder}: no folder for a pack: {error.strerror}') from None
    others = [name for name in there if not _SHARD.fullmatch(name) and '.part' not in name]
    if others:
        raise DatasetError(f'{folder}: holds {others[0]}, expected an empty or new folder')
    for name in there:
        (folder / name).unlink()


def _shards(pairs: Iterable[RawPair], shard_bytes: int) -> Iterator[list[RawPair]]:
    shard: list[RawPair] = []
    for pair in pairs:
        shard.append(pair)
        if sum(one.nbytes for one in shard) >= shard_bytes:
            yield shard
            shard = []
    if shard:
        yield shard


def _write_shard(path: Path, pairs: Sequence[RawPair]) -> int:
    from safetensors.numpy import save_file

    images = {}
    for number, pair in enumerate(pairs):
        parts = {'visible': pair.visible, 'thermal': pair.thermal, 'label': pair.label}
        for what, image in parts.items():
            if image is not None:
                images[f'{number}.{what}'] = np.ascontiguousarray(image)
    size = sum(image.nbytes for image in images.values())
    with replacing(path, size=size, error=DatasetError) as beside:
        save_file(images, beside)
    return size


def _row(pair: RawPair) -> dict[str, Any]:
    """Return what the index says of a pair."""
    counts = pair.label_counts()
    values = {str(value): int(counts[value]) for value in np.nonzero(counts)[0]}
    return {
        'name': pair.name,
        'size': list(pair.size),
        'digest': pair.digest.hex(),
        'values': values if pair.labelled else None,
    }


def read_pack(
    folder: Path,
    spec: SourceSpec,
    num_classes: int | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> list[PackedPair]:
    """
    Read the index of a pack.

    Args:
        folder: of `write_pack`.
        spec: 'labels', 'only', 'skip', 'limit' and changes of labels are respected.
        num_classes: label values must be below it; None: not checked.
        ignore_index: label without class.

    Raises:
        DatasetError: no pack, one that was broken off or damaged, or wrong label values.

    """
    table = spec.label_table(ignore_index) if spec.relabels else None
    labels = spec.labels != 'none'
    pairs = []
    try:
        path = folder / INDEX
        if path.stat().st_size > _MOST_INDEX_BYTES:
            raise ValueError(f'larger than {_MOST_INDEX_BYTES} bytes')
        content = json.loads(path.read_bytes())
        if content['format'] != _FORMAT:
            raise ValueError(f'format {str(content["format"])[:40]!r}, expected {_FORMAT!r}')
        for shard in content['shards']:
            if not _SHARD.fullmatch(shard['file']):
                raise ValueError(f'shard {str(shard["file"])[:40]!r}')
            for number, row in enumerate(shard['pairs']):
                values = _values(row['values']) if labels else None
                pairs.append(
                    PackedPair(
                        str(row['name']),
                        folder / shard['file'],
                        number,
                        _size(row['size']),
                        bytes.fromhex(row['digest']),
                        values,
                        table,
                        num_classes,
                        ignore_index,
                    )
                )
    except FileNotFoundError:
        raise DatasetError(
            f'{folder}: no {INDEX}: expected a folder that mafs-data pack has completed'
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DatasetError(f'{folder}: no pack of mafs-data pack: {error}') from None
    for file in {pair.shard for pair in pairs}:
        if not file.is_file():
            raise DatasetError(f'{folder}: {file.name} is missing')
    chosen = [pairs[index] for index in spec.select([pair.name for pair in pairs])]
    for pair in chosen:
        _check_values(pair)
    return chosen


def _size(values: Any) -> tuple[int, int]:
    height, width = values
    if not all(type(side) is int and 0 < side <= _LONGEST_SIDE for side in values):
        raise ValueError(f'size {str(values)[:40]}')
    return height, width


def _values(values: Any) -> dict[int, int] | None:
    if values is None:
        return None
    found = {int(value): int(pixels) for value, pixels in values.items()}
    if not all(0 <= value < 256 and 0 <= n <= _LONGEST_SIDE**2 for value, n in found.items()):
        raise ValueError(f'label values {str(values)[:40]}')
    return found


def _check_values(pair: PackedPair) -> None:
    """Refuse label values of which the index already says that they are none."""
    found = np.array(sorted(pair.values or {}), np.uint8)
    if pair.table is not None:
        found = relabel(found, pair.table, pair.shard)
    check_classes(found, pair.num_classes, pair.ignore_index, f'{pair.shard}: {pair.name}')
