"""The limit on the rate of pairs."""

from __future__ import annotations

from collections.abc import Iterable
import random

from mafs_ros.rate_limit import RateLimit
import pytest


def passed(times_s: Iterable[float], rate_hz: float) -> list[float]:
    limit = RateLimit()
    return [t for t in times_s if limit.passes(t, rate_hz)]


@pytest.mark.parametrize(('input_hz', 'limit_hz'), [(30, 10), (30, 25), (60, 7), (9, 8.5)])
@pytest.mark.parametrize('jitter', [0.0, 0.3])
def test_as_many_pass_as_are_allowed(input_hz: float, limit_hz: float, jitter: float) -> None:
    random.seed(3)
    times = [(n + random.uniform(-jitter, jitter)) / input_hz for n in range(100 * int(input_hz))]
    # Near the rate of the input a late image cannot be made up for by the next one.
    assert 0.98 * 100 * limit_hz <= len(passed(times, limit_hz)) <= 100 * limit_hz + 2


@pytest.mark.parametrize('limit_hz', [0.0, 30.0, 1000.0])
def test_all_pass_below_the_limit_and_without_one(limit_hz: float) -> None:
    times = [n / 29.0 for n in range(500)]
    assert passed(times, limit_hz) == times


def test_no_burst_after_a_pause() -> None:
    bursts = [pause + n / 200 for pause in (0, 50, 3000) for n in range(400)]
    kept = passed(bursts, 10.0)
    for first, start in enumerate(kept):
        for last, end in enumerate(kept[first:], first):
            assert last - first + 1 <= 10.0 * (end - start) + 2 + 1e-6


def test_a_raised_limit_counts_at_once() -> None:
    limit = RateLimit()
    assert limit.passes(0.0, 0.001)
    limit.passes(0.01, 0.001)
    assert not limit.passes(1.0, 0.001)
    assert limit.passes(1.1, 10.0)
