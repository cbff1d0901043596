"""
Measure whether random signals end the node in time, with exit code 0 and without a traceback.

Starts the node again and again, on a stream of pairs, and sends SIGINT or SIGTERM (every third
time a second one) at a random moment after its start, the import of its libraries included.

    python benchmarks/random_signals.py --count 200 --load 4

Prints one line for each failure and a summary; exit code 1 where one failed. Signals that arrive
before Python has run the first line of the node (`before us`) are counted apart: there the
interpreter is not ours yet, and ends the process by its own rules.
"""

from __future__ import annotations

import argparse
from collections import Counter
import contextlib
from dataclasses import dataclass
import multiprocessing
import os
from pathlib import Path
import random
import signal
import subprocess
import sys
import tempfile
import time

ROOT = Path(__file__).resolve().parents[1]
LIMIT_S = 2.0
KILL_AFTER_S = 30.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Result:
    """What one signal did."""

    number: int
    after_s: float
    code: int
    took_s: float
    log: str

    @property
    def phase(self) -> str:
        """Return how far the node had come."""
        if self.code in {-n for n in _SIGNALS} and not self.log:
            return 'before us'
        for words, name in (('active: pairing', 'active'), ('configured:', 'inactive')):
            if words in self.log:
                return name
        return 'import or configure'

    @property
    def fault(self) -> str:
        """Return what was wrong, '' if nothing."""
        if self.phase == 'before us':
            return ''
        if self.code != 0:
            return f'exit code {self.code}'
        if self.took_s > LIMIT_S:
            return f'took {self.took_s:.1f} s'
        for words in ('Traceback', 'internal]', 'terminate called', 'Exception'):
            if words in self.log:
                return f'log has {words!r}'
        return ''


def one_signal(rng: random.Random, until_s: float, second: bool, domain_id: int) -> Result:
    """Start a node, send it a signal at a random moment, and wait for its end."""
    number, after_s = rng.choice(_SIGNALS), rng.uniform(0.0, until_s)
    environment = os.environ | {
        'ROS_DOMAIN_ID': str(domain_id),
        'PYTHONPATH': os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')]),
    }
    command = [sys.executable, str(ROOT / 'scripts/fusion_node'), '--ros-args']
    command += ['-p', 'autostart:=true']
    with tempfile.TemporaryFile('w+', encoding='utf-8', errors='replace') as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        time.sleep(after_s)
        start = time.monotonic()
        process.send_signal(number)
        if second:
            time.sleep(rng.uniform(0.0, 0.3))
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
        try:
            code = process.wait(KILL_AFTER_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        took_s = time.monotonic() - start
        log.seek(0)
        return Result(number, after_s, code, took_s, log.read())


def publish_pairs(domain_id: int) -> None:
    """Publish pairs of small images until killed, and listen to the outputs."""
    import array

    from mafs_model.topics import absolute, IMAGE_TOPICS, INPUT_TOPICS
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image

    rclpy.init(domain_id=domain_id)
    node = rclpy.create_node('cameras')
    for topic in IMAGE_TOPICS.values():
        node.create_subscription(Image, absolute(topic), lambda message: None, 1)
    images = {
        stream: (
            node.create_publisher(Image, topic, qos_profile_sensor_data),
            Image(
                height=120,
                width=160,
                encoding=code,
                step=160 * size,
                data=array.array('B', bytes(19200 * size)),
            ),
        )
        for (stream, topic), code, size in zip(
            INPUT_TOPICS.items(), ('bgr8', 'mono16'), (3, 2), strict=True
        )
    }
    while True:
        stamp = node.get_clock().now().to_msg()
        for publisher, image in images.values():
            image.header.stamp = stamp
            publisher.publish(image)
        rclpy.spin_once(node, timeout_sec=0.02)


def burn() -> None:
    """Take a core's time until killed."""
    while True:
        pass


def main() -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--count', type=int, default=200, help='signals (default: %(default)s)')
    parser.add_argument('--until', type=float, default=20.0, help='latest moment, s')
    parser.add_argument('--load', type=int, default=0, help='processes that keep cores busy')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--domain-id', type=int, default=87)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    spawn = multiprocessing.get_context('spawn')
    helpers = [spawn.Process(target=publish_pairs, args=(options.domain_id,), daemon=True)]
    helpers += [spawn.Process(target=burn, daemon=True) for _ in range(options.load)]
    for helper in helpers:
        helper.start()
    results = []
    try:
        for index in range(options.count):
            result = one_signal(rng, options.until, index % 3 == 2, options.domain_id)
            results.append(result)
            if result.fault:
                name = signal.Signals(result.number).name
                print(f'{index}: {name} after {result.after_s:.2f} s: {result.fault}')
                print('    ' + '\n    '.join(result.log.splitlines()[-12:]))
    finally:
        for helper in helpers:
            helper.kill()
            helper.join()
    phases = ', '.join(f'{n} {phase}' for phase, n in Counter(r.phase for r in results).items())
    failed = sum(bool(r.fault) for r in results)
    ours = [r.took_s for r in results if r.phase != 'before us']
    slowest = max(ours, default=0.0)
    print(
        f'{len(results)} signals ({phases}): {failed} failed; slowest end {slowest:.2f} s, '
        f'load {os.getloadavg()[0]:.1f}'
    )
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
