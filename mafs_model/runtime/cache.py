"""
The folder for files that are derived from weights, shared by processes.

Whoever writes does so under a name of its own and renames (``mafs_model.files``): readers see a
whole file or none, and what they have open stays what it was. A lock per file lets one process do
the work while others wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
import logging
import os
from pathlib import Path
import re
import time

try:
    import fcntl
except ImportError:  # Windows: without locks two processes do the same work, and that is all.
    fcntl = None  # type: ignore[assignment]

_LOGGER = logging.getLogger('mafs_model.runtime')

CACHE_VARIABLE = 'MAFS_CACHE_DIR'
LIMIT_VARIABLE = 'MAFS_CACHE_LIMIT_MB'
DEFAULT_LIMIT_MB = 500
_LOCK_SUFFIX = '.lock'
_LOCK_TIMEOUT_S = 120.0  # Longer than any graph takes to compile on a busy robot.
_ABANDONED_S = 3600.0
# Names that this project gives to files in the folder; nothing else is ever removed. A folder
# `openvino` is of earlier versions.
_OURS = re.compile(
    r'[0-9a-f]{16}-.*\.(onnx|xml|bin|blob|plan|engine|json|sha256|lock)'
    r'|\.[0-9a-f]{16}-.*\.part\.\w+|backends\.json|openvino'
)


def cache_folder() -> Path | None:
    """Return the folder for derived files, None if ``MAFS_CACHE_DIR`` names none."""
    value = os.environ.get(CACHE_VARIABLE, '').strip()
    if not value:
        return None
    folder = Path(value).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _LOGGER.warning("%s '%s': cannot be used: %s", CACHE_VARIABLE, value, error.strerror)
        return None
    return folder


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """
    Let one process at a time work on a file; others wait for it, but not for ever.

    Where locks do not work (some network file systems) the work is done without.
    """
    if fcntl is None:
        yield
        return
    try:
        lock = path.with_name(path.name + _LOCK_SUFFIX).open('w')
    except OSError:
        yield
        return
    with lock:
        deadline = time.monotonic() + _LOCK_TIMEOUT_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    _LOGGER.warning("'%s': another process holds it, going on without", path)
                    break
                time.sleep(0.05)
            except OSError:
                break
        yield


@dataclass(frozen=True)
class CacheState:
    """
    What is in the cache.

    Attributes:
        folder: where.
        files: number of files of ours.
        size_mb: their size in MB.

    """

    folder: Path
    files: int
    size_mb: float


def state(folder: Path) -> CacheState:
    """Return what of ours is in a folder."""
    sizes = [size for _, size, _ in _entries(folder)]
    return CacheState(folder, len(sizes), sum(sizes) / 1e6)


def clear(folder: Path) -> CacheState:
    """Remove what is ours from a folder; return what that was."""
    before = state(folder)
    _remove([path for path, _, _ in _entries(folder)])
    return before


def prune(folder: Path) -> None:
    """Remove the files used longest ago until the folder is within its limit."""
    entries = sorted(_entries(folder), key=lambda entry: entry[2])
    now = time.time()
    stale = [p for p, _, used in entries if _is_part(p) and now - used > _ABANDONED_S]
    excess = sum(size for _, size, _ in entries) - limit_bytes()
    for path, size, _ in entries:
        if excess <= 0:
            break
        if path.suffix != _LOCK_SUFFIX and not _is_part(path):
            stale.append(path)
            excess -= size
    _remove(stale)


def limit_bytes() -> int:
    """Return how large the cache may be; what the environment says wrongly counts as unsaid."""
    text = os.environ.get(LIMIT_VARIABLE, '').strip()
    try:
        megabytes = float(text) if text else float(DEFAULT_LIMIT_MB)
    except ValueError:
        megabytes = -1.0
    if not 0.0 <= megabytes <= 1e6:
        _LOGGER.warning(
            "%s '%s': expected megabytes, 0 to 1000000; using %d",
            LIMIT_VARIABLE,
            text,
            DEFAULT_LIMIT_MB,
        )
        megabytes = float(DEFAULT_LIMIT_MB)
    return int(megabytes * 1e6)


def touch(path: Path) -> None:
    """Note that a file was used."""
    with suppress(OSError):
        os.utime(path)


def _entries(folder: Path) -> list[tuple[Path, int, float]]:
    """Return path, size and time of last use of each file of ours."""
    found = []
    with suppress(OSError):
        for path in folder.iterdir():
            if not _OURS.fullmatch(path.name) or path.is_symlink():
                continue
            inside = list(path.rglob('*')) if path.is_dir() else [path]
            for file in inside:
                with suppress(OSError):
                    status = file.lstat()
                    if file.is_file() and not file.is_symlink():
                        found.append((file, status.st_size, status.st_mtime))
    return found


def _remove(paths: list[Path]) -> None:
    """Remove files; whoever has them open keeps them."""
    for path in paths:
        with suppress(OSError):
            path.unlink()


def _is_part(path: Path) -> bool:
    """Return whether a file is one that somebody is writing."""
    return '.part' in path.suffixes[-2:-1]
