"""
Processes that wait, work when it is their turn, and answer with times.

One process per configuration: thread pools, allocators and libraries of one do not disturb the
next, and what a process takes of memory is what the configuration takes.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.bench.energy import counter_for
from benchmarks.bench.tasks import Sample, TASKS
from mafs_model.errors import MafsError

_START_TIMEOUT_S = 1800.0  # torch.compile and TensorRT take their time
_END_TIMEOUT_S = 20.0


class WorkerError(MafsError):
    """A worker could not do its work; one line."""


class Worker:
    """
    The near end of a process.

    Args:
        kind: of ``TASKS``.
        arguments: of the task.

    Raises:
        WorkerError: the task could not be set up.

    """

    def __init__(self, kind: str, arguments: dict[str, Any]) -> None:
        context = multiprocessing.get_context('spawn')
        self._pipe, far = context.Pipe()
        self._process = context.Process(target=serve, args=(far, kind, arguments), daemon=True)
        self._process.start()
        far.close()
        try:
            self.facts: dict[str, Any] = self._answer()
        except WorkerError:
            self.close()
            raise

    def run(self, count: int) -> tuple[list[Sample], float | None]:
        """
        Do the work once uncounted and then some times.

        Returns:
            The times of the counted ones, and the joules of one of them where they can be read.

        """
        self._pipe.send(('run', count))
        samples, joules = self._answer()
        return samples, joules

    def after(self) -> dict[str, Any]:
        """Return the figures of the whole work."""
        self._pipe.send(('after', None))
        return dict(self._answer())

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(_END_TIMEOUT_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _answer(self) -> Any:
        try:
            if not self._pipe.poll(_START_TIMEOUT_S):
                raise WorkerError(f'no answer within {_START_TIMEOUT_S:g} s')
            good, content = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            self._process.join(_END_TIMEOUT_S)
            raise WorkerError(f'ended with code {self._process.exitcode}') from None
        if not good:
            raise WorkerError(content)
        return content


def serve(pipe: Connection, kind: str, arguments: dict[str, Any]) -> None:
    """Run the far end: set up, then answer until the near end closes."""
    from mafs_model.runtime.environment import wait_passively

    wait_passively()
    try:
        task = TASKS[kind](**arguments)
        pipe.send((True, task.facts()))
        energy = counter_for(arguments.get('device', 'cpu'))
        while True:
            command, count = pipe.recv()
            if command == 'after':
                pipe.send((True, task.after()))
                continue
            task.once()
            before = energy.read() if energy else []
            samples = [task.once() for _ in range(count)]
            joules = energy.joules_since(before) / count if energy and count else None
            pipe.send((True, (samples, joules)))
    except (EOFError, BrokenPipeError):
        return
    except Exception as error:  # noqa: BLE001 - whatever it is, the near end reports it
        reason = ' '.join(str(error).split()) or type(error).__name__
        pipe.send((False, reason))
