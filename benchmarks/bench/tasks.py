"""What worker processes time: reference workloads, predictors and training steps."""

from __future__ import annotations

from pathlib import Path
import time
from typing import Any, Protocol

import numpy as np

STAGES = ('preprocess', 'inference', 'postprocess')
# A camera that counts, at half the resolution and slightly turned.
_COUNTS_PER_GREY, _COUNTS_OFFSET = 12, 28_000
_TWICE_AND_TURNED = [[2.0, 0.02, 1.0], [-0.02, 2.0, 1.0], [0.0, 0.0, 1.0]]
_CAMERA_RUNS = 11
Sample = dict[str, float]  # part -> milliseconds; the whole is called 'total'


class Task(Protocol):
    """One thing to time; made in its own process from JSON-like arguments."""

    def facts(self) -> dict[str, Any]:
        """Return what the set-up found out."""

    def once(self) -> Sample:
        """Do it once and return the times."""

    def after(self) -> dict[str, Any]:
        """Return figures of the whole work: memory, outputs."""


class ReferenceTask:
    """
    The unit and the convolutions; if asked for, the copies that bound a device.

    Args:
        device: where they run.
        threads: CPU threads.
        side: of the matrices.
        size: (height, width) of the convolved maps.
        batch: number of the convolved maps.
        precision: ``fp32``, ``fp16`` or ``bf16``.
        copies: also time copies within the memory of the device, to it and from it.

    """

    def __init__(
        self,
        device: str,
        threads: int,
        *,
        side: int | None = None,
        size: Any = None,
        batch: int = 1,
        precision: str = 'fp32',
        copies: bool = False,
    ) -> None:
        from benchmarks.bench import references
        import torch

        torch.set_num_threads(threads)
        self._device = device
        dtype = {'fp32': torch.float32, 'fp16': torch.float16, 'bf16': torch.bfloat16}[precision]
        self._workloads = {
            'matmul': references.matmul(device, dtype, side or references.MATMUL_SIDE),
            'convolutions': references.convolutions(
                device, dtype, tuple(size or references.CONV_SIZE), batch
            ),
        }
        if copies:
            self._workloads['memory'] = references.copy(device, device)
            if device.startswith('cuda'):
                self._workloads['upload'] = references.copy('cpu', device)
                self._workloads['download'] = references.copy(device, 'cpu')

    def facts(self) -> dict[str, Any]:
        """Return the operations, and the bytes, of each workload."""
        return {name: work.flops or work.bytes for name, work in self._workloads.items()}

    def once(self) -> Sample:
        """Time each workload."""
        import torch

        times = {}
        with torch.inference_mode():
            for name, workload in self._workloads.items():
                start = time.perf_counter()
                workload.run()
                synchronise(self._device)
                times[name] = 1e3 * (time.perf_counter() - start)
        return times

    def after(self) -> dict[str, Any]:
        """Return nothing: memory of references is of no interest."""
        return {}


class PredictorTask:
    """
    Predictions of a few pairs in turn, bytes to bytes.

    Args:
        weights: file, or 'classical'.
        backend: see ``mafs_model.runtime.BACKENDS``.
        precision: see ``mafs_model.runtime.PRECISIONS``.
        device: where it runs.
        threads: CPU threads.
        pairs: NPZ file with visible uint8 [N,H,W,3] and thermal uint8 [N,H,W].
        results: NPZ file that the outputs for those pairs are written to.

    """

    def __init__(
        self,
        weights: str,
        backend: str,
        precision: str,
        device: str,
        threads: int,
        pairs: str,
        results: str,
    ) -> None:
        from benchmarks.bench.memory import Memory

        self._memory = Memory(device)
        from mafs_model.predictor import Predictor

        self._predictor = Predictor.create(
            weights, device=device, backend=backend, precision=precision, threads=threads
        )
        with np.load(pairs) as file:
            self._pairs = list(zip(file['visible'], file['thermal'], strict=True))
        self._results = Path(results)
        self._count = 0

    def facts(self) -> dict[str, Any]:
        """Return what really computes."""
        predictor = self._predictor
        return {
            'backend': predictor.backend,
            'device': predictor.device,
            'weights_id': predictor.weights_id,
            'notices': list(predictor.notices),
        }

    def once(self) -> Sample:
        """Time one prediction."""
        pair = self._pairs[self._count % len(self._pairs)]
        self._count += 1
        start = time.perf_counter()
        prediction = self._predictor.predict(*pair)
        total = 1e3 * (time.perf_counter() - start)
        return {'total': total, **{stage: prediction.timings_ms[stage] for stage in STAGES}}

    def after(self) -> dict[str, Any]:
        """Write the outputs for all pairs; return memory, and the stages of camera images."""
        figures = self._memory.growth()
        done = [self._predictor.predict(*pair) for pair in self._pairs]
        fused, labels = (np.stack([getattr(p, n) for p in done]) for n in ('fused', 'labels'))
        np.savez(self._results, fused=fused, labels=labels)
        figures['camera_stages_ms'] = self._camera_stages()
        self._predictor.close()
        return figures

    def _camera_stages(self) -> dict[str, float]:
        """Return the stages for thermal images of 16 bits and half the size, registered."""
        from mafs_model.images.registration import Registration

        visible, thermal = self._pairs[0]
        counts = thermal[::2, ::2].astype(np.uint16) * _COUNTS_PER_GREY + _COUNTS_OFFSET
        self._predictor.registration = Registration(_TWICE_AND_TURNED)
        times = [self._predictor.predict(visible, counts).timings_ms for _ in range(_CAMERA_RUNS)]
        return {s: round(float(np.median([t[s] for t in times[1:]])), 3) for s in STAGES}


class TrainingTask:
    """
    Training steps of one stage: crops, augmentation, losses, gradients, optimiser, average.

    Args:
        stage: ``mae``, ``joint`` or ``ssvif``.
        variant: network.
        device: where it runs.
        threads: CPU threads.
        crop: side of the crops in px.
        batch: crops per step.

    """

    def __init__(
        self, stage: str, variant: str, device: str, threads: int, crop: int, batch: int
    ) -> None:
        from benchmarks.bench.memory import Memory

        self._memory = Memory(device)
        from benchmarks.bench.training_step import TrainingStep

        self._step = TrainingStep(stage, variant, device, threads, crop, batch)
        self._device = device

    def facts(self) -> dict[str, Any]:
        """Return nothing: a stage is what it is called."""
        return {}

    def once(self) -> Sample:
        """Time one step."""
        start = time.perf_counter()
        self._step()
        synchronise(self._device)
        return {'total': 1e3 * (time.perf_counter() - start)}

    def after(self) -> dict[str, Any]:
        """Return memory."""
        return self._memory.growth()


TASKS: dict[str, type[Any]] = {
    'reference': ReferenceTask,
    'predictor': PredictorTask,
    'training': TrainingTask,
}


def synchronise(device: str) -> None:
    """Wait until a GPU is done."""
    if device.startswith('cuda'):
        import torch

        torch.cuda.synchronize(device)
