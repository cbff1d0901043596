"""Child processes of the demo: started with the right environment, watched, ended for certain."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
import os
from pathlib import Path
import signal
import subprocess
import sys
import threading
from typing import Any

from mafs_demo.replay.protocol import parse
from mafs_model.errors import MafsError

_TAIL_LINES = 12
# fusion_node promises to end within two seconds; a stuck one is killed after this.
_END_TIMEOUT_S = 5.0


class DemoError(MafsError):
    """A process of the demo failed; the message ends with the last lines of its log."""


def child_environment(log_dir: Path) -> dict[str, str]:
    """
    Return the environment of all children: shared memory for images, malloc, logs, isolation.

    Args:
        log_dir: where ROS writes its logs.

    """
    environment = dict(os.environ)
    profile = _find_config('fastdds_shm.xml')
    if profile is not None:
        # Humble and Jazzy read the first name, Kilted and later the second.
        environment.setdefault('FASTRTPS_DEFAULT_PROFILES_FILE', str(profile))
        environment.setdefault(
            'FASTDDS_DEFAULT_PROFILES_FILE', environment['FASTRTPS_DEFAULT_PROFILES_FILE']
        )
    environment.setdefault('MALLOC_MMAP_THRESHOLD_', '67108864')
    environment.setdefault('MALLOC_TRIM_THRESHOLD_', '134217728')
    environment.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    # A robot on the default domain must neither see the demo's cameras nor be seen.
    # Ids up to 100 keep its ports below those that Linux gives to clients.
    environment.setdefault('ROS_DOMAIN_ID', str(60 + os.getpid() % 40))
    environment['ROS_LOG_DIR'] = str(log_dir)
    environment['RCUTILS_LOGGING_BUFFERED_STREAM'] = '0'
    environment['PYTHONUNBUFFERED'] = '1'
    return environment


def _find_config(name: str) -> Path | None:
    """Return a file of config/, in the source tree or in the installed package."""
    candidates = [Path(__file__).resolve().parents[2] / 'config' / name]
    try:
        from ament_index_python.packages import get_package_share_directory

        candidates.append(Path(get_package_share_directory('mafs_ros')) / 'config' / name)
    except (ImportError, LookupError):
        pass
    return next((path for path in candidates if path.is_file()), None)


class Child:
    """
    One process, its events and its log.

    Args:
        name: shown to the user, and the name of its log file.
        command: a Python module and its arguments.
        environment: of the process.
        log_dir: folder of the log file.
        events: called with (child, event) for every event, from a thread of its own.

    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log_dir: Path,
        events: Any,
    ) -> None:
        self.name = name
        self.log = log_dir / f'{name}.log'
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        # A session of its own: Ctrl-C reaches the parent alone, which ends the children in order.
        self._process = subprocess.Popen(
            [sys.executable, '-m', 'mafs_demo.replay.guarded', *command],
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding='utf-8',
            errors='replace',
            start_new_session=True,
        )
        self._events = events
        self._reader = threading.Thread(target=self._read, name=f'{name} output', daemon=True)
        self._reader.start()

    def _read(self) -> None:
        """Sort the output into events and log."""
        assert self._process.stdout is not None
        with self.log.open('w', encoding='utf-8') as log:
            for line in self._process.stdout:
                event = parse(line)
                if event is None:
                    log.write(line)
                    log.flush()
                    if line.strip():
                        self._tail.append(line.rstrip())
                else:
                    self._events(self.name, event)
        self._events(self.name, {'event': 'ended', 'code': self._process.wait()})

    @property
    def last_line(self) -> str:
        """Return the last line of the log, '' if there is none."""
        return self._tail[-1] if self._tail else ''

    def tell(self, command: str) -> None:
        """Write a command to the child; one that is gone is not told."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(command + '\n')
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            pass

    def interrupt(self) -> None:
        """Ask the child to end, as Ctrl-C would."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)

    def end(self, timeout_s: float = _END_TIMEOUT_S) -> int:
        """Wait for the end, kill where it does not come; return the exit code."""
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._reader.join(1.0)
        return code

    def failure(self, reason: str) -> DemoError:
        """Return the error that shows what this child said last."""
        tail = '\n'.join(f'    {line}' for line in self._tail) or '    (nothing)'
        return DemoError(f'{self.name} {reason}; the end of {self.log}:\n{tail}')
