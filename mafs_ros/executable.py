"""Running a node as a process: start, signals, exit code."""

from __future__ import annotations

from collections.abc import Callable
import os
import signal
import sys
import threading
from typing import Any

from mafs_ros.executor import QuietExecutor
import rclpy
from rclpy.executors import ExternalShutdownException

# Launch and users wait a few seconds before they kill; we promise to be gone after two.
_EXIT_WITHIN_S = 1.6
_WATCH_PERIOD_S = 0.2


def run(create_node: Callable[[], Any], args: list[str] | None = None) -> int:
    """
    Spin a node until SIGINT, SIGTERM or a shutdown of the context.

    One thread executes all callbacks: they are short, and an executor with several threads
    would only add overhead. Inference has its own thread.

    Args:
        create_node: makes the node; called after rclpy is initialised.
        args: command line, default `sys.argv`.

    Returns:
        The exit code: 0 for every orderly end.

    """
    # The handler of rclpy calls the one that was there before it. That of Python would raise
    # KeyboardInterrupt at any line, also while everything is being released: Ctrl-C reaches a
    # child of launch twice. Here the shutdown of the context is the only message.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    rclpy.init(args=args)
    ended = threading.Event()
    threading.Thread(target=_end_in_time, args=(ended,), name='exit_watch', daemon=True).start()
    node = None
    try:
        executor = QuietExecutor()
        node = create_node()
        executor.add_node(node)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception:
        # What is created in a context that a signal has just shut down fails in many ways.
        if rclpy.ok():
            raise
    finally:
        if node is not None:
            node.destroy_node()
        # Not rclpy.try_shutdown: it would bring the default signal handlers back.
        rclpy.get_default_context().try_shutdown()
        ended.set()
    if any(thread.name == 'fusion_worker' for thread in threading.enumerate()):
        # A native thread that computes while the interpreter is torn down aborts the process.
        _exit_now()
    return 0


def _end_in_time(ended: threading.Event) -> None:
    """
    End the process when the orderly end takes too long after a signal.

    The signal handler of rclpy shuts the context down, but the main thread may be busy with
    loading weights, where no Python code can interrupt it. Hence a thread looks.
    """
    while not ended.wait(_WATCH_PERIOD_S):
        if not rclpy.ok():
            if not ended.wait(_EXIT_WITHIN_S - _WATCH_PERIOD_S):
                _exit_now()
            return


def _exit_now() -> None:
    """End the process with success, without waiting for threads."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
