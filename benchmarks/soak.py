"""
Show on a long run that nothing in the node grows.

Cameras of 30 Hz by simulated time send over DDS as fast as the node follows (or at --rate);
all outputs are subscribed. After the warm-up, memory, threads, open files and endpoints of the
node's process are sampled. Exit code 1 if a bound is broken.

    python benchmarks/soak.py [--pairs 10000] [--rate HZ] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
import statistics
import sys
import time
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from node_rig import NodeRig, Options, process_state, running_node

GROWTH_BOUND_MB = 5.0
LOST_BOUND = 0.05
CONSTANT = ('threads', 'files', 'subscriptions', 'publishers')
# How long to wait for a pair before the next is sent: a lost image ends no run, it is counted.
PATIENCE_S = 2.0
SETTLE_S = 0.02
SAMPLES = 40
FAULTS = ('internal', 'inference')


def soak(rig: NodeRig, pairs: int, warm_up: int, rate_hz: float) -> dict[str, Any]:
    """
    Send exposures and sample the node.

    Args:
        rig: the running node.
        pairs: exposures after the warm-up.
        warm_up: exposures before the first sample.
        rate_hz: 0: as fast as the node follows.

    Returns:
        The samples, what they say, and the bounds that are broken.

    """
    samples = []
    every = max(1, pairs // SAMPLES)
    begun = time.monotonic()
    stamp_ns = 0
    for index in range(warm_up + pairs):
        if rate_hz:
            rig.play(index, 1, rate_hz)
        else:
            # Some pairs are certain only when the next images have come. One pair at a time: what
            # is overtaken in the mailbox would not be processed.
            previous_ns, stamp_ns = stamp_ns, rig.publish(index)
            rig.wait_for_pair(previous_ns, PATIENCE_S)
            rig.wait_for_pair(stamp_ns, SETTLE_S)
        if index >= warm_up and (index - warm_up) % every == 0:
            samples.append({'pair': index, **process_state(rig.process.pid), **rig.endpoints()})
        if len(rig.statuses) > 1:
            del rig.statuses[:-1]
    seconds = time.monotonic() - begun
    return {**judge(rig, samples, pairs + warm_up), 'seconds': seconds, 'samples': samples}


def judge(rig: NodeRig, samples: list[dict[str, float]], sent: int) -> dict[str, Any]:
    """Return what the samples and the last status say, and which bounds are broken."""
    memory = [s['rss_mb'] for s in samples]
    tenth = max(1, len(memory) // 10)
    growth = statistics.median(memory[-tenth:]) - statistics.median(memory[:tenth])
    status = rig.statuses[-1]
    drops = dict(zip(status.drop_reasons, map(int, status.drop_counts), strict=True))
    faults = len(rig.errors) + rig.log.read_text(errors='replace').count('Traceback')
    faults += sum(drops.get(reason, 0) for reason in FAULTS)
    lost = 1 - min(int(status.pairs), int(status.processed)) / sent
    broken = []
    if growth >= GROWTH_BOUND_MB:
        broken.append(f'memory grew by {growth:.1f} MB, bound {GROWTH_BOUND_MB:g} MB')
    for name in CONSTANT:
        values = sorted({s[name] for s in samples})
        if len(values) > 1:
            broken.append(f'{name} went from {values[0]:g} to {values[-1]:g}, expected constant')
    if faults:
        broken.append(f'{faults} exceptions or errors, expected none; {rig.errors[-1:]}')
    if lost > LOST_BOUND:
        broken.append(f'{lost:.1%} of the pairs were not processed, bound {LOST_BOUND:.0%}')
    return {
        'sent': sent,
        'pairs': int(status.pairs),
        'processed': int(status.processed),
        'growth_mb': growth,
        'rss_first_mb': memory[0],
        'rss_last_mb': memory[-1],
        'rss_max_mb': max(memory),
        'faults': faults,
        'drops': drops,
        'received': dict(rig.received),
        'broken': broken,
    }


def _print(result: dict[str, Any]) -> None:
    names = ('pair', 'rss_mb', *CONSTANT)
    print(''.join(f'{name:>15s}' for name in names))
    samples = result['samples']
    for sample in samples[:: max(1, len(samples) // 10)]:
        print(''.join(f'{sample[name]:15.1f}' for name in names))
    print(
        f'{result["sent"]} exposures in {result["seconds"]:.0f} s: {result["pairs"]} pairs, '
        f'{result["processed"]} processed, drops {result["drops"] or "none"}; memory '
        f'{result["growth_mb"]:+.2f} MB (bound {GROWTH_BOUND_MB:g}), {result["faults"]} exceptions'
    )
    for text in result['broken']:
        print(f'BROKEN: {text}')
    if not result['broken']:
        print('all bounds kept')


def main(arguments: list[str] | None = None) -> int:
    """Run, print a table, return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument('--pairs', type=int, default=10_000, help='after the warm-up')
    parser.add_argument('--warm-up', type=int, default=500, help='pairs before the first sample')
    parser.add_argument('--size', default='640x480', help='WIDTHxHEIGHT of both cameras')
    parser.add_argument('--rate', type=float, default=0.0, help='Hz; 0: as fast as it goes')
    parser.add_argument(
        '--engine', default='null', help="'null', 'classical', 'default' or a weights file"
    )
    parser.add_argument('--domain', type=int, default=43, help='ROS_DOMAIN_ID')
    parser.add_argument('--json', type=Path, help='write the figures there')
    options = parser.parse_args(arguments)
    width, height = (int(side) for side in options.size.split('x'))
    setup = Options((height, width), options.engine, simulated_time=True, domain_id=options.domain)
    with running_node(setup) as rig:
        result = soak(rig, options.pairs, options.warm_up, options.rate)
    _print(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))
    return 1 if result['broken'] else 0


if __name__ == '__main__':
    sys.exit(main())
