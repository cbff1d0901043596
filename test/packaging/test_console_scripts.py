"""The console scripts of the environment that bootstrap makes."""

from __future__ import annotations

import os
from pathlib import Path
import subprocess
import sys

from mafs_model.version import __version__
import pytest

SCRIPTS = ('mafs', 'mafs-train', 'mafs-eval', 'mafs-data')


def run(script: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    path = Path(sys.executable).with_name(script)
    if not path.exists():
        pytest.skip(f'{path} is not there: the project is not installed with pip here')
    # As from a plain shell: nothing of scripts/env.sh is set.
    keep = {'HOME', 'LANG', 'TMPDIR'}
    environment = {name: value for name, value in os.environ.items() if name in keep}
    environment['PATH'] = '/usr/bin:/bin'
    return subprocess.run(
        [str(path), *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize('script', SCRIPTS)
def test_help_works_from_a_plain_shell(script, tmp_path):
    done = run(script, '--help', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.lower().startswith('usage:')
    assert script in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('script', SCRIPTS)
def test_version_is_that_of_the_project(script, tmp_path):
    done = run(script, '--version', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert __version__ in done.stdout


@pytest.mark.parametrize('script', SCRIPTS)
def test_a_wrong_argument_is_a_message_and_no_traceback(script, tmp_path):
    done = run(script, 'no-such-thing', cwd=tmp_path)
    assert done.returncode == 2
    assert 'no-such-thing' in done.stderr
    assert 'Traceback' not in done.stderr
