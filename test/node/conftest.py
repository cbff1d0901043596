"""Fixtures of the node's tests without other processes: a context and nodes that clean up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import gc
import os
from pathlib import Path
import socket
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


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
def ros_context() -> Iterator[Any]:
    """Yield an rclpy context in a domain of its own; skip where ROS or our messages are not."""
    rclpy = pytest.importorskip('rclpy')
    pytest.importorskip('mafs_ros.msg', reason='messages are not built (colcon build)')
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    os.environ.setdefault('FASTRTPS_DEFAULT_PROFILES_FILE', str(ROOT / 'config/fastdds_shm.xml'))
    domain_id, lock = reserve_domain_id()
    context = rclpy.Context()
    rclpy.init(args=[], context=context, domain_id=domain_id)
    yield context
    rclpy.try_shutdown(context=context)
    lock.close()


@pytest.fixture
def make_node(ros_context: Any) -> Iterator[Callable[..., Any]]:
    """Return a function that makes a FusionNode with parameters; all are destroyed afterwards."""
    from mafs_ros.node import FusionNode
    from rclpy.parameter import Parameter

    nodes = []

    def make(
        communicate: bool = False, arguments: list[str] | None = None, **parameters: Any
    ) -> Any:
        overrides = [
            Parameter(name.replace('__', '.'), value=value) for name, value in parameters.items()
        ]
        node = FusionNode(
            context=ros_context,
            parameter_overrides=overrides,
            enable_communication_interface=communicate,
            cli_args=arguments,
        )
        nodes.append(node)
        return node

    yield make
    while nodes:
        nodes.pop().destroy_node()
    gc.collect()  # a node is a cycle, and two of one name would share the publisher of their log
