"""The engine that runs ONNX graphs in onnxruntime."""

from __future__ import annotations

from mafs_model.classes import ClassTable
from mafs_model.errors import CheckpointError, ConfigError, DeviceError
from mafs_model.extras import missing
from mafs_model.runtime.graph_engine import GraphEngine, Runner
from mafs_model.runtime.graph_file import GraphFile
from mafs_model.runtime.graph_store import GraphStore
from mafs_model.types import Size, UInt8Image


class OnnxEngine(GraphEngine):
    """
    Runs ONNX graphs in onnxruntime, on the CPU or through its CUDA provider.

    Args:
        store: where the graphs come from.
        device: ``cpu`` or ``cuda:N``.
        precision: ``fp32``, ``fp16`` (meant for GPUs) or ``int8``.
        classes: table that replaces the one of the weights.
        threads: CPU threads; None leaves onnxruntime's choice.
        notices: what a user should know about the set-up.

    Raises:
        DeviceError: onnxruntime is not installed or lacks the device.

    """

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
            import onnxruntime
        except ImportError:
            raise missing("backend 'onnxruntime'", 'onnxruntime') from None
        if precision not in {'fp32', 'fp16', 'int8'}:
            raise ConfigError(
                f"precision '{precision}' with onnxruntime: expected fp32, fp16 or int8"
            )
        if device != 'cpu' and 'CUDAExecutionProvider' not in (
            onnxruntime.get_available_providers()
        ):
            raise DeviceError(
                f"device '{device}': this onnxruntime has no CUDA provider; use "
                'device cpu or install onnxruntime-gpu'
            )
        self._runtime = onnxruntime
        self._threads = threads
        super().__init__(
            store,
            backend='onnxruntime',
            device=device,
            file_format='onnx',
            precision=precision,
            classes=classes,
            notices=notices,
        )

    def _compile(self, graph: GraphFile, size: Size | None) -> Runner:
        options = self._runtime.SessionOptions()
        options.log_severity_level = 3
        if self._threads is not None:
            options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        # Spinning threads would take the cores of the camera drivers between two pairs.
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')
        providers = (
            ['CPUExecutionProvider']
            if self.device == 'cpu'
            else [
                ('CUDAExecutionProvider', {'device_id': int(self.device.partition(':')[2] or 0)}),
                'CPUExecutionProvider',
            ]
        )
        try:
            session = self._runtime.InferenceSession(str(graph.path), options, providers)
        except Exception as error:  # onnxruntime's errors share no base class but this one
            reason = ' '.join(str(error).split())[:200]
            raise CheckpointError(
                f"graph '{graph.path}': onnxruntime cannot load it: {reason}"
            ) from error
        names = [node.name for node in session.get_inputs()]

        def run(images: list[UInt8Image]) -> list[UInt8Image]:
            results: list[UInt8Image] = session.run(None, dict(zip(names, images, strict=True)))
            return results

        return run
