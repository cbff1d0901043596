"""Source modules and generated messages are one Python package, wherever Python starts."""

from __future__ import annotations

import os
from pathlib import Path
import subprocess
import sys

import pytest

PROBE = """
import mafs_ros, mafs_ros.msg
from mafs_ros.msg import FusionStatus, SemanticClass, SemanticClasses
from rclpy.serialization import deserialize_message, serialize_message

message = FusionStatus(drop_reasons=['unpaired'], drop_counts=[3])
back = deserialize_message(serialize_message(message), FusionStatus)
assert back == message and list(back.drop_counts) == [3]
import mafs_ros.version_probe_that_does_not_exist
"""


@pytest.mark.ros
@pytest.mark.parametrize('place', ['root', 'elsewhere'])
def test_messages_and_modules_share_one_package(root, tmp_path, place):
    pytest.importorskip('rclpy', reason='no ROS here')
    pytest.importorskip('mafs_ros.msg', reason='the messages are not built: run colcon build')
    done = subprocess.run(
        [sys.executable, '-c', PROBE],
        cwd=root if place == 'root' else tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # All lines work but the last one, which shows that the probe can fail.
    assert 'version_probe_that_does_not_exist' in done.stderr.splitlines()[-1], done.stderr


@pytest.mark.ros
def test_executable_is_where_ros2_run_looks(root):
    index = pytest.importorskip('ament_index_python', reason='no ROS here')
    try:
        prefix = Path(index.get_package_prefix('mafs_ros'))
    except index.PackageNotFoundError:
        pytest.skip('mafs_ros is not built and sourced')
    executable = prefix / 'lib' / 'mafs_ros' / 'fusion_node'
    assert executable.is_file()
    assert executable.stat().st_mode & 0o111
    share = prefix / 'share' / 'mafs_ros'
    assert (share / 'package.xml').is_file()
    for folder in ('launch', 'config'):
        here = {p.name for p in (root / folder).iterdir() if p.is_file()}
        assert here <= {p.name for p in (share / folder).iterdir()}


def test_environment_script_bears_strict_shells(root):
    if not (root / '.venv' / 'mode').exists():
        pytest.skip('the environment was not made by scripts/bootstrap.sh')
    script = '. scripts/env.sh; python -c "import mafs_model"; echo "flags $-"; echo $unset_one'
    done = subprocess.run(
        ['bash', '-euo', 'pipefail', '-c', script],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 'flags ehuBc' in done.stdout, done.stderr
    # The strictness that the shell had is there again.
    assert done.returncode != 0
    assert 'unset_one: unbound variable' in done.stderr


@pytest.mark.parametrize('forbidden', ['', '1'])
def test_byte_code_is_kept_where_it_may_not_lie_beside_the_sources(root, forbidden, tmp_path):
    if not (root / '.venv' / 'mode').exists():
        pytest.skip('the environment was not made by scripts/bootstrap.sh')
    (tmp_path / 'once.py').touch()
    given = {k: v for k, v in os.environ.items() if not k.startswith('PYTHON')}
    if forbidden:
        given['PYTHONDONTWRITEBYTECODE'] = forbidden
    script = '. scripts/env.sh; PYTHONPATH=$1 python -c "import once; print(once.__cached__)"'
    done = subprocess.run(
        ['bash', '-c', script, 'bash', str(tmp_path)],
        cwd=root,
        env=given,
        capture_output=True,
        text=True,
        check=True,
    )
    cached = Path(done.stdout.strip())
    assert cached.is_file()
    assert cached.is_relative_to(root / '.cache' / 'python' if forbidden else tmp_path)
