"""Results as PNG files in folders, one folder a kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mafs_model.errors import ConfigError, MafsError
from mafs_model.sinks.pictures import write_picture
from mafs_model.sinks.results import Paint
from mafs_model.sinks.writing import own_folder
from mafs_model.types import Picture

KINDS: tuple[Picture, ...] = ('fused', 'labels', 'colors', 'overlay')


class FolderSink:
    """
    Writes ``fused/``, ``labels/``, ``colors/`` and ``overlay/`` with a PNG for each pair.

    Args:
        out: the folder.
        names: names of all pairs, None where they are not known.
        overwrite: replace files that are there.

    Raises:
        ConfigError: a result is there already.
        MafsError: no such folder can be made.

    """

    def __init__(self, out: Path, names: Sequence[str] | None, overwrite: bool = False) -> None:
        self._out = out
        if out.exists() and not out.is_dir():
            raise ConfigError(f"--out '{out}': is a file, expected a folder, a picture or a video")
        for kind in KINDS:
            folder = out / kind
            if folder.is_symlink():
                raise MafsError(f"'{folder}': is a link, results are not written through links")
            if overwrite or not folder.is_dir():
                continue
            taken = _taken(folder, names)
            if taken is not None:
                raise ConfigError(
                    f"--out '{out}': {kind}/{taken} is there already; --overwrite replaces results"
                )

    def write(self, name: str, paint: Paint) -> None:
        """Write the four pictures of a result; raises MafsError."""
        for kind in KINDS:
            folder = own_folder(self._out / kind)
            write_picture(folder / f'{name}.png', paint(kind))

    def close(self) -> None:
        """Do nothing: every file is in its place."""

    def abort(self) -> None:
        """Do nothing: what is finished stays."""

    def files(self) -> Iterator[str]:
        """Yield the folder."""
        yield str(self._out)


def _taken(folder: Path, names: Sequence[str] | None) -> str | None:
    """Return the name of a file that results would replace, None if there is none."""
    there = {p.name for p in folder.iterdir() if p.suffix == '.png'}
    if names is None:
        return min(there, default=None)
    return next((f'{n}.png' for n in names if f'{n}.png' in there), None)
