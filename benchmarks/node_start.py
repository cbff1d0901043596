"""
How long a node takes from nothing to its first fused pair, stage by stage.

    python benchmarks/node_start.py                 with the caches as they are
    python benchmarks/node_start.py --cold          as on the first start: no network compiled yet
    python benchmarks/node_start.py --cold --bare   and no module either
    python benchmarks/node_start.py --imports 15    and the imports that take longest

Each run is a process of its own; medians are shown. On a busy machine the processor time counts.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
import re
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

STAGES = (
    'import NumPy and OpenCV',
    'import rclpy',
    'import the node',
    'make the node',
    'choose and find the network',
    'load it and compute blank images',
    'rest of configure',
    'activate',
    'first pair',
    'one camera alone (in a thread)',
)
SIZE = (480, 640)


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--runs', type=int, default=3)
    parser.add_argument('--cold', action='store_true', help='no network compiled yet')
    parser.add_argument('--bare', action='store_true', help='no byte code either')
    parser.add_argument('--imports', type=int, default=0, metavar='N', help='show N imports')
    parser.add_argument('--weights', default='default')
    parser.add_argument('--json', action='store_true')
    parser.add_argument('--child', action='store_true', help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(run_stages(options.weights)))
        sys.stdout.flush()
        os._exit(0)  # What is loaded still computes in threads.
    runs = [start(options) for _ in range(max(1, options.runs))]
    medians = {
        stage: [statistics.median(run[stage][i] for run in runs) for i in range(2)]
        for stage in STAGES
    }
    if options.json:
        print(
            json.dumps(
                {
                    stage: dict(zip(('cpu_s', 'wall_s'), medians[stage], strict=True))
                    for stage in STAGES
                }
            )
        )
    else:
        show(medians)
    if options.imports:
        show_imports(options.imports)
    return 0


def start(options: argparse.Namespace) -> dict[str, list[float]]:
    """Return stage -> (processor time, wall time) in s of a process of its own."""
    command = [sys.executable, __file__, '--child', '--weights', options.weights]
    with tempfile.TemporaryDirectory(prefix='mafs-start-') as folder:
        environment = dict(os.environ)
        if options.cold:
            environment['MAFS_CACHE_DIR'] = str(Path(folder) / 'networks')
        if options.bare:
            environment['PYTHONPYCACHEPREFIX'] = str(Path(folder) / 'python')
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
    result: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return result


def run_stages(weights: str) -> dict[str, tuple[float, float]]:
    """Return stage -> (processor time, wall time) in s of this process."""
    found: dict[str, tuple[float, float]] = {}
    last = [0.0, time.time() - started_s()]  # Python itself counts with the first stage.

    def mark(stage: str) -> None:
        now = [time.process_time(), time.time() - begun]
        found[stage] = (now[0] - last[0], now[1] - last[1])
        last[:] = now

    begun = time.time() - last[1]
    last[1] = 0.0
    import cv2  # noqa: F401
    import numpy as np

    mark(STAGES[0])
    import rclpy
    import rclpy.lifecycle

    mark(STAGES[1])
    from mafs_model.prediction import Outputs
    from mafs_ros.inference import Inference
    from mafs_ros.node import create
    from rclpy.parameter import Parameter

    mark(STAGES[2])
    rclpy.init(args=['--ros-args', '--log-level', 'error'])
    node: Any = create()
    node.set_parameters([Parameter('weights', value=weights)])
    mark(STAGES[3])
    make, warm_up = Inference.__init__, Inference.warm_up

    def made(*arguments: Any) -> None:
        make(*arguments)
        mark(STAGES[4])

    def warmed(inference: Inference) -> None:
        warm_up(inference)
        mark(STAGES[5])

    Inference.__init__, Inference.warm_up = made, warmed  # type: ignore[method-assign]
    node.trigger_configure()
    mark(STAGES[6])
    node.trigger_activate()
    mark(STAGES[7])
    inference = node._inference
    generator = np.random.default_rng(0)
    inference.predict(
        generator.integers(0, 256, (*SIZE, 3), np.uint8),
        generator.integers(0, 256, SIZE, np.uint8),
        Outputs(),
    )
    mark(STAGES[8])
    node._standby.tick(inference.predictor)
    node._standby.stop(600.0)
    mark(STAGES[9])
    return found


def started_s() -> float:
    """Return when this process began, seconds since 1970."""
    ticks = int(Path('/proc/self/stat').read_text().rpartition(')')[2].split()[19])
    boot = next(
        int(line.split()[1])
        for line in Path('/proc/stat').read_text().splitlines()
        if line.startswith('btime')
    )
    return boot + ticks / os.sysconf('SC_CLK_TCK')


def show(medians: dict[str, list[float]]) -> None:
    """Print a table; what follows the first pair does not count into the sum."""
    print(f'{"stage":34} {"CPU s":>7} {"wall s":>7}')
    total = [0.0, 0.0]
    for stage in STAGES:
        if stage == STAGES[-1]:
            print(f'{"until the first pair is fused":34} {total[0]:7.2f} {total[1]:7.2f}')
        total = [total[i] + medians[stage][i] for i in range(2)]
        print(f'{stage:34} {medians[stage][0]:7.2f} {medians[stage][1]:7.2f}')


def show_imports(count: int) -> None:
    """Print the modules that take longest by themselves, in ms."""
    done = subprocess.run(
        [sys.executable, '-X', 'importtime', '-c', 'import mafs_ros.node, openvino'],
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    rows = re.findall(r'import time: +(\d+) \| +\d+ \| +(\S+)', done.stderr)
    print('\nimports that take longest by themselves, ms')
    for own_us, module in sorted(rows, key=lambda row: -int(row[0]))[:count]:
        print(f'{int(own_us) / 1e3:7.1f}  {module}')


if __name__ == '__main__':
    sys.exit(main())
