"""The diagnostics message, without middleware."""

from __future__ import annotations

import pytest

pytest.importorskip('rclpy')

from builtin_interfaces.msg import Time
from mafs_ros.diagnostics import key_values, message
from mafs_ros.health import Level
from mafs_ros.statistics import Statistics


def busy() -> Statistics:
    statistics = Statistics()
    for stream in ('visible', 'thermal'):
        statistics.received(stream)
        statistics.accepted(stream, 0.0125, 'mono8', (480, 640), 307_200)
    statistics.paired(0.0042)
    statistics.processed(21.04, 35.0)
    statistics.published('~/fused/image', 1.25)
    statistics.dropped('decode', 3)
    statistics.noted('clock_jump')
    return statistics


def test_values_are_for_people() -> None:
    values = key_values(busy().snapshot(), {'device': 'cpu'})
    assert values['visible stamp age'] == '12.5 ms'
    assert values['thermal size'] == '640x480'
    assert values['largest offset'] == '4.2 ms'
    assert values['inference median'] == '21.0 ms'
    assert values['publishing ~/fused/image'] == '1.2 ms'
    assert values['dropped: decode'] == '3'
    assert values['event: clock_jump'] == '1'
    assert list(values)[-1] == 'device', 'the set-up comes last'


def test_what_is_not_known_is_a_dash() -> None:
    values = key_values(Statistics().snapshot(), {})
    assert values['visible stamp age'] == '-'
    assert values['visible size'] == '-'
    assert values['latency median'] == '-'


@pytest.mark.parametrize('level', list(Level))
def test_message_carries_level_and_sentence(level: Level) -> None:
    stamp = Time(sec=7, nanosec=8)
    array = message('/robot/fusion', stamp, busy().snapshot(), level, 'A sentence.', {})
    status = array.status[0]
    assert array.header.stamp == stamp
    assert status.level == bytes([level])
    assert status.name == '/robot/fusion: fusion'
    assert status.message == 'A sentence.'
    assert all(isinstance(pair.value, str) and pair.value for pair in status.values)


def test_latency_of_another_clock_is_not_shown() -> None:
    statistics = Statistics()
    statistics.processed(20.0, 2.2e11)
    snapshot = statistics.snapshot()
    assert key_values(snapshot, {})['latency median'] == '-'
    assert snapshot.clock_differs_s == pytest.approx(2.2e8)
    statistics.processed(20.0, 35.0)
    assert statistics.snapshot().clock_differs_s is None
