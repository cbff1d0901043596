"""What a configuration may make run: nothing, unless the command line trusts it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mafs_model.errors import ConfigError
from mafs_model.yaml_files import MAX_BYTES
import yaml

if TYPE_CHECKING:
    from mafs_training.options import StageConfig

FLAG = '--trust-config'
# With one of these keys the reader of configurations would import what it names, type or not.
_IMPORTING = ('class_path', 'init_args', 'dict_kwargs', '__path__')
_DEPTH = 4  # files that name files


def refuse_imports(text: str, depth: int = 0) -> None:
    """
    Refuse an option that would have something imported, before anything reads it.

    Args:
        text: a word of the command line: an option, a value, or a file of options.
        depth: how many files led here.

    Raises:
        ConfigError: names the key, and the file it stands in.

    """
    where = text if len(text) < 80 else text[:80] + '...'
    if any(text.startswith('--') and key in text for key in _IMPORTING):
        raise ConfigError(f'{where}: options name values, not classes to import')
    for key in _keys(_content(text), depth):
        if key in _IMPORTING:
            raise ConfigError(f'{where}: has {key!r}; options name values, not classes to import')


def _content(text: str) -> object:
    """Return the plain values of a text, or of the file that it names; None for neither."""
    path = Path(text).expanduser()
    try:
        if path.is_file():
            if _is_binary(path):
                return None
            if path.stat().st_size > MAX_BYTES:
                raise ConfigError(f'{path}: larger than {MAX_BYTES} bytes, no file of options')
            text = path.read_text(encoding='utf-8')
        return yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError):
        return None  # what cannot be read is refused with its reason where it is used
    except RecursionError:
        raise ConfigError(f'{text[:60]!r}: nested too deep, expected options') from None


def _is_binary(path: Path) -> bool:
    """Return whether a file begins as weights do; YAML allows no NUL, so it is no options."""
    with path.open('rb') as file:
        return b'\0' in file.read(4096)


def _keys(content: object, depth: int) -> Iterator[object]:
    """Yield the keys of all mappings inside; files that a value names are looked into."""
    waiting, seen = [content], set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list):
            if id(value) in seen:  # an alias of YAML may lead back
                continue
            seen.add(id(value))
            if isinstance(value, dict):
                yield from value
                waiting += value.values()
            else:
                waiting += value
        elif (
            isinstance(value, str)
            and depth < _DEPTH
            and value.endswith(('.yaml', '.yml', '.json'))
        ):
            refuse_imports(value, depth + 1)


def check_trust(config: StageConfig, trusted: bool) -> None:
    """
    Refuse code that a configuration names, unless the command line trusts it.

    Args:
        config: all options.
        trusted: whether `FLAG` was given; no file can give it.

    Raises:
        ConfigError: names what would be imported and called.

    """
    segmenter = getattr(config, 'segmenter', None)
    if segmenter is not None and segmenter.factory and not trusted:
        raise ConfigError(
            f'segmenter.factory is {segmenter.factory!r}, which would be imported and called: '
            f'expected {FLAG} on the command line for code that you trust'
        )
    if segmenter is not None and segmenter.kind == 'torchscript' and not trusted:
        raise ConfigError(
            f'{segmenter.weights}: TorchScript is a program, which would be run: expected {FLAG} '
            'on the command line for code that you trust'
        )
