"""The executor of the node: one thread, and no wake-up that it causes itself."""

from __future__ import annotations

import threading
from typing import Any

from rclpy.executors import SingleThreadedExecutor


class QuietExecutor(SingleThreadedExecutor):
    """
    A `SingleThreadedExecutor` that does not wake itself.

    rclpy triggers the executor's guard condition after every message it takes, so that other
    threads of an executor look at the entity again. With one thread nobody else looks: the
    trigger only makes the next wait return at once, and every wait costs some 0.4 ms in Python.
    Where rclpy is built differently, this is a plain `SingleThreadedExecutor`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        guard = getattr(self, '_guard', None)
        if guard is not None and hasattr(guard, 'trigger'):
            self._guard = _Guard(guard)

    def spin(self) -> None:
        """Execute callbacks in this thread until shutdown."""
        self._own()
        super().spin()

    def spin_until(self, stopped: threading.Event) -> None:
        """
        Execute callbacks in this thread until another one sets `stopped` and calls `wake`.

        A `shutdown` from another thread destroys what the loop of rclpy may still use.
        """
        self._own()
        while not stopped.is_set() and self._context.ok():
            self.spin_once(timeout_sec=1.0)

    def _own(self) -> None:
        guard = getattr(self, '_guard', None)
        if isinstance(guard, _Guard):
            guard.own_thread = threading.get_ident()


class _Guard:
    """A guard condition whose triggers from one thread are left out."""

    def __init__(self, guard: Any) -> None:
        self._wrapped = guard
        self.own_thread: int | None = None

    def trigger(self) -> None:
        """Wake the executor, unless it is awake."""
        if threading.get_ident() != self.own_thread:
            self._wrapped.trigger()

    def __getattr__(self, name: str) -> Any:
        """Return everything else from the guard condition itself."""
        return getattr(self._wrapped, name)
