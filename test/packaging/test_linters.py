"""Style, formatting and types of the whole repository."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
import re
import subprocess
import sys

import pytest


def skip_unless_locked(root: Path, tool: str) -> None:
    """Skip where the tool is another version than the one that the sources are written for."""
    lock = root / 'requirements' / 'locks' / f'py3{sys.version_info.minor}-numpy2.txt'
    if not lock.exists():
        pytest.skip(f'no {lock.name}: this Python is not supported')
    found = re.search(rf'^{tool}==(\S+)', lock.read_text(encoding='utf-8'), re.MULTILINE)
    assert found is not None
    try:
        installed = metadata.version(tool)
    except metadata.PackageNotFoundError:
        installed = 'none'
    if installed != found[1]:
        # That of a distribution finds other things; `make develop` installs the right one.
        pytest.skip(f'{tool} is {installed}, the sources are checked with {found[1]}')


@pytest.mark.parametrize(
    'arguments',
    [['check', '--no-cache'], ['format', '--check', '--no-cache']],
    ids=['check', 'format'],
)
def test_ruff(root, arguments):
    skip_unless_locked(root, 'ruff')
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
    skip_unless_locked(root, 'mypy')
    done = subprocess.run(
        [sys.executable, '-m', 'mypy'], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
