"""How far predictions are from what the machine allows, measured in the same run."""

from __future__ import annotations

import contextlib
from typing import Any

from benchmarks.bench.cost import floor_ms, network_cost, Rates
from benchmarks.bench.interleave import interleave, REFERENCE, round_reporter, Series
from benchmarks.bench.options import CLASSICAL, Options
from benchmarks.bench.runtime import Report, Row
from benchmarks.bench.weights import prepare_weights, rendered_pairs, save_pairs
from benchmarks.bench.worker import Worker, WorkerError

# The precision in which a device is judged, and workloads large enough to fill it.
_PRECISION = {'cpu': 'fp32', 'cuda': 'fp16'}
_LARGE: dict[str, dict[str, Any]] = {'cpu': {}, 'cuda': {'side': 8192, 'batch': 32}}


def measure_floor(options: Options, report: Report) -> list[Row]:
    """
    Time rates of each device and the backends that compute in its precision, in turns.

    On a GPU that is fp16, one pair, uint8 to uint8 with both transfers; on a CPU fp32, and there
    is nothing to transfer.
    """
    variant, size = options.variants[0], options.sizes[0]
    weights = prepare_weights(variant, options.work / 'floor')
    pairs = options.work / 'pairs_floor.npz'
    save_pairs(pairs, rendered_pairs(size, 1), size)
    cost = network_cost(variant, size)
    rows: list[Row] = []
    for device in options.devices:
        kind = device.partition(':')[0]
        precision = _PRECISION[kind]
        with contextlib.ExitStack() as stack:
            arguments = {
                **options.reference(device),
                **({} if options.quick else _LARGE[kind]),
                'precision': precision,
                'copies': True,
            }
            reference = Worker('reference', arguments)
            stack.callback(reference.close)
            workers: dict[str, Worker] = {}
            for backend, known in options.configurations(variant, device):
                if backend == CLASSICAL or known != precision:
                    continue
                report(f'floor {device}: starting {backend}')
                try:
                    workers[backend] = Worker(
                        'predictor',
                        {
                            'weights': str(weights.path),
                            'backend': backend,
                            'precision': precision,
                            'device': device,
                            'threads': options.threads,
                            'pairs': str(pairs),
                            'results': str(options.work / 'results_floor.npz'),
                        },
                    )
                except WorkerError as error:
                    report(f'floor {device}: {backend} left out: {error}')
                    continue
                stack.callback(workers[backend].close)
            series = interleave(
                {REFERENCE: reference, **workers},
                options.rounds,
                options.block,
                round_reporter(report, f'floor {device}', options.rounds),
            )
            measured = _rates(series[REFERENCE], reference.facts)
        floor = floor_ms(cost, _as_rates(measured), precision)
        for backend in workers:
            totals = series[backend].of('total')
            median = sorted(totals)[len(totals) // 2]
            rows.append(
                {
                    'variant': variant,
                    'backend': backend,
                    'precision': precision,
                    'device': device,
                    'size': f'{size[1]}x{size[0]}',
                    'threads': options.threads,
                    'gflops': round(cost.flops / 1e9, 2),
                    'weights_m': round(cost.weights / 1e6, 2),
                    'map_numbers_m': round(cost.map_numbers / 1e6, 1),
                    'rates': {name: round(rate / 1e9, 2) for name, rate in measured.items()},
                    **{name: round(value, 4) for name, value in floor.items()},
                    'median_ms': round(median, 3),
                    'best_ms': round(min(totals), 3),
                    'ratio': round(median / floor['floor_ms'], 2),
                }
            )
    return rows


def _rates(series: Series, amounts: dict[str, float]) -> dict[str, float]:
    """Return the best rate of each workload: operations or bytes per second."""
    return {name: amount / (min(series.of(name)) / 1e3) for name, amount in amounts.items()}


def _as_rates(measured: dict[str, float]) -> Rates:
    infinite = float('inf')
    return Rates(
        max(measured['matmul'], measured['convolutions']),
        measured['memory'],
        measured.get('upload', infinite),
        measured.get('download', infinite),
    )
