"""The node end to end over DDS: cameras, node and recorder on the same cores."""

from __future__ import annotations

from importlib.util import find_spec
import json
from pathlib import Path
import statistics
import subprocess
import sys
from typing import Any

from benchmarks.bench.machine import ROOT
from benchmarks.bench.options import CLASSICAL, Options
from benchmarks.bench.runtime import Report, Row
from benchmarks.bench.weights import prepare_weights
from benchmarks.bench.worker import Worker, WorkerError
from mafs_model.types import Size

_REFERENCE_CALLS = 5
_DEMO_FOLDER = ROOT / 'out' / 'bench'  # beside the demo's own, to share its rendered frames


def measure_node(options: Options, report: Report) -> list[Row]:
    """Run the demo with each setting and read its summary; without ROS there are no rows."""
    if find_spec('rclpy') is None:
        report('node: left out, rclpy is not installed')
        return []
    weights = prepare_weights(options.variants[0], options.work / 'node')
    trained = 'default' if weights.trained else str(weights.path)
    backends = options.backends or ('auto', CLASSICAL)
    rows = []
    for backend in backends:
        classical = backend == CLASSICAL
        parameters = {} if classical else {'backend': backend}
        if options.precisions and not classical:
            parameters['precision'] = options.precisions[0]
        for size in options.sizes[:1]:
            name = f'node {backend} {size[1]}x{size[0]}'
            runs, units = [], []
            for number in range(options.node_runs):
                report(f'{name}: run {number + 1} of {options.node_runs}')
                units.append(reference_unit_ms(options))
                chosen = CLASSICAL if classical else trained
                runs.append(_run_demo(options, chosen, parameters, size))
            units.append(reference_unit_ms(options))
            rows.append(
                {
                    'variant': '-' if classical else options.variants[0],
                    'setting': backend,
                    'precision': parameters.get('precision', 'auto'),
                    'size': f'{size[1]}x{size[0]}',
                    'rate_hz': options.node_rate_hz,
                    'trained': weights.trained and not classical,
                    'unit_ms': round(statistics.median(units), 2),
                    **_figures(runs),
                }
            )
    return rows


def _figures(runs: list[dict[str, Any]]) -> Row:
    """Return the medians over the runs."""

    def middle(*keys: str) -> float:
        values = []
        for run in runs:
            value: Any = run
            for key in keys:
                value = value[key]
            values.append(float(value))
        return round(statistics.median(values), 2)

    return {
        'backend': runs[-1]['backend'],
        'device': runs[-1]['device'],
        'weights': runs[-1]['weights'],
        'runs': len(runs),
        'seconds': runs[-1]['duration_s'],
        'pairs_per_s': middle('pairs_per_s'),
        'pairs_possible_per_s': round(
            statistics.median(r['pairs_possible'] / r['duration_s'] for r in runs), 2
        ),
        'latency_p50_ms': middle('latency_ms', 'p50'),
        'latency_p99_ms': middle('latency_ms', 'p99'),
        'worst_run_p99_ms': max(float(r['latency_ms']['p99']) for r in runs),
        'inference_p50_ms': middle('inference_ms', 'p50'),
        'fused_share': round(
            statistics.median(r['pairs_fused'] / max(1, r['pairs_possible']) for r in runs), 4
        ),
    }


def reference_unit_ms(options: Options) -> float:
    """Return the median time of the matrix product while nothing plays."""
    worker = Worker('reference', dict(options.reference('cpu')))
    try:
        samples, _ = worker.run(_REFERENCE_CALLS)
    finally:
        worker.close()
    return statistics.median(sample['matmul'] for sample in samples)


def _run_demo(
    options: Options, weights: str, parameters: dict[str, str], size: Size
) -> dict[str, Any]:
    """Return the summary of one run of the demo."""
    out = _DEMO_FOLDER
    command = [sys.executable, '-m', 'mafs_demo', '--no-movie', '--out', str(out)]
    command += ['--duration', f'{options.node_seconds:g}', '--rate', f'{options.node_rate_hz:g}']
    command += ['--size', f'{size[1]}x{size[0]}', '--weights', weights]
    for name, value in {**parameters, 'threads': str(options.threads)}.items():
        command += ['-p', f'{name}:={value}']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f'exit code {done.returncode}']
        raise WorkerError(f'the demo failed: {lines[-1]}')
    return dict(json.loads(Path(out / 'summary.json').read_text(encoding='utf-8')))
