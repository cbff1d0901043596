"""Ends a run on a signal at a place from which it can be continued."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, TYPE_CHECKING

from mafs_model.errors import MafsError

if TYPE_CHECKING:
    from typing_extensions import Self

_log = logging.getLogger(__name__)


class InterruptedRunError(MafsError):
    """
    A run was ended by a signal, and saved.

    Args:
        number: of the signal.
        message: where it stands.

    """

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number


class StopRequest:
    """
    Remembers SIGINT or SIGTERM while it is entered; the second one ends at once.

    Attributes:
        number: of the signal, 0 as long as there is none.

    """

    def __init__(self) -> None:
        self.number = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._before = self.listen()
        return self

    def listen(self) -> dict[int, Any]:
        """
        Take the signals, also from whom has taken them since; return who had them.

        Lightning puts a handler of its own before the one it finds, and ends a run that has got
        SIGTERM in the middle of an epoch: unsaved, with exit code 0.
        """
        if threading.current_thread() is not threading.main_thread():
            return {}
        return {n: signal.signal(n, self._note) for n in (signal.SIGINT, signal.SIGTERM)}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number:
            raise KeyboardInterrupt
        self.number = number
        _log.info(
            '%s: saving after this step or validation, then the run ends; once more: it ends at '
            'once, without saving',
            signal.Signals(number).name,
        )
