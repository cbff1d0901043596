"""The service `~/record`: a bag of inputs and outputs, written by a thread of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
import contextlib
from pathlib import Path
import shutil
import threading

from mafs_model.errors import MafsError
from mafs_model.files import begin_private_folder, check_space, finish_private_folder
from mafs_ros.tap import open_bag, Taken

# What waits for the disk: some seconds of two cameras, and their outputs.
QUEUE_BYTES = 256_000_000
# Left on the disk for what else the robot writes, and for the index of the bag.
SPARE_BYTES = 200_000_000
# Bytes that are written between two looks at the free space.
_CHECK_EVERY_BYTES = 16_000_000


class RecordError(MafsError):
    """A recording cannot begin or go on."""


class Recording:
    """
    One bag in the making.

    A disk that is full, or goes away, ends the recording and nothing else: what is there becomes
    a bag that can be read.

    Threads: `put` is called by the executor and never blocks; the bag is written by a thread that
    ends with `stop`, or by itself where it cannot go on.

    Args:
        path: folder of the bag, to be made; until `stop` a hidden one beside it is filled.
        on_end: called in the thread with one line where it ends by itself.

    Raises:
        MafsError: it cannot be written, there is no room, or rosbags is not installed.

    """

    def __init__(self, path: Path, on_end: Callable[[str], None]) -> None:
        self.path = path
        self._on_end = on_end
        self._condition = threading.Condition()
        self._queue: deque[Taken] = deque()
        self._queued_bytes = 0
        self._stopping = False
        self.written = 0
        self.skipped = 0
        self.fault = ''
        try:
            self._beside = begin_private_folder(path)
        except OSError as error:
            raise RecordError(_because(path, error)) from None
        try:
            check_space(self._beside, SPARE_BYTES, RecordError)
            self._bag = open_bag(self._beside / path.name)
        except (MafsError, OSError) as error:
            shutil.rmtree(self._beside, ignore_errors=True)
            if isinstance(error, OSError):
                raise RecordError(_because(path, error)) from None
            raise
        self._thread = threading.Thread(target=self._run, name='recorder', daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Return whether it goes on no longer, by `stop` or by itself."""
        return self._stopping

    def put(self, taken: Taken) -> None:
        """Hand over a message; where the disk is too slow for it, it is counted and left out."""
        with self._condition:
            if self._stopping:
                return
            if self._queued_bytes + len(taken.data) > QUEUE_BYTES:
                self.skipped += 1
                return
            self._queue.append(taken)
            self._queued_bytes += len(taken.data)
            self._condition.notify()

    def stop(self, timeout_s: float | None = None) -> bool:
        """Write what waits and close the bag; return whether that was done within the time."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def summary(self) -> str:
        """Return what has been written, in one line."""
        text = f'{self.path}: {self.written} messages'
        if self.skipped:
            text += f', {self.skipped} left out because the disk was too slow'
        return f'{text}; {self.fault}' if self.fault else text

    def _run(self) -> None:
        try:
            self._write_all()
        except Exception as error:  # noqa: BLE001 - of the disk or the writer; the node goes on
            self.fault = f'stopped: {_reason(error)}'
        with self._condition:
            self._stopping = True
            self._queue.clear()
        try:
            self._bag.close()
        except Exception as error:  # noqa: BLE001 - what was written can still be salvaged
            self.fault = self.fault or f'its index is missing: {_reason(error)}'
        with contextlib.suppress(OSError):
            finish_private_folder(self._whole_or_part(), self.path)
        shutil.rmtree(self._beside, ignore_errors=True)
        if self.fault:
            self._on_end(self.summary)

    def _write_all(self) -> None:
        """Write messages until stopped and nothing waits."""
        unchecked = 0
        while True:
            with self._condition:
                while not self._queue and not self._stopping:
                    self._condition.wait()
                if not self._queue:
                    return
                taken = self._queue.popleft()
                self._queued_bytes -= len(taken.data)
            channel = taken.channel
            if unchecked >= _CHECK_EVERY_BYTES:
                check_space(self._beside, SPARE_BYTES, RecordError)
                unchecked = 0
            self._bag.add_topic(channel.topic, channel.type_name, latched=channel.latched)
            self._bag.write(channel.topic, channel.type_name, taken.receive_ns, taken.data)
            self.written += 1
            unchecked += len(taken.data)

    def _whole_or_part(self) -> Path:
        """Return the closed bag, or the folder in which the writer has left it."""
        whole = self._beside / self.path.name
        if whole.is_dir():
            return whole
        return next((path.parent for path in self._beside.rglob('*.mcap')), whole)


def _because(path: Path, error: OSError) -> str:
    return f"'{path}': cannot be written: {error.strerror or error}"


def _reason(error: Exception) -> str:
    """Return one line about an error."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return ' '.join(str(error).split()) or repr(error)
