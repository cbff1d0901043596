"""The message that diagnostics tools show."""

from __future__ import annotations

from typing import Any

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from mafs_ros.health import Level
from mafs_ros.statistics import Snapshot

PERIOD_S = 1.0


def _text(value: Any, unit: str = '', digits: int = 1) -> str:
    """Return a number for people; '-' where there is none yet."""
    if value is None:
        return '-'
    shown = f'{value:.{digits}f}' if isinstance(value, float) else str(value)
    return f'{shown} {unit}' if unit else shown


def key_values(snapshot: Snapshot, setup: dict[str, str]) -> dict[str, str]:
    """
    Return everything a person may want to know, in reading order.

    Args:
        snapshot: what happened.
        setup: facts about the set-up (device, weights, policy ...).

    """
    values: dict[str, str] = {}
    for name, stream in snapshot.streams.items():
        values[f'{name} rate'] = _text(stream.rate_hz, 'Hz')
        values[f'{name} stamp age'] = _text(
            None if stream.stamp_age_s is None else 1e3 * stream.stamp_age_s, 'ms'
        )
        values[f'{name} silent for'] = _text(stream.since_last_s, 's')
        values[f'{name} received'] = str(stream.received)
        values[f'{name} encoding'] = stream.encoding or '-'
        values[f'{name} size'] = (
            '-' if stream.size is None else f'{stream.size[1]}x{stream.size[0]}'
        )
        values[f'{name} lost in transport'] = str(stream.lost)
    values |= {
        'pair rate': _text(snapshot.pair_rate_hz, 'Hz'),
        'processed rate': _text(snapshot.processed_rate_hz, 'Hz'),
        'pairs': str(snapshot.pairs),
        'processed': str(snapshot.processed),
        'match rate': _text(100.0 * snapshot.match_rate, '%'),
        'largest gap': _text(snapshot.largest_gap_s, 's', 3),
        'largest offset': _text(
            None if snapshot.worst_offset_s is None else 1e3 * snapshot.worst_offset_s, 'ms'
        ),
        'inference median': _text(snapshot.inference_median_ms, 'ms'),
        'inference worst': _text(snapshot.inference_worst_ms, 'ms'),
        'latency median': _text(snapshot.latency_median_ms, 'ms'),
        'latency worst': _text(snapshot.latency_worst_ms, 'ms'),
    }
    values |= {
        f'publishing {topic}': _text(value, 'ms')
        for topic, value in sorted(snapshot.publish_median_ms.items())
    }
    values |= {
        f'dropped: {reason}': str(count) for reason, count in sorted(snapshot.drops.items())
    }
    values |= {f'event: {event}': str(count) for event, count in sorted(snapshot.events.items())}
    return values | setup


def message(
    name: str, stamp: Time, snapshot: Snapshot, level: Level, sentence: str, setup: dict[str, str]
) -> DiagnosticArray:
    """
    Return the diagnostics message.

    Args:
        name: full name of the node.
        stamp: present time.
        snapshot: what happened.
        level: state of the node.
        sentence: the same for people.
        setup: facts about the set-up.

    """
    status = DiagnosticStatus(
        level=bytes([level]),
        name=f'{name}: fusion',
        hardware_id=setup.get('device', ''),
        message=sentence,
        values=[
            KeyValue(key=key, value=value) for key, value in key_values(snapshot, setup).items()
        ],
    )
    array = DiagnosticArray(status=[status])
    array.header.stamp = stamp
    return array
