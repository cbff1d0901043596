"""What is defined is used: a function or constant that nothing names was forgotten, or is dead."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
import io
from pathlib import Path
import re
import tokenize

PACKAGES = (
    'mafs_ros', 'mafs_model', 'mafs_training', 'mafs_calibration', 'mafs_demo', 'mafs_synthetic',
)  # fmt: skip
# Tests do not count: what only they call is dead.
USERS = (*PACKAGES, 'scripts', 'launch', 'benchmarks', 'setup.py')


def python_files(root: Path, names: tuple[str, ...]) -> Iterator[Path]:
    for name in names:
        path = root / name
        yield from [path] if path.is_file() else sorted(path.rglob('*.py'))


def words(source: str) -> Iterator[str]:
    """Yield the names in the code, and the words of short strings, where names are looked up."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME:
            yield token.string
        elif token.type == tokenize.STRING and len(token.string) < 99:
            yield from re.findall(r'\w+', token.string)


def definitions(source: str) -> Iterator[str]:
    """Yield the public functions, classes and constants of a module."""
    for node in ast.parse(source).body:
        names: list[str] = []
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names = [node.target.id]
        yield from (name for name in names if not name.startswith('_'))


def test_everything_public_is_used(root):
    used: Counter[str] = Counter()
    for path in python_files(root, USERS):
        used.update(words(path.read_text('utf-8')))
    dead = [
        f'{path.relative_to(root)}: {name}'
        for path in python_files(root, PACKAGES)
        for name in definitions(path.read_text('utf-8'))
        if used[name] < 2
    ]
    assert not dead, f'named by no code but its own definition: {dead}'


def test_unused_definitions_are_found():
    source = 'LIMIT = 3\nSIZE: int = 4\n\n\ndef measure():\n    """measure LIMIT"""\n'
    assert list(definitions(source)) == ['LIMIT', 'SIZE', 'measure']
    assert Counter(words("x = 'a.measure'\nmeasure()"))['measure'] == 2
