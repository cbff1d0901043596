"""What `colcon build` alone gives: the packages of apt, none that `make setup` installs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('mafs_ros.msg', reason='messages are not built (colcon build)')

pytestmark = pytest.mark.ros
PROGRAM = """
import sys

class Missing:
    # Not PIL, tqdm and yaml: apt has them.
    names = {'av', 'lightning', 'lz4', 'onnx', 'onnxruntime', 'openvino', 'rosbags',
             'safetensors', 'torch'}

    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in self.names:
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)

sys.meta_path.insert(0, Missing())
import mafs_ros.launching  # what `ros2 launch` imports, with the Python of the system
import rclpy
from rclpy.parameter import Parameter
rclpy.init()
from mafs_ros.node import FusionNode
node = FusionNode(parameter_overrides=[Parameter('weights', value=sys.argv[1])],
                  enable_communication_interface=False)
print('configure', node.trigger_configure().name)
node.destroy_node()
"""


def configure(weights: str, domain_id: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, '-c', PROGRAM, weights],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, 'ROS_DOMAIN_ID': str(domain_id)},
    )


def test_missing_package_is_a_sentence(ros_domain: int) -> None:
    done = configure('default', ros_domain)
    assert 'configure FAILURE' in done.stdout, done.stderr
    assert 'Traceback' not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if 'configure failed' in line]
    assert "the Python package 'safetensors' is missing: run 'make setup'" in line
    assert "set weights to 'classical'" in line


def test_classical_fusion_needs_none_of_them(ros_domain: int) -> None:
    done = configure('classical', ros_domain)
    assert 'configure SUCCESS' in done.stdout, done.stderr
