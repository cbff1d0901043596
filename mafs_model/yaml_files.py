"""Reading small YAML files of unknown origin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mafs_model.errors import ConfigError
import yaml

MAX_BYTES = 1 << 20


def read_yaml(path: str | Path, what: str) -> Any:
    """
    Return the plain values of a YAML file.

    Args:
        path: the file; ``~`` is expanded.
        what: how messages call it, e.g. 'calibration file'.

    Raises:
        ConfigError: missing, unreadable, larger than 1 MiB, or not YAML of plain values.

    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise ConfigError(f"{what} '{path}': no such file")
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{what} '{path}': larger than {MAX_BYTES} bytes")
        return yaml.safe_load(file.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{what} '{path}': cannot be read: {error}") from None
    except yaml.YAMLError as error:
        line = ' '.join(str(error).split())
        raise ConfigError(f"{what} '{path}': not valid YAML: {line}") from None
    except (RecursionError, ValueError) as error:  # nested too deep, a date that is none
        raise ConfigError(f"{what} '{path}': not plain YAML: {error}") from None
