"""
Where the time of a graph goes: OpenVINO's own counters, by part of the network and by kernel.

    python benchmarks/layers.py                             # the int8 graph that comes with us
    python benchmarks/layers.py --graph my.int8.xml --size 720 1280 --top 20

Shares, not milliseconds, are what to read: counting slows every layer down, and a busy machine
slows all of them alike. One thread by default: with two, the wait for the other is in the numbers.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
import sys
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
if str(REPOSITORY) not in sys.path:
    sys.path.insert(0, str(REPOSITORY))

# ruff: noqa: E402 (the imports below need the path)
from mafs_model.runtime.factory import DEFAULT_WEIGHTS
import numpy as np

_WARM_UP = 2


def part_of(name: str) -> str:
    """Return the part of the network that a node belongs to, two levels deep."""
    steps = [step for step in name.split('/') if step]
    if not steps or steps[0] != 'network':
        return 'pixels in and out'
    return '/'.join(steps[1:3]) if len(steps) > 3 else steps[1]


def measure(graph: Path, size: tuple[int, int], threads: int, rounds: int) -> dict[Any, float]:
    """
    Return milliseconds per run by (node, kernel).

    Args:
        graph: OpenVINO .xml file with inputs named visible and thermal, or one of them.
        size: height and width of the images.
        threads: of the CPU.
        rounds: runs that are counted.

    """
    import openvino

    core = openvino.Core()
    model = core.read_model(graph)
    shapes = {
        port.get_any_name(): [1, *size, 3] if len(port.partial_shape) == 4 else [1, *size]
        for port in model.inputs
    }
    model.reshape(shapes)
    compiled = core.compile_model(
        model, 'CPU', {'PERF_COUNT': 'YES', 'INFERENCE_NUM_THREADS': threads}
    )
    request = compiled.create_infer_request()
    generator = np.random.default_rng(0)
    images = [generator.integers(0, 256, port.shape, dtype=np.uint8) for port in compiled.inputs]
    times: Counter[tuple[str, str]] = Counter()
    for run in range(_WARM_UP + rounds):
        request.infer(images)
        if run >= _WARM_UP:
            for node in request.profiling_info:
                kernel = f'{node.node_type} {node.exec_type}'
                times[node.node_name, kernel] += 1e3 * node.real_time.total_seconds() / rounds
    return dict(times)


def table(title: str, times: Counter[str], top: int) -> str:
    """Return the largest entries with their share of all."""
    total = sum(times.values())
    lines = [f'{title}: {total:.1f} ms']
    lines += [f'{100 * ms / total:6.1f} %  {name}' for name, ms in times.most_common(top)]
    return '\n'.join(lines)


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0].strip())
    default = DEFAULT_WEIGHTS.with_suffix('.int8.xml')
    parser.add_argument(
        '--graph', type=Path, default=default, help='OpenVINO .xml (default: ours)'
    )
    parser.add_argument(
        '--size', type=int, nargs=2, default=(480, 640), metavar=('HEIGHT', 'WIDTH')
    )
    parser.add_argument('--threads', type=int, default=1, help='CPU threads (default 1)')
    parser.add_argument('--rounds', type=int, default=10, help='counted runs (default 10)')
    parser.add_argument('--top', type=int, default=14, help='rows of each table (default 14)')
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print: by part, by kernel, by layer."""
    options = parse_arguments(arguments)
    if not options.graph.is_file():
        print(f'layers: {options.graph} is not a file', file=sys.stderr)
        return 2
    times = measure(options.graph, tuple(options.size), options.threads, options.rounds)
    by_part, by_kernel, by_layer = Counter[str](), Counter[str](), Counter[str]()
    for (name, kernel), ms in times.items():
        by_part[part_of(name)] += ms
        by_kernel[kernel] += ms
        by_layer[f'{name} ({kernel})'] += ms
    for title, counted in (('parts', by_part), ('kernels', by_kernel), ('layers', by_layer)):
        print(table(title, counted, options.top), end='\n\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
