"""Files that appear whole or not at all, where no link leads them elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
import os
from pathlib import Path
import tempfile

from mafs_model.errors import MafsError

_MODE = 0o666  # as open() makes files; what the user's umask forbids is taken away


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """
    Give a temporary file in the folder of ``path`` that replaces it when the block is left.

    A link that lies at ``path`` is replaced, not followed. After an error nothing is left behind
    and what was there stays.

    Args:
        path: the file to be; its folder is made.

    Raises:
        MafsError: the folder cannot be made or written to.

    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f'.{path.stem[:40]}.', suffix=f'.tmp{path.suffix}', dir=path.parent
        )
        os.close(handle)
    except OSError as error:
        raise MafsError(f"'{path}': cannot be written: {error.strerror}") from None
    temporary = Path(name)
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(_MODE & ~mask)
        temporary.replace(path)
    except OSError as error:
        raise MafsError(f"'{path}': cannot be written: {error.strerror or error}") from None
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


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
