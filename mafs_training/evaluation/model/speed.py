"""Speed of a predictor on one pair after the other, beside a fixed workload."""

from __future__ import annotations

import platform
import time
from typing import Any

import cv2
from mafs_model.predictor import Predictor
from mafs_training.datasets.reading import RawPair
import numpy as np

RUNS = 30
_REFERENCE_SIDE = 1024


def measure_speed(predictor: Predictor, pair: RawPair, runs: int = RUNS) -> dict[str, Any]:
    """
    Time predictions of one pair, uint8 images in, uint8 images out, nothing else running.

    A float32 matrix product of 1024x1024 is timed between the predictions, so that numbers of
    different machines (or of a busy one) can be compared as ratios.

    Args:
        predictor: the model.
        pair: one pair.
        runs: number of predictions after warming up.

    """
    size = (pair.visible.shape[0], pair.visible.shape[1])
    predictor.warm_up(size, pair.thermal.shape)
    matrix = np.random.default_rng(0).random((_REFERENCE_SIDE, _REFERENCE_SIDE), np.float32)
    totals, reference = [], []
    stages: dict[str, list[float]] = {}
    for _ in range(runs):
        start = time.perf_counter()
        _ = matrix @ matrix
        middle = time.perf_counter()
        prediction = predictor.predict(pair.visible, pair.thermal)
        totals.append(1e3 * (time.perf_counter() - middle))
        reference.append(1e3 * (middle - start))
        for stage, value in prediction.timings_ms.items():
            stages.setdefault(stage, []).append(value)
    median = float(np.median(totals))
    return {
        'size': f'{size[1]}x{size[0]}',
        'runs': runs,
        'device': predictor.device,
        'backend': predictor.backend,
        'machine': _machine(),
        'opencv_threads': cv2.getNumThreads(),
        'median_ms': median,
        'p90_ms': float(np.quantile(totals, 0.9)),
        'max_ms': float(np.max(totals)),
        'pairs_per_s': 1e3 / median,
        'stages_ms': {stage: float(np.median(values)) for stage, values in stages.items()},
        'matmul_1024_ms': float(np.median(reference)),
        'in_matmuls': median / float(np.median(reference)),
    }


def _machine() -> str:
    """Return the processor as the system names it."""
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as file:
            for line in file:
                if line.startswith('model name'):
                    return line.partition(':')[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
