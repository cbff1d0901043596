"""The engine that runs graphs in OpenVINO on the CPU."""

from __future__ import annotations

import hashlib
from io import BytesIO
import json
import logging
from pathlib import Path
import platform
from typing import Any

from mafs_model.classes import ClassTable
from mafs_model.errors import CheckpointError, ConfigError, MafsError
from mafs_model.extras import missing
from mafs_model.files import write_bytes
from mafs_model.runtime.cache import cache_folder, locked, prune, touch
from mafs_model.runtime.graph_checksums import parts_of
from mafs_model.runtime.graph_engine import GraphEngine, Runner
from mafs_model.runtime.graph_file import GraphFile
from mafs_model.runtime.graph_store import GraphStore
from mafs_model.types import Size, UInt8Image
import numpy as np

_LOGGER = logging.getLogger('mafs_model.runtime')
_DIGEST_BYTES = 32  # before a compiled graph, so that a damaged one is not executed
_HINTS = {'fp32': 'f32', 'int8': 'f32', 'bf16': 'bf16'}


class OpenVinoEngine(GraphEngine):
    """
    Runs graphs in OpenVINO, compiled for each image size: fixed shapes are faster.

    Args:
        store: where the graphs come from.
        precision: ``fp32``, ``bf16`` (computed from the fp32 graph) or ``int8``.
        classes: table that replaces the one of the weights.
        threads: CPU threads; None leaves OpenVINO's choice.
        notices: what a user should know about the set-up.

    Raises:
        DeviceError: OpenVINO is not installed.

    """

    fixed_shapes = True

    def __init__(
        self,
        store: GraphStore,
        *,
        device: str = 'cpu',
        precision: str = 'fp32',
        classes: ClassTable | None = None,
        threads: int | None = None,
        notices: tuple[str, ...] = (),
    ) -> None:
        try:
            import openvino
        except ImportError:
            raise missing("backend 'openvino'", 'openvino') from None
        if device != 'cpu':
            raise ConfigError(f"backend 'openvino' on device '{device}': expected cpu")
        if precision not in _HINTS:
            raise ConfigError(
                f"precision '{precision}' with openvino: expected {', '.join(_HINTS)}"
            )
        self._core = openvino.Core()
        self._version = openvino.__version__
        self._tensor = openvino.Tensor
        self._threads = threads
        self._hint = _HINTS[precision]
        super().__init__(
            store,
            backend='openvino',
            device='cpu',
            file_format='openvino',
            precision='int8' if precision == 'int8' else 'fp32',
            classes=classes,
            notices=notices,
        )

    def close(self) -> None:
        """Free the compiled graphs and temporary files."""
        super().close()
        self._core = None

    def _read(self, graph: GraphFile, size: Size) -> Any:
        """Return the graph for a size."""
        model = self._core.read_model(str(graph.path))
        if graph.metadata['export'].get('size') is None:
            model.reshape(
                {node.get_any_name(): [1, *size, *node.partial_shape[3:]] for node in model.inputs}
            )
        return model

    def _compiled(self, graph: GraphFile, size: Size, settings: dict[str, Any]) -> Any:
        """
        Return the graph compiled for a size, from the cache folder where it is there.

        OpenVINO's own cache maps files that other processes may be writing, which ends both; what
        is kept here is read as a whole and replaced as a whole.
        """
        folder = cache_folder()
        if folder is None:
            return self._core.compile_model(self._read(graph, size), 'CPU', settings)
        key = json.dumps(
            [_digest(graph.path), size, settings, self._version, platform.machine(), _cpu_name()]
        )
        name = hashlib.sha256(key.encode()).hexdigest()[:16]
        path = folder / f'{name}-{graph.metadata["export"]["mode"]}-{size[1]}x{size[0]}.blob'
        with locked(path):
            try:
                blob = read_blob(path)
                if blob is not None:
                    touch(path)
                    return self._core.import_model(BytesIO(blob), 'CPU', settings)
            except RuntimeError as error:
                _LOGGER.warning("'%s': made again: %s", path, ' '.join(str(error).split())[:100])
            compiled = self._core.compile_model(self._read(graph, size), 'CPU', settings)
            try:
                stream = BytesIO()  # what it returns by itself differs between versions
                compiled.export_model(stream)
                write_blob(path, stream.getvalue())
                prune(folder)
            except (MafsError, RuntimeError) as error:
                _LOGGER.warning('%s', ' '.join(str(error).split())[:200])
            return compiled

    def _compile(self, graph: GraphFile, size: Size | None) -> Runner:
        assert size is not None
        # Without the hint OpenVINO may silently choose bf16, far outside the tolerance of fp32.
        settings: dict[str, Any] = {
            'INFERENCE_PRECISION_HINT': self._hint,
            'PERFORMANCE_HINT': 'LATENCY',
            'NUM_STREAMS': '1',
        }
        if self._threads is not None:
            settings['INFERENCE_NUM_THREADS'] = str(self._threads)
        try:
            compiled = self._compiled(graph, size, settings)
            request = compiled.create_infer_request()
        except RuntimeError as error:
            reason = ' '.join(str(error).split())[:200]
            raise CheckpointError(
                f"graph '{graph.path}': OpenVINO cannot compile it: {reason}"
            ) from error
        outputs = [(tuple(node.shape), index) for index, node in enumerate(compiled.outputs)]

        def run(images: list[UInt8Image]) -> list[UInt8Image]:
            results = []
            for shape, index in outputs:
                # OpenVINO writes into arrays of ours: the caller owns them, nothing is copied.
                array = np.empty(shape, np.uint8)
                request.set_output_tensor(index, self._tensor(array, shared_memory=True))
                results.append(array)
            request.infer(images, share_inputs=True)
            return results

        return run


def read_blob(path: Path) -> bytes | None:
    """Return a compiled graph from the cache, None if there is none or it is damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, blob = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    return blob if hashlib.sha256(blob).digest() == digest else None


def write_blob(path: Path, blob: bytes) -> None:
    """Write a compiled graph into the cache; raises MafsError."""
    write_bytes(path, hashlib.sha256(blob).digest() + blob)


def _digest(graph: Path) -> str:
    """Return the checksum of the files of a graph."""
    digest = hashlib.sha256()
    for path in parts_of(graph):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _cpu_name() -> str:
    """Return the model of the CPU: compiled graphs hold for its instructions."""
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError):
        return platform.processor()
    keys = ('model name', 'flags', 'Features', 'CPU part')
    found = {line.partition(':')[0].strip(): line.partition(':')[2] for line in lines}
    return ' '.join(found.get(key, '') for key in keys)
