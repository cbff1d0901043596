"""The one-slot mailbox: newest first, bounded, and not ended by a bad item."""

from __future__ import annotations

from collections.abc import Iterator
import threading

from mafs_ros.mailbox import Worker
import pytest

DEADLINE_S = 60.0


class Bench:
    """A worker whose processing the test opens and closes like a gate."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.started = threading.Semaphore(0)
        self.finished = threading.Semaphore(0)
        self.processed: list[object] = []
        self.replaced: list[object] = []
        self.errors: list[Exception] = []
        self.worker: Worker[object] = Worker(self._process, self.replaced.append, self._on_error)

    def _process(self, item: object) -> None:
        self.started.release()
        assert self.gate.wait(DEADLINE_S)
        if isinstance(item, Exception):
            raise item
        self.processed.append(item)
        self.finished.release()

    def _on_error(self, error: Exception) -> None:
        self.errors.append(error)
        self.finished.release()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    bench.worker.start()
    yield bench
    bench.gate.set()
    assert bench.worker.stop(DEADLINE_S)


def test_newest_item_waits_and_overtaken_ones_are_reported(bench: Bench) -> None:
    bench.worker.put(0)
    assert bench.started.acquire(timeout=DEADLINE_S)
    for item in (1, 2, 3):
        bench.worker.put(item)
    assert bench.worker.waiting
    bench.gate.set()
    for _ in range(2):
        assert bench.finished.acquire(timeout=DEADLINE_S)
    assert bench.processed == [0, 3]
    assert bench.replaced == [1, 2]


def test_error_is_handed_on_and_the_next_item_processed(bench: Bench) -> None:
    bench.gate.set()
    bench.worker.put(ValueError('bad pair'))
    assert bench.finished.acquire(timeout=DEADLINE_S)
    bench.worker.put('good')
    assert bench.finished.acquire(timeout=DEADLINE_S)
    assert [str(e) for e in bench.errors] == ['bad pair']
    assert bench.processed == ['good']


def test_stop_waits_for_the_running_item_and_drops_the_waiting_one(bench: Bench) -> None:
    bench.worker.put('running')
    assert bench.started.acquire(timeout=DEADLINE_S)
    bench.worker.put('waiting')
    assert not bench.worker.stop(0.01), 'the item is still running'
    bench.gate.set()
    assert bench.worker.stop(DEADLINE_S)
    assert bench.processed == ['running']
    assert not any(thread.name == 'fusion_worker' for thread in threading.enumerate())
    bench.worker.put('late')
    assert not bench.worker.waiting


def test_clear_throws_the_waiting_item_away(bench: Bench) -> None:
    bench.worker.put('running')
    assert bench.started.acquire(timeout=DEADLINE_S)
    bench.worker.put('waiting')
    assert bench.worker.clear()
    assert not bench.worker.clear()
    bench.gate.set()
    assert bench.finished.acquire(timeout=DEADLINE_S)
    assert bench.processed == ['running']
    assert bench.replaced == []


def test_last_item_is_not_kept_alive(bench: Bench) -> None:
    import weakref

    class Item:
        pass

    gone = threading.Event()
    item = Item()
    weakref.finalize(item, gone.set)
    bench.gate.set()
    bench.worker.put(item)
    assert bench.finished.acquire(timeout=DEADLINE_S)
    bench.processed.clear()
    del item
    assert gone.wait(DEADLINE_S), 'the idle worker holds images in memory'


def test_many_starts_leave_no_thread() -> None:
    before = threading.active_count()
    for _ in range(50):
        worker: Worker[int] = Worker(lambda item: None, lambda item: None, lambda error: None)
        worker.start()
        worker.put(1)
        assert worker.stop(DEADLINE_S)
    assert threading.active_count() == before
