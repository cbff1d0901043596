"""The heartbeat by which the lifecycle manager of Nav2 sees that the active node is alive."""

from __future__ import annotations

import importlib
from typing import Any
import uuid

from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode

TOPIC = 'bond'
# As the nodes of Nav2: many heartbeats in the 4 s after which its manager counts a node as dead.
PERIOD_S = 0.25
TIMEOUT_S = 4.0


def load_bond_msgs() -> Any | None:
    """Return the module bond.msg, None where it is not installed."""
    try:
        return importlib.import_module('bond.msg')
    except ImportError:
        return None


class Bond:
    """
    Our end of the bond: says that we live, and that we go.

    The manager's end judges; ours has nothing to judge and needs no state machine and no thread,
    so that a stalled executor is seen as what it is.

    Args:
        node: the node that owns publisher and timer.

    """

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._messages = load_bond_msgs()
        self._instance = str(uuid.uuid4())
        self._publisher: Any = None
        self._timer: Any = None

    def start(self) -> None:
        """Begin the heartbeat; nothing happens where the package `bond` is not installed."""
        if self._messages is None or self._timer is not None:
            return
        if self._publisher is None:
            # Not a managed one: it must also say that the node is no longer active.
            self._publisher = self._node.create_publisher(self._messages.Status, TOPIC, 10)
        self._timer = self._node.create_timer(
            PERIOD_S, lambda: self._say(True), clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self._say(True)

    def stop(self) -> None:
        """End the heartbeat and say so."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._timer = None
            self._say(False)

    def _say(self, active: bool) -> None:
        """Publish whether we are active."""
        assert self._messages is not None
        status = self._messages.Status(
            id=self._node.get_name(),
            instance_id=self._instance,
            active=active,
            heartbeat_timeout=TIMEOUT_S,
            heartbeat_period=PERIOD_S,
        )
        status.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(status)
