"""
Writing files so that a fault leaves the old one: beside, synchronised, renamed.

Every file that the tools make goes this way. A full disk, a kill or a power cut in the middle
leaves what was there before, and no reader ever sees half a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
import errno
import os
from pathlib import Path
import secrets
import shutil

from mafs_model.errors import MafsError

_SPARE_BYTES = 1 << 20  # left free for what else is written: logs, metrics


def previous_of(path: Path) -> Path:
    """Return where `replacing` keeps the file that was there before."""
    return path.with_name(f'{path.stem}.previous{path.suffix}')


def check_space(folder: Path, size: int, error: type[MafsError] = MafsError) -> None:
    """
    Refuse to begin what the disk has no room for.

    Args:
        folder: an existing folder of the file system that is written to.
        size: bytes that are needed.
        error: kind of the refusal.

    Raises:
        MafsError: of the given kind, with the bytes that are free and needed.

    """
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return  # a file system that does not say
    if free < size + _SPARE_BYTES:
        raise error(
            f'{folder}: {free / 1e6:.0f} MB free, expected at least '
            f'{(size + _SPARE_BYTES) / 1e6:.0f} MB'
        )


@contextmanager
def replacing(
    path: str | Path,
    *,
    size: int = 0,
    previous: bool = False,
    durable: bool = True,
    error: type[MafsError] = MafsError,
) -> Iterator[Path]:
    """
    Give a file to write to; it takes the place of ``path`` if all went well, else it is removed.

    Args:
        path: the file to make or replace; missing folders are made.
        size: bytes that will be written, as far as they are known; room is checked first.
        previous: keep what was there as `previous_of` (path).
        durable: have the disk hold it before going on; False for one of many pictures, which
            costs milliseconds each and can be made again.
        error: kind of the errors.

    Yields:
        A hidden file of the same suffix in the same folder.

    Raises:
        MafsError: of the given kind: the file cannot be written; one line with the reason.

    """
    path = Path(path)
    beside = path.with_name(f'.{path.stem[:40]}.{secrets.token_hex(8)}.part{path.suffix}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        check_space(path.parent, size, error)
        yield beside
        if durable:
            _synchronise(beside)
        if previous:
            _keep(path)
        beside.replace(path)
        if durable:
            _synchronise(path.parent)
    except OSError as fault:
        raise error(f"'{path}': cannot be written: {fault.strerror or fault}") from None
    finally:
        with suppress(OSError):
            beside.unlink()


def write_bytes(
    path: str | Path,
    data: bytes | memoryview,
    *,
    previous: bool = False,
    durable: bool = True,
    error: type[MafsError] = MafsError,
) -> None:
    """Write a whole file; arguments and errors as in `replacing`."""
    with replacing(
        path, size=len(data), previous=previous, durable=durable, error=error
    ) as beside:
        beside.write_bytes(data)


def write_text(path: str | Path, text: str, *, error: type[MafsError] = MafsError) -> None:
    """Write a whole text file in UTF-8; errors as in `replacing`."""
    write_bytes(path, text.encode('utf-8'), error=error)


@contextmanager
def private_folder(path: str | Path, *, error: type[MafsError] = MafsError) -> Iterator[Path]:
    """
    Give a folder to fill; it gets its name if all went well, else it is removed.

    Nobody but the user of this process can read it, before and after: folders have mode 700,
    files 600.

    Args:
        path: the folder to make; nothing may be there. Missing parents are made, with mode 700.
        error: kind of the errors.

    Yields:
        A hidden folder beside it.

    Raises:
        MafsError: of the given kind: it cannot be written; one line with the reason.

    """
    path = Path(path)
    try:
        beside = begin_private_folder(path)
    except OSError as fault:
        raise error(f"'{path}': cannot be written: {fault.strerror or fault}") from None
    try:
        yield beside
        finish_private_folder(beside, path)
    except OSError as fault:
        raise error(f"'{path}': cannot be written: {fault.strerror or fault}") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def begin_private_folder(path: Path) -> Path:
    """Make a hidden folder of mode 700 beside a path; raises OSError."""
    for parent in reversed(path.absolute().parents):
        if not parent.is_dir():
            with suppress(FileExistsError):
                parent.mkdir(mode=0o700)
    beside = path.with_name(f'.{path.name[:40]}.{secrets.token_hex(8)}.part')
    beside.mkdir(mode=0o700)
    return beside


def finish_private_folder(beside: Path, path: Path) -> None:
    """Close a filled folder to others and give it its name; raises OSError, as if it is taken."""
    for entry in (beside, *beside.rglob('*')):
        if not entry.is_symlink():
            entry.chmod(0o700 if entry.is_dir() else 0o600)
    if path.exists() or path.is_symlink():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    beside.rename(path)


def _keep(path: Path) -> None:
    """Keep a file under the name of the previous one, without a moment in which it is missing."""
    if not path.is_file():
        return
    kept = previous_of(path)
    link = path.with_name(f'.{kept.name}.{os.getpid()}')
    try:
        os.link(path, link)
        link.replace(kept)
    except OSError:  # a file system without hard links
        path.replace(kept)
    finally:
        with suppress(OSError):
            link.unlink()


def _synchronise(path: Path) -> None:
    """Have the disk hold a file, or a folder with its names, before going on."""
    if path.is_dir():
        with suppress(OSError):  # not every file system synchronises folders
            _fsync(path, os.O_RDONLY)
    else:
        _fsync(path, os.O_RDWR)


def _fsync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
