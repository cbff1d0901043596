"""The node's executor: woken by others, not by itself."""

from __future__ import annotations

import contextlib
import threading

import pytest

pytestmark = pytest.mark.ros
DEADLINE_S = 60.0


@pytest.fixture
def spinning(ros_domain: int):
    """Yield a node on a spinning executor, the executor, and the wake-ups it has caused."""
    from mafs_ros.executor import QuietExecutor
    import rclpy
    from rclpy.executors import ExternalShutdownException, ShutdownException
    from rclpy.node import Node

    context = rclpy.Context()
    rclpy.init(args=[], context=context, domain_id=ros_domain)
    node = Node('executor_test', context=context)
    executor = QuietExecutor(context=context)
    executor.add_node(node)

    def spin() -> None:
        with contextlib.suppress(ExternalShutdownException, ShutdownException):
            executor.spin()

    thread = threading.Thread(target=spin)
    thread.start()
    yield node, executor
    rclpy.try_shutdown(context=context)
    thread.join(DEADLINE_S)
    assert not thread.is_alive()
    node.destroy_node()


def test_a_timer_from_another_thread_is_served(spinning):
    node, _ = spinning
    served = threading.Event()
    node.create_timer(0.01, served.set)
    assert served.wait(DEADLINE_S)


def test_a_task_from_another_thread_is_served(spinning):
    _, executor = spinning
    served = threading.Event()
    executor.create_task(served.set)
    assert served.wait(DEADLINE_S)


def test_what_a_callback_creates_is_served(spinning):
    node, executor = spinning
    served = threading.Event()

    def create() -> None:
        node.create_timer(0.01, lambda: executor.create_task(served.set))

    executor.create_task(create)
    assert served.wait(DEADLINE_S)


def test_messages_do_not_wake_it_twice(spinning):
    from std_msgs.msg import Header

    node, executor = spinning
    if not hasattr(executor._guard, '_wrapped'):
        pytest.skip('rclpy is built differently')
    triggers = []
    wrapped = executor._guard._wrapped

    class Counting:
        def trigger(self) -> None:
            triggers.append(threading.get_ident())
            wrapped.trigger()

        def __getattr__(self, name: str):
            return getattr(wrapped, name)

    received = threading.Semaphore(0)
    node.create_subscription(Header, 'ping', lambda message: received.release(), 10)
    publisher = node.create_publisher(Header, 'ping', 10)
    executor._guard._wrapped = Counting()
    for _ in range(20):
        publisher.publish(Header())
        assert received.acquire(timeout=DEADLINE_S)
    assert triggers == []
