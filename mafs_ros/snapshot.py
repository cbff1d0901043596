"""The service `~/snapshot`: one pair with all that belongs to it, in a folder for bug reports."""

from __future__ import annotations

from collections import Counter, deque
import os
from pathlib import Path
import platform
import threading
import time
from typing import Any

import cv2
from mafs_model.bags.cdr import parse_image, stamp_of
from mafs_model.errors import MafsError
from mafs_model.files import private_folder
from mafs_model.images.encodings import ImageBuffer
from mafs_model.streams import STREAMS
from mafs_model.topics import IMAGE_TOPICS
from mafs_model.version import __version__
from mafs_ros.conversions import stamp_to_ns
from mafs_ros.msg import FusionStatus
from mafs_ros.tap import open_bag, Taken
import numpy as np
from rclpy.serialization import deserialize_message
import yaml

# A node that works answers within a few pairs; without one, what came until then is the report.
TIMEOUT_S = 3.0
# Outputs of one pair are on different topics, so that they come in any order.
_GRACE_S = 0.3
# What is kept of every topic: a slow network is some seconds behind the cameras.
_KEPT_MESSAGES = 100
_KEPT_BYTES = 64_000_000


class SnapshotError(MafsError):
    """A snapshot cannot be taken."""


class Collector:
    """
    Keeps the newest messages of every topic until those of one pair are all there.

    Threads: `put` is called by the executor, `wait` by a thread of its own.

    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._kept: dict[str, deque[Taken]] = {}
        self._bytes: Counter[str] = Counter()

    def put(self, taken: Taken) -> None:
        """Keep a message, and look whether it completes a pair."""
        with self._condition:
            role = taken.channel.role
            kept = self._kept.setdefault(role, deque())
            kept.append(taken)
            self._bytes[role] += len(taken.data)
            while len(kept) > _KEPT_MESSAGES or (
                len(kept) > 1 and self._bytes[role] > _KEPT_BYTES
            ):
                self._bytes[role] -= len(kept.popleft().data)
            self._condition.notify()

    def wait(self, timeout_s: float = TIMEOUT_S) -> list[Taken]:
        """
        Return the messages of one pair, or the newest of every topic if there is no whole pair.

        Args:
            timeout_s: how long to wait for a pair with all its outputs.

        """
        deadline_s = time.monotonic() + timeout_s
        with self._condition:
            fused = False
            while True:
                status, missing = self._best()
                if status is not None and not missing:
                    break
                if status is not None and not fused:
                    fused = True
                    deadline_s = min(deadline_s, time.monotonic() + _GRACE_S)
                left_s = deadline_s - time.monotonic()
                if left_s <= 0.0:
                    break
                self._condition.wait(left_s)
            return self._messages(status)

    def _best(self) -> tuple[FusionStatus | None, int]:
        """Return the pair that has most of its messages here, with how many it lacks."""
        best: FusionStatus | None = None
        lacking = len(IMAGE_TOPICS)
        for taken in reversed(self._kept.get('status', ())):
            status = deserialize_message(taken.data, FusionStatus)
            if self._find('fused', stamp_to_ns(status.header.stamp)) is None or any(
                stamp_ns and self._find(stream, stamp_ns) is None
                for stream, stamp_ns in _input_stamps(status).items()
            ):
                continue
            stamp_ns = stamp_to_ns(status.header.stamp)
            missing = sum(self._find(role, stamp_ns) is None for role in IMAGE_TOPICS)
            if best is None or missing < lacking:
                best, lacking = status, missing
        # The table of classes is latched, and may come after the first pair.
        return best, lacking + (not self._kept.get('classes'))

    def _find(self, role: str, stamp_ns: int) -> Taken | None:
        return next(
            (t for t in reversed(self._kept.get(role, ())) if stamp_of(t.data) == stamp_ns), None
        )

    def _messages(self, status: FusionStatus | None) -> list[Taken]:
        chosen = []
        for role, kept in self._kept.items():
            if status is None or role in ('calibration', 'classes'):
                chosen.append(kept[-1])
                continue
            stamp_ns = _input_stamps(status).get(role, stamp_to_ns(status.header.stamp))
            found = self._find(role, stamp_ns)
            if found is not None:
                chosen.append(found)
        return sorted(chosen, key=lambda taken: taken.receive_ns)


def _input_stamps(status: FusionStatus) -> dict[str, int]:
    """Return the stamps in ns of the images of a pair, 0 for a missing one."""
    stamps = (status.visible_stamp, status.thermal_stamp)
    return {stream: stamp_to_ns(s) for stream, s in zip(STREAMS, stamps, strict=True)}


def write_snapshot(
    folder: Path, taken: list[Taken], parameters: dict[str, Any], status: dict[str, Any]
) -> None:
    """
    Write a snapshot.

    Args:
        folder: to be made; see `private_folder`.
        taken: messages, as received and as published; they go into `bag`, output images also
            into PNG files.
        parameters: written so that the file starts another node with the same values.
        status: what diagnostics say.

    Raises:
        MafsError: it cannot be written, or rosbags is not installed; nothing is left behind.

    """
    with private_folder(folder, error=SnapshotError) as beside:
        with open_bag(beside / 'bag') as bag:
            for item in taken:
                channel = item.channel
                bag.add_topic(channel.topic, channel.type_name, latched=channel.latched)
                bag.write(channel.topic, channel.type_name, item.receive_ns, item.data)
        for item in taken:
            if item.channel.role in IMAGE_TOPICS:
                (beside / f'{item.channel.role}.png').write_bytes(_png(item))
        _write_yaml(beside / 'parameters.yaml', {'/**': {'ros__parameters': parameters}})
        _write_yaml(beside / 'status.yaml', status)


def _png(item: Taken) -> bytes:
    """Return an image that this node has published, as PNG."""
    buffer = parse_image(item.channel.type_name, item.data).content
    assert isinstance(buffer, ImageBuffer)
    pixels = np.frombuffer(buffer.data, np.uint8).reshape(buffer.height, buffer.width, -1)
    if pixels.shape[2] == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode('.png', pixels)[1].tobytes()


def _write_yaml(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), 'utf-8')


def software() -> dict[str, str]:
    """Return versions that a bug report needs."""
    return {
        'mafs_ros': __version__,
        'ROS': os.environ.get('ROS_DISTRO', ''),
        'RMW': os.environ.get('RMW_IMPLEMENTATION', ''),
        'Python': platform.python_version(),
        'NumPy': np.__version__,
        'OpenCV': cv2.__version__,
        'machine': f'{platform.system()} {platform.machine()}',
    }
