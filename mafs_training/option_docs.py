"""
Writes the tables of the training options into ``docs/training_options.md``.

``python -m mafs_training.option_docs`` after a change of an option; a test compares.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
import re
from typing import Any

from mafs_training.options import CONFIGS

FILE = Path(__file__).resolve().parent.parent / 'docs' / 'training_options.md'
_HEAD = """# Options of `mafs-train`

Written by `python -m mafs_training.option_docs` from the dataclasses of the options, which are
the one place of defaults and limits. On the command line `--SECTION.OPTION VALUE`, in a YAML file
(`--config`) nested alike; lists and mappings are written as in YAML.
"""


def sections() -> Iterator[tuple[str, type[Any], list[str]]]:
    """Yield name, dataclass and stages of each section, in the order of the stages."""
    found: dict[str, tuple[type[Any], list[str]]] = {}
    for stage, config in CONFIGS.items():
        made = config()
        for item in fields(config):
            options = type(getattr(made, item.name))
            found.setdefault(item.name, (options, []))[1].append(stage)
    for name, (options, stages) in found.items():
        yield name, options, stages


def sentences(options: type[Any]) -> dict[str, str]:
    """Return the sentence of each option, from the docstring of its dataclass."""
    _, _, listed = (options.__doc__ or '').partition('Attributes:\n')
    found = re.findall(r'^        (\w+): (.*(?:\n {12}.*)*)', listed, flags=re.MULTILINE)
    return {name: ' '.join(text.split()) for name, text in found}


def summary(options: type[Any]) -> str:
    """Return the first sentence of a docstring."""
    return (options.__doc__ or '').strip().splitlines()[0].strip()


def _cell(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f'`{text}`' if text else ''


def _section(name: str, options: type[Any], stages: list[str]) -> Iterator[str]:
    yield f'\n## `{name}` ({", ".join(stages)})\n'
    yield summary(options) + '\n'
    yield '| option | default | values | meaning |'
    yield '|---|---|---|---|'
    yield from _rows(options)


def _rows(options: type[Any], prefix: str = '') -> Iterator[str]:
    """Yield the row of each option; those of options within options follow theirs."""
    words = sentences(options)
    for item in fields(options):
        default = getattr(options(), item.name)
        nested = is_dataclass(default)
        cell = '' if nested else _cell(default)
        limits = item.metadata.get('limits', '')
        yield f'| `{prefix}{item.name}` | {cell} | {limits} | {words[item.name]} |'
        if nested:
            yield from _rows(type(default), f'{prefix}{item.name}.')


def render() -> str:
    """Return the whole document."""
    lines = [_HEAD.rstrip('\n')]
    for section in sections():
        lines += _section(*section)
    return '\n'.join(lines) + '\n'


if __name__ == '__main__':
    FILE.write_text(render(), encoding='utf-8')
