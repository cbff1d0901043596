"""Records of our loggers reach `caplog`, also where the pytest plugins of launch are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

PLUGIN = """
import logging

class LaunchLogger(logging.getLoggerClass()):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.propagate = False

logging.setLoggerClass(LaunchLogger)
logging.getLogger('mafs_model.before')
"""
TEST = """
import logging

def test_both(caplog):
    for name in ('before', 'after'):
        logging.getLogger(f'mafs_model.{name}').warning('heard %s', name)
    assert [r.getMessage() for r in caplog.records] == ['heard before', 'heard after']
"""


def test_records_are_heard(root, tmp_path):
    (tmp_path / 'launch_like.py').write_text(PLUGIN, encoding='utf-8')
    (tmp_path / 'test_heard.py').write_text(TEST, encoding='utf-8')
    command = [sys.executable, '-m', 'pytest', '-q', '-p', 'launch_like', '-p', 'no:cacheprovider']
    environment = {**os.environ, 'PYTHONPATH': f'{tmp_path}:{os.environ.get("PYTHONPATH", "")}'}

    def run() -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        return done.stdout

    assert '1 failed' in run(), 'the plugin does not do what those of launch do'
    shutil.copy(root / 'test' / 'conftest.py', tmp_path)
    assert '1 passed' in run()
