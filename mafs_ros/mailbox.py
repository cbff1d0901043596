"""The one-slot mailbox with the thread that empties it."""

from __future__ import annotations

from collections.abc import Callable
import threading
from typing import Generic, TypeVar

T = TypeVar('T')


class Worker(Generic[T]):
    """
    Runs a function in its own thread on the newest item only.

    While the function runs, one item waits. A newer one replaces it: on a robot the newest
    image is worth more than a complete sequence, and latency stays bounded at any input rate.

    Args:
        handle: called in the thread with one item. What it raises is handed to `on_error`;
            the thread goes on with the next item.
        on_replaced: called in the thread of `put` with every item that was overtaken.
        on_error: called in the worker's thread with what `handle` raised.
        name: name of the thread.

    """

    def __init__(
        self,
        handle: Callable[[T], None],
        on_replaced: Callable[[T], None],
        on_error: Callable[[Exception], None],
        name: str = 'fusion_worker',
    ) -> None:
        self._handle = handle
        self._on_replaced = on_replaced
        self._on_error = on_error
        self._condition = threading.Condition()
        self._item: T | None = None
        self._stopping = False
        # A daemon: a stuck inference must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, item: T) -> None:
        """Hand over an item, in place of the one that waits; ignored after `stop`."""
        with self._condition:
            if self._stopping:
                return
            replaced, self._item = self._item, item
            self._condition.notify()
        if replaced is not None:
            self._on_replaced(replaced)

    def clear(self) -> bool:
        """Throw away the waiting item; return whether there was one."""
        with self._condition:
            waiting, self._item = self._item is not None, None
            return waiting

    @property
    def waiting(self) -> bool:
        """Return whether an item waits."""
        with self._condition:
            return self._item is not None

    def stop(self, timeout_s: float) -> bool:
        """
        End the thread after the item it works on; the waiting item is thrown away.

        Args:
            timeout_s: how long to wait for it.

        Returns:
            Whether the thread ended in time. One that did not ends by itself later.

        """
        with self._condition:
            self._stopping = True
            self._item = None
            self._condition.notify()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        """Process items until stopped."""
        while True:
            with self._condition:
                while self._item is None and not self._stopping:
                    self._condition.wait()
                if self._stopping:
                    return
                item, self._item = self._item, None
            assert item is not None
            try:
                self._handle(item)
            except Exception as error:  # noqa: BLE001 - handed on; one bad pair must not end it
                self._on_error(error)
            # Images are large: do not keep the last pair alive while waiting for the next.
            del item
