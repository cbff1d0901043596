"""A fusion node as a process of its own, with cameras and listeners on the other side of DDS."""

from __future__ import annotations

import array
from collections.abc import Callable, Iterator
import contextlib
from dataclasses import dataclass
import os
from pathlib import Path
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any

from mafs_model.topics import (
    absolute,
    CAMERA_INFO_INPUT,
    CAMERA_INFO_TOPIC,
    DEPTH_INPUT,
    IMAGE_TOPICS,
    INPUT_TOPICS,
    NODE_NAME,
    STATUS_TOPIC,
)
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
PERIOD_NS = 33_333_333
THERMAL_DELAY_NS = 3_000_000
START_WITHIN_S = 60.0
_PATIENCE_S = 1.0  # a pair that is lost in transport never comes
_BEGIN_NS = 1_700_000_000 * 10**9


def process_cpu_s(pid: int) -> float:
    """Return the CPU time of all threads of a process, with the resolution of the scheduler."""
    # Linux: the clock id of a process is its complemented id, shifted, with 2 for 'scheduler'.
    return time.clock_gettime((~pid << 3) | 2)


def process_state(pid: int) -> dict[str, float]:
    """Return resident memory in MB, threads and open files of a process."""
    fields = dict(
        line.split(':', 1) for line in Path(f'/proc/{pid}/status').read_text().splitlines()
    )
    return {
        'rss_mb': int(fields['VmRSS'].split()[0]) / 1024,
        'threads': int(fields['Threads']),
        'files': len(list(Path(f'/proc/{pid}/fd').iterdir())),
    }


@dataclass(frozen=True)
class Options:
    """
    How the rig is set up.

    Args:
        size: (height, width) of both cameras.
        engine: 'null' computes nothing, else the value of the node's parameter `weights`.
        outputs: which image outputs are subscribed.
        simulated_time: the node follows /clock instead of the system's clock.
        domain_id: ROS domain of its own.

    """

    size: tuple[int, int] = (480, 640)
    engine: str = 'null'
    outputs: tuple[str, ...] = tuple(IMAGE_TOPICS.values())
    simulated_time: bool = False
    domain_id: int = 43


class NodeRig:
    """
    Cameras and listeners around a running node; made by :func:`running_node`.

    Args:
        options: how it is set up.
        process: the node's process.
        log: file with its output.

    """

    def __init__(self, options: Options, process: subprocess.Popen[bytes], log: Path) -> None:
        from mafs_ros.msg import FusionStatus
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import qos_profile_sensor_data
        from rosgraph_msgs.msg import Clock
        from sensor_msgs.msg import CameraInfo, Image

        self.options, self.process, self.log = options, process, log
        self.statuses: list[Any] = []
        self.received = dict.fromkeys(options.outputs, 0)
        self.on_status: Callable[[], None] = lambda: None
        self._context = rclpy.Context()
        rclpy.init(args=[], context=self._context, domain_id=options.domain_id)
        self.node = rclpy.create_node('benchmark', context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._clock = self.node.create_publisher(Clock, '/clock', 10)
        self._cameras = {
            topic: self.node.create_publisher(kind, topic, qos_profile_sensor_data)
            for topic, kind in (
                *((topic, Image) for topic in INPUT_TOPICS.values()),
                (CAMERA_INFO_INPUT, CameraInfo),
                (DEPTH_INPUT, Image),
            )
        }
        self.node.create_subscription(FusionStatus, absolute(STATUS_TOPIC), self._on_status, 100)
        for topic in options.outputs:
            self.listen(topic, Image)
        if options.outputs:
            self.node.create_subscription(
                CameraInfo, absolute(CAMERA_INFO_TOPIC), lambda message: None, 1
            )
        self._frames = _frames(options.size)

    def listen(self, topic: str, kind: Any) -> Callable[[], None]:
        """Subscribe to an output and count what comes; return what ends that."""
        from rclpy.qos import qos_profile_sensor_data

        self.received[topic] = 0
        subscription = self.node.create_subscription(
            kind, absolute(topic), self._counter(topic), qos_profile_sensor_data
        )
        return lambda: self.node.destroy_subscription(subscription) and None

    def _on_status(self, status: Any) -> None:
        self.statuses.append(status)
        self.on_status()

    @property
    def errors(self) -> list[str]:
        """Return what the node has logged as error: its own log, not that of a namesake."""
        lines = self.log.read_text(errors='replace').splitlines()
        return [line for line in lines if line.startswith(('[ERROR]', '[FATAL]'))]

    def _counter(self, topic: str) -> Callable[[Any], None]:
        def count(message: Any) -> None:
            self.received[topic] += 1

        return count

    def close(self) -> None:
        """Leave the ROS graph."""
        import rclpy

        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def wait(self, condition: Callable[[], bool], what: str, timeout_s: float = 10.0) -> None:
        """
        Execute callbacks until a condition holds.

        Raises:
            RuntimeError: it does not hold in time, or the node ended.

        """
        deadline = time.monotonic() + timeout_s
        while not condition():
            if self.process.poll() is not None:
                raise RuntimeError(f'the node ended with code {self.process.returncode}')
            if time.monotonic() > deadline:
                raise RuntimeError(f'no {what} within {timeout_s:g} s')
            self._executor.spin_once(timeout_sec=0.05)

    def wait_until_active(self) -> None:
        """Wait until the node listens to the cameras and the listeners know its outputs."""
        cameras = [self._cameras[t] for t in INPUT_TOPICS.values()]
        self.wait(
            lambda: all(c.get_subscription_count() for c in cameras), 'active node', START_WITHIN_S
        )

    def publish(self, index: int) -> int:
        """Publish exposure number `index` of both cameras; return the visible stamp in ns."""
        from rclpy.time import Time
        from rosgraph_msgs.msg import Clock

        if self.options.simulated_time:
            stamp_ns = _BEGIN_NS + index * PERIOD_NS
            self._clock.publish(Clock(clock=Time(nanoseconds=stamp_ns).to_msg()))
        else:
            stamp_ns = self.node.get_clock().now().nanoseconds
        visible, thermal, depth, info = self._frames
        for topic, message in (
            (CAMERA_INFO_INPUT, info),
            (DEPTH_INPUT, depth),  # sent only while the node wants it
            (INPUT_TOPICS['visible'], visible[index % len(visible)]),
            (INPUT_TOPICS['thermal'], thermal[index % len(thermal)]),
        ):
            delay_ns = THERMAL_DELAY_NS if topic.startswith('thermal') else 0
            message.header.stamp = Time(nanoseconds=stamp_ns + delay_ns).to_msg()
            self._cameras[topic].publish(message)
        return stamp_ns

    def play(self, first: int, count: int, rate_hz: float) -> None:
        """Publish exposures at a rate, executing callbacks in between."""
        begun = time.monotonic()
        for k in range(count):
            self._spin_until(begun + k / rate_hz)
            self.publish(first + k)
        self._spin_until(begun + count / rate_hz)

    def play_each(self, first: int, count: int, rate_hz: float) -> None:
        """Publish exposures at a rate, but none before the node is done with the last."""
        for k in range(count):
            due = time.monotonic() + 1.0 / rate_hz
            self.wait_for_pair(self.publish(first + k), _PATIENCE_S)
            self._spin_until(due)

    def _spin_until(self, when: float) -> None:
        while (left := when - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def newest_stamp_ns(self) -> int:
        """Return the visible stamp of the newest processed pair, 0 before the first."""
        if not self.statuses:
            return 0
        stamp = self.statuses[-1].visible_stamp
        return int(stamp.sec) * 10**9 + int(stamp.nanosec)

    def wait_for_pair(self, stamp_ns: int, patience_s: float) -> bool:
        """Execute callbacks until this pair or a later one is processed, or patience ends."""
        deadline = time.monotonic() + patience_s
        while self.newest_stamp_ns() < stamp_ns:
            left = deadline - time.monotonic()
            if left < 0 or self.process.poll() is not None:
                return False
            self._executor.spin_once(timeout_sec=left)
        return True

    def endpoints(self) -> dict[str, int]:
        """Return how many subscriptions and publishers the node has in the graph."""
        node = self.node
        return {
            'subscriptions': _total(node.get_subscriber_names_and_types_by_node(NODE_NAME, '/')),
            'publishers': _total(node.get_publisher_names_and_types_by_node(NODE_NAME, '/')),
        }


def _total(names_and_types: list[tuple[str, list[str]]]) -> int:
    return sum(len(types) for _, types in names_and_types)


def _frames(size: tuple[int, int]) -> tuple[list[Any], list[Any], Any, Any]:
    """Return a few visible and thermal messages like a scene, its depth, and a calibration."""
    from sensor_msgs.msg import CameraInfo, Image

    height, width = size
    rng = np.random.default_rng(5)
    y, x = np.mgrid[0:height, 0:width]
    visible, thermal = [], []
    for k in range(4):
        wave = 90 + 60 * np.sin((x + 9 * k) / 37) * np.cos(y / 29)
        rgb = wave[..., None] + rng.normal(0, 5, (height, width, 3))
        counts = 28500 + 8 * wave + rng.normal(0, 6, (height, width))
        for images, data, encoding in (
            (visible, rgb.clip(0, 255).astype(np.uint8), 'bgr8'),
            (thermal, counts.astype(np.uint16), 'mono16'),
        ):
            message = Image(height=height, width=width, encoding=encoding, step=data.strides[0])
            message.header.frame_id = 'camera_optical'
            message.data = array.array('B', data.tobytes())
            images.append(message)
    millimetres = (800 + 6000 * y / height).astype(np.uint16)
    depth = Image(height=height, width=width, encoding='16UC1', step=millimetres.strides[0])
    depth.header.frame_id = 'camera_optical'
    depth.data = array.array('B', millimetres.tobytes())
    info = CameraInfo(height=height, width=width, distortion_model='plumb_bob')
    info.k = [0.9 * width, 0.0, width / 2, 0.0, 0.9 * width, height / 2, 0.0, 0.0, 1.0]
    return visible, thermal, depth, info


@contextlib.contextmanager
def running_node(options: Options) -> Iterator[NodeRig]:
    """
    Start a node, wait until it is active, and end it.

    Raises:
        RuntimeError: it does not start, or does not end orderly; with the end of its log.

    """
    parameters = {
        'autostart': 'true',
        'weights': "''" if options.engine == 'null' else options.engine,
        'use_sim_time': str(options.simulated_time).lower(),
    }
    script = ROOT / (
        'benchmarks/null_node.py' if options.engine == 'null' else 'scripts/fusion_node'
    )
    command = [sys.executable, str(script), '--ros-args']
    for name, value in parameters.items():
        command += ['-p', f'{name}:={value}']
    environment = {
        **os.environ,
        'ROS_DOMAIN_ID': str(options.domain_id),
        'PYTHONPATH': os.pathsep.join(filter(None, (str(ROOT), os.environ.get('PYTHONPATH')))),
    }
    with tempfile.TemporaryDirectory(prefix='mafs_benchmark_') as folder:
        log = Path(folder) / 'node.log'
        with log.open('wb') as output:
            process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env=environment
            )
        rig = NodeRig(options, process, log)
        try:
            rig.wait_until_active()
            yield rig
            process.send_signal(signal.SIGINT)
            if process.wait(10) != 0:
                raise RuntimeError(f'the node ended with code {process.returncode}')
        except BaseException:
            print(log.read_text(errors='replace')[-4000:], file=sys.stderr)
            raise
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            rig.close()
