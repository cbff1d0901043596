"""Simulated time: a silent clock, a clock that jumps back, an automatic time offset."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('rosgraph_msgs.msg')
pytest.importorskip('mafs_ros.msg')

from rclpy.time import Time
from rosgraph_msgs.msg import Clock

pytestmark = pytest.mark.ros
NS_PER_S = 1_000_000_000
MS = 1_000_000
PERIOD_NS = NS_PER_S // 30


class Bag:
    """Publishes the clock and both cameras as a player of bags does."""

    def __init__(self, rig: Any, image: Callable[..., Any], samples: Any) -> None:
        self.rig, self.image, self.samples = rig, image, samples
        self.now_ns = 0

    def tick(self) -> None:
        """Advance the clock by one period."""
        self.now_ns += PERIOD_NS
        self.rig.advertise('/clock', Clock, 10).publish(
            Clock(clock=Time(nanoseconds=self.now_ns).to_msg())
        )

    def step(self, latency_ns: int = 0) -> Any:
        """Advance by one period with an image of each camera; return the visible stamp."""
        self.tick()
        visible = self.image(self.samples[0], 'bgr8')
        thermal = self.image(self.samples[1], 'mono16')
        visible.header.stamp = Time(nanoseconds=self.now_ns).to_msg()
        thermal.header.stamp = Time(nanoseconds=self.now_ns + latency_ns).to_msg()
        self.rig.send('rgb/image_raw', visible)
        self.rig.send('thermal/image_raw', thermal)
        return visible.header.stamp

    def play_until_pair(self, latency_ns: int = 0) -> Any:
        """Play until the node reports a pair from now on; return its status."""
        stamps: list[Any] = []
        statuses = self.rig.messages['/mafs_fusion/status']
        start = len(statuses)  # a bag that starts over repeats its stamps

        def found() -> Any:
            return next((s for s in statuses[start:] if s.visible_stamp in stamps), None)

        return self.rig.wait(
            found, 'pair', every_s=0.03, meanwhile=lambda: stamps.append(self.step(latency_ns))
        )


@pytest.fixture(scope='module')
def rig(make_rig: Callable[..., Any]) -> Any:
    rig = make_rig(
        weights='classical',
        use_sim_time=True,
        thermal__time_offset='auto',
        diagnostics__stale_after=30.0,
    )
    rig.listen_to_images('fused/image')
    rig.start()
    return rig


@pytest.fixture(scope='module')
def bag(rig: Any, image: Callable[..., Any], samples: Any) -> Bag:
    return Bag(rig, image, samples)


def test_silent_clock_is_said(rig: Any, bag: Bag) -> None:
    rig.wait(
        lambda: rig.health()[0] == 3 and '/clock' in rig.health()[1],
        'diagnostics of a silent clock',
    )


def test_pairs_in_simulated_time(rig: Any, bag: Bag) -> None:
    bag.now_ns = 1000 * NS_PER_S
    status = bag.play_until_pair()
    assert status.header.stamp.sec == 1000
    assert abs(status.latency_ms) < 2000, 'latency is measured in the time of the stamps'


def test_clock_jumps_back_and_pairing_goes_on(rig: Any, bag: Bag) -> None:
    bag.play_until_pair()
    jumps = rig.node._statistics.snapshot().events.get('clock_jump', 0)
    for second in (500, 510, 520):  # the bag starts over
        bag.now_ns = second * NS_PER_S
        status = bag.play_until_pair()
        assert second <= status.header.stamp.sec < second + 10
        bag.now_ns = (second + 100) * NS_PER_S
        bag.play_until_pair()
    events = rig.node._statistics.snapshot().events
    assert events['clock_jump'] >= jumps + 3
    assert rig.wait(lambda: [t for t in rig.log() if t.startswith('[clock_jump] ')], 'log line')


def test_stamp_ahead_of_the_simulated_clock(rig: Any, bag: Bag) -> None:
    before = rig.drops('stamp_future')
    bag.tick()

    def send() -> None:
        rig.send_pair(stamp=Time(nanoseconds=bag.now_ns + 60 * NS_PER_S).to_msg())

    rig.wait(
        lambda: rig.drops('stamp_future') > before,
        "drop counted as 'stamp_future'",
        meanwhile=send,
        every_s=0.1,
    )
    bag.play_until_pair()


def test_automatic_offset_is_off_while_nothing_moves(rig: Any, bag: Bag) -> None:
    bag.now_ns += 100 * NS_PER_S
    status = bag.play_until_pair(12 * MS)
    assert not status.time_offset_estimated
    assert status.time_offset == 0.0
    assert status.offset == pytest.approx(0.012, abs=1e-6)

    def said() -> str:
        messages = rig.messages['/diagnostics']
        pairs = {v.key: v.value for m in messages[-1:] for s in m.status for v in s.values}
        text: str = pairs.get('thermal time offset', '')
        return text if 'ambiguous by a period' in text else ''

    assert rig.wait(said, 'what is not known').startswith('0.0 ms, not measured')
