"""The camera player: publishes prepared frames at their time, as two camera drivers would."""

from __future__ import annotations

import argparse
import array
import json
from pathlib import Path
import sys
import time
from typing import Any

from mafs_demo.replay.protocol import Commands, emit
from mafs_demo.replay.schedule import Schedule
from mafs_demo.replay.sources import thermal_encoding
from mafs_demo.replay.store import FrameStore
from mafs_demo.topics import INPUT_DEPTH, INPUT_FRAMES, INPUT_INFO_TOPIC, INPUT_TOPICS
from mafs_model.streams import NS_PER_S, STREAMS
import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data, QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

# Between the parent's word and the first frame: all readers have found the writers by then.
LEAD_S = 0.5
# Sleep to just before the time, then watch the clock: a sleep alone wakes up late.
_SPIN_S = 0.0005


class Player(Node):
    """
    Publishes the frames of a schedule.

    Args:
        store: the frames.
        schedule: when they come.

    """

    def __init__(self, store: FrameStore, schedule: Schedule) -> None:
        super().__init__('mafs_demo_cameras')
        self._store = store
        self._schedule = schedule
        profile = QoSProfile(depth=INPUT_DEPTH, reliability=QoSReliabilityPolicy.BEST_EFFORT)
        self._images = {
            stream: self.create_publisher(Image, topic, profile)
            for stream, topic in INPUT_TOPICS.items()
        }
        self._info_publisher = self.create_publisher(
            CameraInfo, INPUT_INFO_TOPIC, qos_profile_sensor_data
        )
        self._messages: dict[tuple[str, tuple[int, ...], str], Image] = {}
        self._info = CameraInfo()

    def has_readers(self) -> bool:
        """Tell whether both image topics are subscribed to."""
        return all(p.get_subscription_count() > 0 for p in self._images.values())

    def _message(self, stream: str, index: int, stamp_ns: int) -> Image:
        """Fill the message of this stream and size in place: assigning data would copy twice."""
        frame = self._store.frame(stream, index)
        key = stream, frame.shape, frame.dtype.str
        message = self._messages.get(key)
        if message is None:
            message = Image()
            message.height, message.width = frame.shape[:2]
            message.encoding = 'rgb8' if stream == 'visible' else thermal_encoding(frame)
            message.step = frame.nbytes // frame.shape[0]
            message.header.frame_id = INPUT_FRAMES[stream]
            message.data = array.array('B', bytes(frame.nbytes))
            self._messages[key] = message
        np.frombuffer(message.data, np.uint8)[:] = frame.reshape(-1).view(np.uint8)
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, NS_PER_S)
        return message

    def _publish_info(self, image: Image) -> None:
        """Publish the calibration of an ideal camera with 60 degrees of horizontal view."""
        info = self._info
        if (info.height, info.width) != (image.height, image.width):
            focal = image.width / (2 * np.tan(np.radians(30)))
            x, y = (image.width - 1) / 2, (image.height - 1) / 2
            info.height, info.width = image.height, image.width
            info.distortion_model = 'plumb_bob'
            info.d = [0.0] * 5
            info.k = [focal, 0.0, x, 0.0, focal, y, 0.0, 0.0, 1.0]
            info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
            info.p = [focal, 0.0, x, 0.0, 0.0, focal, y, 0.0, 0.0, 0.0, 1.0, 0.0]
        info.header = image.header
        self._info_publisher.publish(info)

    def play(self, commands: Commands) -> dict[str, Any]:
        """Publish everything; return when what was sent, and how late at most."""
        start_ns = time.time_ns() + round(LEAD_S * NS_PER_S)
        sent: list[tuple[str, int, int]] = []
        late_ms = []
        reported = 0.0
        for event in self._schedule.events:
            stamp_ns = start_ns + event.stamp_ns
            message = self._message(event.stream, event.index, stamp_ns)
            rest_s = (stamp_ns - time.time_ns()) / NS_PER_S
            if rest_s > _SPIN_S:
                time.sleep(rest_s - _SPIN_S)
            while time.time_ns() < stamp_ns:
                pass
            late_ms.append((time.time_ns() - stamp_ns) / 1e6)
            self._images[event.stream].publish(message)
            sent.append((event.stream, event.index, stamp_ns))
            if event.stream == 'visible':
                self._publish_info(message)
            if time.monotonic() - reported > 0.1:
                reported = time.monotonic()
                emit('sent', count=len(sent))
                if commands.has('stop'):
                    break
        return {
            'start_ns': start_ns,
            'sent': sent,
            'late_ms_p99': float(np.percentile(late_ms, 99)) if late_ms else 0.0,
        }


def main(arguments: list[str] | None = None) -> int:
    """Run the player process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--store', type=Path, required=True)
    parser.add_argument('--schedule', type=Path, required=True)
    parser.add_argument('--log', type=Path, required=True)
    options = parser.parse_args(arguments)
    commands = Commands()
    schedule, store = Schedule.load(options.schedule), FrameStore(options.store)
    for _ in store.preload():
        pass
    rclpy.init(args=[])
    node = Player(store, schedule)
    try:
        while not node.has_readers() and not commands.has('stop'):
            time.sleep(0.02)
        emit('ready', **{stream: schedule.count(stream) for stream in STREAMS})
        # The parent has its own deadline; without it the pipe closes, which ends the wait.
        while not commands.wait('go', 1.0):
            pass
        log = node.play(commands)
        options.log.write_text(json.dumps(log), encoding='utf-8')
        emit('done', count=len(log['sent']))
        while not commands.wait('stop', 1.0):  # leaving at once could lose the last frames
            pass
    except (KeyboardInterrupt, ExternalShutdownException):
        return 1
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
