"""Rounds in which everything has its turn, and what is made of the times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
import statistics
from typing import Any

from benchmarks.bench.tasks import Sample, STAGES
from benchmarks.bench.worker import Worker
import numpy as np

REFERENCE = 'reference'


@dataclass
class Series:
    """
    Times of one worker over all rounds.

    Attributes:
        samples: of every counted call.
        joules: energy of one call, once a round where it can be read.

    """

    samples: list[Sample] = field(default_factory=list)
    joules: list[float] = field(default_factory=list)

    def of(self, part: str) -> list[float]:
        """Return the times of one part in ms."""
        return [sample[part] for sample in self.samples]


def interleave(
    workers: dict[str, Worker],
    rounds: int,
    block: int,
    progress: Callable[[int], None] = lambda number: None,
) -> dict[str, Series]:
    """
    Time workers in turns.

    Args:
        workers: by name.
        rounds: how often the turn goes round; more than one, so that a slow minute of the
            machine meets all alike.
        block: counted calls in one turn; one more at its beginning warms caches and is not
            counted.
        progress: called with the number of each finished round.

    """
    series = {name: Series() for name in workers}
    for number in range(rounds):
        for name, worker in workers.items():
            samples, joules = worker.run(block)
            series[name].samples += samples
            if joules is not None:
                series[name].joules.append(joules)
        progress(number + 1)
    return series


def round_reporter(
    report: Callable[[str], None], title: str, rounds: int
) -> Callable[[int], None]:
    """Return a progress callback for :func:`interleave`."""
    return lambda number: report(f'{title}: round {number} of {rounds}')


def latency_figures(series: Series, references: Series) -> dict[str, Any]:
    """Return median, 99th percentile, rate, units and stages of predictions."""
    totals = series.of('total')
    median, unit = statistics.median(totals), statistics.median(references.of('matmul'))
    convolution = statistics.median(references.of('convolutions'))
    figures = {
        'median_ms': round(median, 2),
        'best_ms': round(min(totals), 2),
        'p99_ms': round(percentile(totals, 99), 2),
        'samples': len(totals),
        'pairs_per_s': round(1e3 / median, 2),
        'units': round(median / unit, 3),
        'convolutions': round(median / convolution, 3),
        'unit_ms': round(unit, 2),
        'convolution_ms': round(convolution, 2),
        'stages_ms': {s: round(statistics.median(series.of(s)), 3) for s in STAGES},
    }
    if series.joules:
        figures['joules_per_pair'] = round(statistics.median(series.joules), 4)
    return figures


def percentile(values: Sequence[float], share: float) -> float:
    """Return a percentile."""
    return float(np.percentile(values, share))
