"""Simulated stamps of two cameras, for the pairing benchmark and its test."""

from __future__ import annotations

from dataclasses import dataclass
import random

MS = 1_000_000


@dataclass(frozen=True)
class Message:
    """
    One frame on arrival.

    Args:
        stream: 'visible' or 'thermal'.
        stamp_ns: its stamp.
        index: number of the exposure; partners carry the same.

    """

    stream: str
    stamp_ns: int
    index: int


def simulate(
    count: int,
    *,
    rate_hz: float = 30.0,
    jitter_ms: float = 2.0,
    uniform: bool = False,
    drop: float = 0.02,
    phase_ms: float = 4.0,
    latency_ms: float = 8.0,
    seed: int = 0,
) -> list[Message]:
    """
    Return two streams of the same exposures in the order of arrival.

    Args:
        count: exposures.
        rate_hz: of both cameras.
        jitter_ms: standard deviation of the stamps, or half width if `uniform`.
        uniform: draw the jitter from a uniform distribution instead of a normal one.
        drop: share of frames lost, each stream by itself.
        phase_ms: constant offset of the thermal stamps.
        latency_ms: transport takes up to this long (uniform), each stream keeps its order.
        seed: of the simulation.

    """
    rng = random.Random(seed)
    arrivals = []
    for stream, phase in (('visible', 0.0), ('thermal', phase_ms)):
        newest = arrived = 0
        for index in range(count):
            jitter = rng.uniform(-jitter_ms, jitter_ms) if uniform else rng.gauss(0, jitter_ms)
            if rng.random() < drop:
                continue
            stamp = 10**18 + round(index / rate_hz * 1e9 + (phase + jitter) * MS)
            newest = max(newest + 1, stamp)
            arrived = max(arrived + 1, newest + round(rng.uniform(0, latency_ms) * MS))
            arrivals.append((arrived, Message(stream, newest, index)))
    return [message for _, message in sorted(arrivals, key=lambda a: (a[0], a[1].stream))]
