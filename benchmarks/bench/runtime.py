"""Latency of every backend, bytes to bytes through the predictor."""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import os
from pathlib import Path
from typing import Any

from benchmarks.bench.interleave import interleave, latency_figures, REFERENCE, round_reporter
from benchmarks.bench.options import CLASSICAL, Options
from benchmarks.bench.weights import (
    prepare_weights,
    PreparedWeights,
    rendered_pairs,
    save_pairs,
)
from benchmarks.bench.worker import Worker, WorkerError
from mafs_model.runtime.cache import CACHE_VARIABLE
from mafs_model.types import Size
import numpy as np

Row = dict[str, Any]
Report = Callable[[str], None]
_BASE_SIZE: Size = (480, 640)
_PAIRS = 3
_TRUTH = ('torch', 'fp32')


def measure_runtime(options: Options, report: Report) -> list[Row]:
    """
    Time every variant, device, backend, precision and size.

    Those of one variant, device and size are timed in turns with each other and with the
    references.

    Args:
        options: what to time.
        report: called with a line per step.

    """
    base = rendered_pairs(*((options.sizes[0], 1) if options.quick else (_BASE_SIZE, _PAIRS)))
    rows: list[Row] = []
    with _cache_folder(options.work / 'cache'):
        for variant in options.variants:
            wanted = {d: options.configurations(variant, d) for d in options.devices}
            int8 = [
                b for configurations in wanted.values() for b, p in configurations if p == 'int8'
            ]
            report(f'{variant}: preparing weights')
            weights = prepare_weights(variant, options.work / variant, int8)
            for size in options.sizes:
                pairs = options.work / f'pairs_{size[1]}x{size[0]}.npz'
                save_pairs(pairs, base, size)
                for device, configurations in wanted.items():
                    group = _Group(options, variant, weights, size, device, pairs)
                    rows += group.measure(configurations, report)
    return rows


@contextlib.contextmanager
def _cache_folder(folder: Path) -> Any:
    """Let workers share exported graphs, whose making is not what is timed."""
    before = os.environ.get(CACHE_VARIABLE)
    os.environ[CACHE_VARIABLE] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[CACHE_VARIABLE]
        else:
            os.environ[CACHE_VARIABLE] = before


class _Group:
    """What is timed in turns with each other."""

    def __init__(
        self,
        options: Options,
        variant: str,
        weights: PreparedWeights,
        size: Size,
        device: str,
        pairs: Path,
    ) -> None:
        self._options, self._variant, self._weights = options, variant, weights
        self._size, self._device, self._pairs = size, device, pairs

    def measure(self, configurations: list[tuple[str, str]], report: Report) -> list[Row]:
        """Time (backend, precision) pairs; one that cannot be set up is told and left out."""
        title = f'{self._variant} {self._size[1]}x{self._size[0]} {self._device}'
        with contextlib.ExitStack() as stack:
            workers: dict[str, Worker] = {}
            rows: dict[str, Row] = {}
            reference = Worker('reference', dict(self._options.reference(self._device)))
            stack.callback(reference.close)
            for backend, precision in configurations:
                name = f'{backend} {precision}'
                report(f'{title}: starting {name}')
                try:
                    worker = Worker('predictor', self._arguments(backend, precision))
                except WorkerError as error:
                    report(f'{title}: {name} left out: {error}')
                    continue
                stack.callback(worker.close)
                workers[name] = worker
                rows[name] = self._row(backend, precision, worker.facts)
            if not workers:
                return []
            rounds = self._options.rounds
            series = interleave(
                {REFERENCE: reference, **workers},
                rounds,
                self._options.block,
                round_reporter(report, title, rounds),
            )
            for name, row in rows.items():
                row |= latency_figures(series[name], series[REFERENCE])
                row |= workers[name].after()
        self._compare(list(rows.values()))
        return list(rows.values())

    def _arguments(self, backend: str, precision: str) -> dict[str, Any]:
        classical = backend == CLASSICAL
        return {
            'weights': CLASSICAL if classical else str(self._weights.path),
            'backend': 'auto' if classical else backend,
            'precision': 'auto' if classical else precision,
            'device': self._device,
            'threads': self._options.threads,
            'pairs': str(self._pairs),
            'results': str(self._results(backend, precision)),
        }

    def _results(self, backend: str, precision: str) -> Path:
        return self._options.work / f'results_{backend}_{precision}.npz'

    def _row(self, backend: str, precision: str, facts: dict[str, Any]) -> Row:
        classical = backend == CLASSICAL
        made = precision == 'int8' and backend in self._weights.made_int8
        return {
            'variant': '-' if classical else self._variant,
            'backend': backend,
            'precision': precision,
            'device': self._device,
            'size': f'{self._size[1]}x{self._size[0]}',
            'threads': self._options.threads,
            'weights': 'none' if classical else facts['weights_id'],
            'trained': self._weights.trained and not classical,
            'calibrated_for_this_run': made,
        }

    def _compare(self, rows: list[Row]) -> None:
        """Add how far outputs are from torch fp32 on the same pairs, if that was timed too."""
        networks = [row for row in rows if row['backend'] != CLASSICAL]
        truth = self._results(*_TRUTH)
        if any((row['backend'], row['precision']) == _TRUTH for row in networks):
            with np.load(truth) as file:
                expected = dict(file)
            for row in networks:
                with np.load(self._results(row['backend'], row['precision'])) as file:
                    fused = np.abs(file['fused'].astype(np.int16) - expected['fused'])
                    equal = float((file['labels'] == expected['labels']).mean())
                row['against_torch_fp32'] = {
                    'fused_mean': round(float(fused.mean()), 4),
                    'fused_max': int(fused.max()),
                    'equal_labels': round(equal, 5),
                }
