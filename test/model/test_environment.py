"""The optional runtimes neither report their use nor write below the home folder."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

RUNTIMES = ('onnxruntime', 'openvino', 'nncf')


@pytest.mark.parametrize('name', RUNTIMES)
def test_runtime_leaves_nothing_at_home(name, tmp_path):
    pytest.importorskip(name, reason=f'{name} is not installed')
    program = f'import mafs_model.runtime, {name}; print("imported")'
    environment = {k: v for k, v in os.environ.items() if k != 'ORT_DISABLE_TELEMETRY'}
    environment.update(HOME=str(tmp_path), CI='', XDG_CACHE_HOME=str(tmp_path / 'cache'))
    done = subprocess.run(
        [sys.executable, '-c', program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.strip().endswith('imported'), done.stderr
    assert [path for path in tmp_path.rglob('*') if path.is_file()] == []
