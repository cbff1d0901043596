"""
Processes that start on one empty cache folder: how many fail, and how long they take.

Prints a line of JSON. `--staggered` starts one every `--apart` seconds, each group of
`--group` on a cache that was cleared before; `--simultaneous` starts that many at once.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
import subprocess
import sys
import tempfile
import time

CODE = """
import hashlib, sys
import numpy as np
from mafs_model.predictor import Predictor
shape = (int(sys.argv[2]), int(sys.argv[3]))
with Predictor.create(sys.argv[1], device='cpu', backend=sys.argv[4], threads=1) as predictor:
    rng = np.random.default_rng(0)
    result = predictor.predict(
        rng.integers(0, 256, (*shape, 3), np.uint8), rng.integers(0, 256, shape, np.uint8)
    )
print(hashlib.sha256(result.fused.tobytes() + result.labels.tobytes()).hexdigest())
"""


def main() -> int:
    """Run the benchmark; return 1 if a process failed or answered otherwise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--weights', default='default')
    parser.add_argument('--backend', default='openvino')
    parser.add_argument('--size', default='96x64', metavar='WxH')
    parser.add_argument('--staggered', type=int, default=20)
    parser.add_argument('--group', type=int, default=4)
    parser.add_argument('--apart', type=float, default=0.3, help='seconds between two starts')
    parser.add_argument('--simultaneous', type=int, default=8)
    options = parser.parse_args()
    rounds = [options.group] * (options.staggered // options.group)
    failures, answers, seconds = [], set(), []
    for apart, groups in ((options.apart, rounds), (0.0, [options.simultaneous])):
        for count in filter(None, groups):
            start = time.monotonic()
            for text, code in run_group(options, count, apart):
                if code:
                    failures.append(text[-300:])
                else:
                    answers.add(text.strip())
            seconds.append(round(time.monotonic() - start, 2))
    print(
        json.dumps(
            {
                'started': sum(rounds) + options.simultaneous,
                'failed': len(failures),
                'answers': len(answers),
                'group_s': seconds,
                'failures': failures[:3],
            }
        )
    )
    return int(bool(failures) or len(answers) != 1)


def run_group(options: argparse.Namespace, count: int, apart: float) -> list[tuple[str, int]]:
    """Return output and exit code of processes on one empty cache."""
    width, height = options.size.split('x')
    with tempfile.TemporaryDirectory(prefix='mafs-cache-') as folder:
        environment = {**os.environ, 'MAFS_CACHE_DIR': str(Path(folder) / 'cache')}
        command = [sys.executable, '-c', CODE, options.weights, height, width, options.backend]
        started = []
        for _ in range(count):
            started.append(
                subprocess.Popen(
                    command,
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            time.sleep(apart)
        ended = []
        for process in started:
            out, error = process.communicate()
            ended.append((out or error, process.returncode))
    return ended


if __name__ == '__main__':
    sys.exit(main())
