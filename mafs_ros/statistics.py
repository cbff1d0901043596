"""What happened to images and pairs: counters, rates and durations, as plain values."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
import threading
import time

from mafs_model.streams import STREAMS

WINDOW_S = 5.0  # Rates follow a change within this time and are steady enough to read.
_PUBLICATIONS = 30  # of one topic that are remembered
# A larger latency than any network or queue explains: the stamps are of another clock.
MAX_LATENCY_MS = 60_000.0
_MAX_GAP = 1000  # A larger step of the sequence number is another publisher, not a loss.


class RateWindow:
    """
    Events of the last seconds.

    Args:
        window_s: how far back events count.

    """

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self._window_s = window_s
        self._events: deque[tuple[float, float]] = deque(maxlen=4096)
        self._started: float | None = None

    def add_event(self, now: float, weight: float = 1.0) -> None:
        """Note an event at the steady time `now` in s."""
        if self._started is None:
            self._started = now
        self._events.append((now, weight))
        self._expire(now)

    def count(self, now: float) -> float:
        """Return the sum of the weights within the window."""
        self._expire(now)
        return sum(weight for _, weight in self._events)

    def rate_hz(self, now: float) -> float:
        """Return events per second within the window, or since the first event."""
        if self._started is None:
            return 0.0
        # The first event opens the window and is not a period of its own.
        span = min(self._window_s, max(now - self._started, 1e-3))
        count = self.count(now)
        if now - self._started < self._window_s:
            count = max(count - 1, 0)
        return count / span

    def largest_gap_s(self, now: float) -> float:
        """Return the longest time without an event within the window, up to now."""
        self._expire(now)
        if not self._events:
            return 0.0 if self._started is None else self._window_s
        times = [t for t, _ in self._events] + [now]
        return max(b - a for a, b in pairwise(times))

    def _expire(self, now: float) -> None:
        while self._events and self._events[0][0] < now - self._window_s:
            self._events.popleft()


class DurationWindow:
    """The last durations, for their median and their worst."""

    def __init__(self, size: int = 150) -> None:
        self._values: deque[float] = deque(maxlen=size)

    def add_duration(self, value: float) -> None:
        """Note one duration."""
        self._values.append(value)

    def median(self) -> float | None:
        """Return the median, None without values."""
        values = sorted(self._values)
        if not values:
            return None
        middle = len(values) // 2
        return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2

    def worst(self) -> float | None:
        """Return the largest value, None without values."""
        return max(self._values, default=None)


@dataclass
class StreamState:
    """One input as it was seen, a copy that does not change any more."""

    received: int = 0
    accepted: int = 0
    rate_hz: float = 0.0
    since_last_s: float | None = None
    stamp_age_s: float | None = None
    encoding: str = ''
    size: tuple[int, int] | None = None
    message_bytes: int = 0
    lost: int = 0
    lost_share: float = 0.0


@dataclass
class Snapshot:
    """Everything that diagnostics and status say, a copy that does not change any more."""

    streams: dict[str, StreamState]
    pairs: int
    processed: int
    pair_rate_hz: float
    processed_rate_hz: float
    match_rate: float
    largest_gap_s: float
    worst_offset_s: float | None
    inference_median_ms: float | None
    inference_worst_ms: float | None
    latency_median_ms: float | None
    latency_worst_ms: float | None
    publish_median_ms: dict[str, float]
    clock_differs_s: float | None
    drops: dict[str, int]
    recent_drops: dict[str, int]
    recent_events: dict[str, int]
    events: dict[str, int]
    active_s: float


@dataclass
class Counters:
    """The counters alone, cheap enough for every pair."""

    received: dict[str, int]
    pairs: int
    processed: int
    match_rate: float
    drops: dict[str, int]


@dataclass
class _Stream:
    """Running values of one input."""

    received: int = 0
    accepted: int = 0
    last_at: float | None = None
    last_stamp_age_s: float | None = None
    encoding: str = ''
    size: tuple[int, int] | None = None
    message_bytes: int = 0
    lost: int = 0
    sequence: int | None = None
    arrivals: RateWindow = field(default_factory=RateWindow)
    losses: RateWindow = field(default_factory=RateWindow)


class Statistics:
    """
    Counters since activation; safe to use from the executor and from the worker thread.

    Args:
        clock: steady time in s, exchangeable for tests.

    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Start again from zero."""
        with self._lock:
            self._started = self._now()
            self._streams = {name: _Stream() for name in STREAMS}
            self._pairs = RateWindow()
            self._pair_count = 0
            self._processed = RateWindow()
            self._processed_count = 0
            self._offsets = DurationWindow()
            self._inference = DurationWindow()
            self._latency = DurationWindow()
            self._clock_differs_s: float | None = None
            self._publishing: dict[str, DurationWindow] = {}
            self._drops: Counter[str] = Counter()
            self._recent: dict[str, RateWindow] = {}
            self._events: Counter[str] = Counter()
            self._recent_events: dict[str, RateWindow] = {}

    def _now(self) -> float:
        return self._clock()

    def received(self, stream: str, sequence: int | None = None) -> None:
        """
        Note the arrival of a message.

        Args:
            stream: 'visible' or 'thermal'.
            sequence: number that the publisher gave the message, where the middleware tells.

        """
        now = self._now()
        with self._lock:
            state = self._streams[stream]
            state.received += 1
            state.last_at = now
            state.arrivals.add_event(now)
            if sequence is None:
                return
            if state.sequence is not None:
                missing = sequence - state.sequence - 1
                if 0 < missing <= _MAX_GAP:
                    state.lost += missing
                    state.losses.add_event(now, missing)
            state.sequence = sequence

    def accepted(
        self,
        stream: str,
        stamp_age_s: float,
        encoding: str,
        size: tuple[int, int],
        message_bytes: int = 0,
    ) -> None:
        """Note that a message holds a usable image of this (height, width)."""
        with self._lock:
            state = self._streams[stream]
            state.accepted += 1
            state.last_stamp_age_s = stamp_age_s
            state.encoding = encoding
            state.size = size
            state.message_bytes = message_bytes

    def dropped(self, reason: str, count: int = 1) -> None:
        """Note that images or pairs were dropped."""
        if count <= 0:
            return
        now = self._now()
        with self._lock:
            self._drops[reason] += count
            self._recent.setdefault(reason, RateWindow(2 * WINDOW_S)).add_event(now, count)

    def noted(self, event: str) -> None:
        """Note something that happened and dropped nothing, such as a change of resolution."""
        now = self._now()
        with self._lock:
            self._events[event] += 1
            self._recent_events.setdefault(event, RateWindow(2 * WINDOW_S)).add_event(now)

    def paired(self, offset_s: float) -> None:
        """Note a new pair; offset is thermal minus visible stamp."""
        now = self._now()
        with self._lock:
            self._pair_count += 1
            self._pairs.add_event(now)
            self._offsets.add_duration(abs(offset_s))

    def processed(self, inference_ms: float | None, latency_ms: float) -> None:
        """Note a pair that went through; inference is None where nothing was computed."""
        now = self._now()
        with self._lock:
            self._processed_count += 1
            self._processed.add_event(now)
            self._clock_differs_s = None
            if abs(latency_ms) > MAX_LATENCY_MS:
                self._clock_differs_s = latency_ms / 1e3
            else:
                self._latency.add_duration(latency_ms)
            if inference_ms is not None:
                self._inference.add_duration(inference_ms)

    def published(self, topic: str, duration_ms: float) -> None:
        """Note how long it took to hand an image to the middleware."""
        with self._lock:
            self._publishing.setdefault(topic, DurationWindow(_PUBLICATIONS)).add_duration(
                duration_ms
            )

    def last_image(self, stream: str) -> tuple[str, tuple[int, int] | None]:
        """Return encoding and (height, width) of the last usable image, ('', None) before it."""
        with self._lock:
            return self._streams[stream].encoding, self._streams[stream].size

    def silence_s(self, stream: str) -> float | None:
        """Return the time since the last message of a stream, None before the first."""
        now = self._now()
        with self._lock:
            last = self._streams[stream].last_at
            return None if last is None else now - last

    def counters(self) -> Counters:
        """Return a copy of the counters."""
        with self._lock:
            return Counters(
                received={name: s.received for name, s in self._streams.items()},
                pairs=self._pair_count,
                processed=self._processed_count,
                match_rate=self._match_rate(),
                drops=dict(self._drops),
            )

    def _match_rate(self) -> float:
        """Return the share of the images of the slower camera that found a partner."""
        slower = min(s.accepted for s in self._streams.values())
        return min(1.0, self._pair_count / slower) if slower else 0.0

    def snapshot(self) -> Snapshot:
        """Return a copy of everything."""
        now = self._now()
        with self._lock:
            streams = {name: self._stream_state(s, now) for name, s in self._streams.items()}
            return Snapshot(
                streams=streams,
                pairs=self._pair_count,
                processed=self._processed_count,
                pair_rate_hz=self._pairs.rate_hz(now),
                processed_rate_hz=self._processed.rate_hz(now),
                match_rate=self._match_rate(),
                largest_gap_s=self._pairs.largest_gap_s(now),
                worst_offset_s=self._offsets.worst(),
                inference_median_ms=self._inference.median(),
                inference_worst_ms=self._inference.worst(),
                latency_median_ms=self._latency.median(),
                latency_worst_ms=self._latency.worst(),
                publish_median_ms={
                    topic: window.median() or 0.0 for topic, window in self._publishing.items()
                },
                clock_differs_s=self._clock_differs_s,
                drops=dict(self._drops),
                recent_events={
                    event: count
                    for event, window in self._recent_events.items()
                    if (count := round(window.count(now)))
                },
                recent_drops={
                    reason: count
                    for reason, window in self._recent.items()
                    if (count := round(window.count(now)))
                },
                events=dict(self._events),
                active_s=now - self._started,
            )

    @staticmethod
    def _stream_state(stream: _Stream, now: float) -> StreamState:
        """Return a copy of one stream; the lock is held."""
        lost = stream.losses.count(now)
        arrived = stream.arrivals.count(now)
        return StreamState(
            received=stream.received,
            accepted=stream.accepted,
            rate_hz=stream.arrivals.rate_hz(now),
            since_last_s=None if stream.last_at is None else now - stream.last_at,
            stamp_age_s=stream.last_stamp_age_s,
            encoding=stream.encoding,
            size=stream.size,
            message_bytes=stream.message_bytes,
            lost=stream.lost,
            lost_share=lost / (lost + arrived) if lost else 0.0,
        )
