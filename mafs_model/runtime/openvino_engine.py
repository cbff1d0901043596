"""The engine that runs graphs in OpenVINO on the CPU."""

from __future__ import annotations

from typing import Any

from mafs_model.classes import ClassTable
from mafs_model.errors import CheckpointError, ConfigError, DeviceError
from mafs_model.runtime.cache import cache_folder
from mafs_model.runtime.graph_engine import GraphEngine, Runner
from mafs_model.runtime.graph_file import GraphFile
from mafs_model.runtime.graph_store import GraphStore
from mafs_model.types import Size, UInt8Image
import numpy as np

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
            raise DeviceError(
                "backend 'openvino': package 'openvino' is not installed, install "
                'mafs_ros[openvino]'
            ) from None
        if device != 'cpu':
            raise ConfigError(f"backend 'openvino' on device '{device}': expected cpu")
        if precision not in _HINTS:
            raise ConfigError(
                f"precision '{precision}' with openvino: expected {', '.join(_HINTS)}"
            )
        self._core = openvino.Core()
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
        self.precision_used = precision

    def close(self) -> None:
        """Free the compiled graphs and temporary files."""
        super().close()
        self._core = None

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
        folder = cache_folder()
        if folder is not None:
            settings['CACHE_DIR'] = str(folder / 'openvino')
        try:
            model = self._core.read_model(str(graph.path))
            if graph.metadata['export'].get('size') is None:
                model.reshape(
                    {
                        node.get_any_name(): [1, *size, *node.partial_shape[3:]]
                        for node in model.inputs
                    }
                )
            request = self._core.compile_model(model, 'CPU', settings).create_infer_request()
        except RuntimeError as error:
            reason = ' '.join(str(error).split())[:200]
            raise CheckpointError(
                f"graph '{graph.path}': OpenVINO cannot compile it: {reason}"
            ) from error
        outputs = [(tuple(node.shape), index) for index, node in enumerate(model.outputs)]

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
