"""What makes single cameras ready: when it begins, what it says, what it finds lacking."""

from __future__ import annotations

import threading
from typing import Any

from mafs_model.errors import CheckpointError, ConfigError, ModeError
from mafs_ros.standby import Standby
import pytest

DEADLINE_S = 30.0


class FakePredictor:
    """Notes what it is asked to prepare; fails as it is told to."""

    def __init__(self, prepares: bool = True, **errors: Exception) -> None:
        self.prepares, self.errors = prepares, errors
        self.work_size: tuple[int, int] | None = (64, 96)
        self.asked: list[tuple[str, tuple[int, int]]] = []
        self.go_on = threading.Event()
        self.go_on.set()

    def prepare(self, mode: str, size: tuple[int, int]) -> None:
        assert self.go_on.wait(DEADLINE_S)
        self.asked.append((mode, size))
        if mode in self.errors:
            raise self.errors[mode]


class Log:
    """A standby with what it has said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []
        self.standby = Standby(self.said.append, self.warned.append)

    def tick(self, predictor: Any) -> None:
        self.standby.tick(predictor)
        self.standby.stop(DEADLINE_S)


def test_once_for_a_size_and_anew_for_another_or_for_other_weights() -> None:
    log, predictor = Log(), FakePredictor()
    log.tick(predictor)
    log.tick(predictor)
    assert predictor.asked == [('visible_only', (64, 96)), ('thermal_only', (64, 96))]
    predictor.work_size = (96, 128)
    log.tick(predictor)
    assert predictor.asked[2:] == [('visible_only', (96, 128)), ('thermal_only', (96, 128))]
    log.tick(FakePredictor())
    assert log.said == [
        'one camera alone: visible and thermal ready for 96x64',
        'one camera alone: visible and thermal ready for 128x96',
        'one camera alone: visible and thermal ready for 96x64',
    ]
    assert log.warned == []


def test_one_thing_at_a_time_and_what_is_going_on_is_told() -> None:
    log, predictor = Log(), FakePredictor()
    assert log.standby.state == 'not ready'
    predictor.go_on.clear()
    log.standby.tick(predictor)
    predictor.work_size = (96, 128)
    log.standby.tick(predictor)
    assert log.standby.state == 'loading for 96x64'
    predictor.go_on.set()
    log.standby.stop(DEADLINE_S)
    assert [size for _, size in predictor.asked] == [(64, 96)] * 2
    assert log.standby.state == 'visible and thermal ready for 96x64'


def test_nothing_before_the_first_pair_and_nothing_to_do_where_nothing_is_loaded() -> None:
    log, predictor = Log(), FakePredictor()
    predictor.work_size = None
    log.tick(predictor)
    assert log.standby.state == 'not ready'
    resident = FakePredictor(prepares=False)
    log.tick(resident)
    assert log.standby.state == 'ready'
    assert predictor.asked == resident.asked == []


@pytest.mark.parametrize('lacking', [('visible',), ('thermal',), ('visible', 'thermal')])
def test_what_the_weights_lack_is_warned_of_once(lacking: tuple[str, ...]) -> None:
    log = Log()
    predictor = FakePredictor(**{f'{s}_only': ModeError(f'no {s} graph') for s in lacking})
    log.tick(predictor)
    predictor.work_size = (96, 128)
    log.tick(predictor)
    assert log.standby.lacking == {stream: f'no {stream} graph' for stream in lacking}
    assert log.warned == [
        f'without the other camera the {stream} one gives nothing: no {stream} graph'
        for stream in lacking
    ]
    served = [stream for stream in ('visible', 'thermal') if stream not in lacking]
    assert log.standby.state == f'{" and ".join(served) or "none"} ready for 128x96'
    assert len(log.said) == (2 if served else 0)
    log.tick(FakePredictor())
    assert log.standby.lacking == {}, 'other weights serve both'


def test_weights_that_were_closed_meanwhile_are_no_news() -> None:
    log = Log()
    log.tick(FakePredictor(visible_only=ConfigError('engine is closed, create a new one')))
    assert log.said == log.warned == []
    assert log.standby.lacking == {}


@pytest.mark.parametrize('error', [RuntimeError('no\nmemory'), CheckpointError('no memory')])
def test_what_fails_is_one_warning_and_is_not_tried_again(error: Exception) -> None:
    log, predictor = Log(), FakePredictor(visible_only=error)
    log.tick(predictor)
    log.tick(predictor)
    assert log.warned == ['the visible camera alone cannot be made ready: no memory']
    assert log.standby.state == 'failed: no memory'
    assert len(predictor.asked) == 1
