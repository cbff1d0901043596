"""Which depth image goes with which results, at every order of arrival, in bounded memory."""

from __future__ import annotations

import pytest

pytest.importorskip('rclpy')

from mafs_ros.depth_pairing import DepthPairing, MAX_WAITING
from mafs_ros.parameters import Settings, SettingsBox
from sensor_msgs.msg import Image

pytestmark = pytest.mark.ros
MS = 1_000_000
START = 10_000 * MS


def image(stamp_ms: int) -> Image:
    return Image(width=stamp_ms)  # a mark to know it by


def make(**values: float) -> DepthPairing[int]:
    names = {name.replace('__', '.'): value for name, value in values.items()}
    return DepthPairing(SettingsBox(Settings.from_values(names)))


class Replay:
    """Feeds stamps in ms and keeps what was paired."""

    def __init__(self, pairing: DepthPairing[int]) -> None:
        self.pairing = pairing
        self.found: list[tuple[int, int]] = []

    def _keep(self, pairs: list[tuple[int, Image]]) -> None:
        self.found += [(results, depth.width) for results, depth in pairs]

    def depth(self, *stamps_ms: int) -> None:
        for t in stamps_ms:
            self._keep(self.pairing.add_depth(START + t * MS, image(t)))

    def results(self, *stamps_ms: int) -> None:
        for t in stamps_ms:
            self._keep(self.pairing.add_results(START + t * MS, t))


def test_equal_stamps_pair_at_once_in_either_order() -> None:
    replay = Replay(make())
    replay.depth(0)
    replay.results(0)
    replay.results(33)
    replay.depth(33)
    assert replay.found == [(0, 0), (33, 33)]
    assert replay.pairing.missed == 0


def test_slow_results_find_the_nearest_of_many_depth_images() -> None:
    replay = Replay(make())
    for k in range(15):  # a network of 300 ms beside a depth camera of 30 Hz, 7 ms off
        replay.depth(*(300 * k + 33 * i + 7 for i in range(1, 10)))
        replay.results(300 * k + 100)
        # At first another result might still be nearer; then the usual interval is known.
        assert len(replay.found) == (k if k < 8 else k + 1)
    assert replay.found == [(300 * k + 100, 300 * k + 106) for k in range(15)]


def test_depth_that_comes_late_is_waited_for() -> None:
    replay = Replay(make())
    for k in range(20):
        replay.results(33 * k)
        if k >= 3:  # three pairs behind
            replay.depth(33 * (k - 3))
    assert replay.found == [(33 * k, 33 * k) for k in range(17)]
    assert replay.pairing.missed == 0


def test_beyond_the_slop_nothing_is_paired_and_that_is_counted() -> None:
    replay = Replay(make(points__slop=0.01))
    for k in range(30):
        replay.depth(100 * k + 11)
        replay.results(100 * k)
    assert replay.found == []
    assert replay.pairing.missed == replay.pairing.missed_in_a_row == 30 - MAX_WAITING
    replay.depth(5000)
    replay.results(5000)
    assert replay.found == [(5000, 5000)]
    assert replay.pairing.missed == 30
    assert replay.pairing.missed_in_a_row == 0


def test_memory_is_bounded_without_a_partner() -> None:
    pairing = make(sync__queue_size=5)
    for k in range(1000):
        assert pairing.add_results(START + k * 33 * MS, k) == []
    assert len(pairing._waiting) == MAX_WAITING
    assert pairing.missed == 1000 - MAX_WAITING
    pairing.clear()
    for k in range(1000):
        assert pairing.add_depth(START + k * 33 * MS, image(k)) == []
    assert pairing._pairer.queued('thermal') <= 5
    assert pairing.missed == 0


def test_a_bag_that_starts_over_pairs_again() -> None:
    replay = Replay(make())
    for k in range(100):
        replay.depth(100 * k)
        replay.results(100 * k)
    for k in range(10):
        replay.depth(100 * k)
        replay.results(100 * k)
    assert replay.found[:100] == [(100 * k, 100 * k) for k in range(100)]
    assert replay.found[-5:] == [(100 * k, 100 * k) for k in range(5, 10)]


def test_changed_slop_counts_from_the_next_image_on() -> None:
    settings = SettingsBox(Settings.from_values({'points.slop': 0.001}))
    replay = Replay(DepthPairing(settings))
    replay.depth(5, 105)
    replay.results(0, 100)
    assert replay.found == []
    settings.current = Settings.from_values({'points.slop': 0.02})
    replay.depth(205, 305, 405)
    replay.results(200, 300, 400)
    assert replay.found == [(200, 205), (300, 305)]
