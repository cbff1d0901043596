"""The way of a pair over a GPU: one upload, one download and one synchronisation."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from math import prod
from typing import Any

from mafs_model.classes import ClassTable
from mafs_model.decision import Peaks
from mafs_model.errors import DeviceError, OutOfMemoryError
from mafs_model.images.registration import Maps, Unregistered
from mafs_model.prediction import Outputs, Prediction
from mafs_model.runtime.device_images import Painter, RegionFilter, repeat_to, Warp
from mafs_model.runtime.engine import input_names, mode_of
from mafs_model.types import Size, UInt8Image
import numpy as np
import torch
from torch import Tensor

# Images of a mode on the device -> fused [1,H,W,3], labels and confidence [1,h/2,w/2], uint8.
Compute = Callable[..., tuple[Tensor, Tensor, Tensor]]
_MAX_PROGRAMS = 6  # three modes at two sizes
_CAPTURE_WARM_UPS = 3  # Libraries choose their algorithms in the first runs.


@dataclass(frozen=True)
class Layout:
    """
    Everything that the buffers and operations of a pair depend on.

    Attributes:
        mode: which images are given.
        size: (height, width) of the results.
        maps: how the thermal image is registered on the device; None: it is already.
        wanted: the results to bring back, of ``fused``, ``labels``, ``confidence``, ``overlay``.

    """

    mode: str
    size: Size
    maps: Maps | None
    wanted: tuple[str, ...]

    @classmethod
    def of(
        cls,
        visible: UInt8Image | None,
        thermal: UInt8Image | Unregistered | None,
        outputs: Outputs,
    ) -> Layout:
        """Return the layout of a pair."""
        maps = thermal.maps if isinstance(thermal, Unregistered) else None
        if maps is not None:
            size = maps.size
        else:
            image = visible if visible is not None else thermal
            assert isinstance(image, np.ndarray)
            size = (int(image.shape[0]), int(image.shape[1]))
        wanted = [n for n in ('fused', 'labels', 'confidence') if getattr(outputs, n)]
        if outputs.overlay is not None:
            wanted.append('overlay')
        return cls(mode_of(visible, thermal), size, maps, tuple(wanted))

    @property
    def input_shapes(self) -> list[tuple[int, ...]]:
        """Return the shapes of the images that go up, with a batch axis."""
        thermal_size = self.size if self.maps is None else self.maps.thermal_size
        shapes: dict[str, tuple[int, ...]] = {
            'visible': (1, *self.size, 3),
            'thermal': (1, *thermal_size),
        }
        return [shapes[name] for name in input_names(self.mode)]

    @property
    def output_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the results that come down, without a batch axis."""
        coloured = {'fused', 'overlay'}
        return {n: (*self.size, 3) if n in coloured else self.size for n in self.wanted}


class DevicePath:
    """
    Registers, computes, repeats labels and paints on one device.

    Only bytes cross the border, packed into one buffer each way; both lie in pinned memory if
    the device is a GPU. On the CPU it does the same without them: that is what tests compare.

    Args:
        make_compute: returns what computes a mode at a size, called at its first use.
        classes: class table, for the overlay.
        device: ``cuda:N``, or ``cpu``.
        peaks: least peaks of the regions of classes.
        capture: record the work as a CUDA graph and replay it: one launch for hundreds.

    """

    def __init__(
        self,
        make_compute: Callable[[str, Size], Compute],
        classes: ClassTable,
        device: str,
        *,
        peaks: Peaks = (),
        capture: bool = False,
    ) -> None:
        self.device = device
        self._make_compute = make_compute
        self._capture = capture
        self._programs: dict[Layout, _Program] = {}
        with device_errors(device):
            self._stream = torch.cuda.Stream(device) if device.startswith('cuda') else None
            self._painter = Painter(classes, device)
            self._regions = RegionFilter(peaks, device) if peaks else None

    def infer(
        self,
        visible: UInt8Image | None,
        thermal: UInt8Image | Unregistered | None,
        outputs: Outputs,
    ) -> Prediction:
        """
        Compute the wanted outputs; see :class:`mafs_model.runtime.engine.Engine`.

        Raises:
            DeviceError: the device failed.
            OutOfMemoryError: its memory does not suffice.

        """
        layout = Layout.of(visible, thermal, outputs)
        if not layout.wanted:
            return Prediction()
        raw = thermal.image if isinstance(thermal, Unregistered) else thermal
        images = [image for image in (visible, raw) if image is not None]
        stream = self._stream
        with device_errors(self.device), torch.inference_mode():
            with nullcontext() if stream is None else torch.cuda.stream(stream):
                if outputs.overlay is not None:
                    self._painter.set_style(outputs.overlay)
                program = self._program(layout)
                program.start(images)
            if stream is not None:
                stream.synchronize()
            return program.results()

    def close(self) -> None:
        """Free all buffers."""
        self._programs.clear()
        if self._stream is not None:
            torch.cuda.empty_cache()

    def _program(self, layout: Layout) -> _Program:
        """Return the buffers and operations of a layout, made at its first use."""
        if layout not in self._programs:
            while len(self._programs) >= _MAX_PROGRAMS:
                self._programs.pop(next(iter(self._programs)))
            step = _Step(
                layout,
                self._make_compute(layout.mode, layout.size),
                self._regions,
                None if layout.maps is None else Warp(layout.maps, self.device),
                self._painter if 'overlay' in layout.wanted else None,
            )
            stream = self._stream if self._capture else None
            self._programs[layout] = _Program(layout, step, self.device, stream)
        return self._programs[layout]


class _Step:
    """The operations on the device: from the uploaded images to one buffer of results."""

    def __init__(
        self,
        layout: Layout,
        compute: Compute,
        regions: RegionFilter | None,
        warp: Warp | None,
        painter: Painter | None,
    ) -> None:
        self._layout, self._compute, self._regions = layout, compute, regions
        self._warp, self._painter = warp, painter

    def __call__(self, images: list[Tensor]) -> Tensor:
        """Return the wanted results one after the other, uint8 [N]."""
        size = self._layout.size
        if self._warp is not None:
            visible = images[0] if len(images) == 2 else None
            images = [*images[:-1], self._warp(images[-1], visible)]
        fused, labels, confidence = self._compute(*images)
        if self._regions is not None:
            labels, confidence = self._regions(labels, confidence)
        results = {
            'fused': fused,
            'labels': repeat_to(labels, size),
            'confidence': repeat_to(confidence, size),
        }
        if self._painter is not None:
            results['overlay'] = self._painter(fused, results['labels'], results['confidence'])
        return torch.cat([results[name].reshape(-1) for name in self._layout.wanted])


class _Program:
    """Buffers of one layout, and the work between them."""

    def __init__(
        self, layout: Layout, step: _Step, device: str, capture_on: torch.cuda.Stream | None
    ) -> None:
        self._layout, self._step = layout, step
        pinned = device.startswith('cuda')
        shapes = layout.input_shapes
        sizes = [prod(shape) for shape in shapes]
        self._host_in = torch.empty(sum(sizes), dtype=torch.uint8, pin_memory=pinned)
        self._device_in = self._host_in.to(device)
        self._host_images = _split(self._host_in, shapes)
        self._device_images = _split(self._device_in, shapes)
        count = sum(prod(shape) for shape in layout.output_shapes.values())
        self._host_out = torch.empty(count, dtype=torch.uint8, pin_memory=pinned)
        self._graph: Any = None
        if capture_on is not None:
            self._record(capture_on)

    def start(self, images: list[UInt8Image]) -> None:
        """Enqueue the work for images of any strides; :meth:`results` has to wait for it."""
        for buffer, image in zip(self._host_images, images, strict=True):
            np.copyto(buffer[0].numpy(), image)
        if self._device_in is not self._host_in:
            self._device_in.copy_(self._host_in, non_blocking=True)
        if self._graph is None:
            packed = self._step(self._device_images)
        else:
            self._graph.replay()
            packed = self._packed
        self._host_out.copy_(packed, non_blocking=True)

    def results(self) -> Prediction:
        """Return what came down as arrays of the caller's own."""
        # The buffer is overwritten by the next pair, so the caller gets a copy.
        owned = torch.from_numpy(self._host_out.numpy().copy())
        shapes = self._layout.output_shapes
        parts = _split(owned, list(shapes.values()))
        return Prediction(**{n: p.numpy() for n, p in zip(shapes, parts, strict=True)})

    def _record(self, stream: torch.cuda.Stream) -> None:
        """Record the kernels of one run."""
        for _ in range(_CAPTURE_WARM_UPS):
            self._step(self._device_images)
        stream.synchronize()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=stream):
            self._packed = self._step(self._device_images)


def _split(buffer: Tensor, shapes: list[tuple[int, ...]]) -> list[Tensor]:
    """Return views of a flat buffer, one after the other."""
    parts = buffer.split([prod(shape) for shape in shapes])
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]


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


def device_errors(device: str) -> AbstractContextManager[None]:
    """Return a guard that makes failures of a GPU DeviceError or OutOfMemoryError."""
    return _DeviceErrors(device) if device.startswith('cuda') else nullcontext()
