"""
Say which of our files one pair goes through in the node, from its messages to its results.

A node with the shipped weights runs in this process; pairs go to it over DDS, and the profiling
hook of Python notes every file whose functions are entered. Listed is what every one of the pairs
goes through, so that timers which happen to fall between are left out.

    python benchmarks/files_of_a_pair.py
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import contextlib
from pathlib import Path
import sys
import threading
import time
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
WITHIN_S = 60.0


class EnteredFiles:
    """Notes the files of the project whose functions are entered, in all threads begun later."""

    def __init__(self) -> None:
        self._entered: set[str] | None = None
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)

    def _profile(self, frame: FrameType, event: str, argument: object) -> None:
        if event == 'call' and self._entered is not None:
            self._entered.add(frame.f_code.co_filename)

    @contextlib.contextmanager
    def noted(self) -> Iterator[set[str]]:
        """Note what is entered within the `with` statement; the set is whole at its end."""
        entered: set[str] = set()
        names: set[str] = set()
        self._entered = entered
        yield names
        self._entered = None
        for name in list(entered):
            path = Path(name).resolve()
            if path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0].startswith('mafs_'):
                names.add(str(path.relative_to(ROOT)))


def spin_until(executor: Any, condition: Any, what: str) -> None:
    """Spin until a condition holds; ends the program where it does not in time."""
    end = time.monotonic() + WITHIN_S
    while not condition():
        executor.spin_once(timeout_sec=0.05)
        if time.monotonic() > end:
            raise SystemExit(f'files_of_a_pair: no {what} within {WITHIN_S:.0f} s')


def files_of(pairs: int, domain_id: int, backend: str) -> set[str]:
    """Return the files that every one of some pairs goes through, relative to the repository."""
    files = EnteredFiles()
    from mafs_model.topics import absolute, IMAGE_TOPICS, INPUT_TOPICS
    from mafs_ros.node import FusionNode
    import numpy as np
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.parameter import Parameter
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image

    rclpy.init(domain_id=domain_id)
    overrides = {'autostart': False, 'device': 'cpu', 'backend': backend}
    node = FusionNode(parameter_overrides=[Parameter(k, value=v) for k, v in overrides.items()])
    tester = rclpy.create_node('tester')
    executor = SingleThreadedExecutor()
    for member in (node, tester):
        executor.add_node(member)
    for step in (node.trigger_configure, node.trigger_activate):
        if step().name != 'SUCCESS':
            raise SystemExit('files_of_a_pair: the node does not start, see its log')
    arrived = dict.fromkeys(IMAGE_TOPICS.values(), 0)

    def count(topic: str) -> Any:
        def arrive(message: Image) -> None:
            arrived[topic] += 1

        return arrive

    for topic in arrived:
        tester.create_subscription(Image, absolute(topic), count(topic), qos_profile_sensor_data)
    cameras = {
        stream: tester.create_publisher(Image, absolute(topic), qos_profile_sensor_data)
        for stream, topic in INPUT_TOPICS.items()
    }
    spin_until(
        executor,
        lambda: (
            all(camera.get_subscription_count() for camera in cameras.values())
            and all(node.count_subscribers(absolute(topic)) for topic in arrived)
        ),
        'connection',
    )

    def wait_for(number: int) -> None:
        spin_until(
            executor, lambda: all(n >= number for n in arrived.values()), f'result {number}'
        )

    generator = np.random.default_rng(0)
    seen: list[set[str]] = []
    for number in range(1, pairs + 1):
        with files.noted() as names:
            stamp = node.get_clock().now().to_msg()
            for stream, (encoding, depth) in {
                'visible': ('rgb8', 3),
                'thermal': ('mono8', 1),
            }.items():
                image = Image(height=120, width=160, encoding=encoding, step=160 * depth)
                image.header.stamp = stamp
                image.data = generator.integers(0, 255, 120 * 160 * depth, np.uint8).tobytes()
                cameras[stream].publish(image)
            wait_for(number)
        seen.append(names)
    node.trigger_deactivate()
    node.trigger_cleanup()
    node.destroy_node()
    tester.destroy_node()
    rclpy.shutdown()
    return set.intersection(*seen[1:])


def main() -> int:
    """Print the files by package and how many they are."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument('--pairs', type=int, default=8, help='how many (default %(default)s)')
    parser.add_argument('--domain', type=int, default=44, help='ROS domain (default %(default)s)')
    parser.add_argument('--backend', default='torch', help='of the node (default %(default)s)')
    options = parser.parse_args()
    if options.pairs < 2:
        parser.error(f'--pairs is {options.pairs}, expected at least 2')
    files = files_of(options.pairs, options.domain, options.backend)
    for name in sorted(files):
        print(name)
    own = sum(name.startswith('mafs_ros/') for name in files)
    network = sum(name.startswith('mafs_model/network/') for name in files)
    around = len(files) - own - network
    print(f'{own} files of mafs_ros, {around} of mafs_model around the network, {network} inside')
    print(f'{len(files)} in all')
    return 0


if __name__ == '__main__':
    sys.exit(main())
