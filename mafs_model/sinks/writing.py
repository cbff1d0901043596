"""Files that appear whole or not at all, where no link leads them elsewhere."""

from __future__ import annotations

from pathlib import Path

from mafs_model.errors import MafsError

_MODE = 0o666  # as open() makes files; what the user's umask forbids is taken away


def own_folder(path: Path) -> Path:
    """
    Return a folder for results, made if it is not there.

    Raises:
        MafsError: a link lies in its place, or something else that is no folder.

    """
    if path.is_symlink():
        raise MafsError(f"'{path}': is a link, results are not written through links")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MafsError(f"folder '{path}': cannot be made: {error.strerror}") from None
    return path
