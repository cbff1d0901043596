"""What the packaging tests share: where the repository is and what its files import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Import(NamedTuple):
    """One import statement: the file it stands in, its line and the module it names."""

    file: Path
    line: int
    module: str
    for_types_only: bool = False

    def __str__(self) -> str:
        return f'{self.file}:{self.line} imports {self.module}'


def imports_of(source: str, file: Path) -> Iterator[Import]:
    """
    Yield every import in a Python source, wherever in the file it stands.

    Inside functions, under conditions, relative ones (resolved by the place of the file) and
    those through ``importlib.import_module('name')`` count all the same.
    """
    package = list(file.with_suffix('').parts[:-1])
    tree = ast.parse(source)
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, 'id', '') == 'TYPE_CHECKING'
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        types_only = id(node) in for_types
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name, types_only)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            prefix = '.'.join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(file, node.lineno, f'{prefix}.{alias.name}', types_only)
        elif isinstance(node, ast.Call) and node.args and _is_import_call(node.func):
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield Import(file, node.lineno, name.value)


def _is_import_call(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, 'id', '')
    return name in {'import_module', '__import__', 'find_spec', 'importorskip'}


def _imports_below(folder: Path, root: Path) -> list[Import]:
    found: list[Import] = []
    for path in sorted(folder.rglob('*.py')):
        found += imports_of(path.read_text(encoding='utf-8'), path.relative_to(root))
    return found


@pytest.fixture(scope='session')
def root() -> Path:
    """Return the root of the repository."""
    return ROOT


@pytest.fixture(scope='session')
def parse_imports():
    """Return the function that lists the imports of one source text."""
    return imports_of


@pytest.fixture(scope='session')
def package_imports() -> dict[str, list[Import]]:
    """Return the imports of every file of each package."""
    return {
        name: _imports_below(ROOT / name, ROOT)
        for name in (
            'mafs_ros',
            'mafs_model',
            'mafs_training',
            'mafs_demo',
            'mafs_synthetic',
            'mafs_calibration',
        )
    }
