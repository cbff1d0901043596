"""Names of topics stand in one module; tests and documents may spell them out."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGES = (
    'mafs_calibration', 'mafs_demo', 'mafs_model', 'mafs_ros', 'mafs_synthetic', 'mafs_training',
)  # fmt: skip
# A topic of the node, as text in a module.
TOPIC_WORDS = ('image_raw', 'fused/image', 'semantic/', 'fused/camera_info', '~/status')
TOPIC_HOME = 'mafs_model/topics.py'


def modules(root: Path) -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((root / package).rglob('*.py')):
            yield path.relative_to(root).as_posix(), ast.parse(path.read_text('utf-8'))


def docstrings(tree: ast.AST) -> set[int]:
    """Return the ids of texts that are documentation."""
    return {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }


def test_topics_are_named_in_one_module(root: Path) -> None:
    found = []
    for path, tree in modules(root):
        documentation = docstrings(tree)
        found += [
            f'{path}:{node.lineno}: {node.value}'
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in documentation
            and path != TOPIC_HOME
            and any(word in node.value for word in TOPIC_WORDS)
        ]
    assert found == []
