"""What a run of the benchmark measures, as the command line gives it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
import shutil

from mafs_model.types import Size

SECTIONS = ('runtime', 'floor', 'node', 'outputs', 'training')
WITH_ROS = ('node', 'outputs')
STAGES = ('mae', 'joint', 'ssvif')
CLASSICAL = 'classical'
_NO_PRECISION = 'uint8'  # of the classical fusion, which computes on bytes
# Per device: backend -> precisions, in the order of the table.
CONFIGURATIONS: dict[str, dict[str, tuple[str, ...]]] = {
    'cpu': {
        'torch': ('fp32', 'bf16'),
        'torch-compile': ('fp32',),
        'onnxruntime': ('fp32', 'int8'),
        'openvino': ('fp32', 'bf16', 'int8'),
        CLASSICAL: (_NO_PRECISION,),
    },
    'cuda': {
        'torch': ('fp32', 'fp16'),
        'torch-compile': ('fp16',),
        'cuda-graph': ('fp16',),
        'onnxruntime': ('fp32',),
        'tensorrt': ('fp16',),
    },
}
_PACKAGES = {
    'onnxruntime': ('onnx', 'onnxruntime'),
    'openvino': ('onnx', 'openvino'),
    'tensorrt': ('onnx', 'tensorrt'),
}


@dataclass(frozen=True)
class Options:
    """
    A run.

    Attributes:
        sections: of ``SECTIONS``.
        variants: networks.
        backends: empty: all that are installed.
        precisions: empty: all that a backend knows.
        sizes: (height, width) of the images.
        devices: ``cpu``, ``cuda:N``.
        rounds: turns.
        block: counted calls in a turn.
        threads: CPU threads of everything that is timed.
        stages: of training.
        crop: side of training crops.
        batch: crops of a training step.
        node_seconds: length of a run of the node.
        node_runs: number of such runs.
        node_rate_hz: of both cameras.
        work: folder for what the run needs.
        quick: small references; figures say nothing, only that all works.

    """

    sections: tuple[str, ...]
    variants: tuple[str, ...]
    backends: tuple[str, ...]
    precisions: tuple[str, ...]
    sizes: tuple[Size, ...]
    devices: tuple[str, ...]
    rounds: int
    block: int
    threads: int
    stages: tuple[str, ...]
    crop: int
    batch: int
    node_seconds: float
    node_runs: int
    node_rate_hz: float
    work: Path
    quick: bool = False

    def reference(self, device: str) -> dict[str, object]:
        """Return the arguments of the reference task."""
        small = {'side': 256, 'size': (24, 32)} if self.quick else {}
        return {'device': device, 'threads': self.threads, **small}

    def configurations(self, variant: str, device: str) -> list[tuple[str, str]]:
        """Return the (backend, precision) pairs to time, only what is installed."""
        found = []
        for backend, precisions in CONFIGURATIONS[device.partition(':')[0]].items():
            if self.backends and backend not in self.backends:
                continue
            if not self.backends and variant == 'mafs_b' and backend != 'torch':
                continue  # It is there for comparison, not for robots.
            if not installed(backend):
                continue
            for precision in precisions:
                if precision == 'int8' and find_spec('nncf') is None:
                    continue
                if variant == 'mafs_b' and not self.backends and precision != precisions[0]:
                    continue
                if not self.precisions or precision in (*self.precisions, _NO_PRECISION):
                    found.append((backend, precision))
        return found


def installed(backend: str) -> bool:
    """Return whether what a backend needs is installed."""
    if backend == 'torch-compile':
        return any(shutil.which(name) for name in ('c++', 'g++', 'clang++'))
    return all(find_spec(name) is not None for name in _PACKAGES.get(backend, ()))
