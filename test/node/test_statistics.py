"""Counters, rates and durations with a clock of their own."""

from __future__ import annotations

import threading

from mafs_ros.reporting import Reporter
from mafs_ros.statistics import DurationWindow, RateWindow, Statistics
import pytest


class FakeClock:
    """Steady time that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_rate_of_regular_events() -> None:
    window = RateWindow(5.0)
    for i in range(301):
        window.add_event(i / 30)
    assert window.rate_hz(10.0) == pytest.approx(30.0, rel=0.01)


def test_rate_is_right_before_the_window_is_full() -> None:
    window = RateWindow(5.0)
    for i in range(31):
        window.add_event(i / 30)
    assert window.rate_hz(1.0) == pytest.approx(30.0, rel=0.01)


def test_rate_falls_to_zero_in_silence() -> None:
    window = RateWindow(5.0)
    window.add_event(0.0)
    assert window.rate_hz(6.0) == 0.0
    assert window.largest_gap_s(6.0) == 5.0


def test_largest_gap_counts_up_to_now() -> None:
    window = RateWindow(5.0)
    for t in (0.0, 0.1, 0.5, 0.6):
        window.add_event(t)
    assert window.largest_gap_s(0.7) == pytest.approx(0.4)
    assert window.largest_gap_s(2.6) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ('values', 'median'), [([3.0, 1.0, 2.0], 2.0), ([4.0, 1.0, 2.0, 3.0], 2.5), ([7.0], 7.0)]
)
def test_median_and_worst(values: list[float], median: float) -> None:
    window = DurationWindow()
    for value in values:
        window.add_duration(value)
    assert window.median() == median
    assert window.worst() == max(values)


def test_durations_without_values() -> None:
    assert DurationWindow().median() is None
    assert DurationWindow().worst() is None


def test_gaps_of_the_sequence_number_are_losses() -> None:
    statistics = Statistics(FakeClock())
    for sequence in (5, 6, 9, 10, 2, 3):  # 7 and 8 are lost, then another publisher starts
        statistics.received('visible', sequence)
    stream = statistics.snapshot().streams['visible']
    assert stream.received == 6
    assert stream.lost == 2
    assert stream.lost_share == pytest.approx(2 / 8)


def test_jump_of_the_sequence_number_is_another_publisher() -> None:
    statistics = Statistics(FakeClock())
    statistics.received('visible', 5)
    statistics.received('visible', 50_000)
    assert statistics.snapshot().streams['visible'].lost == 0


def test_match_rate_is_that_of_the_slower_camera() -> None:
    statistics = Statistics(FakeClock())
    for _ in range(30):
        statistics.accepted('visible', 0.0, 'rgb8', (480, 640))
    for _ in range(10):
        statistics.accepted('thermal', 0.0, 'mono16', (120, 160))
    for _ in range(9):
        statistics.paired(0.004)
    snapshot = statistics.snapshot()
    assert snapshot.match_rate == pytest.approx(0.9)
    assert snapshot.worst_offset_s == pytest.approx(0.004)
    assert statistics.counters().match_rate == snapshot.match_rate


def test_recent_drops_expire_and_totals_stay() -> None:
    clock = FakeClock()
    statistics = Statistics(clock)
    statistics.dropped('encoding', 4)
    clock.now += 11.0
    snapshot = statistics.snapshot()
    assert snapshot.drops == {'encoding': 4}
    assert snapshot.recent_drops == {}


def test_reset_forgets_everything() -> None:
    statistics = Statistics(FakeClock())
    statistics.received('visible', 1)
    statistics.dropped('data')
    statistics.noted('clock_jump')
    statistics.reset()
    snapshot = statistics.snapshot()
    assert snapshot.streams['visible'].received == 0
    assert snapshot.drops == {}
    assert snapshot.events == {}


def test_counting_from_two_threads_loses_nothing() -> None:
    statistics = Statistics()
    threads = [
        threading.Thread(target=lambda: [statistics.dropped('x') for _ in range(2000)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statistics.counters().drops == {'x': 8000}


class TestReporter:
    """Throttled log lines."""

    def make(self) -> tuple[Reporter, list[str], FakeClock, Statistics]:
        lines: list[str] = []
        clock, statistics = FakeClock(), Statistics(FakeClock())
        return Reporter(lines.append, statistics, 5.0, clock), lines, clock, statistics

    def test_first_is_said_and_repetitions_are_counted(self) -> None:
        reporter, lines, clock, statistics = self.make()
        for _ in range(50):
            reporter.drop('encoding', "encoding is 'x'")
        assert lines == ["[encoding] encoding is 'x'"]
        clock.now += 5.1
        reporter.drop('encoding', "encoding is 'y'")
        assert lines[1:] == [
            "[encoding] encoding is 'y' (49 more like this since the last message)"
        ]
        assert statistics.counters().drops == {'encoding': 51}

    def test_reasons_do_not_hide_each_other(self) -> None:
        reporter, lines, _, _ = self.make()
        reporter.drop('encoding', 'a')
        reporter.drop('data', 'b')
        assert lines == ['[encoding] a', '[data] b']

    def test_notes_are_events_and_no_drops(self) -> None:
        reporter, lines, _, statistics = self.make()
        reporter.note('clock_jump', 'jumped')
        assert lines == ['[clock_jump] jumped']
        assert statistics.counters().drops == {}
        assert statistics.snapshot().events == {'clock_jump': 1}
        assert reporter.last_text('clock_jump') == 'jumped'

    def test_reset_says_the_next_one_at_once(self) -> None:
        reporter, lines, _, _ = self.make()
        reporter.say('x', '1')
        reporter.reset()
        reporter.say('x', '2')
        assert lines == ['[x] 1', '[x] 2']
