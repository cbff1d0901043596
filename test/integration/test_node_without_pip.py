"""The node without packages: those that `make setup` installs, and without PyTorch alone."""

from __future__ import annotations

import os
from pathlib import Path
import subprocess
import sys

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('mafs_ros.msg', reason='messages are not built (colcon build)')

pytestmark = pytest.mark.ros
HIDE = Path(__file__).parents[1] / 'without_packages.py'
# Not PIL, tqdm and yaml: apt has them.
PIP = 'av,lightning,lz4,onnx,onnxruntime,openvino,rosbags,safetensors,torch'
PROGRAM = """
import sys
import mafs_ros.launching  # what `ros2 launch` imports, with the Python of the system
import rclpy
from rclpy.parameter import Parameter
rclpy.init()
from mafs_ros.node import FusionNode
overrides = [Parameter('weights', value=sys.argv[1]), Parameter('backend', value=sys.argv[2])]
node = FusionNode(parameter_overrides=overrides, enable_communication_interface=False)
print('configure', node.trigger_configure().name)
node.destroy_node()
"""


def configure(
    folder: Path, domain_id: int, weights: str, backend: str = 'auto', hidden: str = PIP
) -> subprocess.CompletedProcess[str]:
    program = folder / 'configure.py'
    program.write_text(PROGRAM, encoding='utf-8')
    return subprocess.run(
        [sys.executable, HIDE, hidden, program, weights, backend],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, 'ROS_DOMAIN_ID': str(domain_id)},
    )


def test_missing_package_is_a_sentence(tmp_path: Path, ros_domain: int) -> None:
    done = configure(tmp_path, ros_domain, 'default')
    assert 'configure FAILURE' in done.stdout, done.stderr
    assert 'Traceback' not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if 'configure failed' in line]
    assert "the Python package 'safetensors' is missing: run 'make setup'" in line
    assert "set weights to 'classical'" in line


def test_classical_fusion_needs_none_of_them(tmp_path: Path, ros_domain: int) -> None:
    done = configure(tmp_path, ros_domain, 'classical')
    assert 'configure SUCCESS' in done.stdout, done.stderr


def test_node_runs_its_graphs_without_torch(tmp_path: Path, ros_domain: int) -> None:
    pytest.importorskip('openvino', reason='openvino is not installed')
    done = configure(tmp_path, ros_domain, 'default', hidden='torch,onnx')
    assert 'configure SUCCESS' in done.stdout, done.stderr


def test_node_names_the_extra_of_a_backend(tmp_path: Path, ros_domain: int) -> None:
    done = configure(tmp_path, ros_domain, 'default', 'torch', hidden='torch')
    assert 'configure FAILURE' in done.stdout, done.stderr
    assert 'Traceback' not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if 'configure failed' in line]
    assert "backend 'torch': package 'torch' is not installed, install mafs_ros[torch]" in line
