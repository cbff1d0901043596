"""The bags among files and folders: a folder that is a bag itself, or one that holds several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mafs_model.errors import BagError

SUFFIXES = ('.mcap', '.db3')
_DEEPEST = 4
_MOST = 100_000


def find_bags(paths: Sequence[Path]) -> list[Path]:
    """
    Return the bags that are meant, in the order of the arguments and then of their names.

    A file is a bag, and so is a folder with metadata.yaml, .mcap or .db3 files; any other folder
    is searched for such folders, four levels deep.

    Raises:
        BagError: a folder without any bag, one that cannot be read, or more than 100 000
            folders to look into.

    """
    bags: list[Path] = []
    for path in paths:
        try:
            found = _below(path) if path.is_dir() and not _is_bag(path) else [path]
        except OSError as error:
            raise BagError(f'cannot look into {error.filename}: {error.strerror}') from None
        if not found:
            raise BagError(
                f'{path}: neither a bag nor a folder of bags (metadata.yaml, .mcap or .db3)'
            )
        bags += found
    return list(dict.fromkeys(bags))


def _below(folder: Path) -> list[Path]:
    """Return the bag folders below a folder; the links in it are not followed."""
    found: list[Path] = []
    waiting, looked = [(folder, 0)], 0
    while waiting:
        current, depth = waiting.pop()
        looked += 1
        if looked > _MOST:
            raise BagError(f'{folder}: more than {_MOST} folders below it, expected a few of bags')
        for path in current.iterdir():
            if not path.is_dir() or path.is_symlink():
                continue
            if _is_bag(path):
                found.append(path)
            elif depth + 1 < _DEEPEST:
                waiting.append((path, depth + 1))
    return sorted(found)


def _is_bag(folder: Path) -> bool:
    """Return whether a folder is itself a bag, a damaged one included."""
    return (folder / 'metadata.yaml').is_file() or any(
        path.suffix in SUFFIXES and path.is_file() for path in folder.iterdir()
    )
