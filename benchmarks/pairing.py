"""
Pairing by mutually nearest stamps against message_filters, on simulated 30 Hz streams.

For each jitter and slop: the share of emitted pairs whose frames really belong together, the
share of possible true pairs that were found, and the time per message.

    python benchmarks/pairing.py [--json FILE]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
import json
from pathlib import Path
import sys
import time
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from camera_streams import Message, simulate
from mafs_model.pairing.nearest import NearestPairer

QUEUE_SIZE = 10
SLOPS_S = (0.02, 0.05, 0.1)
JITTERS = {'normal 2 ms': {'jitter_ms': 2.0}, 'uniform 8 ms': {'jitter_ms': 8.0, 'uniform': True}}
Result = tuple[list[tuple[int, int]], float]


def nearest(messages: list[Message], slop_s: float) -> Result:
    """Return (visible, thermal) exposure numbers of the pairs, and the seconds it took."""
    pairer = NearestPairer(round(slop_s * 1e9), QUEUE_SIZE)
    pairs = []
    begun = time.perf_counter()
    for message in messages:
        pairs += pairer.add_frame(message.stream, message.stamp_ns, message.index)
    pairs += pairer.flush()
    seconds = time.perf_counter() - begun
    return [(pair.visible.payload, pair.thermal.payload) for pair in pairs], seconds


class _Filter:
    """What the synchroniser expects of a subscriber: a place to register its callback."""

    def __init__(self) -> None:
        self._callbacks: list[tuple[Any, tuple[Any, ...]]] = []

    def registerCallback(self, callback: Any, *arguments: Any) -> None:  # noqa: N802 - theirs
        self._callbacks.append((callback, arguments))

    def signal(self, message: Any) -> None:
        for callback, arguments in self._callbacks:
            callback(message, *arguments)


def approximate(messages: list[Message], slop_s: float) -> Result:
    """Feed message_filters.ApproximateTimeSynchronizer with stamped messages."""
    import message_filters
    from rclpy.time import Time
    from sensor_msgs.msg import Image

    filters = {'visible': _Filter(), 'thermal': _Filter()}
    pairs: list[tuple[int, int]] = []
    synchronizer = message_filters.ApproximateTimeSynchronizer(
        list(filters.values()), QUEUE_SIZE, slop_s
    )
    synchronizer.registerCallback(
        lambda visible, thermal: pairs.append((visible.width, thermal.width))
    )
    prepared = []
    for message in messages:
        image = Image(width=message.index)
        image.header.stamp = Time(nanoseconds=message.stamp_ns).to_msg()
        prepared.append((filters[message.stream].signal, image))
    begun = time.perf_counter()
    for callback, image in prepared:
        callback(image)
    return pairs, time.perf_counter() - begun


def methods() -> dict[str, Callable[[list[Message], float], Result] | None]:
    """Return the methods by name; None where not installed."""
    try:
        import message_filters  # noqa: F401
        import rclpy  # noqa: F401
    except ImportError:
        return {'nearest': nearest, 'message_filters approximate': None}
    return {'nearest': nearest, 'message_filters approximate': approximate}


def measure(count: int, seed: int) -> list[dict[str, Any]]:
    """Return one row per jitter, slop and method."""
    rows = []
    for jitter, arguments in JITTERS.items():
        messages = simulate(count, seed=seed, **arguments)  # type: ignore[arg-type]
        seen = [{m.index for m in messages if m.stream == s} for s in ('visible', 'thermal')]
        possible = len(seen[0] & seen[1])
        for slop_s in SLOPS_S:
            for name, method in methods().items():
                row: dict[str, Any] = {'jitter': jitter, 'slop_s': slop_s, 'method': name}
                if method is not None:
                    pairs, seconds = method(messages, slop_s)
                    true = sum(visible == thermal for visible, thermal in pairs)
                    row |= {
                        'pairs': len(pairs),
                        'possible': possible,
                        'true_share': true / len(pairs),
                        'found_share': true / possible,
                        'us_per_message': 1e6 * seconds / len(messages),
                    }
                rows.append(row)
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--count', type=int, default=10_000, help='exposures (default 10000)')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the rows as JSON')
    options = parser.parse_args(arguments)
    rows = measure(options.count, options.seed)
    print(
        f'{"jitter":<13} {"slop":>6}  {"method":<28} {"true":>7} {"found":>7} {"us/message":>11}'
    )
    for row in rows:
        figures = 'not installed'
        if 'pairs' in row:
            figures = (
                f'{100 * row["true_share"]:6.1f}% {100 * row["found_share"]:6.1f}% '
                f'{row["us_per_message"]:11.1f}'
            )
        print(f'{row["jitter"]:<13} {row["slop_s"]:>5g}s  {row["method"]:<28} {figures}')
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=2) + '\n', encoding='utf-8')
    return 0


if __name__ == '__main__':
    sys.exit(main())
