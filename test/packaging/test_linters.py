"""Style, formatting and types of the whole repository."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    'arguments',
    [['check', '--no-cache'], ['format', '--check', '--no-cache']],
    ids=['check', 'format'],
)
def test_ruff(root, arguments):
    pytest.importorskip('ruff', reason='ruff is not installed')
    done = subprocess.run(
        [sys.executable, '-m', 'ruff', *arguments, '.'],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]


@pytest.mark.timeout(300)
def test_types(root):
    pytest.importorskip('mypy', reason='mypy is not installed')
    done = subprocess.run(
        [sys.executable, '-m', 'mypy'], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
