"""
Time one network variant, two uint8 images in, fused image, labels and confidence (uint8) out.

Every backend that is installed is timed, in turns with a matrix product of fixed size. Its median
time is the unit, so that results compare between machines and between moments of a busy one:

    python benchmarks/network_speed.py --threads 2
    python benchmarks/network_speed.py --backends eager openvino --json out/speed.json

Weights are random: no kernel is faster or slower for it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
import importlib.util
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
from mafs_model.config import create_config, VARIANTS
from mafs_model.errors import MafsError
from mafs_model.layers.folding import fold_normalisation
from mafs_model.mafs import MAFS
from mafs_model.runtime.graph import DeploymentGraph
import numpy as np
import torch

MATMUL_SIZE = 1536
TORCH_BACKENDS = ('eager', 'channels-last', 'folded', 'compile')
BACKENDS = (*TORCH_BACKENDS, 'onnxruntime', 'openvino', 'openvino-bf16', 'openvino-int8')

Images = tuple[np.ndarray, np.ndarray]
Runner = Callable[[], object]


def random_network(variant: str, num_classes: int) -> MAFS:
    """Return an untrained network with every bias and statistic away from its first value."""
    torch.manual_seed(0)
    network = MAFS(create_config(variant, num_classes)).eval()
    with torch.no_grad():
        for name, values in network.state_dict().items():
            if name.endswith(('bias', 'running_mean')):
                values.add_(0.05 * torch.randn_like(values))
    return network


def torch_runner(graph: DeploymentGraph, images: Images, backend: str) -> Runner:
    """Return a callable that runs the graph in torch."""
    tensors = [torch.from_numpy(image) for image in images]
    if backend != 'eager':
        network = (
            fold_normalisation(graph.network) if backend != 'channels-last' else (graph.network)
        )
        network = network.to(memory_format=torch.channels_last)
        graph = DeploymentGraph(network, graph.mode).eval()
    run: Any = torch.compile(graph, dynamic=False) if backend == 'compile' else graph
    return lambda: run(*tensors)


def export_onnx(graph: DeploymentGraph, images: Images, path: Path) -> None:
    """Write the graph for the size of the images."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # the tracer remarks on every shape check
        torch.onnx.export(
            graph,
            tuple(torch.from_numpy(image) for image in images),
            str(path),
            input_names=['visible', 'thermal'],
            output_names=['fused', 'labels', 'confidence'],
            opset_version=17,
            dynamo=False,
        )


def onnxruntime_runner(path: Path, images: Images, threads: int) -> Runner:
    """Return a callable that runs an ONNX file in onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
    feed = dict(zip(('visible', 'thermal'), images, strict=True))
    return lambda: session.run(None, feed)


def openvino_runner(path: Path, images: Images, threads: int, precision: str) -> Runner:
    """Return a callable that runs an ONNX file in OpenVINO, quantised for ``int8``."""
    import openvino

    core = openvino.Core()
    model = core.read_model(str(path))
    if precision == 'int8':
        model = quantise(model, images)
    compiled = core.compile_model(
        model,
        'CPU',
        {
            'INFERENCE_NUM_THREADS': threads,
            'PERFORMANCE_HINT': 'LATENCY',
            'INFERENCE_PRECISION_HINT': 'bf16' if precision == 'bf16' else 'f32',
        },
    )
    request = compiled.create_infer_request()
    return lambda: request.infer(list(images), share_inputs=True, share_outputs=True)


def quantise(model: Any, images: Images) -> Any:
    """Quantise to int8 as the export does; attention and pixel arithmetic stay in fp32."""
    import logging

    import nncf

    nncf.set_log_level(logging.ERROR)
    generator = np.random.default_rng(0)
    samples = [
        [generator.integers(0, 256, image.shape, dtype=np.uint8) for image in images]
        for _ in range(4)
    ]
    return nncf.quantize(
        model,
        nncf.Dataset(samples),
        subset_size=len(samples),
        ignored_scope=nncf.IgnoredScope(patterns=list(FLOAT_SCOPES), validate=False),
    )


# Operations of the attention itself and of the blend at pixel precision, not their convolutions.
FLOAT_SCOPES = (
    r'.*/attention/[A-Z][^/]*',
    r'.*/fusion_decoder/[A-Z][^/]*',
    r'.*/fusion_decoder/smooth.*',
)


def installed(backend: str) -> bool:
    """Return whether the packages of a backend can be imported."""
    needed = {
        'onnxruntime': ['onnx', 'onnxruntime'],
        'openvino': ['onnx', 'openvino'],
        'openvino-bf16': ['onnx', 'openvino'],
        'openvino-int8': ['onnx', 'openvino', 'nncf'],
    }.get(backend, [])
    return all(importlib.util.find_spec(name) is not None for name in needed)


def build_runners(
    backends: Sequence[str], graph: DeploymentGraph, images: Images, threads: int, folder: Path
) -> dict[str, Runner]:
    """Return the callables to time, by backend, in the order asked for."""
    path = folder / 'network.onnx'
    if any(backend not in TORCH_BACKENDS for backend in backends):
        export_onnx(graph, images, path)
    runners: dict[str, Runner] = {}
    for backend in backends:
        if backend in TORCH_BACKENDS:
            runners[backend] = torch_runner(graph, images, backend)
        elif backend == 'onnxruntime':
            runners[backend] = onnxruntime_runner(path, images, threads)
        else:
            precision = backend.partition('-')[2] or 'fp32'
            runners[backend] = openvino_runner(path, images, threads, precision)
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
        clock: ``wall`` or ``cpu`` (time of all threads; a busy machine disturbs it less).

    Returns:
        Milliseconds of every counted call, by name.

    """
    now = time.process_time if clock == 'cpu' else time.perf_counter
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
    parser.add_argument('--classes', type=int, default=9, help='number of classes')
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
        help='default: all that are installed',
    )
    parser.add_argument('--rounds', type=int, default=10, help='turns (default 10)')
    parser.add_argument(
        '--block', type=int, default=3, help='counted calls per turn and backend (default 3)'
    )
    parser.add_argument(
        '--clock',
        choices=('wall', 'cpu'),
        default='wall',
        help='cpu: CPU time of all threads, for a busy machine',
    )
    parser.add_argument('--json', type=Path, default=None, help='file for the results')
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Time, print a table and, if asked, write JSON."""
    options = parse_arguments(arguments)
    torch.set_num_threads(options.threads)
    wanted = options.backends or BACKENDS
    backends = [backend for backend in wanted if installed(backend)]
    for backend in wanted:
        if backend not in backends:
            print(f'{backend}: not installed, left out')
    generator = np.random.default_rng(0)
    height, width = options.size
    images = (
        generator.integers(0, 256, (1, height, width, 3), dtype=np.uint8),
        generator.integers(0, 256, (1, height, width), dtype=np.uint8),
    )
    factors = torch.rand(2, MATMUL_SIZE, MATMUL_SIZE)
    try:
        graph = DeploymentGraph(random_network(options.variant, options.classes)).eval()
        with torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
            runners: dict[str, Runner] = {'matmul': lambda: factors[0] @ factors[1]}
            runners.update(build_runners(backends, graph, images, options.threads, Path(folder)))
            rows = summarise(measure(runners, options.rounds, options.block, options.clock))
    except MafsError as error:
        print(f'network_speed: {error}', file=sys.stderr)
        return 2
    print(
        f'{options.variant}, {width}x{height}, batch 1, bytes to bytes, {options.threads} '
        f'threads, {options.clock} time; unit: fp32 matmul {MATMUL_SIZE}^3'
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
