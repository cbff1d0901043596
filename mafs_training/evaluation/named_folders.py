"""Arguments of the form [NAME=]DIR: folders of the methods under test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mafs_model.errors import ConfigError


def parse_folders(texts: Sequence[str], option: str) -> dict[str, Path]:
    """
    Parse [NAME=]DIR arguments; without NAME the folder's name is taken.

    Args:
        texts: the arguments.
        option: how messages call them, e.g. '--fused'.

    Raises:
        ConfigError: two methods of one name, or an empty name.

    """
    folders: dict[str, Path] = {}
    for text in texts:
        name, separator, folder = text.partition('=')
        path = Path(folder if separator else text)
        name = name if separator else path.resolve().name
        if not name or not str(path):
            raise ConfigError(f'{option} must be DIR or NAME=DIR, got {text!r}')
        if name in folders:
            raise ConfigError(f'{option}: method {name!r} is given twice, use NAME=DIR')
        folders[name] = path
    return folders
