"""The folder for files that are derived from weights."""

from __future__ import annotations

import logging
import os
from pathlib import Path

_LOGGER = logging.getLogger('mafs_model.runtime')

CACHE_VARIABLE = 'MAFS_CACHE_DIR'


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
