"""The engine that runs the network in torch, on CPU or GPU."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from mafs_model.checkpoint import build_model, Checkpoint
from mafs_model.classes import ClassTable
from mafs_model.errors import ConfigError, DeviceError, OutOfMemoryError
from mafs_model.runtime.engine import collect_outputs, EngineOutput
from mafs_model.runtime.folding import fold_batch_norm
from mafs_model.runtime.graph import DeploymentGraph
from mafs_model.types import Outputs, Size, UInt8Image
import numpy as np
import torch
from torch import Tensor

TORCH_BACKENDS = ('torch', 'torch-compile', 'cuda-graph')
_DTYPES = {'fp32': torch.float32, 'fp16': torch.float16, 'bf16': torch.bfloat16}

Runner = Callable[..., tuple[Tensor, Tensor, Tensor]]


class TorchEngine:
    """
    Runs a :class:`DeploymentGraph`.

    On a GPU the images of a pair are copied to pinned memory, uploaded, computed on an own
    stream and downloaded, with one synchronisation at the end.

    Args:
        checkpoint: weights and their description.
        device: ``cpu`` or ``cuda:N``, see ``resolve_device``.
        backend: one of ``TORCH_BACKENDS``.
        precision: ``auto`` (fp16 on a GPU, fp32 on the CPU), ``fp32``, ``fp16`` or ``bf16``.
        classes: table that replaces the one of the weights.
        threads: CPU threads of torch; None leaves torch's choice.
        notices: what a user should know about the set-up.

    Raises:
        ConfigError: backend or precision do not fit the device.
        CheckpointError: the weights do not fit their architecture.
        DeviceError: the model does not fit onto the device.

    """

    is_classical = False

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        device: str = 'cpu',
        backend: str = 'torch',
        precision: str = 'auto',
        classes: ClassTable | None = None,
        threads: int | None = None,
        notices: tuple[str, ...] = (),
    ) -> None:
        self.backend, self.device, self.notices = backend, device, notices
        self.classes = classes or checkpoint.classes
        self.weights_id = checkpoint.weights_id
        self._cuda = device.startswith('cuda')
        self.precision = _choose_precision(precision, self._cuda)
        if backend == 'cuda-graph' and not self._cuda:
            raise ConfigError(f"backend 'cuda-graph' on device '{device}': expected a CUDA device")
        if threads is not None:
            torch.set_num_threads(threads)
        self._temperature = float(checkpoint.metadata.get('temperature', 1.0))
        network = fold_batch_norm(build_model(checkpoint))
        with _device_errors(device):
            self._network: torch.nn.Module | None = network.to(
                device, _DTYPES[self.precision], memory_format=torch.channels_last
            )
            self._stream = torch.cuda.Stream(device) if self._cuda else None
        self._runners: dict[str, Runner] = {}
        self._staging: dict[tuple[str, Size], _Staging] = {}

    def infer(
        self, visible: UInt8Image | None, thermal: UInt8Image | None, outputs: Outputs
    ) -> EngineOutput:
        """Compute the wanted outputs; see :class:`mafs_model.runtime.engine.Engine`."""
        images = [image for image in (visible, thermal) if image is not None]
        mode = (
            'fusion' if len(images) == 2 else 'visible_only' if thermal is None else 'thermal_only'
        )
        size = (int(images[0].shape[0]), int(images[0].shape[1]))
        with _device_errors(self.device), torch.inference_mode():
            staging = self._stage(mode, size)
            if self._stream is None:
                staging.load(images)
                results = self._runner(mode)(*staging.host_inputs)
                return collect_outputs([r[0].numpy() for r in results], size, outputs)
            with torch.cuda.stream(self._stream):
                staging.load(images)
                results = self._runner(mode)(*staging.upload())
                staging.download(results)
            self._stream.synchronize()
            # The pinned buffers are overwritten by the next pair, so the caller gets copies.
            copies = [r[0].numpy().copy() for r in staging.host_outputs]
            return collect_outputs(copies, size, outputs)

    def close(self) -> None:
        """Free the network and all buffers."""
        self._network = None
        self._runners.clear()
        self._staging.clear()
        if self._cuda:
            torch.cuda.empty_cache()

    def _runner(self, mode: str) -> Runner:
        """Return what computes a mode, made at its first use."""
        if mode not in self._runners:
            assert self._network is not None, 'the engine is closed'
            graph: Any = DeploymentGraph(self._network, mode, self._temperature).eval()
            if self.backend == 'torch-compile':
                graph = torch.compile(graph, dynamic=False)
            elif self.backend == 'cuda-graph':
                assert self._stream is not None
                graph = CudaGraphRunner(graph, self._stream)
            self._runners[mode] = graph
        return self._runners[mode]

    def _stage(self, mode: str, size: Size) -> _Staging:
        """Return the buffers for a mode and size, made at their first use."""
        key = (mode, size)
        if key not in self._staging:
            if len(self._staging) >= 6:  # three modes at two sizes
                self._staging.clear()
            self._staging[key] = _Staging.create(mode, size, self.device)
        return self._staging[key]


@dataclass
class _Staging:
    """Input and output buffers of one mode and size; pinned if there is a GPU."""

    host_inputs: list[Tensor]
    device_inputs: list[Tensor]
    host_outputs: list[Tensor]

    @classmethod
    def create(cls, mode: str, size: Size, device: str) -> _Staging:
        """Allocate buffers."""
        pinned = device.startswith('cuda')
        shapes = {'visible': (1, *size, 3), 'thermal': (1, *size)}
        names = ('visible', 'thermal') if mode == 'fusion' else (mode.partition('_')[0],)
        host = [torch.empty(shapes[n], dtype=torch.uint8, pin_memory=pinned) for n in names]
        on_device = [h.to(device) for h in host] if pinned else host
        return cls(host, on_device, [])

    def load(self, images: list[UInt8Image]) -> None:
        """Copy arrays of any strides into the input buffers."""
        for buffer, image in zip(self.host_inputs, images, strict=True):
            np.copyto(buffer[0].numpy(), image)

    def upload(self) -> list[Tensor]:
        """Start copying the inputs to the device and return them there."""
        for buffer, target in zip(self.host_inputs, self.device_inputs, strict=True):
            target.copy_(buffer, non_blocking=True)
        return self.device_inputs

    def download(self, results: tuple[Tensor, ...]) -> None:
        """Start copying the results from the device."""
        if not self.host_outputs:
            self.host_outputs = [
                torch.empty(r.shape, dtype=r.dtype, pin_memory=True) for r in results
            ]
        for result, buffer in zip(results, self.host_outputs, strict=True):
            buffer.copy_(result, non_blocking=True)


class CudaGraphRunner:
    """
    Replays a captured CUDA graph per input shape: one launch instead of hundreds.

    Args:
        graph: module to capture.
        stream: stream on which it is warmed up and captured.

    """

    def __init__(self, graph: torch.nn.Module, stream: torch.cuda.Stream) -> None:
        self._graph = graph
        self._stream = stream
        self._captured: dict[tuple[int, ...], tuple[Any, tuple[Tensor, Tensor, Tensor]]] = {}

    def __call__(self, *images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run on images that stay at the same addresses from call to call."""
        key = tuple(image.data_ptr() for image in images) + tuple(images[0].shape)
        if key not in self._captured:
            if len(self._captured) >= 4:
                self._captured.clear()
            self._captured[key] = self._capture(images)
        graph, results = self._captured[key]
        graph.replay()
        return results

    def _capture(self, images: tuple[Tensor, ...]) -> tuple[Any, tuple[Tensor, Tensor, Tensor]]:
        """Record the kernels of one run."""
        for _ in range(3):  # Libraries choose their algorithms in the first runs.
            self._graph(*images)
        self._stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream):
            results = self._graph(*images)
        return graph, results


def _choose_precision(precision: str, cuda: bool) -> str:
    """Return the precision to use; raises ConfigError for one that torch does not do."""
    if precision == 'auto':
        return 'fp16' if cuda else 'fp32'
    if precision == 'int8':
        raise ConfigError(
            "precision 'int8' with torch: expected fp32, fp16 or bf16; int8 needs "
            'backend openvino or onnxruntime'
        )
    if precision == 'fp16' and not cuda:
        raise ConfigError("precision 'fp16' on the CPU: expected fp32 or bf16")
    return precision


class _DeviceErrors:
    """Turns torch's device failures into DeviceError."""

    def __init__(self, device: str) -> None:
        self._device = device

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        """Replace out-of-memory and CUDA errors."""
        if isinstance(error, torch.cuda.OutOfMemoryError):
            torch.cuda.empty_cache()
            raise OutOfMemoryError(f"device '{self._device}': out of memory") from error
        if isinstance(error, RuntimeError) and 'CUDA' in str(error):
            reason = str(error).splitlines()[0]
            raise DeviceError(f"device '{self._device}': {reason}") from error


def _device_errors(device: str) -> AbstractContextManager[None]:
    """Return a guard for work on a device."""
    return _DeviceErrors(device) if device.startswith('cuda') else nullcontext()
