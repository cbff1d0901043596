"""OffsetEstimator on simulated cameras."""

from __future__ import annotations

import random

from mafs_model.pairing.time_offset import OffsetEstimator
import pytest

MS = 1_000_000
PERIOD = 33_333_333


def run(
    latency_ms: float, jitter_ms: float = 2.0, drop: float = 0.05, count: int = 300, seed: int = 0
) -> OffsetEstimator:
    """Feed cameras whose thermal stamps are `latency_ms` late."""
    rng = random.Random(seed)
    estimator = OffsetEstimator()
    messages = []
    for index in range(count):
        for stream, shift in (('visible', 0.0), ('thermal', latency_ms)):
            if rng.random() >= drop:
                stamp = index * PERIOD + int((shift + rng.gauss(0, jitter_ms)) * MS)
                messages.append((stamp, stream))
    for stamp, stream in sorted(messages):
        estimator.add(stream, stamp)
    return estimator


@pytest.mark.parametrize('latency_ms', [-14.0, -5.0, 0.0, 3.0, 11.0, 15.0])
def test_constant_latency_is_found(latency_ms):
    estimator = run(latency_ms)
    assert estimator.offset_ns == pytest.approx(-latency_ms * MS, abs=0.6 * MS)


def test_half_a_period_does_not_average_to_zero():
    offset = run(PERIOD / 2 / MS).offset_ns
    assert abs(abs(offset) - PERIOD / 2) < MS


def test_latency_beyond_half_a_period_is_known_up_to_a_period():
    assert run(33.333 + 4.0).offset_ns == pytest.approx(-4 * MS, abs=0.6 * MS)


def test_follows_a_change_within_the_window():
    estimator = OffsetEstimator(window=61)
    for index in range(200):
        estimator.add('visible', index * PERIOD)
        estimator.add('thermal', index * PERIOD + (4 if index < 100 else 9) * MS)
    assert estimator.offset_ns == -9 * MS


def test_no_estimate_before_the_minimum():
    estimator = OffsetEstimator(minimum=15)
    for index in range(15):
        estimator.add('visible', index * PERIOD)
        estimator.add('thermal', index * PERIOD + MS)
    assert (estimator.samples, estimator.offset_ns) == (14, None)
    estimator.add('visible', 15 * PERIOD)
    assert estimator.offset_ns == -MS
    estimator.reset()
    assert (estimator.samples, estimator.offset_ns) == (0, None)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match='minimum is 9, expected 1 to window'):
        OffsetEstimator(window=8, minimum=9)
    with pytest.raises(ValueError, match="stream is 'ir'"):
        OffsetEstimator().add('ir', 0)


def test_dead_visible_stream_keeps_memory_bounded():
    estimator = OffsetEstimator()
    for index in range(5000):
        estimator.add('thermal', index * PERIOD)
    assert len(estimator._waiting) <= 64
