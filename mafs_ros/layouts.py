"""Layouts of RViz and Foxglove for other names than the defaults: `ros2 run mafs_ros layout`."""

from __future__ import annotations

import argparse
from pathlib import Path
import sys

from ament_index_python.packages import get_package_share_directory
from mafs_model.errors import MafsError
from mafs_model.topics import INPUT_TOPICS
from mafs_ros import launching

FILES = {'rviz': 'mafs.rviz', 'foxglove': 'foxglove_layout.json'}


def main(arguments: list[str] | None = None) -> int:
    """Write a layout to the standard output; return the exit code."""
    parser = argparse.ArgumentParser(prog='layout', description=__doc__)
    parser.add_argument('viewer', choices=FILES, help='what the layout is for')
    parser.add_argument('--namespace', default='', help='namespace of the node')
    for camera, stream in (('rgb', 'visible'), ('thermal', 'thermal')):
        parser.add_argument(f'--{camera}-topic', default=INPUT_TOPICS[stream], metavar='TOPIC')
        parser.add_argument(f'--{camera}-transport', default='raw', choices=launching.TRANSPORTS)
    options = parser.parse_args(arguments)
    topics = {'rgb': options.rgb_topic, 'thermal': options.thermal_topic}
    try:
        launching.check_topics(
            {f'{camera}_topic': topic for camera, topic in topics.items()}, options.namespace
        )
    except MafsError as error:
        print(f'error: {error}', file=sys.stderr)  # noqa: T201
        return 2
    path = Path(get_package_share_directory('mafs_ros'), 'config', FILES[options.viewer])
    transports = {'rgb': options.rgb_transport, 'thermal': options.thermal_transport}
    text = path.read_text(encoding='utf-8')
    sys.stdout.write(launching.relocate_layout(text, options.namespace, topics, transports))
    return 0
