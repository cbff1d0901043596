"""
Measure what a stopped reliable subscriber does to everybody else.

A node without a network (null engine) gets pairs at a fixed rate, best-effort listeners count its
outputs. A second process subscribes reliably to the fused image, as RViz does, and is stopped
(SIGSTOP) and continued in turn. Latency and time of publication come from the status of each pair.

    python benchmarks/stopped_subscriber.py

Exit code 1 where the p99 of the latency with the subscriber stopped is above 1.3 times that with
it running.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from mafs_model.topics import absolute, IMAGE_TOPICS
from node_rig import NodeRig, Options, running_node
import numpy as np

BOUND = 1.3
VIEWER = """
import sys, rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
rclpy.init(domain_id=int(sys.argv[1]))
node = rclpy.create_node('viewer')
def show(message):
    print('frame', flush=True)
qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
node.create_subscription(Image, sys.argv[2], show, qos)
rclpy.spin(node)
"""


def measure(rig: NodeRig, first: int, pairs: int, rate_hz: float) -> dict[str, np.ndarray]:
    """Play pairs and return the times of each, ms."""
    before = len(rig.statuses)
    rig.play(first, pairs, rate_hz)
    statuses = rig.statuses[before:]
    return {
        name: np.array([getattr(s, name) for s in statuses])
        for name in ('latency_ms', 'publish_ms')
    }


def summary(values: list[np.ndarray]) -> dict[str, float]:
    """Return count, median and tail of all blocks together."""
    joined = np.concatenate(values)
    return {
        'pairs': int(joined.size),
        'median': round(float(np.median(joined)), 2),
        'p99': round(float(np.percentile(joined, 99)), 2),
        'worst': round(float(joined.max()), 2),
    }


def main() -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--rounds', type=int, default=4, help='of running and stopped')
    parser.add_argument('--pairs', type=int, default=150, help='in each of them')
    parser.add_argument('--rate', type=float, default=15.0, help='Hz')
    parser.add_argument('--domain-id', type=int, default=44)
    options = parser.parse_args()
    times: dict[str, dict[str, list[np.ndarray]]] = {}
    with running_node(Options(domain_id=options.domain_id)) as rig:
        topic = absolute(IMAGE_TOPICS['fused'])
        viewer: Any = subprocess.Popen(
            [sys.executable, '-c', VIEWER, str(options.domain_id), topic],
            stdout=subprocess.PIPE,
            env=os.environ,
        )
        try:
            rig.play(0, 100, options.rate)
            first = 100
            for _ in range(options.rounds):
                for state, number in (('running', signal.SIGCONT), ('stopped', signal.SIGSTOP)):
                    viewer.send_signal(number)
                    found = measure(rig, first, options.pairs, options.rate)
                    first += options.pairs
                    for name, values in found.items():
                        times.setdefault(name, {}).setdefault(state, []).append(values)
        finally:
            viewer.kill()
            viewer.wait()
    table = {
        name: {state: summary(values) for state, values in states.items()}
        for name, states in times.items()
    }
    print(json.dumps(table, indent=2))
    latency = table['latency_ms']
    ratio = latency['stopped']['p99'] / latency['running']['p99']
    print(f'latency p99, stopped to running: {ratio:.2f} (bound {BOUND})')
    return 0 if ratio <= BOUND else 1


if __name__ == '__main__':
    sys.exit(main())
