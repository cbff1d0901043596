"""What bootstrap.sh says on machines that lack something, and that it then changes nothing."""

from __future__ import annotations

import os
from pathlib import Path
import shutil
import subprocess
import sys

import pytest

TOOLS = (
    'awk', 'bash', 'cat', 'cmake', 'cut', 'c++', 'cc', 'df', 'dirname', 'env', 'find', 'flock',
    'grep', 'make', 'mkdir', 'paste', 'rm', 'sed', 'sha256sum', 'sort', 'tr', 'uname',
)  # fmt: skip


@pytest.fixture
def clone(root, tmp_path) -> Path:
    """Return a copy of the script in a folder of its own: nothing else of the project is there."""
    folder = tmp_path / 'clone'
    (folder / 'scripts').mkdir(parents=True)
    shutil.copy(root / 'scripts' / 'bootstrap.sh', folder / 'scripts')
    return folder


@pytest.fixture
def tools(tmp_path) -> Path:
    """Return a folder for the PATH that holds the needed tools and no Python."""
    folder = tmp_path / 'bin'
    folder.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        if found is None:
            pytest.skip(f'{name} is not installed')
        (folder / name).symlink_to(found)
    return folder


def program(path: Path, text: str) -> Path:
    path.unlink(missing_ok=True)
    path.write_text(f'#!/bin/bash\n{text}\n', encoding='utf-8')
    path.chmod(0o755)
    return path


def real_python() -> str:
    """Return the interpreter below any virtual environment, without ROS start-up hooks."""
    return str(Path(sys._base_executable).resolve())


def bootstrap(clone: Path, tools: Path, *arguments: str, **variables: str) -> str:
    """Run the script, check that it failed with one line, and return that line."""
    environment = {
        'PATH': str(tools),
        'HOME': str(clone.parent),
        'MAFS_FREE_MB': '1000000',
        **variables,
    }
    done = subprocess.run(
        [str(tools / 'bash'), str(clone / 'scripts' / 'bootstrap.sh'), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert not (clone / '.venv').exists()
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith('bootstrap: ')
    return lines[0]


def test_python_too_old(clone, tools):
    old = program(
        tools / 'python-old',
        f'exec {real_python()} -c "import sys; sys.version_info = (3, 9, 1); '
        'exec(sys.stdin.read())"',
    )
    message = bootstrap(clone, tools, MAFS_PYTHON=str(old))
    assert 'no usable Python from 3.10 to 3.13' in message
    assert 'is Python 3.9' in message
    assert 'MAFS_PYTHON' in message


def test_python_that_does_not_start(clone, tools):
    # A shim of a version manager for a version that is not active behaves like this.
    broken = program(tools / 'python-broken', 'echo "not active" >&2; exit 127')
    assert 'does not start' in bootstrap(clone, tools, MAFS_PYTHON=str(broken))


def test_python_that_is_not_there(clone, tools):
    message = bootstrap(clone, tools, MAFS_PYTHON='/nowhere/python3')
    assert "'/nowhere/python3'" in message


@pytest.mark.parametrize(
    ('missing', 'said'),
    [('cmake', 'no cmake found'), ('cc', 'no C and C++ compiler'), ('c++', 'no C and C++')],
)
def test_no_build_tool(clone, tools, missing, said):
    (tools / missing).unlink()
    message = bootstrap(clone, tools, MAFS_PYTHON=real_python())
    assert said in message
    assert 'apt install build-essential cmake' in message


def test_no_disk_space(clone, tools):
    message = bootstrap(clone, tools, MAFS_PYTHON=real_python(), MAFS_FREE_MB='100')
    assert '100 MB of disk space left' in message
    assert 'needed' in message


def test_architecture_without_wheels_names_the_way_by_apt(clone, tools):
    program(tools / 'uname', '[[ $1 == -m ]] && echo aarch64 || echo Linux')
    message = bootstrap(clone, tools, MAFS_PYTHON=real_python())
    assert 'aarch64' in message
    assert 'apt install ros-jazzy-ros-base' in message
    assert 'source /opt/ros/jazzy/setup.bash' in message


def test_sourced_ros_is_accepted_on_any_architecture(clone, tools, tmp_path):
    program(tools / 'uname', '[[ $1 == -m ]] && echo aarch64 || echo Linux')
    (tmp_path / 'rclpy.py').write_text('', encoding='utf-8')
    message = bootstrap(
        clone,
        tools,
        MAFS_PYTHON=real_python(),
        ROS_DISTRO='humble',
        AMENT_PREFIX_PATH='/opt/ros/humble',
        PYTHONPATH=str(tmp_path),
        MAFS_FREE_MB='1',
    )
    assert 'disk space' in message  # the first thing that it finds wrong


def test_sourced_ros_of_another_python(clone, tools):
    isolated = program(tools / 'python-isolated', f'exec {real_python()} -I -S "$@"')
    message = bootstrap(
        clone,
        tools,
        MAFS_PYTHON=str(isolated),
        ROS_DISTRO='humble',
        AMENT_PREFIX_PATH='/opt/ros/humble',
    )
    assert 'ROS humble is sourced' in message
    assert 'cannot import rclpy' in message


def test_unknown_argument(clone, tools):
    done = subprocess.run(
        [str(tools / 'bash'), str(clone / 'scripts' / 'bootstrap.sh'), '--fast'],
        env={'PATH': os.environ['PATH']},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "'--fast'" in done.stderr


def test_environment_script_says_what_to_do_first(root, clone):
    shutil.copy(root / 'scripts' / 'env.sh', clone / 'scripts')
    done = subprocess.run(
        ['bash', '-c', '. scripts/env.sh && echo continued'],
        cwd=clone,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert 'run scripts/bootstrap.sh first' in done.stderr
    assert 'continued' not in done.stdout


def test_unknown_extra(clone, tools):
    message = bootstrap(clone, tools, 'demo', 'tarin')
    assert "unknown argument 'tarin'" in message
    assert 'demo onnx train quantise dev' in message
