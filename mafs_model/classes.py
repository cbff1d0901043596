"""The class tables: ids, names and colours of what the label image can contain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mafs_model.errors import ConfigError
from mafs_model.numeric import is_whole
from mafs_model.yaml_files import read_yaml
import numpy as np
from numpy.typing import NDArray

_DIRECTORY = Path(__file__).parent / 'data' / 'classes'
_ALIASES = {'msrs': 'mfnet'}  # MSRS annotates MFNet's nine classes.
IGNORE_INDEX = 255  # label without class, unless a class table names another one
MAX_CLASSES = 255  # ids 0..254 leave 255 for the ignored label in an 8-bit image.


@dataclass(frozen=True)
class SemanticClass:
    """
    One class.

    Attributes:
        id: value in the label image, 0..254.
        name: short name without blanks.
        color: (red, green, blue), 0..255 each.

    """

    id: int
    name: str
    color: tuple[int, int, int]


@dataclass(frozen=True)
class ClassTable:
    """
    All classes of one data set, ids 0..N-1 in order.

    Attributes:
        dataset: name of the data set.
        classes: the classes, ``classes[i].id == i``.
        ignore_index: label value without meaning, in no metric and no loss.

    """

    dataset: str
    classes: tuple[SemanticClass, ...]
    ignore_index: int = IGNORE_INDEX

    def __post_init__(self) -> None:
        """Check the table as a whole; raises ConfigError."""
        where = f"class table '{self.dataset}'"
        if not 1 <= len(self.classes) <= MAX_CLASSES:
            raise ConfigError(f'{where}: {len(self.classes)} classes, expected 1 to {MAX_CLASSES}')
        ids = [c.id for c in self.classes]
        if ids != list(range(len(ids))):
            raise ConfigError(f'{where}: ids {ids}, expected 0..{len(ids) - 1} in order')
        duplicates = sorted({n for n in self.names if self.names.count(n) > 1})
        if duplicates:
            raise ConfigError(f'{where}: class names used twice: {", ".join(duplicates)}')
        if not len(ids) <= self.ignore_index <= 255:
            raise ConfigError(
                f'{where}: ignore_index {self.ignore_index}, expected {len(ids)} to 255 '
                '(outside the class ids)'
            )

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names, indexed by class id."""
        return tuple(c.name for c in self.classes)

    @property
    def palette(self) -> NDArray[np.uint8]:
        """Return RGB colours, uint8 [256,3], indexed by label value; black where no class is."""
        table = np.zeros((256, 3), np.uint8)
        table[: len(self.classes)] = [c.color for c in self.classes]
        return table

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, the inverse of :meth:`from_dict` (YAML and JSON safe)."""
        return {
            'dataset': self.dataset,
            'ignore_index': self.ignore_index,
            'classes': [
                {'id': c.id, 'name': c.name, 'color': list(c.color)} for c in self.classes
            ],
        }

    @classmethod
    def from_dict(cls, data: Any, where: str = 'class table') -> ClassTable:
        """
        Validate plain values and return the table.

        Args:
            data: mapping with ``dataset``, ``classes`` (list of ``id``, ``name``, ``color``)
                and optional ``ignore_index``.
            where: how error messages call the source.

        Raises:
            ConfigError: naming the entry, its value and what was expected.

        """
        if not isinstance(data, Mapping):
            raise ConfigError(
                f"{where}: expected a mapping with 'dataset' and 'classes', "
                f'got {type(data).__name__}'
            )
        unknown = sorted(str(k) for k in data.keys() - {'dataset', 'classes', 'ignore_index'})
        if unknown:
            raise ConfigError(f'{where}: unknown keys: {", ".join(unknown)}')
        dataset = data.get('dataset')
        if not isinstance(dataset, str) or not dataset.strip():
            raise ConfigError(f"{where}: 'dataset' is {dataset!r}, expected a name")
        entries = data.get('classes')
        if not isinstance(entries, list):
            raise ConfigError(f"{where}: 'classes' is {entries!r}, expected a list of classes")
        ignore_index = data.get('ignore_index', IGNORE_INDEX)
        if not is_whole(ignore_index):
            raise ConfigError(f"{where}: 'ignore_index' is {ignore_index!r}, expected an integer")
        classes = tuple(_parse_class(e, f'{where}: class {i}') for i, e in enumerate(entries))
        try:
            return cls(dataset, classes, ignore_index)
        except ConfigError as error:
            raise ConfigError(f'{where}: {error}') from None

    @classmethod
    def load(cls, name_or_path: str | Path) -> ClassTable:
        """
        Load a table by data set name or from a YAML file.

        Args:
            name_or_path: one of :func:`available` or the path of a YAML file.

        Raises:
            ConfigError: unknown name, missing or malformed file.

        """
        text = str(name_or_path)
        key = text.lower()
        if key in available():
            path = _DIRECTORY / f'{_ALIASES.get(key, key)}.yaml'
        else:
            path = Path(text).expanduser()
            if not path.is_file():
                raise ConfigError(
                    f"classes '{text}': neither a known data set "
                    f'({", ".join(available())}) nor a YAML file'
                )
        return cls.from_dict(read_yaml(path, 'class file'), f"class file '{path}'")


def available() -> tuple[str, ...]:
    """Return the names that :meth:`ClassTable.load` knows without a file."""
    names = {p.stem for p in _DIRECTORY.glob('*.yaml')} | set(_ALIASES)
    return tuple(sorted(names))


def _parse_class(entry: Any, where: str) -> SemanticClass:
    """Validate one entry of ``classes``."""
    if not isinstance(entry, Mapping) or set(entry) != {'id', 'name', 'color'}:
        raise ConfigError(f"{where} is {entry!r}, expected keys 'id', 'name', 'color'")
    if not is_whole(entry['id']):
        raise ConfigError(f"{where}: 'id' is {entry['id']!r}, expected an integer")
    name = entry['name']
    if not isinstance(name, str) or not name.strip():
        raise ConfigError(f"{where}: 'name' is {name!r}, expected a non-empty text")
    color = entry['color']
    if (
        not isinstance(color, (list, tuple))
        or len(color) != 3
        or not all(is_whole(c) and 0 <= c <= 255 for c in color)
    ):
        raise ConfigError(f"{where}: 'color' is {color!r}, expected [red, green, blue], 0..255")
    return SemanticClass(entry['id'], name, (color[0], color[1], color[2]))
