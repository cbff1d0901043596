"""The node as a process of its own: start, signals, exit code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import os
from pathlib import Path
import queue
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('mafs_ros.msg')

pytestmark = pytest.mark.ros
ROOT = Path(__file__).resolve().parents[2]
# What is stuck below stays so for longer: who ends before was ended. How long an end takes is
# measured by benchmarks/random_signals.py.
DEADLINE_S = 60.0

# A child whose network takes ten minutes, as on a very slow or stuck device.
SLOW_INFERENCE = """
import sys, time
from mafs_model.predictor import Predictor
def predict(self, visible, thermal, outputs=None):
    print('inferring', file=sys.stderr, flush=True)
    time.sleep(600)
Predictor.predict = predict
Predictor.warm_up = lambda self, *sizes, **more: 0.0
from mafs_ros.executable import main
main()
"""
# A child that spends ten minutes in configure without giving Python a chance to see a signal.
SLOW_CONFIGURE = """
import ctypes, sys
from mafs_model.predictor import Predictor
def warm_up(self, *sizes, **more):
    print('loading', file=sys.stderr, flush=True)
    sleep = ctypes.CDLL(None).sleep
    while True:
        sleep(600)
Predictor.warm_up = warm_up
from mafs_ros.executable import main
main()
"""
# A child that spends ten minutes in an import that no Python code can interrupt.
SLOW_IMPORT = """
import ctypes, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == 'mafs_ros.node':
            print('importing', file=sys.stderr, flush=True)
            ctypes.CDLL(None).sleep(600)
sys.meta_path.insert(0, Finder())
from mafs_ros.executable import main
main()
"""
# A child whose context somebody else shuts down while its worker publishes.
SHUT_DOWN_FROM_OUTSIDE = """
import sys, threading, rclpy
from mafs_ros.publishers import OutputPublishers
publish = OutputPublishers.publish_images
def last(self, *arguments):
    print('publishing', file=sys.stderr, flush=True)
    rclpy.get_default_context().try_shutdown()
    publish(self, *arguments)
OutputPublishers.publish_images = last
from mafs_ros.executable import main
main()
"""

# A camera driver as users start it: without the profile that makes room for images.
CAMERA_WITHOUT_PROFILE = """
import array, sys, time, rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('camera')
qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
publisher = node.create_publisher(Image, 'rgb/image_raw', qos)
message = Image(height=480, width=640, encoding='bgr8', step=1920,
                data=array.array('B', bytes(480 * 1920)))
print('publishing', file=sys.stderr, flush=True)
try:
    while rclpy.ok():
        message.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(message)
        time.sleep(1 / 30)
except (KeyboardInterrupt, Exception):
    pass
"""


class Child:
    """A process whose output is read line by line while it runs."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            command,
            env=environment,
            cwd=ROOT,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        self.lines: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._queue.put(line.rstrip())
        self._queue.put(None)

    def wait_for(self, words: str, meanwhile: Callable[[], object] = lambda: None) -> str:
        """Return the next line with these words; call `meanwhile` ten times per second."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            try:
                line = self._queue.get(timeout=0.1)
            except queue.Empty:
                meanwhile()
                continue
            if line is None:
                break
            self.lines.append(line)
            if words in line:
                return line
        raise AssertionError(f'no line with {words!r}: {self.lines}')

    def end(self, number: int) -> None:
        """Send a signal and wait for an end without a fault."""
        self.process.send_signal(number)
        code = self.process.wait(DEADLINE_S)
        self.read_all()
        assert code == 0, '\n'.join(self.lines)
        assert 'Traceback' not in '\n'.join(self.lines)

    def read_all(self) -> None:
        """Read what an ended child has said."""
        while (line := self._queue.get(timeout=DEADLINE_S)) is not None:
            self.lines.append(line)

    def close(self) -> None:
        """Leave no process behind."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(5.0)
        assert self.process.stderr is not None
        self.process.stderr.close()


@pytest.fixture
def start(ros_domain: int) -> Iterator[Callable[..., Child]]:
    children = []

    def begin(*arguments: str, code: str = '', without: str = '') -> Child:
        program = ['-c', code] if code else [str(ROOT / 'scripts/fusion_node')]
        environment = os.environ | {
            'ROS_DOMAIN_ID': str(ros_domain),
            'PYTHONPATH': os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')]),
        }
        environment.pop(without, None)
        children.append(Child([sys.executable, *program, *arguments], environment))
        return children[-1]

    yield begin
    for child in children:
        child.close()


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_an_active_node_cleanly(start: Callable[..., Child], number: int) -> None:
    child = start('--ros-args', '-p', 'autostart:=true', '-p', 'weights:=classical')
    child.wait_for('active: pairing')
    child.end(number)


def test_second_interrupt_does_not_disturb_the_end(start: Callable[..., Child]) -> None:
    child = start('--ros-args', '-p', 'autostart:=true', '-p', 'weights:=classical')
    child.wait_for('active: pairing')
    child.process.send_signal(signal.SIGINT)
    child.end(signal.SIGINT)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_a_node_that_waits_unconfigured(
    start: Callable[..., Child], number: int
) -> None:
    child = start('--ros-args', '-p', 'sync.slopp:=1.0')
    child.wait_for("parameter 'sync.slopp' is unknown")
    child.end(number)


@pytest.fixture(scope='module')
def rig(make_rig: Callable[..., Any]) -> Any:
    """Return a rig whose own node stays unconfigured: only its tester is used here."""
    return make_rig(weights='classical')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_during_inference(start: Callable[..., Child], rig: Any, number: int) -> None:
    child = start(
        '--ros-args',
        '-p',
        'autostart:=true',
        '-p',
        'weights:=classical',
        '-r',
        '__node:=slow',
        code=SLOW_INFERENCE,
    )
    child.wait_for('active: pairing')
    from sensor_msgs.msg import Image

    rig.listen('/slow/fused/image', Image, 1)
    child.wait_for('inferring', meanwhile=rig.send_pair)
    child.end(number)
    rig.ignore('/slow/fused/image')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_during_import(start: Callable[..., Child], number: int) -> None:
    child = start(code=SLOW_IMPORT)
    child.wait_for('importing')
    child.end(number)


def test_end_of_ros_while_a_pair_is_published_is_no_error(
    start: Callable[..., Child], rig: Any
) -> None:
    arguments = ('-p', 'autostart:=true', '-p', 'weights:=classical', '-r', '__node:=ended')
    child = start('--ros-args', *arguments, code=SHUT_DOWN_FROM_OUTSIDE)
    child.wait_for('active: pairing')
    from sensor_msgs.msg import Image

    rig.listen('/ended/fused/image', Image, 1)
    child.wait_for('publishing', meanwhile=rig.send_pair)
    assert child.process.wait(DEADLINE_S) == 0
    child.read_all()
    assert 'Traceback' not in '\n'.join(child.lines)
    assert 'internal' not in '\n'.join(child.lines)
    rig.ignore('/ended/fused/image')


@pytest.mark.parametrize(
    ('arguments', 'environment', 'expected'),
    [
        (['--ros-args', '-p', 'foo'], {}, "parse parameter override rule: '-p foo'"),
        (['--ros-args', '--params-file', '/none.yaml'], {}, '/none.yaml'),
        ([], {'ROS_LOG_DIR': '/proc/none'}, 'set ROS_LOG_DIR to a folder that can be written'),
        ([], {'ROS_LOG_DIR': '', 'HOME': '/proc/none'}, 'set ROS_LOG_DIR to a folder'),
    ],
)
def test_what_ros_refuses_is_said_in_one_line(
    start: Callable[..., Child],
    arguments: list[str],
    environment: dict[str, str],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    child = start(*arguments)
    line = child.wait_for('fusion_node: ')
    assert expected in line
    assert child.process.wait(DEADLINE_S) == 2
    child.read_all()
    assert 'Traceback' not in '\n'.join(child.lines)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_while_weights_load(start: Callable[..., Child], number: int) -> None:
    child = start(
        '--ros-args', '-p', 'autostart:=true', '-p', 'weights:=classical', code=SLOW_CONFIGURE
    )
    child.wait_for('loading')
    child.end(number)


def test_failed_autostart_leaves_a_node_that_can_be_corrected(start: Callable[..., Child]) -> None:
    child = start('--ros-args', '-p', 'autostart:=true', '-p', 'weights:=/none.safetensors')
    assert '/none.safetensors' in child.wait_for('configure failed')
    assert child.process.poll() is None
    child.end(signal.SIGTERM)


def test_value_of_wrong_type_on_the_command_line(start: Callable[..., Child]) -> None:
    child = start('--ros-args', '-p', 'autostart:=true', '-p', 'sync.slop:=wide')
    assert "sync.slop: got 'wide', expected a number" in child.wait_for('configure failed')
    child.end(signal.SIGINT)


def test_shipped_parameter_file_starts_the_node(start: Callable[..., Child]) -> None:
    child = start(
        '--ros-args', '--params-file', 'config/mafs_fusion.yaml', '-p', 'autostart:=true'
    )
    child.wait_for('active: pairing')
    assert not [line for line in child.lines if 'unknown and ignored' in line]
    child.end(signal.SIGINT)


def test_frames_of_another_process_arrive_through_shared_memory(
    start: Callable[..., Child], rig: Any, image: Callable[..., Any]
) -> None:
    """The shipped profile: without it two of three such images would be lost."""
    start(
        '--ros-args', '-p', 'autostart:=true', '-p', 'weights:=classical', '-r', '__node:=other'
    ).wait_for('active: pairing')
    from mafs_ros.msg import FusionStatus

    rig.listen('/other/status', FusionStatus, 100)
    visible = image(np.zeros((480, 640, 3), np.uint8), 'bgr8')
    thermal = image(np.zeros((480, 640), np.uint16), 'mono16')

    def received() -> int:
        status = rig.last('/other/status')
        return status.visible_received if status else 0

    rig.wait(
        received, 'first image', every_s=0.1, meanwhile=lambda: rig.send_pair(visible, thermal)
    )
    sent = 40

    def most_arrive() -> bool:
        before = received()
        for _ in range(sent):
            rig.send_pair(visible, thermal)
            time.sleep(0.04)
        with contextlib.suppress(AssertionError):
            return bool(rig.wait(lambda: received() >= before + 0.6 * sent, 'most images', 5.0))
        return False

    # Once is enough: of those lost to a machine that stops, the profile knows nothing.
    assert any(most_arrive() for _ in range(5))


def test_images_lost_in_transport_are_explained(
    start: Callable[..., Child], rig: Any, image: Callable[..., Any], samples: Any
) -> None:
    from rclpy.utilities import get_rmw_implementation_identifier

    if 'fastrtps' not in get_rmw_implementation_identifier():
        pytest.skip('only Fast DDS loses images that way')
    rig.listen_to_images()
    rig.start()
    start(code=CAMERA_WITHOUT_PROFILE, without='FASTRTPS_DEFAULT_PROFILES_FILE').wait_for(
        'publishing'
    )
    thermal = image(samples[1], 'mono16')

    def send_thermal() -> None:
        thermal.header.stamp = rig.next_stamp()
        rig.send('thermal/image_raw', thermal)

    def said() -> str:
        sentence: str = rig.health()[1]
        return sentence if 'do not arrive' in sentence else ''

    sentence = rig.wait(said, 'diagnostics of lost images', meanwhile=send_thermal)
    assert '/rgb/image_raw' in sentence
    assert 'config/fastdds_shm.xml' in sentence
    assert rig.node._statistics.snapshot().streams['visible'].lost > 0
