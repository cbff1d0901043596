"""The engine that runs the network in torch, on CPU or GPU."""

from __future__ import annotations

from typing import Any

from mafs_model.checkpoint import build_model, Checkpoint
from mafs_model.classes import ClassTable
from mafs_model.decision import Decision
from mafs_model.errors import ConfigError
from mafs_model.images.registration import Unregistered
from mafs_model.network.folding import fold_batch_norm
from mafs_model.prediction import Outputs, Prediction
from mafs_model.runtime.device_images import RegionFilter, repeat_to
from mafs_model.runtime.device_path import Compute, device_errors, DevicePath
from mafs_model.runtime.eager import prepare_eager
from mafs_model.runtime.engine import collect_outputs, mode_of
from mafs_model.runtime.graph import DeploymentGraph
from mafs_model.runtime.regions import reject_regions
from mafs_model.types import Size, UInt8Image
import numpy as np
import torch
from torch import Tensor

TORCH_BACKENDS = ('torch', 'torch-compile', 'cuda-graph')
_DTYPES = {'fp32': torch.float32, 'fp16': torch.float16, 'bf16': torch.bfloat16}
_MAX_BUFFERS = 6  # three modes at two sizes


class TorchEngine:
    """
    Runs a :class:`DeploymentGraph`.

    On a GPU everything from the received images to the overlay happens there, see
    :class:`DevicePath`.

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
    takes_tensors = True

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
        self._decision = Decision.from_metadata(checkpoint.metadata)
        network = fold_batch_norm(build_model(checkpoint))
        if not self._cuda:
            network = prepare_eager(network)
        with device_errors(device):
            self._network: torch.nn.Module | None = network.to(
                device, _DTYPES[self.precision], memory_format=torch.channels_last
            )
        self._graphs: dict[str, Compute] = {}
        self._buffers: dict[tuple[str, Size], list[Tensor]] = {}
        self._regions: RegionFilter | None = None
        self._path = (
            DevicePath(
                lambda mode, size: self._graph(mode),
                self.classes,
                device,
                peaks=self._decision.peaks,
                capture=backend == 'cuda-graph',
            )
            if self._cuda
            else None
        )

    @property
    def registers(self) -> bool:
        """Return whether thermal images are taken as they were received."""
        return self._path is not None

    def infer(
        self, visible: UInt8Image | None, thermal: UInt8Image | None, outputs: Outputs
    ) -> Prediction:
        """Compute the wanted outputs; see :class:`mafs_model.runtime.engine.Engine`."""
        if self._path is not None:
            return self._path.infer(visible, thermal, outputs)
        mode = mode_of(visible, thermal)
        images = [image for image in (visible, thermal) if image is not None]
        size = (int(images[0].shape[0]), int(images[0].shape[1]))
        with torch.inference_mode():
            results = self._graph(mode)(*self._load(mode, size, images))
        return collect_outputs(
            [r[0].numpy() for r in results], size, outputs, self._decision.peaks
        )

    def infer_unregistered(
        self, visible: UInt8Image | None, thermal: Unregistered, outputs: Outputs
    ) -> Prediction:
        """Compute on a GPU; see :class:`mafs_model.runtime.engine.RegisteringEngine`."""
        assert self._path is not None, 'the CPU takes registered images'
        return self._path.infer(visible, thermal, outputs)

    def infer_tensors(
        self, visible: Tensor | None, thermal: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute tensors; see :class:`mafs_model.runtime.engine.TensorEngine`."""
        given = [image for image in (visible, thermal) if image is not None]
        size = (int(given[0].shape[1]), int(given[0].shape[2]))
        with device_errors(self.device), torch.no_grad():
            images = [image.to(self.device, non_blocking=True) for image in given]
            fused, labels, confidence = self._graph(mode_of(visible, thermal))(*images)
            labels, confidence = self._filter_regions(labels, confidence)
            return fused, repeat_to(labels, size), repeat_to(confidence, size)

    def _filter_regions(self, labels: Tensor, confidence: Tensor) -> tuple[Tensor, Tensor]:
        """Return labels and confidence [B,h,w] without regions that are sure nowhere."""
        peaks = self._decision.peaks
        if not peaks:
            return labels, confidence
        if self._cuda:
            if self._regions is None:
                self._regions = RegionFilter(peaks, self.device)
            return self._regions(labels, confidence)
        pairs = [
            reject_regions(one.numpy(), other.numpy(), peaks)
            for one, other in zip(labels, confidence, strict=True)
        ]
        kept, sure = zip(*pairs, strict=True)
        return torch.from_numpy(np.stack(kept)), torch.from_numpy(np.stack(sure))

    def raw_runner(self, mode: str) -> Compute:
        """Return what runs a mode on uint8 tensors with a batch axis, without copies of them."""
        return self._graph(mode)

    def why_not(self, mode: str) -> str:
        """Return '': any mode can be computed."""
        return ''

    def close(self) -> None:
        """Free the network and all buffers."""
        self._network = None
        self._graphs.clear()
        self._buffers.clear()
        if self._path is not None:
            self._path.close()

    def _graph(self, mode: str) -> Compute:
        """Return what computes a mode, made at its first use."""
        if mode not in self._graphs:
            assert self._network is not None, 'the engine is closed'
            graph: Any = DeploymentGraph(self._network, mode, self._decision.temperature).eval()
            if self.backend == 'torch-compile':
                graph = torch.compile(graph, dynamic=False)
            self._graphs[mode] = graph
        return self._graphs[mode]

    def _load(self, mode: str, size: Size, images: list[UInt8Image]) -> list[Tensor]:
        """Return images of any strides as tensors, in memory that is used again."""
        key = (mode, size)
        if key not in self._buffers:
            while len(self._buffers) >= _MAX_BUFFERS:
                self._buffers.pop(next(iter(self._buffers)))
            self._buffers[key] = [
                torch.empty((1, *image.shape), dtype=torch.uint8) for image in images
            ]
        for buffer, image in zip(self._buffers[key], images, strict=True):
            np.copyto(buffer[0].numpy(), image)
        return self._buffers[key]


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
