"""A real node and a real tester over DDS, in one process: what the node tests stand on."""

from __future__ import annotations

import array
from collections.abc import Callable, Iterator
import contextlib
import gc
import os
from pathlib import Path
import socket
import threading
import time
from typing import Any
import weakref

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
# Nothing is measured by it: only what never comes waits that long.
DEADLINE_S = 60.0


def reserve_domain_id() -> tuple[int, socket.socket]:
    """
    Return a ROS domain id that no other test session on this machine uses, and its lock.

    The lock is a bound port: it is free again when the process ends, whatever ends it. Ids up to
    100 keep the ports of DDS below those that the system gives to clients.
    """
    for attempt in range(100):
        domain_id = 1 + (os.getpid() + attempt) % 100
        lock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            lock.bind(('127.0.0.1', 22200 + domain_id))
        except OSError:
            lock.close()
            continue
        return domain_id, lock
    raise RuntimeError('all 100 domain ids are in use')


@pytest.fixture(scope='session')
def ros_domain() -> Iterator[int]:
    """Yield a domain id of this session; skip where ROS or our messages are not."""
    pytest.importorskip('rclpy')
    pytest.importorskip('mafs_ros.msg', reason='messages are not built (colcon build)')
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    os.environ.setdefault('FASTRTPS_DEFAULT_PROFILES_FILE', str(ROOT / 'config/fastdds_shm.xml'))
    domain_id, lock = reserve_domain_id()
    yield domain_id
    lock.close()


class Rig:
    """
    A FusionNode and a tester node on an executor with several threads.

    Everything that arrives is kept by topic, and `wait` returns as soon as a condition on it
    holds: no test sleeps in the hope that something has happened.

    The node waits for both cameras unless a test says otherwise: a machine that stops for a
    moment between two images of a test would make the node go on with one of them.

    """

    def __init__(self, domain_id: int, **parameters: Any) -> None:
        from mafs_ros.node import FusionNode
        import rclpy
        from rclpy.executors import MultiThreadedExecutor
        from rclpy.node import Node
        from rclpy.parameter import Parameter

        self.context = rclpy.Context()
        rclpy.init(args=[], context=self.context, domain_id=domain_id)
        self.node = FusionNode(
            context=self.context,
            parameter_overrides=[
                Parameter(name.replace('__', '.'), value=value)
                for name, value in ({'on_missing': 'wait'} | parameters).items()
            ],
        )
        self.tester = Node('tester', context=self.context)
        self.executor = MultiThreadedExecutor(num_threads=3, context=self.context)
        self.executor.add_node(self.node)
        self.executor.add_node(self.tester)
        self.messages: dict[str, list[Any]] = {}
        self._arrived = threading.Condition()
        self._publishers: dict[str, Any] = {}
        self._subscriptions: dict[str, Any] = {}
        self._last_stamp_ns = 0
        self._closing = False
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        from rclpy.exceptions import InvalidHandle
        from rclpy.executors import ExternalShutdownException, ShutdownException

        with contextlib.suppress(ExternalShutdownException, ShutdownException):
            while not self._closing:
                # Tests destroy clients and subscriptions of the tester from their own thread,
                # which the executor of rclpy may meet while it collects what to wait for.
                with contextlib.suppress(InvalidHandle):
                    self.executor.spin_once(timeout_sec=0.5)

    def close(self) -> None:
        """End everything in the order that leaves no thread behind; may be repeated."""
        import rclpy

        if not self._thread.is_alive():
            return
        # First the loop, then the executor: in rclpy it may use what shutdown destroys.
        self._closing = True
        self.executor.wake()
        self._thread.join(5.0)
        # Callbacks that run are waited for here: the executor of Jazzy says that it does and
        # does not, and one that outlives it fails and keeps its node alive by the traceback.
        self.executor._executor.shutdown(wait=True)
        self.executor.shutdown(timeout_sec=5.0)
        self.node.destroy_node()
        self.tester.destroy_node()
        # A node is a cycle. Where one is collected while another of its name lives in this
        # process, it takes the log of that one off the network: gone before the next rig starts.
        node = weakref.ref(self.node)
        self._subscriptions.clear()
        self._publishers.clear()
        del self.node, self.tester, self.executor
        deadline = time.monotonic() + DEADLINE_S
        gc.collect()
        while node() is not None and time.monotonic() < deadline:
            time.sleep(0.01)
            gc.collect()
        rclpy.try_shutdown(context=self.context)
        assert node() is None, f'the node of a closed rig is held by {gc.get_referrers(node())}'

    # -- out of the node ------------------------------------------------------------------------

    def listen(self, topic: str, message_type: Any, qos: Any = 10) -> None:
        """Keep what is published on a topic; returns when the two ends know each other."""
        self.messages[topic] = []

        def keep(message: Any) -> None:
            with self._arrived:
                self.messages[topic].append(message)
                self._arrived.notify_all()

        self._subscriptions[topic] = self.tester.create_subscription(
            message_type, topic, keep, qos
        )

    def ignore(self, topic: str) -> None:
        """Stop listening."""
        self.tester.destroy_subscription(self._subscriptions.pop(topic))

    def listen_to_images(self, *names: str) -> None:
        """Listen to images of the node, to its status, its diagnostics and its log."""
        from diagnostic_msgs.msg import DiagnosticArray
        from mafs_ros.msg import FusionStatus
        from rcl_interfaces.msg import Log
        from sensor_msgs.msg import Image

        for name in names:
            self.listen(f'/mafs_fusion/{name}', Image, 5)
        self.listen('/mafs_fusion/status', FusionStatus, 100)
        self.listen('/diagnostics', DiagnosticArray)
        self.listen('/rosout', Log, 100)

    def wait(
        self,
        condition: Callable[[], Any],
        what: str,
        timeout_s: float = DEADLINE_S,
        meanwhile: Callable[[], None] | None = None,
        every_s: float = 0.05,
    ) -> Any:
        """
        Return what condition returns as soon as that is true.

        Args:
            condition: looked at after every arrival.
            what: what is waited for, for the message of a failure.
            timeout_s: when to give up.
            meanwhile: called every `every_s`, e.g. to publish again.
            every_s: see meanwhile.

        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            result = condition()
            if result:
                return result
            if meanwhile is not None:
                meanwhile()
            with self._arrived:
                self._arrived.wait(every_s)
        result = condition()
        assert result, f'no {what} within {timeout_s:g} s; last log: {self.log()[-3:]}'
        return result

    def last(self, topic: str) -> Any:
        """Return the newest message of a topic, None without one."""
        received = self.messages[topic]
        return received[-1] if received else None

    def log(self) -> list[str]:
        """Return the lines that the node has logged."""
        return [m.msg for m in self.messages.get('/rosout', []) if m.name == 'mafs_fusion']

    def health(self) -> tuple[int | None, str]:
        """Return level and sentence of the newest diagnostics."""
        message = self.last('/diagnostics')
        if message is None:
            return None, ''
        return message.status[0].level[0], message.status[0].message

    def drops(self, reason: str) -> int:
        """Return how many images or pairs the node has dropped for a reason."""
        dropped: dict[str, int] = self.node._statistics.counters().drops
        return dropped.get(reason, 0)

    def at(self, topic: str, stamp: Any) -> Any:
        """Return the message of a topic that has this stamp, None if it has not come."""
        return next((m for m in reversed(self.messages[topic]) if m.header.stamp == stamp), None)

    # -- into the node --------------------------------------------------------------------------

    def advertise(self, topic: str, message_type: Any, qos: Any = None) -> Any:
        """Return a publisher that the node's subscription knows."""
        from rclpy.qos import qos_profile_sensor_data

        if topic not in self._publishers:
            self._publishers[topic] = self.tester.create_publisher(
                message_type, topic, qos or qos_profile_sensor_data
            )
        publisher = self._publishers[topic]
        self.wait(lambda: publisher.get_subscription_count() > 0, f'subscription to {topic}')
        return publisher

    def next_stamp(self) -> Any:
        """Return the present time, always later than the last one."""
        from rclpy.time import Time

        now = self.tester.get_clock().now().nanoseconds
        self._last_stamp_ns = max(now, self._last_stamp_ns + 1_000_000)
        return Time(nanoseconds=self._last_stamp_ns).to_msg()

    def send(self, topic: str, message: Any) -> None:
        """Publish a message on an input."""
        self.advertise(topic, type(message)).publish(message)

    def send_pair(
        self, visible: Any | None = None, thermal: Any | None = None, stamp: Any = None
    ) -> Any:
        """Publish two images with one stamp and return it."""
        stamp = stamp or self.next_stamp()
        for topic, message in (
            ('rgb/image_raw', visible or make_image(RGB, 'bgr8')),
            ('thermal/image_raw', thermal or make_image(COUNTS, 'mono16')),
        ):
            message.header.stamp = stamp
            message.header.frame_id = topic.split('/')[0] + '_optical'
            self.send(topic, message)
        return stamp

    def good_pair(self, **images: Any) -> Any:
        """Publish good pairs until one has gone through the node; return its status."""
        sent: list[Any] = []

        def send() -> None:
            sent.append(self.send_pair(**images))

        def through() -> Any:
            return next(
                (s for s in self.messages['/mafs_fusion/status'] if s.header.stamp in sent), None
            )

        send()
        return self.wait(through, 'status of a good pair', meanwhile=send, every_s=0.2)

    # -- control --------------------------------------------------------------------------------

    def transition(self, label: str) -> bool:
        """Ask for a transition over its service; return whether it succeeded."""
        from lifecycle_msgs.srv import ChangeState

        request = ChangeState.Request()
        request.transition.label = label
        return bool(self._call(ChangeState, '/mafs_fusion/change_state', request).success)

    def start(self) -> None:
        """Configure and activate."""
        assert self.transition('configure')
        assert self.transition('activate')

    def set_parameter(self, name: str, value: Any) -> Any:
        """Set a parameter over its service and return the result."""
        from rcl_interfaces.srv import SetParameters
        from rclpy.parameter import Parameter

        request = SetParameters.Request(
            parameters=[Parameter(name, value=value).to_parameter_msg()]
        )
        return self._call(SetParameters, '/mafs_fusion/set_parameters', request).results[0]

    def _call(self, service: Any, name: str, request: Any) -> Any:
        client = self.tester.create_client(service, name)
        try:
            assert client.wait_for_service(DEADLINE_S)
            future = client.call_async(request)
            done = threading.Event()
            future.add_done_callback(lambda _: done.set())
            assert done.wait(DEADLINE_S), f'no answer from {name}'
            return future.result()
        finally:
            self.tester.destroy_client(client)


def make_image(data: np.ndarray, encoding: str, /, **fields: Any) -> Any:
    """Return an Image message; fields overwrite what follows from the data."""
    from sensor_msgs.msg import Image

    values = {
        'height': data.shape[0],
        'width': data.shape[1],
        'encoding': encoding,
        'step': data.strides[0],
        'data': array.array('B', data.tobytes()),
    }
    return Image(**(values | fields))


_RANDOM = np.random.default_rng(7)
RGB = _RANDOM.integers(0, 256, (96, 128, 3), np.uint8)
COUNTS = _RANDOM.integers(28000, 32000, (60, 80), np.uint16)


@pytest.fixture(scope='session')
def image() -> Callable[..., Any]:
    """Return the function that makes Image messages."""
    return make_image


@pytest.fixture(scope='session')
def samples() -> tuple[np.ndarray, np.ndarray]:
    """Return the colour image (BGR) and the thermal counts of a good pair."""
    return RGB, COUNTS


@pytest.fixture(scope='module')
def make_rig(ros_domain: int) -> Iterator[Callable[..., Rig]]:
    """Return a function that makes rigs; all are closed at the end of the module."""
    rigs: list[Rig] = []

    def make(**parameters: Any) -> Rig:
        rigs.append(Rig(ros_domain, **parameters))
        return rigs[-1]

    yield make
    while rigs:
        rigs.pop().close()
