"""Creation of the engine that fits weights, device, backend and precision."""

from __future__ import annotations

import logging
from pathlib import Path

from mafs_model.checkpoint import load_checkpoint
from mafs_model.classes import ClassTable
from mafs_model.errors import CheckpointError, ConfigError, DeviceError
from mafs_model.extras import is_installed, require
from mafs_model.runtime.checksums import check_shipped
from mafs_model.runtime.classical import CLASSICAL_NOTICE, ClassicalEngine
from mafs_model.runtime.device import check_device_name, resolve_device
from mafs_model.runtime.engine import Engine
from mafs_model.runtime.environment import wait_passively
from mafs_model.runtime.fallback import FallbackEngine
from mafs_model.runtime.graph_store import GraphStore
from mafs_model.runtime.onnx_engine import OnnxEngine
from mafs_model.runtime.openvino_engine import OpenVinoEngine
from mafs_model.runtime.selection import choose
from mafs_model.types import BACKENDS, PRECISIONS

_LOGGER = logging.getLogger('mafs_model.runtime')

DEFAULT_WEIGHTS = Path(__file__).parents[1] / 'data' / 'weights' / 'mafs_t.safetensors'
_BACKENDS_OF_FILES = {'.onnx': ('onnxruntime',), '.xml': ('openvino',), '.engine': ('tensorrt',)}
# What auto tries, fastest first as a rule; torch-compile is left out: it compiles for minutes.
_CPU_CANDIDATES = ('openvino', 'onnxruntime', 'torch')
_CUDA_CANDIDATES = ('tensorrt', 'cuda-graph', 'torch')
# Packages that a backend cannot do without.
_PACKAGES = {
    'torch': ('torch',),
    'torch-compile': ('torch',),
    'cuda-graph': ('torch',),
    'openvino': ('openvino',),
    'onnxruntime': ('onnxruntime',),
    'tensorrt': ('tensorrt', 'torch'),
}
# What in addition makes its graphs of a .safetensors file, where none are there.
_MAKERS = {
    'openvino': ('torch',),
    'onnxruntime': ('torch', 'onnx'),
    'tensorrt': ('torch', 'onnx'),
}
GRAPH_FORMATS = {'onnxruntime': 'onnx', 'openvino': 'openvino', 'tensorrt': 'tensorrt'}


def create_engine(
    weights: str | Path | None = None,
    *,
    device: str = 'auto',
    backend: str = 'auto',
    precision: str = 'auto',
    classes: ClassTable | None = None,
    threads: int | None = None,
) -> Engine:
    """
    Create an engine.

    Args:
        weights: path of a weights file or of an exported graph; None or ``'default'`` for the
            shipped weights, and without those the classical engine; ``'classical'`` for the
            classical engine in any case.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        backend: one of ``BACKENDS``; without a network it has no effect.
        precision: one of ``PRECISIONS``; ``auto`` takes a calibrated int8 graph that lies beside
            the weights on the CPU and fp16 on a GPU, else fp32.
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
    wait_passively()
    path = _weights_path(weights)
    if path is None:
        if device not in {'auto', 'cpu'}:
            resolve_device(device)  # A missing GPU is an error with or without weights.
        _LOGGER.warning(CLASSICAL_NOTICE)
        return ClassicalEngine(classes or ClassTable.load('mfnet'), (CLASSICAL_NOTICE,))
    return _network_engine(path, device, backend, precision, classes, threads)


def find_weights(weights: str | Path | None) -> Path:
    """
    Return the weights file that a setting names.

    Raises:
        CheckpointError: there is none.

    """
    path = _weights_path(weights)
    if path is None:
        reason = (
            'that is the fusion without a network'
            if str(weights) == 'classical'
            else 'no network weights are shipped'
        )
        raise CheckpointError(f"weights '{weights}': {reason}, expected a .safetensors file")
    return path


def build_engine(
    weights: Path,
    *,
    backend: str,
    precision: str,
    device: str,
    classes: ClassTable | None = None,
    threads: int | None = None,
    notices: tuple[str, ...] = (),
) -> Engine:
    """
    Build the engine of one backend; nothing is chosen here.

    Args:
        weights: weights file or exported graph.
        backend: one of ``BACKENDS`` but ``auto``.
        precision: one of ``PRECISIONS`` that the backend knows; ``auto`` only for torch.
        device: a resolved device.
        classes: see :func:`create_engine`.
        threads: see :func:`create_engine`.
        notices: what a user should know about the set-up.

    Raises:
        MafsError: see :func:`create_engine`.

    """
    if backend in {'torch', 'torch-compile', 'cuda-graph', 'tensorrt'}:
        require(f"backend '{backend}'", 'torch')
    if backend in {'torch', 'torch-compile', 'cuda-graph'}:
        from mafs_model.runtime.torch_engine import TorchEngine  # loads torch

        return TorchEngine(
            load_checkpoint(weights),
            device=device,
            backend=backend,
            precision=precision,
            classes=classes,
            threads=threads,
            notices=notices,
        )
    store = GraphStore(weights)
    precision = 'fp32' if precision == 'auto' else precision
    try:
        if backend == 'onnxruntime':
            return OnnxEngine(
                store,
                device=device,
                precision=precision,
                classes=classes,
                threads=threads,
                notices=notices,
            )
        if backend == 'openvino':
            return OpenVinoEngine(
                store,
                device=device,
                precision=precision,
                classes=classes,
                threads=threads,
                notices=notices,
            )
        from mafs_model.runtime.tensorrt_engine import TensorRtEngine  # loads torch

        return TensorRtEngine(
            store, device=device, precision=precision, classes=classes, notices=notices
        )
    except BaseException:
        store.close()
        raise


def _network_engine(
    path: Path,
    device: str,
    backend: str,
    precision: str,
    classes: ClassTable | None,
    threads: int | None,
) -> Engine:
    """Choose and build the engine that runs the network of a weights file."""
    store = GraphStore(path)
    try:
        if classes is not None and len(classes) != len(store.classes):
            raise ConfigError(
                f"classes '{classes.dataset}': {len(classes)} classes, expected "
                f"{len(store.classes)} as in weights '{path}'"
            )
        resolved, notices = resolve_device(device)
        candidates = _candidates(store, resolved, backend, precision)
    finally:
        store.close()
    if len(candidates) > 1:
        checksum = store.metadata['sha256']
        candidates = [choose(path, checksum, candidates, resolved, threads, build_engine)]
    backend, precision = candidates[0]
    _LOGGER.info('backend %s, precision %s, device %s', backend, precision, resolved)
    engine = build_engine(
        path,
        backend=backend,
        precision=precision,
        device=resolved,
        classes=classes,
        threads=threads,
        notices=notices,
    )
    if not resolved.startswith('cuda') or path.suffix == '.engine':
        return engine  # A plan holds for one size and a GPU: there is nothing to step down to.
    on_cpu_by = ('onnxruntime', precision) if path.suffix == '.onnx' else ('torch', 'fp32')

    def on_cpu() -> Engine:
        return build_engine(
            path,
            backend=on_cpu_by[0],
            precision=on_cpu_by[1],
            device='cpu',
            classes=classes,
            threads=threads,
        )

    return FallbackEngine(engine, on_cpu)


def _candidates(
    store: GraphStore, device: str, backend: str, precision: str
) -> list[tuple[str, str]]:
    """Return the (backend, precision) pairs that fit the settings, at least one."""
    if store.is_export:
        return [
            _of_exported_file(
                store.weights, store.metadata['export']['precision'], backend, precision
            )
        ]
    cuda = device.startswith('cuda')
    named = backend != 'auto'  # Then what is missing for it is the error of building it.
    names = (backend,) if named else _CUDA_CANDIDATES if cuda else _CPU_CANDIDATES
    if precision == 'auto':
        int8 = [
            (n, 'int8')
            for n in names
            if n in GRAPH_FORMATS
            and store.has(GRAPH_FORMATS[n], 'int8')
            and (named or _is_ready(n, 'int8', store))
        ]
        if int8:
            return int8
        found = [(n, 'fp16' if cuda and n != 'onnxruntime' else 'fp32') for n in names]
    else:
        found = [(n, precision) for n in names if named or _knows(n, precision, cuda, store)]
        if not found:
            raise ConfigError(
                f"precision '{precision}' on device '{device}': no installed backend computes "
                'it with these weights'
            )
    ready = found if named else [(n, p) for n, p in found if _is_ready(n, p, store)]
    if not ready:
        calibrated = precision == 'auto' and store.has('openvino', 'int8')
        raise DeviceError(
            f"precision '{precision}' on device '{device}': nothing installed computes weights "
            f"'{store.weights}', install mafs_ros[torch]"
            f'{", or mafs_ros[openvino] for their int8 graph" if calibrated else ""}'
        )
    return ready


def _is_ready(backend: str, precision: str, store: GraphStore) -> bool:
    """Return whether all is installed that a backend takes to compute these weights."""
    needed = _PACKAGES[backend]
    file_format = GRAPH_FORMATS.get(backend)
    # OpenVINO computes bf16 from the fp32 graph.
    stored = 'fp32' if precision == 'bf16' else precision
    if file_format is not None and not store.has(file_format, stored):
        needed += _MAKERS[backend]
    return all(is_installed(package) for package in needed)


def _knows(backend: str, precision: str, cuda: bool, store: GraphStore) -> bool:
    """Return whether a backend can compute in a precision."""
    if precision == 'int8':
        return backend in GRAPH_FORMATS and store.has(GRAPH_FORMATS[backend], 'int8')
    known = {
        'openvino': ('fp32', 'bf16'),
        'onnxruntime': ('fp32', 'fp16') if cuda else ('fp32',),
        'tensorrt': ('fp32', 'fp16'),
    }
    of_torch = ('fp32', 'fp16', 'bf16') if cuda else ('fp32', 'bf16')
    return precision in known.get(backend, of_torch)


def _of_exported_file(path: Path, exported: str, backend: str, precision: str) -> tuple[str, str]:
    """Return (backend, precision) of an exported graph; raises ConfigError if it fits neither."""
    backends = _BACKENDS_OF_FILES[path.suffix]
    if backend not in {'auto', *backends}:
        raise ConfigError(
            f"backend '{backend}' with weights '{path}': expected {' or '.join(backends)}, or a "
            '.safetensors file'
        )
    if precision not in {'auto', exported} and not (precision == 'bf16' and exported == 'fp32'):
        raise ConfigError(
            f"precision '{precision}' with weights '{path}': the file holds {exported}"
        )
    return backends[0], exported if precision == 'auto' else precision


def _weights_path(weights: str | Path | None) -> Path | None:
    """Return the file to load, None for the classical engine."""
    if weights is None or str(weights) in {'', 'default'}:
        if not DEFAULT_WEIGHTS.is_file():
            return None
        check_shipped(DEFAULT_WEIGHTS)
        return DEFAULT_WEIGHTS
    if str(weights) == 'classical':
        return None
    path = Path(weights).expanduser()
    if not path.is_file():
        raise CheckpointError(f"weights '{path}': no such file, expected a .safetensors file")
    return path
