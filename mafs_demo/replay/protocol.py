"""One line of JSON per event, from the demo's children to the command that started them."""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

_MARK = '@mafs '


def emit(event: str, **fields: Any) -> None:
    """Tell the parent something."""
    sys.stdout.write(_MARK + json.dumps({'event': event, **fields}) + '\n')
    sys.stdout.flush()


def parse(line: str) -> dict[str, Any] | None:
    """Return the event of a line, None for any other output."""
    if not line.startswith(_MARK):
        return None
    try:
        event = json.loads(line[len(_MARK) :])
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


class Commands:
    """
    What the parent writes to this process, one word a line.

    Its end closes the pipe, which counts as the command 'stop': no child outlives it.
    """

    def __init__(self) -> None:
        self._received: set[str] = set()
        self._condition = threading.Condition()
        threading.Thread(target=self._read, name='commands', daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin:
            self._note(line.strip())
        self._note('stop')

    def _note(self, command: str) -> None:
        with self._condition:
            self._received.add(command)
            self._condition.notify_all()

    def has(self, command: str) -> bool:
        """Tell whether a command has come."""
        with self._condition:
            return command in self._received

    def wait(self, command: str, timeout_s: float) -> bool:
        """Wait for a command; True as soon as it or 'stop' is there."""
        with self._condition:
            return self._condition.wait_for(
                lambda: command in self._received or 'stop' in self._received, timeout_s
            )
