"""Work over many files in several processes, here or on a cluster, with a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
import multiprocessing
import os
from typing import TypeVar

from mafs_model.errors import ConfigError
from mafs_model.extras import require
from tqdm import tqdm

_CONNECT_S = 10

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
    scheduler: str = '',
) -> Iterator[Answer]:
    """
    Apply a function to every task, in order.

    Args:
        function: module-level function; it runs in other processes if jobs > 1.
        tasks: what to do.
        jobs: number of processes; 1 works in this one.
        title: what the progress bar says.
        quiet: no progress bar.
        scheduler: address of a Dask scheduler whose workers do it instead of processes here.

    Raises:
        ConfigError: the scheduler does not answer, or its workers have gone.

    """
    with tqdm(total=len(tasks), desc=title, disable=quiet, unit='') as bar:
        if not scheduler and (jobs <= 1 or len(tasks) < 2):
            for task in tasks:
                yield function(task)
                bar.update()
            return
        with _cluster(scheduler) if scheduler else _processes(min(jobs, len(tasks))) as pool:
            for answer in pool.map(function, tasks, chunksize=1):
                yield answer
                bar.update()


def _processes(count: int) -> Executor:
    # Fresh processes: forking one in which OpenCV or torch have threads can hang.
    context = multiprocessing.get_context('spawn')
    return ProcessPoolExecutor(count, context, initializer=_one_thread)


@contextmanager
def _cluster(scheduler: str) -> Iterator[Executor]:
    """Give the workers of a Dask scheduler as an executor; they see the same files."""
    require(f'--executor {scheduler}', 'distributed')
    import distributed

    try:
        client = distributed.Client(scheduler, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        reason = ' '.join(str(error).split())[:120] or 'no answer'
        raise ConfigError(
            f'--executor {scheduler!r}: no Dask scheduler, expected its address such as '
            f'tcp://host:8786 ({reason})'
        ) from None
    with client:
        if not client.scheduler_info()['workers']:
            raise ConfigError(
                f'--executor {scheduler!r}: the scheduler has no worker, start some with '
                f'`dask worker {scheduler}`'
            )
        try:
            yield client.get_executor()
        except distributed.KilledWorker as error:
            raise ConfigError(f'--executor {scheduler!r}: workers have died: {error}') from None


def _one_thread() -> None:
    """Keep the libraries of a worker from competing for the same cores."""
    import cv2

    cv2.setNumThreads(1)
