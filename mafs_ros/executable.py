"""
The node as a process: signals first, then the heavy imports; exit code.

Only the standard library is imported at the top: importing rclpy, OpenCV and the network takes
seconds on a small computer, and Ctrl-C must work from the first moment on.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import os
import re
import signal
import sys
import threading
import time
from typing import Any

# Launch and users wait a few seconds before they kill; we promise to be gone after two.
_EXIT_WITHIN_S = 1.2


class EndRequest:
    """
    The wish of a signal that the process ends, whatever the main thread is busy with.

    A handler in Python runs in the main thread only, between two of its instructions: not while
    it waits in the executor, loads weights or imports a library. Hence the C part of the handler
    writes into a pipe, and a thread reads it. rclpy's own handlers would shut the context down at
    once, under the feet of the worker that publishes and of the constructor of the node.

    A signal ends the process at once while there is nothing to undo (`begin` has not been
    called); afterwards it asks for an orderly end, and ends the process when that takes too long.
    Further signals change nothing.
    """

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._begun = False
        self._wake: Callable[[], object] = lambda: None
        self._lock = threading.Lock()
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        threading.Thread(target=self._watch, name='signals', daemon=True).start()
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            # Replaces KeyboardInterrupt and the sudden death; the pipe does the work.
            signal.signal(number, lambda number, frame: None)

    def begin(self) -> None:
        """Note that from now on there is something to undo."""
        with self._lock:
            if self.stopped.is_set():
                exit_now()
            self._begun = True

    def on_end(self, wake: Callable[[], object]) -> None:
        """Set what wakes the main thread; it is called at once if the end is wanted already."""
        self._wake = wake
        if self.stopped.is_set():
            wake()

    def _watch(self) -> None:
        """Wait for the first signal and see that the process ends."""
        os.read(self._reader, 1)
        with self._lock:
            self.stopped.set()
            if not self._begun:
                exit_now()
        self._wake()
        time.sleep(_EXIT_WITHIN_S)
        exit_now()


def exit_now(code: int = 0) -> None:
    """End the process without waiting for threads, with all output written."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # the reader of our output is gone
            stream.flush()
    os._exit(code)


def run(
    create_node: Callable[[], Any], args: list[str] | None = None, end: EndRequest | None = None
) -> int:
    """
    Spin a node until SIGINT, SIGTERM or a shutdown of the context.

    One thread executes all callbacks: they are short, and an executor with several threads
    would only add overhead. Inference has its own thread.

    Args:
        create_node: makes the node; called after rclpy is initialised.
        args: command line, default `sys.argv`.
        end: the handler of signals, where one was installed before.

    Returns:
        The exit code: 0 for every orderly end, 2 where ROS refuses the command line or the
        environment.

    """
    end = end or EndRequest()
    from mafs_ros.executor import QuietExecutor
    import rclpy
    from rclpy.executors import ExternalShutdownException
    from rclpy.signals import SignalHandlerOptions

    end.begin()
    # Fast DDS: images are sent by a thread of the middleware, so that a subscriber that does not
    # keep up holds up neither the worker nor the executor. Other middlewares ignore it.
    os.environ.setdefault('RMW_FASTRTPS_PUBLICATION_MODE', 'ASYNCHRONOUS')
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:  # noqa: BLE001 - of many types, all about what the user gave
        sys.stderr.write(f'fusion_node: {_start_error(str(error))}\n')
        return 2
    node = None
    try:
        executor = QuietExecutor()
        end.on_end(executor.wake)
        node = create_node()
        executor.add_node(node)
        executor.spin_until(end.stopped)
    except ExternalShutdownException:
        pass
    except Exception:
        # What is used in a context that somebody else has just shut down fails in many ways.
        if rclpy.ok():
            raise
    finally:
        # The worker ends while the context is still there to publish with.
        if node is not None:
            node.destroy_node()
        rclpy.get_default_context().try_shutdown()
    return 0


def _start_error(text: str) -> str:
    """Return why ROS did not start as one line that says what to do."""
    text = re.sub(r', at /\S+:\d+', '', text).replace('\n', ' ')
    if 'log directory' in text or 'logging' in text:
        return f'{text}; set ROS_LOG_DIR to a folder that can be written to'
    return text


def main(args: list[str] | None = None) -> None:
    """Run the fusion node as this process, and end it."""
    end = EndRequest()
    code = 1
    try:
        from mafs_ros.node import create

        code = run(create, args, end)
    except Exception:  # noqa: BLE001 - a mistake of ours, shown as Python would show it
        sys.excepthook(*sys.exc_info())
    # Everything is released. Native threads that still compute, or libraries that are unloaded in
    # an unlucky order, would abort the process while the interpreter is taken down.
    exit_now(code)
