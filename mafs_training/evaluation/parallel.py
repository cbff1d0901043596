"""Work over many files in several processes, with a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
import multiprocessing
import os
from typing import TypeVar

from tqdm import tqdm

Task = TypeVar('Task')
Answer = TypeVar('Answer')


def default_jobs() -> int:
    """Return how many processes are worth starting on this machine."""
    return max(1, len(os.sched_getaffinity(0)))


def map_tasks(
    function: Callable[[Task], Answer],
    tasks: Sequence[Task],
    *,
    jobs: int,
    title: str,
    quiet: bool = False,
) -> Iterator[Answer]:
    """
    Apply a function to every task, in order.

    Args:
        function: module-level function; it runs in other processes if jobs > 1.
        tasks: what to do.
        jobs: number of processes; 1 works in this one.
        title: what the progress bar says.
        quiet: no progress bar.

    """
    with tqdm(total=len(tasks), desc=title, disable=quiet, unit='') as bar:
        if jobs <= 1 or len(tasks) < 2:
            for task in tasks:
                yield function(task)
                bar.update()
            return
        # Fresh processes: forking one in which OpenCV or torch have threads can hang.
        context = multiprocessing.get_context('spawn')
        with ProcessPoolExecutor(min(jobs, len(tasks)), context, initializer=_one_thread) as pool:
            for answer in pool.map(function, tasks, chunksize=1):
                yield answer
                bar.update()


def _one_thread() -> None:
    """Keep the libraries of a worker from competing for the same cores."""
    import cv2

    cv2.setNumThreads(1)
