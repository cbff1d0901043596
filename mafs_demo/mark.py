"""The mark of folders that the demo has made: it deletes nothing that does not carry it."""

from __future__ import annotations

from pathlib import Path
import shutil

from mafs_model.errors import ConfigError

MARK = '.made_by_mafs_demo'


def is_ours(folder: Path) -> bool:
    """Return whether the demo has made a folder; a link is nobody's."""
    return (folder / MARK).is_file() and not folder.is_symlink()


def set_mark(folder: Path) -> None:
    """Mark a folder as made by the demo."""
    (folder / MARK).touch()


def remove(folder: Path) -> None:
    """
    Remove a folder that the demo has made; one that is not there is fine.

    Raises:
        ConfigError: it is a link, a file, or somebody else's.

    """
    if not folder.exists() and not folder.is_symlink():
        return
    if not is_ours(folder):
        raise ConfigError(f'{folder} was not made by the demo: not deleted; move it away')
    shutil.rmtree(folder, ignore_errors=True)
