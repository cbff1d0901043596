"""The figures of a run: what summary.json holds and the table shows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mafs_demo.replay.schedule import Schedule
from mafs_demo.replay.session import Recording
from mafs_demo.topics import IMAGE_TOPICS
from mafs_model.detections import DetectionCounts
from mafs_model.pairing.nearest import NearestPairer
from mafs_model.streams import NS_PER_S, STREAMS
import numpy as np


def expected_pairs(schedule: Schedule, slop_ns: int) -> int:
    """
    Return how many pairs the drops allow.

    For simulated cameras these are the true partners that both survived; for a bag, where
    nobody knows them, the mutually nearest frames within the slop.
    """
    if schedule.partners_known:
        return schedule.possible_pairs()
    pairer = NearestPairer(slop_ns, min_interval_ns=0)
    pairs = 0
    for event in schedule.events:
        pairs += len(pairer.add_frame(event.stream, event.stamp_ns))
    return pairs + len(pairer.flush())


def summarize(
    recording: Recording,
    schedule: Schedule,
    slop_ns: int,
    source: str,
) -> dict[str, Any]:
    """
    Return the figures of a run.

    Args:
        recording: what the run left.
        schedule: what was played.
        slop_ns: largest offset of a pair.
        source: one line that says what was played.

    """
    statuses = recording.statuses
    final: dict[str, Any] = statuses[-1] if statuses else {}
    sent = {stream: sum(s == stream for s, _, _ in recording.sent) for stream in STREAMS}
    received = {stream: int(final.get(f'{stream}_received', 0)) for stream in STREAMS}
    possible = expected_pairs(schedule, slop_ns)
    pairs = int(final.get('pairs', 0))
    processed = int(final.get('processed', 0))
    offsets_ms = [1e3 * abs(status['offset']) for status in statuses]
    span_s = (statuses[-1]['stamp_ns'] - statuses[0]['stamp_ns']) / NS_PER_S if statuses else 0
    outputs = {
        name: sum(entry[0] == topic for entry in recording.index)
        for name, topic in IMAGE_TOPICS.items()
    }
    return {
        'source': source,
        'duration_s': round(schedule.duration_s, 3),
        'frames_in': received,
        'frames_sent': sent,
        'frames_lost_in_transport': {s: sent[s] - received[s] for s in STREAMS},
        'pairs': pairs,
        'pairs_possible': possible,
        'match_rate': round(pairs / possible, 4) if possible else 0.0,
        'true_partner_share': _true_share(recording, schedule),
        'pairs_fused': processed,
        'outputs_recorded': outputs,
        'outputs_lost_in_transport': sum(max(0, processed - n) for n in outputs.values()),
        'offset_ms': _spread(offsets_ms),
        'slop_ms': slop_ns / 1e6,
        'pairs_per_s': round((len(statuses) - 1) / span_s, 2) if span_s > 0 else 0.0,
        'latency_ms': _percentiles(status['latency_ms'] for status in statuses),
        'inference_ms': _percentiles(status['inference_ms'] for status in statuses),
        'wait_ms': _percentiles(status['wait_ms'] for status in statuses),
        'detections': detections(recording),
        'drops': dict(final.get('drops', {})),
        'mode': mode_name(final.get('mode')),
        'device': final.get('device', 'unknown'),
        'backend': final.get('backend', 'unknown'),
        'weights': final.get('weights_id') or 'none',
        'player_late_ms_p99': round(recording.late_ms_p99, 3),
    }


def detections(recording: Recording) -> dict[str, dict[str, Any]]:
    """Return what was detected, by class, as `DetectionCounts.summary` has it."""
    counts = DetectionCounts()
    for _, found in sorted(recording.objects.items()):
        counts.add_pair(found)
    return counts.summary()


def mode_name(mode: int | None) -> str:
    """Return the name of a status mode."""
    names = ('fusion', 'visible_only', 'thermal_only', 'classical', 'idle')
    return names[mode] if mode is not None and 0 <= mode < len(names) else 'unknown'


def _true_share(recording: Recording, schedule: Schedule) -> float | None:
    """Return the share of published pairs whose frames belong together; None if unknown."""
    if not schedule.partners_known or not recording.statuses:
        return None
    numbers = {(stream, stamp_ns): index for stream, index, stamp_ns in recording.sent}
    true = sum(
        numbers.get(('visible', s['visible_ns'])) == numbers.get(('thermal', s['thermal_ns']))
        and ('visible', s['visible_ns']) in numbers
        for s in recording.statuses
    )
    return round(true / len(recording.statuses), 4)


def _spread(values: list[float]) -> dict[str, float]:
    if not values:
        return {'mean': 0.0, 'max': 0.0}
    return {'mean': round(float(np.mean(values)), 3), 'max': round(float(np.max(values)), 3)}


def _percentiles(values: Iterable[float]) -> dict[str, float]:
    numbers = np.array(list(values), float)
    if not numbers.size:
        return {'p50': 0.0, 'p99': 0.0}
    p50, p99 = np.percentile(numbers, [50, 99])
    return {'p50': round(float(p50), 2), 'p99': round(float(p99), 2)}


def table(summary: dict[str, Any]) -> str:
    """Return the table that is printed."""
    lost = summary['frames_lost_in_transport']
    drops = ', '.join(f'{reason} {count}' for reason, count in summary['drops'].items()) or 'none'
    objects = ', '.join(
        f'{name} {figures["per_pair"]:.1f} per pair, {figures["tracks"]} tracks'
        for name, figures in summary['detections'].items()
    )
    share = summary['true_partner_share']
    frames, offset, latency = summary['frames_in'], summary['offset_ms'], summary['latency_ms']
    true = '' if share is None else f', true partners {100 * share:.1f} %'
    rows = {
        'source': summary['source'],
        'frames in': f'{frames["visible"]} visible, {frames["thermal"]} thermal '
        f'({lost["visible"] + lost["thermal"]} lost in transport)',
        'pairs': f'{summary["pairs"]} of {summary["pairs_possible"]} possible',
        'match rate': f'{summary["match_rate"]:.3f}{true}',
        '|offset|': f'mean {offset["mean"]:.1f} ms, max {offset["max"]:.1f} ms '
        f'(slop {summary["slop_ms"]:g} ms)',
        'fused': f'{summary["pairs_fused"]} pairs, {summary["pairs_per_s"]:.1f} per second',
        'latency': f'p50 {latency["p50"]:.1f} ms, p99 {latency["p99"]:.1f} ms from the later '
        'stamp to publication',
        'detections': objects or 'none',
        'drops': drops,
        'device': f'{summary["device"]}, backend {summary["backend"]}',
        'weights': (
            summary['weights']
            if summary['mode'] != 'classical'
            else 'none: classical fusion, label images are empty'
        ),
    }
    if 'rig' in summary:
        rows |= _rig_rows(summary['rig'])
    width = max(len(name) for name in rows)
    return '\n'.join(f'  {name:<{width}}  {value}' for name, value in rows.items())


def _rig_rows(rig: dict[str, Any]) -> dict[str, str]:
    """Return what is said about a crooked rig."""
    rows = {
        'calibration': f'{rig["registration_error_px"]:.1f} px and {rig["time_error_ms"]:+.1f} ms '
        f'off, of a camera that is {rig["latency_ms"]:.0f} ms late'
    }
    for name, measure in (('person IoU', 'person_iou'), ('Qabf', 'qabf')):
        found = rig[measure]
        if found['share'] is not None:
            rows[name] = (
                f'{found["crooked"]:.3f}, {100 * found["share"]:.1f} % of the registered original '
                f'({found["registered"]:.3f}; bar {100 * rig["bar"]:.0f} %, {rig["pairs"]} pairs)'
            )
    return rows
