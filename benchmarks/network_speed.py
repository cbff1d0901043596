"""
Time the graph of one variant alone: two uint8 images in, fused image, labels, confidence out.

Every backend that is installed is timed, in turns with a matrix product of fixed size. Its median
time is the unit, so that results compare between machines and between moments of a busy one:

    python benchmarks/network_speed.py --threads 2
    python benchmarks/network_speed.py --backends eager openvino --json out/speed.json

`python -m benchmarks.bench` times what users call; this one times the graphs alone. `eager` is
what the backend torch runs (normalisation folded, channels last, inference mode), `compile` the
same compiled, `module` the network as it is trained. On a busy machine count CPU time: --clock cpu
of all threads, --clock thread of the one that calls, which with OMP_WAIT_POLICY=PASSIVE is about
what a free machine would take. Weights may be random: no kernel is faster or slower for it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
import json
from pathlib import Path
import platform
import statistics
import sys
import tempfile
import time
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
if str(REPOSITORY) not in sys.path:
    sys.path.insert(0, str(REPOSITORY))

# ruff: noqa: E402 (the imports below need the path)
from benchmarks.bench import references
from benchmarks.bench.options import installed
from benchmarks.bench.weights import prepare_weights
from mafs_model.checkpoint import load_model
from mafs_model.errors import MafsError
from mafs_model.network.config import VARIANTS
from mafs_model.runtime.factory import build_engine
from mafs_model.runtime.graph import DeploymentGraph
import numpy as np
import torch

MODULE = 'module'
TORCH_BACKENDS = {'eager': 'torch', 'compile': 'torch-compile'}
GRAPHS = {
    'onnxruntime': ('onnxruntime', 'fp32'),
    'openvino': ('openvino', 'fp32'),
    'openvino-bf16': ('openvino', 'bf16'),
    'openvino-int8': ('openvino', 'int8'),
}
BACKENDS = ('eager', MODULE, 'compile', *GRAPHS)
CLOCKS = {'wall': time.perf_counter, 'cpu': time.process_time, 'thread': time.thread_time}

Images = tuple[np.ndarray, np.ndarray]
Runner = Callable[[], object]


def build_runners(
    backends: Sequence[str], variant: str, images: Images, threads: int, stack: ExitStack
) -> dict[str, Runner]:
    """Return the callables to time, by backend, in the order asked for."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    calibrated = [GRAPHS[b][0] for b in backends if GRAPHS.get(b, ('', ''))[1] == 'int8']
    weights = prepare_weights(variant, folder, calibrated).path
    tensors = [torch.from_numpy(image) for image in images]
    runners: dict[str, Runner] = {}
    for backend in backends:
        if backend == MODULE:
            graph = DeploymentGraph(load_model(weights)[0]).eval()
            runners[backend] = partial(graph, *tensors)
            continue
        in_torch = backend in TORCH_BACKENDS
        name, precision = (TORCH_BACKENDS[backend], 'fp32') if in_torch else GRAPHS[backend]
        engine: Any = build_engine(
            weights, backend=name, precision=precision, device='cpu', threads=threads
        )
        stack.callback(engine.close)
        if in_torch:
            runners[backend] = partial(engine.raw_runner('fusion'), *tensors)
        else:
            runners[backend] = partial(
                engine.raw_runner('fusion', images[1].shape[1:]), list(images)
            )
    return runners


def measure(
    runners: dict[str, Runner], rounds: int, block: int, clock: str
) -> dict[str, list[float]]:
    """
    Time callables in turns.

    Args:
        runners: what to time.
        rounds: how often the turn goes round.
        block: consecutive calls of each in one turn; the first of a block is not counted.
        clock: one of ``CLOCKS``: wall, CPU time of all threads, CPU time of the calling thread;
            a busy machine disturbs the last two less.

    Returns:
        Milliseconds of every counted call, by name.

    """
    now = CLOCKS[clock]
    times: dict[str, list[float]] = {name: [] for name in runners}
    for run in runners.values():
        run()
        run()
    for _ in range(rounds):
        for name, run in runners.items():
            run()
            for _ in range(block):
                start = now()
                run()
                times[name].append((now() - start) * 1e3)
    return times


def summarise(times: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Return one row per backend: median, fastest and 99th percentile, the median in units."""
    unit = statistics.median(times['matmul'])
    return [
        {
            'backend': name,
            'median_ms': round(statistics.median(values), 2),
            'best_ms': round(min(values), 2),
            'p99_ms': round(float(np.percentile(values, 99)), 2),
            'units': round(statistics.median(values) / unit, 2),
            'best_units': round(min(values) / min(times['matmul']), 2),
        }
        for name, values in times.items()
    ]


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0].strip())
    parser.add_argument('--variant', choices=VARIANTS, default='mafs_t')
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        default=(480, 640),
        metavar=('HEIGHT', 'WIDTH'),
        help='pixels (default 480 640)',
    )
    parser.add_argument('--threads', type=int, default=2, help='CPU threads (default 2)')
    parser.add_argument(
        '--backends',
        nargs='+',
        choices=BACKENDS,
        default=None,
        help='default: all that are installed; eager: what the backend torch runs, module: the '
        'network as it is trained',
    )
    parser.add_argument('--rounds', type=int, default=10, help='turns (default 10)')
    parser.add_argument(
        '--block', type=int, default=3, help='counted calls per turn and backend (default 3)'
    )
    parser.add_argument(
        '--clock',
        choices=tuple(CLOCKS),
        default='wall',
        help='for a busy machine: cpu, time of all threads, or thread, time of the calling one',
    )
    parser.add_argument('--json', type=Path, default=None, help='file for the results')
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Time, print a table and, if asked, write JSON."""
    options = parse_arguments(arguments)
    torch.set_num_threads(options.threads)
    wanted = options.backends or BACKENDS
    backends = [b for b in wanted if b not in GRAPHS or installed(GRAPHS[b][0])]
    for backend in wanted:
        if backend not in backends:
            print(f'{backend}: not installed, left out')
    generator = np.random.default_rng(0)
    height, width = options.size
    images = (
        generator.integers(0, 256, (1, height, width, 3), dtype=np.uint8),
        generator.integers(0, 256, (1, height, width), dtype=np.uint8),
    )
    try:
        with torch.inference_mode(), ExitStack() as stack:
            runners: dict[str, Runner] = {'matmul': references.matmul('cpu').run}
            runners |= build_runners(backends, options.variant, images, options.threads, stack)
            rows = summarise(measure(runners, options.rounds, options.block, options.clock))
    except MafsError as error:
        print(f'network_speed: {error}', file=sys.stderr)
        return 2
    print(
        f'{options.variant}, {width}x{height}, batch 1, bytes to bytes, {options.threads} '
        f'threads, {options.clock} time; unit: fp32 matmul {references.MATMUL_SIDE}^3'
    )
    print(
        f'{"backend":14} {"median ms":>10} {"best ms":>9} {"p99 ms":>9} {"units":>7} '
        f'{"best/best":>10}'
    )
    for row in rows:
        print(
            f'{row["backend"]:14} {row["median_ms"]:10.1f} {row["best_ms"]:9.1f} '
            f'{row["p99_ms"]:9.1f} {row["units"]:7.2f} {row["best_units"]:10.2f}'
        )
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(
            json.dumps(
                {
                    'variant': options.variant,
                    'size': [height, width],
                    'threads': options.threads,
                    'clock': options.clock,
                    'torch': str(torch.__version__),
                    'processor': platform.processor() or platform.machine(),
                    'rows': rows,
                },
                indent=2,
            )
            + '\n',
            encoding='utf-8',
        )
    return 0


if __name__ == '__main__':
    sys.exit(main())
