"""Signals and the end of the process, without ROS: tiny children."""

from __future__ import annotations

from pathlib import Path
import signal
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHILD = """
import sys, time
from mafs_ros.executable import EndRequest, exit_now
end = EndRequest()
{body}
"""
BEFORE = """
print('ready', flush=True)
time.sleep(600)
"""
# Nothing ends the main thread: the deadline has to.
STUCK = """
end.begin()
print('ready', flush=True)
time.sleep(600)
"""
ORDERLY = """
end.begin()
import threading
woken = threading.Event()
end.on_end(woken.set)
print('ready', flush=True)
woken.wait(600)
assert end.stopped.is_set()
print('released')
exit_now()  # as the node ends: Python restores the default handlers while it is torn down
"""


def end(body: str, *numbers: int) -> tuple[int, str]:
    """Return exit code and output of a child that gets these signals."""
    process = subprocess.Popen(
        [sys.executable, '-c', CHILD.format(body=body)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == 'ready\n'
    for number in numbers:
        process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    return process.returncode, output


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_before_anything_is_there_ends_at_once(number: int) -> None:
    assert end(BEFORE, number) == (0, '')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_main_thread_that_is_stuck_is_ended_in_time(number: int) -> None:
    assert end(STUCK, number) == (0, '')


def test_orderly_end_is_waited_for_and_further_signals_change_nothing() -> None:
    assert end(ORDERLY, signal.SIGINT, signal.SIGINT, signal.SIGTERM) == (0, 'released\n')


def test_heavy_libraries_are_not_imported_for_the_handlers() -> None:
    code = "import sys, mafs_ros.executable; print([m for m in ('rclpy', 'cv2', 'numpy', 'torch')"
    code += ' if m in sys.modules])'
    run = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, check=True)
    assert run.stdout == b'[]\n'
