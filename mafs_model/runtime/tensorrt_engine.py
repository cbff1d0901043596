"""The engine that runs graphs in TensorRT on an NVIDIA GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mafs_model.classes import ClassTable
from mafs_model.errors import CheckpointError, ConfigError, DeviceError, OutOfMemoryError
from mafs_model.runtime.graph_engine import GraphEngine, Runner
from mafs_model.runtime.graph_files import cache_folder, GraphFile, GraphStore
from mafs_model.types import Size, UInt8Image

_WORKSPACE_BYTES = 1 << 30


class TensorRtEngine(GraphEngine):
    """
    Builds a TensorRT plan from the ONNX graph for each image size and runs it.

    A plan holds only for the GPU and version that built it, so it is made where it runs and, if
    ``MAFS_CACHE_DIR`` names a folder, kept there.

    Args:
        store: where the graphs come from.
        device: ``cuda:N``.
        precision: ``fp32`` or ``fp16``.
        classes: table that replaces the one of the weights.
        notices: what a user should know about the set-up.

    Raises:
        DeviceError: TensorRT is not installed.
        ConfigError: device or precision do not fit.

    """

    fixed_shapes = True

    def __init__(
        self,
        store: GraphStore,
        *,
        device: str,
        precision: str = 'fp16',
        classes: ClassTable | None = None,
        notices: tuple[str, ...] = (),
    ) -> None:
        try:
            import tensorrt  # type: ignore[import-untyped,import-not-found]
        except ImportError:
            raise DeviceError("backend 'tensorrt': package 'tensorrt' is not installed") from None
        if not device.startswith('cuda'):
            raise ConfigError(f"backend 'tensorrt' on device '{device}': expected a CUDA device")
        if precision not in {'fp32', 'fp16'}:
            raise ConfigError(f"precision '{precision}' with tensorrt: expected fp32 or fp16")
        self._library: Any = tensorrt
        self._logger = tensorrt.Logger(tensorrt.Logger.WARNING)
        self._half = precision == 'fp16'
        super().__init__(
            store,
            backend='tensorrt',
            device=device,
            file_format='onnx',
            precision='fp32',
            classes=classes,
            notices=notices,
        )
        self.precision = precision

    def _graph(self, mode: str) -> GraphFile:
        """Return the ONNX graph, whatever precision the plan has."""
        if mode not in self._graphs:
            self._graphs[mode] = self._store.get('onnx', 'fp32', mode)
        return self._graphs[mode]

    def _compile(self, graph: GraphFile, size: Size | None) -> Runner:
        import torch

        assert size is not None
        runtime = self._library.Runtime(self._logger)
        engine = runtime.deserialize_cuda_engine(self._plan(graph, size))
        if engine is None:
            raise CheckpointError(f"graph '{graph.path}': TensorRT cannot load its plan")
        context = engine.create_execution_context()
        stream = torch.cuda.Stream(self.device)
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        is_input = [engine.get_tensor_mode(n) == self._library.TensorIOMode.INPUT for n in names]
        host: list[list[Any]] = [[], []]  # outputs, inputs
        pairs: list[list[Any]] = [[], []]
        for name, given in zip(names, is_input, strict=True):
            shape = tuple(engine.get_tensor_shape(name))
            on_device = torch.empty(shape, dtype=torch.uint8, device=self.device)
            context.set_tensor_address(name, on_device.data_ptr())
            pairs[given].append(on_device)
            host[given].append(torch.empty(shape, dtype=torch.uint8, pin_memory=True))

        def run(images: list[UInt8Image]) -> list[UInt8Image]:
            for buffer, image in zip(host[1], images, strict=True):
                buffer.numpy()[...] = image
            with torch.cuda.stream(stream):
                for buffer, target in zip(host[1], pairs[1], strict=True):
                    target.copy_(buffer, non_blocking=True)
                if not context.execute_async_v3(stream.cuda_stream):
                    raise DeviceError(f"device '{self.device}': TensorRT could not run the graph")
                for source, buffer in zip(pairs[0], host[0], strict=True):
                    buffer.copy_(source, non_blocking=True)
            stream.synchronize()
            return [buffer.numpy().copy() for buffer in host[0]]

        return run

    def _plan(self, graph: GraphFile, size: Size) -> bytes:
        """Return the serialised plan for a size, from the cache if it is there."""
        import torch

        folder = cache_folder()
        path: Path | None = None
        if folder is not None:
            gpu = torch.cuda.get_device_name(self.device).replace(' ', '_').replace('/', '_')
            path = folder / (
                f'{graph.path.stem}.{size[1]}x{size[0]}.{self.precision}.{gpu}.'
                f'{self._library.__version__}.plan'
            )
            if path.is_file():
                return path.read_bytes()
        plan = bytes(self._build(graph, size))
        if path is not None:
            temporary = path.with_name(f'{path.name}.part')
            temporary.write_bytes(plan)
            temporary.replace(path)
        return plan

    def _build(self, graph: GraphFile, size: Size) -> Any:
        """Build the plan; takes about a minute."""
        library = self._library
        builder = library.Builder(self._logger)
        network = builder.create_network(
            1 << int(library.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)
        )
        parser = library.OnnxParser(network, self._logger)
        if not parser.parse_from_file(str(graph.path)):
            reason = parser.get_error(0).desc() if parser.num_errors else 'unknown reason'
            raise CheckpointError(f"graph '{graph.path}': TensorRT cannot read it: {reason}")
        config = builder.create_builder_config()
        config.set_memory_pool_limit(library.MemoryPoolType.WORKSPACE, _WORKSPACE_BYTES)
        if self._half:
            config.set_flag(library.BuilderFlag.FP16)
        profile = builder.create_optimization_profile()
        for index in range(network.num_inputs):
            node = network.get_input(index)
            shape = (1, *size, *tuple(node.shape)[3:])
            profile.set_shape(node.name, shape, shape, shape)
        config.add_optimization_profile(profile)
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise OutOfMemoryError(
                f"device '{self.device}': TensorRT could not build a plan for {size[1]}x{size[0]}"
            )
        return plan
