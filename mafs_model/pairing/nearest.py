"""
Pairing of two camera streams by mutually nearest stamps, without any middleware.

A visible frame v and a thermal frame t are a pair when t is the thermal frame nearest to v, v is
the visible frame nearest to t, and both are at most `slop_ns` apart. Of two equally distant
partners the one that makes the thermal frame the later of the two counts as nearer; the rule is
the same from both sides, so that streams in exact anti-phase still pair frame by frame.

When is a pair certain? In a stream whose stamps rise, nothing older than its newest stamp can
still come. Only the later frame of a pair can then find a better partner, on the other stream and
less than the offset d later; the pair is emitted as soon as that stream has

* shown a stamp at or beyond that point, or
* a frame interval so long that its next frame must fall beyond it (declared by
  `min_interval_ns`, or learned: half of the smallest recent interval): two 30 Hz streams that
  are less than 8 ms apart pair on arrival of the second frame, or
* stalled: the other stream went on by `max_wait_ns` without it (stream time, so that a replay
  decides alike at any speed).

`reorder_ns` > 0 holds decisions back until frames that late can no longer come. A result that is
certain does not depend on how the two streams interleave on arrival.

Because the frames are decided from the oldest on, a message costs O(log n) comparisons (an
insertion out of order moves at most the bounded list of stamps).
"""

from __future__ import annotations

from typing import Any

from mafs_model.defaults import QUEUE_SIZE
from mafs_model.pairing.stamp_track import Entry, Stamped, StampTrack
from mafs_model.pairing.statistics import DROP_REASONS, Pair, PairingStatistics
from mafs_model.streams import NS_PER_S, STREAMS

__all__ = [
    'DROP_REASONS',
    'STREAMS',
    'NearestPairer',
    'Pair',
    'PairingStatistics',
    'Stamped',
    'stamp_cost',
]

# Late frames in rising order that are taken as a short backward jump (a bag of less than
# `jump_back_ns` that loops) rather than as frames out of order.
_LATE_RUN = 5


def stamp_cost(visible_ns: int, thermal_ns: int) -> int:
    """
    Rank partners: smaller is nearer, equal only for equal offsets.

    Args:
        visible_ns: stamp of the visible frame.
        thermal_ns: stamp of the thermal frame.

    Returns:
        A non-negative integer that grows with the distance; at the same distance a thermal
        frame after the visible one is cheaper than one before it.

    """
    return abs(4 * (thermal_ns - visible_ns) - 1)


class _Stream:
    """What the pairer knows of one stream beside its stamps."""

    def __init__(self, name: str, track: StampTrack) -> None:
        """Start without frames."""
        self.name = name
        self.track = track
        self.other: _Stream = self
        self.restart()

    def restart(self) -> None:
        """Forget all stamps, as after a backward clock jump."""
        self.track.clear()
        self.suspect: Stamped | None = None
        self.late_run: list[Stamped] = []
        self.old_epoch = False  # the other stream jumped back, this one has not yet
        self.last_seen_ns: int | None = None  # newest stamp, kept while in the old epoch
        self.silent_since_ns: int | None = None  # stamp of the other stream


class NearestPairer:
    """
    Emit mutually nearest visible and thermal frames as soon as they are certain.

    Not thread-safe: one caller at a time.

    Args:
        slop_ns: largest distance of a pair's stamps, inclusive (0 pairs equal stamps only).
        queue_size: undecided frames held per stream; it must cover the latency by which one
            stream lags the other. Beyond it the oldest is decided by what is known, or dropped.
        max_wait_ns: stream time the one stream may go on while the other is silent before a
            waiting pair is emitted unproven; None is 2 * slop + 100 ms, within which a better
            partner would have come.
        min_interval_ns: smallest distance of two frames of a stream; 0 assumes nothing (pairs
            are proven by later stamps alone), None learns it.
        reorder_ns: how far behind its stream's newest stamp a frame may arrive without loss.
        jump_back_ns: a stamp that far behind its stream's newest is a clock jump (once a second
            frame confirms it), not disorder.
        jump_ahead_ns: a stamp that far ahead is believed once a second frame confirms it.

    Raises:
        ValueError: for a negative duration or a queue below 2.

    """

    def __init__(
        self,
        slop_ns: int,
        queue_size: int = QUEUE_SIZE,
        *,
        max_wait_ns: int | None = None,
        min_interval_ns: int | None = None,
        reorder_ns: int = 0,
        jump_back_ns: int | None = None,
        jump_ahead_ns: int = 60 * NS_PER_S,
    ) -> None:
        """Create a pairer without frames."""
        if queue_size < 2:
            raise ValueError(f'queue_size is {queue_size}, expected at least 2')
        durations = {
            'slop_ns': slop_ns,
            'max_wait_ns': max_wait_ns,
            'reorder_ns': reorder_ns,
            'min_interval_ns': min_interval_ns,
            'jump_back_ns': jump_back_ns,
            'jump_ahead_ns': jump_ahead_ns,
        }
        for name, value in durations.items():
            if value is not None and value < 0:
                raise ValueError(f'{name} is {value}, expected 0 or more')
        self.slop_ns = slop_ns
        self.queue_size = queue_size
        self.reorder_ns = reorder_ns
        self.max_wait_ns = 2 * slop_ns + NS_PER_S // 10 if max_wait_ns is None else max_wait_ns
        self.jump_back_ns = (
            max(NS_PER_S // 2, 4 * slop_ns, 4 * reorder_ns)
            if jump_back_ns is None
            else jump_back_ns
        )
        self.jump_ahead_ns = jump_ahead_ns
        capacity = 4 * queue_size + 16
        self._streams = {
            name: _Stream(name, StampTrack(capacity, reorder_ns, min_interval_ns))
            for name in STREAMS
        }
        self._visible, self._thermal = self._streams.values()
        self._visible.other, self._thermal.other = self._thermal, self._visible
        self._last_pair_ns: int | None = None
        self.statistics = PairingStatistics()

    def add_frame(self, stream: str, stamp_ns: int, payload: Any = None) -> list[Pair]:
        """
        Add a frame.

        Args:
            stream: 'visible' or 'thermal'.
            stamp_ns: stamp of the frame in nanoseconds.
            payload: returned with the pair.

        Returns:
            The pairs that this frame made certain, in order of their stamps.

        Raises:
            ValueError: for an unknown stream.

        """
        if stream not in self._streams:
            raise ValueError(f"stream is {stream!r}, expected 'visible' or 'thermal'")
        own = self._streams[stream]
        self.statistics.received[stream] += 1
        own.silent_since_ns = None
        return self._admit(own, Stamped(stamp_ns, payload))

    def settle(self) -> list[Pair]:
        """
        Emit what pairs by the frames seen so far; frames without partner go on waiting.

        For a timer that finds both streams silent.
        """
        return self._advance(force=True)

    def flush(self) -> list[Pair]:
        """Emit what pairs by the frames seen so far and drop the rest: the streams have ended."""
        pairs = self._advance(force=True)
        for stream in self._streams.values():
            if stream.suspect is not None:
                self._drop(stream, 'outlier')
                stream.suspect = None
            while (entry := stream.track.oldest_waiting()) is not None:
                stream.track.decide(entry)
                self._drop(stream, 'flushed')
        return pairs

    def reset(self) -> None:
        """Drop all waiting frames and forget all stamps; the statistics go on."""
        for stream in self._streams.values():
            self._drop(stream, 'flushed', self.queued(stream.name))
            stream.restart()
        self._last_pair_ns = None

    def queued(self, stream: str) -> int:
        """Return how many frames of a stream wait for a partner."""
        own = self._streams[stream]
        return own.track.waiting + (own.suspect is not None)

    def dropped(self) -> dict[str, int]:
        """Return how many frames left without partner, by reason, since construction."""
        return self.statistics.dropped_by_reason()

    def restarts(self) -> int:
        """Return how often stamps jumped back, since construction."""
        return self.statistics.clock_jumps

    # -- admission: is the stamp one of this stream as it runs? ---------------------------------

    def _admit(self, own: _Stream, frame: Stamped) -> list[Pair]:
        """Sort out duplicates, outliers, clock jumps and leftovers; insert everything else."""
        reference_ns = own.last_seen_ns
        if reference_ns is not None and not self._continues(frame.stamp_ns, reference_ns):
            suspect = own.suspect
            if suspect is None or not self._continues(frame.stamp_ns, suspect.stamp_ns):
                if suspect is not None:
                    self._drop(own, 'outlier')
                own.suspect = frame
                return []
            own.suspect = None
            pairs = self._jump_back(own) if suspect.stamp_ns < reference_ns else []
            own.last_seen_ns = suspect.stamp_ns
            return pairs + self._insert(own, suspect) + self._insert(own, frame)
        if own.suspect is not None:
            own.suspect = None
            self._drop(own, 'outlier')
        return self._insert(own, frame)

    def _continues(self, stamp_ns: int, reference_ns: int) -> bool:
        return -self.jump_back_ns < stamp_ns - reference_ns < self.jump_ahead_ns

    def _insert(self, own: _Stream, frame: Stamped) -> list[Pair]:
        """Put an admitted frame on its track and decide what it makes certain."""
        stamp_ns = frame.stamp_ns
        if own.last_seen_ns is None or stamp_ns > own.last_seen_ns:
            own.last_seen_ns = stamp_ns
        if own.old_epoch:
            other_ns = own.other.last_seen_ns
            if other_ns is not None and stamp_ns > other_ns + self.jump_back_ns:
                self._drop(own, 'clock_jump')
                return []
            own.old_epoch = False
        track = own.track
        if track.newest_ns is not None and stamp_ns < track.newest_ns - self.reorder_ns:
            if self._is_loop(own, frame):
                pairs = self._jump_back(own)
                own.last_seen_ns = stamp_ns
                return pairs + self._insert(own, frame)
            if track.forgotten_ns is not None and stamp_ns <= track.forgotten_ns:
                self._drop(own, 'late')
                return []
        else:
            own.late_run.clear()
        if track.insert(frame) is None:
            self._drop(own, 'duplicate')
            return []
        if own.other.silent_since_ns is None:
            own.other.silent_since_ns = track.newest_ns
        pairs = self._advance()
        while track.waiting > self.queue_size:
            pairs += self._make_room(own)
        for stream in self._streams.values():
            stream.track.forget_old()
        return pairs

    def _is_loop(self, own: _Stream, frame: Stamped) -> bool:
        """Tell a short clock jump from disorder: late frames keep coming in rising order."""
        run = own.late_run
        if run and frame.stamp_ns <= run[-1].stamp_ns:
            run.clear()
        run.append(Stamped(frame.stamp_ns, None))
        return len(run) >= _LATE_RUN

    def _jump_back(self, own: _Stream) -> list[Pair]:
        """
        Start again after a backward clock jump of one stream.

        The other stream is expected to follow; until it does, what it still delivers from
        before the jump is dropped instead of being taken for its new time.
        """
        if own.old_epoch:  # the other one jumped before: this one follows
            own.old_epoch = False
            return []
        pairs = self._advance(force=True)
        other = own.other
        follows = other.last_seen_ns is not None
        last_seen_ns, suspect = other.last_seen_ns, other.suspect
        for stream in self._streams.values():
            self._drop(stream, 'clock_jump', stream.track.waiting)
            stream.restart()
        if follows:
            other.old_epoch = True
            other.last_seen_ns, other.suspect = last_seen_ns, suspect
        self._last_pair_ns = None
        self.statistics.clock_jumps += 1
        return pairs

    # -- decision: oldest frame first -----------------------------------------------------------

    def _advance(self, force: bool = False) -> list[Pair]:
        """Decide waiting frames, oldest first, until one is open."""
        pairs: list[Pair] = []
        while (head := self._oldest()) is not None:
            verdict = self._judge(*head, force)
            if verdict is None:
                break
            if isinstance(verdict, Pair):
                pairs.append(verdict)
        return pairs

    def _oldest(self) -> tuple[_Stream, Entry] | None:
        visible = self._visible.track.oldest_waiting()
        thermal = self._thermal.track.oldest_waiting()
        if visible is None:
            return None if thermal is None else (self._thermal, thermal)
        if thermal is None or visible.stamp_ns <= thermal.stamp_ns:
            return self._visible, visible
        return self._thermal, thermal

    def _judge(self, own: _Stream, entry: Entry, force: bool) -> Pair | str | None:
        """Pair or drop a frame (returns the pair or the reason), or leave it open (None)."""
        partner = self._nearest(own.other, entry.stamp_ns)
        if partner is None or abs(partner.stamp_ns - entry.stamp_ns) > self.slop_ns:
            track = own.other.track
            next_ns = track.newest_ns if force else track.earliest_next_ns()
            if next_ns is None or next_ns <= entry.stamp_ns + self.slop_ns:
                return None
            return self._reject(own, entry, 'no_partner')
        cost = self._cost(own, entry.stamp_ns, partner.stamp_ns)
        open_stream = self._may_improve(own, entry.stamp_ns, cost)
        proven = not open_stream
        if open_stream and not (force or self._stalled(own.other)):
            return None
        if self._nearest(own, partner.stamp_ns) is not entry:
            return self._reject(own, entry, 'not_nearest')
        if not partner.waiting:  # decided before this frame came out of order
            self.statistics.late_better += partner.matched_cost is not None
            return self._reject(own, entry, 'late')
        if self._may_improve(own.other, partner.stamp_ns, cost):
            if not (force or self._stalled(own)):
                return None
            proven = False
        return self._emit(own, entry, partner, cost, proven)

    def _may_improve(self, own: _Stream, stamp_ns: int, cost: int) -> bool:
        """Tell whether the other stream may still bring a nearer partner than one of `cost`."""
        earliest_ns = own.other.track.earliest_next_ns()
        if earliest_ns is None:
            return True
        return self._cost(own, stamp_ns, max(stamp_ns, earliest_ns)) < cost

    def _stalled(self, stream: _Stream) -> bool:
        """
        Tell whether the other stream went on by `max_wait_ns` without this one.

        Measured from its first frame after this stream's last one: the stamps at that last one
        would also hold a constant latency between the streams, or a hole of the other stream.
        """
        now_ns, then_ns = stream.other.track.newest_ns, stream.silent_since_ns
        return now_ns is not None and then_ns is not None and now_ns - then_ns >= self.max_wait_ns

    def _cost(self, own: _Stream, stamp_ns: int, partner_ns: int) -> int:
        if own is self._visible:
            return stamp_cost(stamp_ns, partner_ns)
        return stamp_cost(partner_ns, stamp_ns)

    def _nearest(self, stream: _Stream, stamp_ns: int) -> Entry | None:
        """Return the frame of `stream` nearest to a stamp of the other stream, decided or not."""
        return min(
            stream.track.neighbours(stamp_ns),
            default=None,
            key=lambda entry: self._cost(stream, entry.stamp_ns, stamp_ns),
        )

    def _emit(
        self,
        own: _Stream,
        entry: Entry,
        partner: Entry,
        cost: int,
        proven: bool,
    ) -> Pair:
        first, second = entry.frame, partner.frame
        assert first is not None
        assert second is not None
        visible, thermal = (first, second) if own is self._visible else (second, first)
        own.track.decide(entry, cost)
        own.other.track.decide(partner, cost)
        pair = Pair(visible, thermal, thermal.stamp_ns - visible.stamp_ns)
        statistics = self.statistics
        statistics.pairs += 1
        statistics.unproven += not proven
        statistics.sum_abs_offset_ns += abs(pair.offset_ns)
        statistics.max_abs_offset_ns = max(statistics.max_abs_offset_ns, abs(pair.offset_ns))
        if self._last_pair_ns is not None:
            gap_ns = visible.stamp_ns - self._last_pair_ns
            statistics.largest_gap_ns = max(statistics.largest_gap_ns, gap_ns)
        self._last_pair_ns = visible.stamp_ns
        return pair

    def _reject(self, own: _Stream, entry: Entry, reason: str) -> str:
        own.track.decide(entry)
        self._drop(own, reason)
        return reason

    def _make_room(self, own: _Stream) -> list[Pair]:
        """Decide the oldest waiting frame of a full queue by what is known, or drop it."""
        entry = own.track.oldest_waiting()
        assert entry is not None
        verdict = self._judge(own, entry, force=True)
        if isinstance(verdict, Pair):
            return [verdict]
        if verdict is None:
            self._reject(own, entry, 'overflow')
        return self._advance()

    def _drop(self, stream: _Stream, reason: str, count: int = 1) -> None:
        if count:
            self.statistics.dropped[stream.name][reason] += count
