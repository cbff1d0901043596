"""Running a node as a process: start, signals, exit code."""

from __future__ import annotations

from collections.abc import Callable
import os
import signal
import sys
import threading
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import uninstall_signal_handlers

# Users and launch wait a few seconds before they kill; we promise two.
_EXIT_WITHIN_S = 1.5


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
    rclpy.init(args=args)
    node = None
    try:
        node = create_node()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass  # SIGINT arrives as either of the two, SIGTERM as the latter
    finally:
        _ignore_further_signals()
        deadline = _exit_at_the_latest()
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
        deadline.cancel()
    if _still_computing():
        # A native thread that computes while the interpreter is torn down aborts the process.
        _exit_now()
    return 0


def _ignore_further_signals() -> None:
    """Let nothing interrupt the orderly end: Ctrl-C reaches a child of launch twice."""
    uninstall_signal_handlers()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _exit_at_the_latest() -> threading.Timer:
    """Start a timer that ends the process if the orderly end takes too long."""
    timer = threading.Timer(_EXIT_WITHIN_S, _exit_now)
    timer.daemon = True
    timer.start()
    return timer


def _still_computing() -> bool:
    """Return whether a worker thread is left."""
    return any(thread.name == 'fusion_worker' for thread in threading.enumerate())


def _exit_now() -> None:
    """End the process with success, without waiting for threads."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
