"""Worker processes for rendering and reports that end at once when the demo is interrupted."""

from __future__ import annotations

import multiprocessing
import multiprocessing.pool
import os
import signal


def _prepare_worker() -> None:
    """Leave Ctrl-C to the parent, which ends its workers; keep libraries to one thread."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import cv2

    cv2.setNumThreads(1)


def worker_pool(tasks: int) -> multiprocessing.pool.Pool:
    """
    Return a pool for this many tasks, at most one process a core; its `with` ends them all.

    Fresh processes: a fork would inherit the threads of libraries in an unknown state.
    """
    count = max(1, min(tasks, os.cpu_count() or 1, 8))
    return multiprocessing.get_context('spawn').Pool(count, _prepare_worker)
