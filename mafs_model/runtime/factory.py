"""Creation of the engine that fits weights, device, backend and precision."""

from __future__ import annotations

import logging
from pathlib import Path

from mafs_model.classes import ClassTable
from mafs_model.errors import CheckpointError, ConfigError
from mafs_model.runtime.classical import ClassicalEngine
from mafs_model.runtime.device import check_device_name, resolve_device
from mafs_model.runtime.engine import Engine

_LOGGER = logging.getLogger('mafs_model.runtime')

BACKENDS = (
    'auto', 'torch', 'torch-compile', 'cuda-graph', 'onnxruntime', 'openvino', 'tensorrt')
PRECISIONS = ('auto', 'fp32', 'fp16', 'bf16', 'int8')
DEFAULT_WEIGHTS = Path(__file__).parents[1] / 'data' / 'weights' / 'mafs_t.safetensors'
CLASSICAL_NOTICE = (
    'no network weights: fusing classically (Laplacian pyramid), labels are empty')


def create_engine(weights: str | Path | None = None, *, device: str = 'auto',
                  backend: str = 'auto', precision: str = 'auto',
                  classes: ClassTable | None = None, threads: int | None = None) -> Engine:
    """
    Create an engine.

    Args:
        weights: path of a weights file; None or ``'default'`` for the shipped one, and without
            that the classical engine; ``'classical'`` for the classical engine in any case.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        backend: one of ``BACKENDS``; without a network it has no effect.
        precision: one of ``PRECISIONS``.
        classes: class table that replaces the one of the weights; it must have as many classes.
        threads: CPU threads of the engine's library; None leaves the library's choice.

    Raises:
        ConfigError: a name is unknown or settings contradict each other.
        CheckpointError: the weights cannot be used.
        DeviceError: device or backend is not available.

    """
    if backend not in BACKENDS:
        raise ConfigError(f"backend '{backend}': expected one of {', '.join(BACKENDS)}")
    if precision not in PRECISIONS:
        raise ConfigError(f"precision '{precision}': expected one of {', '.join(PRECISIONS)}")
    check_device_name(device)
    path = _weights_path(weights)
    if path is None:
        if device not in ('auto', 'cpu'):
            resolve_device(device)  # A missing GPU is an error with or without weights.
        _LOGGER.warning(CLASSICAL_NOTICE)
        return ClassicalEngine(classes or ClassTable.load('mfnet'), (CLASSICAL_NOTICE,))
    return _network_engine(path, device, backend, precision, classes, threads)


def _network_engine(path: Path, device: str, backend: str, precision: str,
                    classes: ClassTable | None, threads: int | None) -> Engine:
    """Return the engine that runs the network of a weights file."""
    from mafs_model.checkpoint import load_checkpoint
    from mafs_model.runtime.torch_engine import TorchEngine

    checkpoint = load_checkpoint(path)
    if classes is not None and len(classes) != len(checkpoint.classes):
        raise ConfigError(
            f"classes '{classes.dataset}': {len(classes)} classes, expected "
            f"{len(checkpoint.classes)} as in weights '{path}'")
    resolved, notices = resolve_device(device)
    return TorchEngine(checkpoint, device=resolved,
                       backend='torch' if backend == 'auto' else backend, precision=precision,
                       classes=classes, threads=threads, notices=notices)


def _weights_path(weights: str | Path | None) -> Path | None:
    """Return the file to load, None for the classical engine."""
    if weights is None or str(weights) in ('', 'default'):
        return DEFAULT_WEIGHTS if DEFAULT_WEIGHTS.is_file() else None
    if str(weights) == 'classical':
        return None
    path = Path(weights).expanduser()
    if not path.is_file():
        raise CheckpointError(f"weights '{path}': no such file, expected a .safetensors file")
    return path
