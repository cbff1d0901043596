"""
Try an installation that lacks packages, from outside: what scripts/plain_install.sh runs.

    python plain_install.py sizes WHEEL    how large the wheel and what it brought are
    python plain_install.py commands       every command and the predictor, without extras
    python plain_install.py onnx GRAPH     ONNX Runtime alone, with a graph exported elsewhere
    python plain_install.py bags           mafs-eval bag with the extra `demo`
    python plain_install.py node PROGRAM   the node over DDS

Each runs in the present folder by the Python of the installation and ends with exit code 1 where
something is not as it should be.
"""

from __future__ import annotations

import array
from collections.abc import Iterator
import contextlib
from importlib import metadata
from importlib.util import find_spec
import os
from pathlib import Path
import signal
import subprocess
import sys
import sysconfig
import time
from typing import Any
import urllib.request

import cv2
import numpy as np

BIN = Path(sysconfig.get_path('scripts'))
HEIGHT, WIDTH = SHAPE = (96, 128)
BOTH = ['--rgb', 'rgb.png', '--thermal', 'thermal.png']
MODES = {'fusion': (True, True), 'visible_only': (True, False), 'thermal_only': (False, True)}
DEADLINE_S = 120.0
LOG = 'process.log'


def main() -> None:
    """Run the part that the command line names."""
    name, *words = sys.argv[1:]
    assert find_spec('torch') is None, 'torch is installed: nothing would be tried'
    {'sizes': sizes, 'commands': commands, 'onnx': onnx, 'bags': bags, 'node': node}[name](*words)


def sizes(wheel: str) -> None:
    """Compare the wheel, and what its installation brought, with their bars."""
    megabytes = {name: size / 1e6 for name, size in distributions()}
    for name in sorted(megabytes, key=lambda name: -megabytes[name]):
        print(f'{megabytes[name]:7.1f} MB  {name}')
    for what, size, bar in (
        ('wheel', Path(wheel).stat().st_size / 1e6, 'MAFS_WHEEL_MB'),
        ('installed', sum(megabytes.values()), 'MAFS_INSTALLED_MB'),
    ):
        print(f'{size:7.1f} MB  {what}, at most {os.environ[bar]}')
        assert size <= float(os.environ[bar]), f'{what} is too large'


def distributions() -> Iterator[tuple[str, int]]:
    """Yield name and bytes on disk of what was installed, less what every environment has."""
    for found in metadata.distributions():
        name = found.metadata['Name']
        if name not in {'pip', 'setuptools'}:
            paths = [Path(str(file.locate())) for file in found.files or ()]
            yield name, sum(path.stat().st_size for path in paths if path.is_file())


def commands() -> None:
    """Run what must work, and see that what cannot says which extra is missing."""
    write_pair()
    for name in ('mafs', 'mafs-train', 'mafs-data', 'mafs-eval', 'mafs-calibrate'):
        works(name, '--version')
        works(name, '--help')
    works('mafs', 'info')
    works('mafs', 'classes')
    for name in ('fuse', 'view', 'export', 'convert', 'cache'):
        works('mafs', name, '--help')
    for name in ('bag', 'fusion', 'model'):
        works('mafs-eval', name, '--help')
    works('mafs', 'fuse', *BOTH, '--out', 'folder')
    works('mafs', 'fuse', *BOTH[:2], '--out', 'visible.png')
    works('mafs', 'fuse', *BOTH[2:], '--out', 'thermal_only.png')
    works('mafs', 'fuse', *BOTH, '--weights', 'classical', '--out', 'classical.png')
    predict()
    view()
    refused('torch', 'mafs', 'fuse', *BOTH, '--out', 'x', '--backend', 'torch')
    refused('torch', 'mafs', 'fuse', *BOTH, '--out', 'x', '--device', 'cuda')
    refused('torch', 'mafs', 'fuse', *BOTH, '--out', 'x', '--precision', 'fp32')
    refused('onnx', 'mafs', 'fuse', *BOTH, '--out', 'x', '--backend', 'onnxruntime')
    refused('demo', 'mafs', 'fuse', *BOTH, '--out', 'x.mp4')
    refused('torch', 'mafs', 'export', '--format', 'onnx')
    Path('x.ckpt').write_bytes(b'')
    refused('torch', 'mafs', 'convert', 'x.ckpt', 'x.safetensors')
    Path('x.mp4').write_bytes(b'\0\0\0\x18ftypmp42' + bytes(64))
    refused('demo', 'mafs', 'fuse', '--rgb', 'x.mp4', '--out', 'x')
    refused('demo', 'mafs', 'fuse', '--rgb', 'rtsp://127.0.0.1:9/x', '--out', 'x')
    Path('x.mcap').write_bytes(b'')
    refused('demo', 'mafs-eval', 'bag', 'x.mcap')
    refused('demo', 'mafs-data', 'from-bag', 'x.mcap', '--out', 'x')
    refused('demo', 'mafs-calibrate', 'scene', 'x.mcap')
    refused('train', 'mafs-train', 'joint', '--help')
    assert not Path('x').exists()


def onnx(graph: str) -> None:
    """Run a graph that was exported elsewhere; the shipped weights say what they would take."""
    assert find_spec('openvino') is None, 'openvino is installed: nothing would be tried'
    write_pair()
    works('mafs', 'fuse', *BOTH, '--weights', graph, '--out', 'fused.png')
    refused('torch', 'mafs', 'fuse', *BOTH, '--out', 'x')
    refused('openvino', 'mafs', 'fuse', *BOTH, '--out', 'x', '--backend', 'openvino')


def bags() -> None:
    """Evaluate a recording with what the extra `demo` brings."""
    from mafs_model.bags.writer import BagWriter
    from mafs_model.topics import absolute, INPUT_TOPICS

    with BagWriter('recording') as bag:
        for index in range(12):
            stamp = 1_700_000_000_000_000_000 + index * 100_000_000
            for camera, image in zip(INPUT_TOPICS, pair(index), strict=True):
                encoding = 'rgb8' if image.ndim == 3 else 'mono8'
                bag.write_image(
                    absolute(INPUT_TOPICS[camera]), stamp, camera, image, encoding, stamp
                )
    works('mafs-eval', 'bag', 'recording', '--json', 'bag.json', '--html', 'bag.html')
    works('mafs', 'fuse', *write_pair(), '--out', 'film.mp4')


def node(executable: str) -> None:
    """Start the node as a process, publish pairs, and wait for fused images and labels."""
    from mafs_model.topics import absolute, IMAGE_TOPICS, INPUT_TOPICS
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image

    # A domain of its own, as tests of other sessions may run beside it.
    os.environ['ROS_DOMAIN_ID'] = str(1 + os.getpid() % 100)
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    with process([executable, '--ros-args', '-p', 'autostart:=true']) as child:
        rclpy.init()
        tester = rclpy.create_node('plain_install')
        received: dict[str, Any] = {}
        for name in ('fused', 'labels'):
            tester.create_subscription(
                Image,
                absolute(IMAGE_TOPICS[name]),
                lambda message, name=name: received.__setitem__(name, message),
                qos_profile_sensor_data,
            )
        publishers = {
            camera: tester.create_publisher(Image, absolute(topic), qos_profile_sensor_data)
            for camera, topic in INPUT_TOPICS.items()
        }
        end, index = time.monotonic() + DEADLINE_S, 0
        while len(received) < 2 and time.monotonic() < end:
            assert child.poll() is None, Path(LOG).read_text(encoding='utf-8')
            stamp, index = tester.get_clock().now().to_msg(), index + 1
            for camera, image in zip(publishers, pair(index), strict=True):
                message = Image(height=HEIGHT, width=WIDTH, step=image.strides[0])
                message.encoding = 'rgb8' if image.ndim == 3 else 'mono8'
                message.header.stamp, message.header.frame_id = stamp, camera
                message.data = array.array('B', image.tobytes())
                publishers[camera].publish(message)
            rclpy.spin_once(tester, timeout_sec=0.1)
        log = Path(LOG).read_text(encoding='utf-8')
        assert len(received) == 2, log
        assert 'Traceback' not in log, log
        print(*(line for line in log.splitlines() if 'backend' in line), sep='\n')
        sizes_of = {name: (m.width, m.height, m.encoding) for name, m in received.items()}
        print(f'ok  node: {sizes_of}')
        tester.destroy_node()
        rclpy.shutdown()


def predict() -> None:
    """Fuse in Python, with both cameras and either alone."""
    from mafs_model.predictor import Predictor

    visible, thermal = pair(0)
    with Predictor.create() as predictor:
        for mode, (sees, feels) in MODES.items():
            result = predictor.predict(visible if sees else None, thermal if feels else None)
            assert result.mode == mode
            assert result.fused.shape == (*SHAPE, 3)
            print(f'ok  Predictor, {mode}: {predictor.backend}')
    assert 'torch' not in sys.modules


def view() -> None:
    """Open the page of `mafs view`, and its first picture."""
    with process([str(BIN / 'mafs'), 'view', *BOTH, '--port', '0']) as child:
        log, end = Path(LOG), time.monotonic() + DEADLINE_S
        while 'http://' not in log.read_text(encoding='utf-8'):
            assert child.poll() is None, log.read_text(encoding='utf-8')
            assert time.monotonic() < end, 'mafs view does not start'
            time.sleep(0.1)
        address = log.read_text(encoding='utf-8').split()[0]
        with urllib.request.urlopen(address, timeout=10) as page:
            assert b'<html' in page.read()
        print(f'ok  mafs view: {address}')


def pair(index: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a visible and a thermal image, uint8 [H,W,3] RGB and [H,W], that move."""
    random = np.random.default_rng(3)
    visible = cv2.GaussianBlur(random.integers(0, 256, (*SHAPE, 3), dtype=np.uint8), (9, 9), 3)
    thermal = cv2.GaussianBlur(random.integers(0, 256, SHAPE, dtype=np.uint8), (9, 9), 3)
    return np.roll(visible, index, axis=1), np.roll(thermal, index, axis=1)


def write_pair() -> list[str]:
    """Write a pair as pictures; returns the options that name them."""
    visible, thermal = pair(0)
    cv2.imwrite('rgb.png', visible)
    cv2.imwrite('thermal.png', thermal)
    return BOTH


def works(*words: str) -> None:
    """Run a command that must succeed."""
    done = command(*words)
    assert done.returncode == 0, f'{" ".join(words)}: exit code {done.returncode}\n{done.stderr}'
    print(f'ok  {" ".join(words)}')


def refused(extra: str, *words: str) -> None:
    """Run a command that must say in one line which extra it needs."""
    done = command(*words)
    said = f'{" ".join(words)}: exit code {done.returncode}\n{done.stderr}'
    assert done.returncode == 2, said
    assert len(done.stderr.splitlines()) == 1, said
    assert f'install mafs_ros[{extra}]' in done.stderr, said
    print(f'ok  {" ".join(words)}\n      {done.stderr.strip()}')


def command(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the installation; no traceback may be seen, whatever it does."""
    done = subprocess.run(
        [BIN / words[0], *words[1:]],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert 'Traceback' not in done.stderr, f'{" ".join(words)}:\n{done.stderr}'
    return done


@contextlib.contextmanager
def process(words: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process whose output goes to process.log; ends it as Ctrl-C does."""
    with Path(LOG).open('wb') as log:
        child = subprocess.Popen(
            words, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            yield child
            os.killpg(child.pid, signal.SIGINT)
            assert child.wait(DEADLINE_S) in {0, -signal.SIGINT, 130}, Path(LOG).read_text(
                encoding='utf-8'
            )
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)


if __name__ == '__main__':
    main()
