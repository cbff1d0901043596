"""
CPU time the node costs per pair without inference: receive, convert, pair, convert, publish.

The node runs as a process of its own, with an engine that computes nothing; two cameras send at
their rate over DDS, and all outputs are subscribed. Measured is the CPU time of the whole
process, all threads of the middleware included. Exit code 1 if the median is above the bound.

    python benchmarks/node_overhead.py [--size 640x480] [--pairs 600] [--json FILE]
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
import statistics
import sys
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from mafs_model.topics import IMAGE_TOPICS
from node_rig import NodeRig, Options, process_cpu_s, running_node

BOUND_MS = 8.0
WARM_UP_PAIRS = 60
TIMES = ('wait_ms', 'preprocess_ms', 'inference_ms', 'postprocess_ms', 'publish_ms')
CASES: dict[str, dict[str, Any]] = {
    'all outputs': {},
    'fused and labels': {'outputs': (IMAGE_TOPICS['fused'], IMAGE_TOPICS['labels'])},
    'no output (receive and pair)': {'outputs': ()},
    'all outputs, classical fusion included': {'engine': 'classical'},
}


def measure(options: Options, pairs: int, rate_hz: float) -> dict[str, Any]:
    """Return CPU per pair (median, mean, 95 %) and the node's own times, in ms."""
    with running_node(options) as rig:
        rig.play(0, WARM_UP_PAIRS, rate_hz)
        samples: list[float] = []
        rig.on_status = lambda: samples.append(process_cpu_s(rig.process.pid))
        seen = len(rig.statuses)
        rig.play(WARM_UP_PAIRS, pairs, rate_hz)
        return _result(rig, samples, rig.statuses[seen:], pairs)


def _result(rig: NodeRig, samples: list[float], statuses: list[Any], sent: int) -> dict[str, Any]:
    per_pair = sorted(1e3 * (b - a) for a, b in itertools.pairwise(samples))
    if len(per_pair) < sent // 2:
        raise RuntimeError(f'{len(per_pair)} of {sent} pairs came through, expected at least half')
    return {
        'pairs': len(samples),
        'sent': sent,
        'cpu_median_ms': statistics.median(per_pair),
        'cpu_mean_ms': 1e3 * (samples[-1] - samples[0]) / (len(samples) - 1),
        'cpu_p95_ms': per_pair[int(0.95 * len(per_pair))],
        **{name: statistics.median(getattr(s, name) for s in statuses) for name in TIMES},
        'received': dict(rig.received),
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure, print a table, return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument('--size', default='640x480', help='WIDTHxHEIGHT of both cameras')
    parser.add_argument('--pairs', type=int, default=600, help='measured pairs of each case')
    parser.add_argument('--rate', type=float, default=30.0, help='Hz')
    parser.add_argument('--domain', type=int, default=43, help='ROS_DOMAIN_ID')
    parser.add_argument('--only-bound', action='store_true', help='the first case alone')
    parser.add_argument('--json', type=Path, help='write the figures there')
    options = parser.parse_args(arguments)
    width, height = (int(side) for side in options.size.split('x'))
    results = {}
    columns = ('cpu_median_ms', 'cpu_mean_ms', 'cpu_p95_ms', *TIMES)
    titles = ['CPU median', 'mean', '95 %', *(name[:-3] for name in TIMES)]
    print(f'node at {options.size}, {options.rate:g} Hz; ms per pair. CPU: whole process.')
    print('The other columns are medians of wall times that the node reports.')
    print(f'{"case":40s}' + ''.join(f'{title:>12s}' for title in titles))
    for name, case in list(CASES.items())[: 1 if options.only_bound else None]:
        setup = Options(size=(height, width), domain_id=options.domain, **case)
        row = results[name] = measure(setup, options.pairs, options.rate)
        print(f'{name:40s}' + ''.join(f'{row[c]:12.2f}' for c in columns), flush=True)
    median = results['all outputs']['cpu_median_ms']
    passed = median <= BOUND_MS
    print(
        f'median with all outputs {median:.2f} ms, bound {BOUND_MS:g} ms: '
        f'{"kept" if passed else "BROKEN"}'
    )
    if options.json:
        options.json.write_text(json.dumps({'bound_ms': BOUND_MS, 'cases': results}, indent=2))
    return 0 if passed else 1


if __name__ == '__main__':
    sys.exit(main())
