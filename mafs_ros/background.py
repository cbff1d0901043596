"""Work of a service that is too long for the executor: a thread that the callback awaits."""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import threading
from typing import Any

import rclpy.node
from rclpy.task import Future


def in_background(node: rclpy.node.Node, work: Callable[[], Any], name: str) -> Future:
    """
    Run a function in a thread of its own; to be awaited by a callback of the node.

    While it runs, the executor goes on with other callbacks. The callback that awaits must be in
    a callback group of its own, because its group does not.

    Args:
        node: the node whose executor is to go on.
        work: called in the thread, a daemon: it must not keep the process from ending.
        name: name of the thread.

    Returns:
        What the function returns, or raises.

    """
    future = Future(executor=node.executor)

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - handed to whoever awaits
            future.set_exception(error)
        else:
            future.set_result(result)
        # The executor looks at unfinished callbacks when it wakes, and this wakes it.
        executor = node.executor
        if executor is not None:
            with contextlib.suppress(Exception):  # ROS was shut down meanwhile
                executor.wake()

    threading.Thread(target=run, name=name, daemon=True).start()
    return future
