"""What a pairer hands out: pairs, and counters of everything that did not become one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from mafs_model.pairing.stamp_track import Stamped
from mafs_model.streams import STREAMS

DROP_REASONS = {
    'no_partner': 'no frame of the other stream within the slop',
    'not_nearest': 'the nearest frame of the other stream has a nearer partner',
    'duplicate': 'a frame with the same stamp was there already',
    'late': 'came after its neighbourhood had been decided',
    'overflow': 'more frames waited than the queue holds',
    'outlier': 'a single stamp far away from its stream',
    'clock_jump': 'left over from before a backward clock jump',
    'flushed': 'still waiting when the stream ended or was reset',
}


@dataclass(frozen=True, slots=True)
class Pair:
    """
    A visible and a thermal frame that belong together.

    Args:
        visible: the visible frame.
        thermal: the thermal frame.
        offset_ns: stamp of the thermal frame minus stamp of the visible frame.

    """

    visible: Stamped
    thermal: Stamped
    offset_ns: int


@dataclass
class PairingStatistics:
    """
    Counters of a pairer since its construction.

    Args:
        received: frames added, per stream.
        dropped: frames that left unpaired, per stream and reason (see `DROP_REASONS`).
        pairs: pairs emitted.
        sum_abs_offset_ns: sum of |offset| over all pairs.
        max_abs_offset_ns: largest |offset| of a pair.
        largest_gap_ns: largest distance between the visible stamps of successive pairs.
        clock_jumps: backward jumps that restarted the pairing.
        unproven: pairs emitted without certainty (stalled stream, full queue, flush).
        late_better: frames that came too late although nearer than the emitted partner.

    """

    received: Counter[str] = field(default_factory=Counter)
    dropped: dict[str, Counter[str]] = field(
        default_factory=lambda: {stream: Counter() for stream in STREAMS}
    )
    pairs: int = 0
    sum_abs_offset_ns: int = 0
    max_abs_offset_ns: int = 0
    largest_gap_ns: int = 0
    clock_jumps: int = 0
    unproven: int = 0
    late_better: int = 0

    @property
    def mean_abs_offset_ns(self) -> float:
        """Return the mean |offset| of all pairs, 0 without pairs."""
        return self.sum_abs_offset_ns / self.pairs if self.pairs else 0.0

    @property
    def match_rate(self) -> float:
        """Return pairs / frames of the stream with fewer frames (duplicates do not count)."""
        distinct = [self.received[s] - self.dropped[s]['duplicate'] for s in STREAMS]
        return self.pairs / min(distinct) if min(distinct) > 0 else 0.0

    def dropped_by_reason(self) -> dict[str, int]:
        """Return the drops of both streams together, reasons that occurred only."""
        total = self.dropped['visible'] + self.dropped['thermal']
        return dict(sorted(total.items()))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            'received': {stream: self.received[stream] for stream in STREAMS},
            'dropped': {stream: dict(sorted(self.dropped[stream].items())) for stream in STREAMS},
            'pairs': self.pairs,
            'match_rate': self.match_rate,
            'mean_abs_offset_ms': self.mean_abs_offset_ns / 1e6,
            'max_abs_offset_ms': self.max_abs_offset_ns / 1e6,
            'largest_gap_ms': self.largest_gap_ns / 1e6,
            'clock_jumps': self.clock_jumps,
            'unproven': self.unproven,
            'late_better': self.late_better,
        }
