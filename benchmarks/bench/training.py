"""Crops per second of the training stages."""

from __future__ import annotations

import contextlib
import statistics

from benchmarks.bench.interleave import interleave, percentile, REFERENCE, round_reporter
from benchmarks.bench.options import Options
from benchmarks.bench.runtime import Report, Row
from benchmarks.bench.worker import Worker


def measure_training(options: Options, report: Report) -> list[Row]:
    """Time the steps of every stage, in turns with the references."""
    rows = []
    variant = options.variants[0]
    for device in options.devices:
        with contextlib.ExitStack() as stack:
            workers = {REFERENCE: Worker('reference', dict(options.reference(device)))}
            stack.callback(workers[REFERENCE].close)
            for stage in options.stages:
                report(f'training {device}: starting {stage}')
                arguments = {
                    'stage': stage,
                    'variant': variant,
                    'device': device,
                    'threads': options.threads,
                    'crop': options.crop,
                    'batch': options.batch,
                }
                workers[stage] = Worker('training', arguments)
                stack.callback(workers[stage].close)
            series = interleave(
                workers,
                options.rounds,
                options.block,
                round_reporter(report, f'training {device}', options.rounds),
            )
            unit = statistics.median(series[REFERENCE].of('matmul'))
            for stage in options.stages:
                steps = series[stage].of('total')
                median = statistics.median(steps)
                rows.append(
                    {
                        'stage': stage,
                        'variant': variant,
                        'device': device,
                        'crop': options.crop,
                        'batch': options.batch,
                        'threads': options.threads,
                        'step_ms': round(median, 1),
                        'p99_ms': round(percentile(steps, 99), 1),
                        'samples': len(steps),
                        'crops_per_s': round(1e3 * options.batch / median, 2),
                        'units_per_crop': round(median / options.batch / unit, 3),
                        'unit_ms': round(unit, 2),
                        **workers[stage].after(),
                    }
                )
    return rows
