"""When two simulated cameras with clocks of their own deliver which frame, and with what stamp."""

from __future__ import annotations

from dataclasses import dataclass
import json
from pathlib import Path
import random

from mafs_model.streams import NS_PER_S, STREAMS


@dataclass(frozen=True)
class Camera:
    """
    Timing of one simulated camera.

    Args:
        offset_s: constant error of its stamps.
        jitter_s: standard deviation of its stamps around that, cut at three times.
        drop_rate: share of frames lost at random.
        pauses: (first frame, frames) of longer gaps, as when a thermal camera closes its
            shutter to calibrate itself.

    """

    offset_s: float = 0.0
    jitter_s: float = 0.002
    drop_rate: float = 0.03
    pauses: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Event:
    """
    One frame to publish.

    Args:
        stream: 'visible' or 'thermal'.
        index: number of the frame in its stream; partners carry the same number.
        stamp_ns: its stamp, counted from the start of the sequence.

    """

    stream: str
    index: int
    stamp_ns: int


@dataclass(frozen=True)
class Schedule:
    """
    What is published, in the order of the stamps.

    Args:
        events: the frames.
        partners_known: whether frames of the same number belong together (not for a bag).

    """

    events: tuple[Event, ...]
    partners_known: bool = True

    def count(self, stream: str) -> int:
        """Return the number of frames of a stream."""
        return sum(event.stream == stream for event in self.events)

    def stamps(self, stream: str) -> dict[int, int]:
        """Return stamp -> frame number."""
        return {e.stamp_ns: e.index for e in self.events if e.stream == stream}

    def possible_pairs(self) -> int:
        """Return how many true partners both survive the drops."""
        indices = [set(self.stamps(stream).values()) for stream in STREAMS]
        return len(indices[0] & indices[1])

    @property
    def duration_s(self) -> float:
        """Return the time from the first to the last stamp."""
        return (self.events[-1].stamp_ns - self.events[0].stamp_ns) / NS_PER_S

    def save(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(
            json.dumps(
                {
                    'partners_known': self.partners_known,
                    'events': [[e.stream, e.index, e.stamp_ns] for e in self.events],
                }
            ),
            encoding='utf-8',
        )

    @classmethod
    def load(cls, path: Path) -> Schedule:
        """Read what `save` wrote."""
        content = json.loads(path.read_text(encoding='utf-8'))
        return cls(tuple(Event(*event) for event in content['events']), content['partners_known'])


def default_cameras(count: int) -> dict[str, Camera]:
    """Return the two cameras of the demo: thermal 6 ms late, and once busy with its shutter."""
    shutter = ((count * 2 // 5, 12),) if count >= 120 else ()
    return {'visible': Camera(), 'thermal': Camera(offset_s=0.006, pauses=shutter)}


def simulate(count: int, rate_hz: float, cameras: dict[str, Camera], seed: int) -> Schedule:
    """
    Draw a schedule.

    Args:
        count: frames of each camera before drops.
        rate_hz: their rate.
        cameras: by stream.
        seed: the same seed gives the same schedule.

    Returns:
        Rising stamps in each stream; the last frame of both is always there, so that the end
        of the sequence can be seen in the node's counters.

    """
    rng = random.Random(seed)
    events = []
    for stream in STREAMS:
        camera = cameras[stream]
        newest_ns = -NS_PER_S
        for index in range(count):
            jitter_s = rng.gauss(0.0, camera.jitter_s)
            jitter_s = max(-3 * camera.jitter_s, min(3 * camera.jitter_s, jitter_s))
            lost = rng.random() < camera.drop_rate
            lost |= any(first <= index < first + size for first, size in camera.pauses)
            if lost and index < count - 1:
                continue
            stamp_ns = round((index / rate_hz + camera.offset_s + jitter_s) * NS_PER_S)
            newest_ns = max(stamp_ns, newest_ns + 1)
            events.append(Event(stream, index, newest_ns))
    return Schedule(tuple(sorted(events, key=lambda e: (e.stamp_ns, e.stream))))
