"""The engine that runs graphs in TensorRT on an NVIDIA GPU."""

from __future__ import annotations

from typing import Any

from mafs_model.classes import ClassTable
from mafs_model.errors import CheckpointError, ConfigError, DeviceError
from mafs_model.files import write_bytes
from mafs_model.images.registration import Unregistered
from mafs_model.prediction import Outputs, Prediction
from mafs_model.runtime.cache import cache_folder, locked, prune, touch
from mafs_model.runtime.device_images import pad_to
from mafs_model.runtime.device_path import Compute, device_errors, DevicePath
from mafs_model.runtime.engine import input_names, OUTPUT_NAMES
from mafs_model.runtime.graph_engine import GraphEngine, Runner
from mafs_model.runtime.graph_file import GraphFile
from mafs_model.runtime.graph_store import GraphStore
from mafs_model.runtime.tensorrt_plan import (
    build_plan,
    check_plan,
    fingerprint,
    import_tensorrt,
)
from mafs_model.types import Size, UInt8Image
from mafs_model.version import __version__
import numpy as np
import torch
from torch import Tensor


class TensorRtEngine(GraphEngine):
    """
    Runs a TensorRT plan per image size.

    A plan holds only for the GPU and version that built it. One that ``mafs export`` left beside
    the weights is taken if it fits; else it is built from the ONNX graph and, if
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
        CheckpointError: the plan given was built elsewhere.

    """

    fixed_shapes = True
    registers = True
    prepares = False  # A plan can take minutes to build, and the GPU has one stream.

    def __init__(
        self,
        store: GraphStore,
        *,
        device: str,
        precision: str = 'fp16',
        classes: ClassTable | None = None,
        notices: tuple[str, ...] = (),
    ) -> None:
        self._library: Any = import_tensorrt()
        _check_device(device)
        if precision not in {'fp32', 'fp16'}:
            raise ConfigError(f"precision '{precision}' with tensorrt: expected fp32 or fp16")
        self._logger = self._library.Logger(self._library.Logger.WARNING)
        self._present = fingerprint(self._library, device)
        super().__init__(
            store,
            backend='tensorrt',
            device=device,
            file_format='tensorrt' if store.is_export else 'onnx',
            precision=precision,
            classes=classes,
            notices=notices,
        )
        self._path = DevicePath(self._compute, self.classes, device, peaks=self.peaks)

    def infer(
        self, visible: UInt8Image | None, thermal: UInt8Image | None, outputs: Outputs
    ) -> Prediction:
        """Compute the wanted outputs; see :class:`mafs_model.runtime.engine.Engine`."""
        return self._path.infer(visible, thermal, outputs)

    def infer_unregistered(
        self, visible: UInt8Image | None, thermal: Unregistered, outputs: Outputs
    ) -> Prediction:
        """Compute; see :class:`mafs_model.runtime.engine.RegisteringEngine`."""
        return self._path.infer(visible, thermal, outputs)

    def close(self) -> None:
        """Free buffers, plans and temporary files."""
        self._path.close()
        super().close()

    def raw_runner(self, mode: str, size: Size) -> Runner:
        """Return what runs a graph on images with a batch axis, without padding or enlarging."""
        compute = self._compute(mode, size)

        def run(images: list[UInt8Image]) -> list[UInt8Image]:
            with device_errors(self.device), torch.inference_mode():
                given = [torch.from_numpy(image).to(self.device) for image in images]
                return [np.asarray(result.cpu()) for result in compute(*given)]

        return run

    def _compute(self, mode: str, size: Size) -> Compute:
        """Return what computes a mode on the device, for images of any size up to the plan's."""
        target = self._target_size(size, mode)
        run: Any = self._runner(mode, target)
        half = (-(-size[0] // 2), -(-size[1] // 2))

        def compute(*images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            fused, labels, confidence = run([pad_to(image, target) for image in images])
            labels, confidence = (r[:, : half[0], : half[1]] for r in (labels, confidence))
            return fused[:, : size[0], : size[1]], labels, confidence

        return compute

    def _graph(self, mode: str) -> GraphFile:
        """Return the graph of a mode, checked to be of this machine if it is a plan."""
        graph = super()._graph(mode)
        if self._file_format == 'tensorrt':
            check_plan(graph.path, graph.metadata, self._present)
        return graph

    def _compile(self, graph: GraphFile, size: Size | None) -> Runner:
        assert size is not None
        runtime = self._library.Runtime(self._logger)
        engine = runtime.deserialize_cuda_engine(self._plan(graph, size))
        if engine is None:
            raise CheckpointError(f"graph '{graph.path}': TensorRT cannot load its plan")
        context = engine.create_execution_context()
        names = input_names(graph.metadata['export']['mode'])
        results = []
        for name in OUTPUT_NAMES:
            shape = tuple(engine.get_tensor_shape(name))
            results.append(torch.empty(shape, dtype=torch.uint8, device=self.device))
            context.set_tensor_address(name, results[-1].data_ptr())

        def run(images: list[Any]) -> list[Any]:
            held = [image.contiguous() for image in images]
            for name, image in zip(names, held, strict=True):
                context.set_tensor_address(name, image.data_ptr())
            if not context.execute_async_v3(_stream_handle(self.device)):
                raise DeviceError(f"device '{self.device}': TensorRT could not run the graph")
            return results

        return run

    def _plan(self, graph: GraphFile, size: Size) -> bytes:
        """Return the plan for a size: beside the weights, in the cache, or built."""
        mode = graph.metadata['export']['mode']
        if self._file_format == 'tensorrt':
            return graph.path.read_bytes()
        beside = self._store.beside('tensorrt', self.precision, mode)
        if beside is not None:
            export = beside.metadata['export']
            if export.get('built_for') == self._present and export['size'] == list(size):
                return beside.path.read_bytes()
        folder = cache_folder()
        if folder is None:
            return build_plan(self._library, graph.path, size)
        gpu = self._present['gpu'].replace(' ', '_').replace('/', '_')
        path = folder / (
            f'{graph.metadata["sha256"][:16]}-{__version__}.{mode}.{size[1]}x{size[0]}.'
            f'{self.precision}.{gpu}.{self._present["tensorrt"]}.plan'
        )
        with locked(path):
            if not path.is_file():
                write_bytes(path, build_plan(self._library, graph.path, size))
                prune(folder)
            touch(path)
            return path.read_bytes()


def _check_device(device: str) -> None:
    """Raise ConfigError for a device that TensorRT does not run on."""
    if not device.startswith('cuda'):
        raise ConfigError(f"backend 'tensorrt' on device '{device}': expected a CUDA device")


def _stream_handle(device: str) -> int:
    """Return the CUDA handle of the stream that work of this thread goes to."""
    return int(torch.cuda.current_stream(device).cuda_stream)
