"""The sink that the name of ``--out`` asks for."""

from __future__ import annotations

from pathlib import Path

from mafs_model.errors import ConfigError
from mafs_model.images.image_files import SUFFIXES
from mafs_model.sinks.film import FILM_SUFFIXES, FilmSink
from mafs_model.sinks.folder import FolderSink
from mafs_model.sinks.pictures import PICTURE_SUFFIXES, PictureSink
from mafs_model.sinks.results import Sink
from mafs_model.sources.given import TABLE_SUFFIXES, VIDEO_SUFFIXES
from mafs_model.sources.items import PairSource
from mafs_model.types import Picture

# Names of files that results are not written as; anything else is the name of a folder.
_OTHER_SUFFIXES = {*SUFFIXES, *TABLE_SUFFIXES, *VIDEO_SUFFIXES, '.json', '.pdf', '.svg', '.npz'}


def open_sink(
    out: str | Path,
    source: PairSource,
    *,
    picture: Picture | None = None,
    rate_hz: float | None = None,
    overwrite: bool = False,
) -> Sink:
    """
    Return where the results of a source go.

    Args:
        out: name of a picture, of a video, or of a folder.
        source: the pairs.
        picture: which picture goes into a single file; None: the fused image.
        rate_hz: pictures per second of a video; None: as the input.
        overwrite: replace what is there.

    Raises:
        ConfigError: the results do not fit, or are there already.

    """
    path = check_out(out, source, picture)
    suffix = path.suffix.lower()
    if suffix in PICTURE_SUFFIXES and not path.is_dir():
        return PictureSink(path, picture or 'fused', overwrite)
    if suffix in FILM_SUFFIXES and not path.is_dir():
        return FilmSink(path, picture or 'fused', rate_hz or source.rate_hz, overwrite)
    return FolderSink(path, source.names, overwrite)


def check_out(out: str | Path, source: PairSource, picture: Picture | None) -> Path:
    """Return the path of the results; raises ConfigError where they do not go together."""
    path = Path(out).expanduser()
    suffix = path.suffix.lower()
    if path.is_dir():
        suffix = ''
    elif path.exists() and any(path.samefile(f) for f in source.files if f.exists()):
        raise ConfigError(f"--out '{path}': is an input")
    if suffix in PICTURE_SUFFIXES:
        count = source.count
        if count is None or count > 1:
            many = 'a recording' if count is None else f'{count} pairs'
            raise ConfigError(
                f"--out '{path}': one picture for {many}, expected a folder or a video "
                f'({", ".join(FILM_SUFFIXES)}); --frames 1 takes the first pair'
            )
    elif suffix not in FILM_SUFFIXES:
        check_suffix(path, picture)
    return path


def check_suffix(path: Path, picture: Picture | None) -> None:
    """Raise ConfigError if a folder for results has the name of a file, or cannot hold them."""
    if picture is not None:
        raise ConfigError(
            f"picture {picture}: for a picture or a video, but '{path}' is a folder, which gets "
            'all of them'
        )
    suffix = path.suffix.lower()
    if suffix in _OTHER_SUFFIXES and not path.is_dir():
        raise ConfigError(
            f"'{path}': results are not written as {suffix}, expected a folder, a "
            f'picture ({", ".join(PICTURE_SUFFIXES)}) or a video ({", ".join(FILM_SUFFIXES)})'
        )
