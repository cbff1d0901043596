"""What engines of exported graphs share: choice of the graph, padding, collection of results."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
import logging
import threading

import cv2
from mafs_model.classes import ClassTable
from mafs_model.decision import Decision
from mafs_model.errors import (
    CheckpointError,
    ConfigError,
    DeviceError,
    ImageError,
    ModeError,
    OutOfMemoryError,
)
from mafs_model.images.preprocessing import format_size
from mafs_model.prediction import Outputs, Prediction
from mafs_model.runtime.engine import (
    collect_outputs,
    input_names,
    MODE_CAMERAS,
    mode_of,
    MODES,
)
from mafs_model.runtime.graph_file import GraphFile
from mafs_model.runtime.graph_store import GraphStore
from mafs_model.types import Size, UInt8Image
import numpy as np

_LOGGER = logging.getLogger('mafs_model.runtime')
# images of the graph's mode, each with a batch axis -> fused, labels, confidence
Runner = Callable[[list[UInt8Image]], list[UInt8Image]]
_MAX_RUNNERS = 6  # three modes at two sizes


class GraphEngine(ABC):
    """
    Runs exported graphs, one per mode.

    Threads: one computes; another may `prepare` a mode that is not in use yet. `close` waits for
    what is being made ready.

    Args:
        store: where the graphs come from; closed with the engine.
        backend: name of the backend.
        device: where it computes.
        file_format: format of its graphs.
        precision: precision of its graphs.
        classes: table that replaces the one of the weights.
        notices: what a user should know about the set-up.

    """

    is_classical = False
    fixed_shapes = False  # True: one compiled graph per image size
    prepares = True

    def __init__(
        self,
        store: GraphStore,
        *,
        backend: str,
        device: str,
        file_format: str,
        precision: str,
        classes: ClassTable | None,
        notices: tuple[str, ...],
    ) -> None:
        self.backend, self.device, self.precision = backend, device, precision
        self.classes = classes or store.classes
        self.weights_id = store.weights_id
        self.peaks = Decision.from_metadata(store.metadata).peaks
        self.notices = notices
        self._file_format = file_format
        self._store = store
        self._runners: dict[tuple[str, Size | None], Runner] = {}
        self._graphs: dict[str, GraphFile] = {}
        self._lacking: dict[str, str] = {}  # mode -> why it cannot be computed
        self._making = {mode: threading.RLock() for mode in MODES}
        self._keeping = threading.Lock()  # of the runners, while some are put away
        self._closed = False
        self._graph(store.mode)  # A missing or damaged file is an error of the set-up.

    def infer(
        self, visible: UInt8Image | None, thermal: UInt8Image | None, outputs: Outputs
    ) -> Prediction:
        """Compute the wanted outputs; see :class:`mafs_model.runtime.engine.Engine`."""
        mode = mode_of(visible, thermal)
        images = [image for image in (visible, thermal) if image is not None]
        size = (int(images[0].shape[0]), int(images[0].shape[1]))
        padded, work_size = self._pad(images, size, mode)
        results = self._runner(mode, work_size)([image[None] for image in padded])
        fused, labels, confidence = (np.asarray(result)[0] for result in results)
        if work_size != size:
            half = (-(-size[0] // 2), -(-size[1] // 2))
            fused = np.ascontiguousarray(fused[: size[0], : size[1]])
            labels, confidence = (a[: half[0], : half[1]] for a in (labels, confidence))
        return collect_outputs((fused, labels, confidence), size, outputs, self.peaks)

    def why_not(self, mode: str) -> str:
        """Return why a mode cannot be computed, '' if it can."""
        if mode not in self._lacking:
            try:
                self._graph(mode)
            except ModeError as error:
                return str(error)
        return self._lacking.get(mode, '')

    def prepare(self, mode: str, size: Size) -> None:
        """Make a mode ready; see :class:`mafs_model.runtime.engine.PreparingEngine`."""
        target = self._target_size(size, mode)
        shapes = {'visible': (1, *target, 3), 'thermal': (1, *target)}
        images = [np.full(shapes[name], 128, np.uint8) for name in input_names(mode)]
        self._runner(mode, target, images)

    def close(self) -> None:
        """Free the graphs and temporary files."""
        self._closed = True
        for making in self._making.values():
            with making:
                pass
        self._runners.clear()
        self._store.close()

    def raw_runner(self, mode: str, size: Size) -> Runner:
        """Return what runs a graph on images with a batch axis, without padding or enlarging."""
        return self._runner(mode, size)

    @abstractmethod
    def _compile(self, graph: GraphFile, size: Size | None) -> Runner:
        """Return what runs a graph; its results belong to the caller."""

    def _pad(
        self, images: list[UInt8Image], size: Size, mode: str
    ) -> tuple[list[UInt8Image], Size]:
        """
        Return contiguous images of the size that the graph computes at, and that size.

        Padding repeats the last row and column, as the network does inside.
        """
        target = self._target_size(size, mode)
        if target == size:
            return [np.ascontiguousarray(image) for image in images], size
        bottom, right = target[0] - size[0], target[1] - size[1]
        return [
            cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
            for image in images
        ], target

    def _target_size(self, size: Size, mode: str) -> Size:
        """Return the size that a graph computes at; raises ImageError if it is too small."""
        export = self._graph(mode).metadata['export']
        if export['size'] is None:
            multiple = int(export['multiple'])
            return -(-size[0] // multiple) * multiple, -(-size[1] // multiple) * multiple
        target = (int(export['size'][0]), int(export['size'][1]))
        if target[0] < size[0] or target[1] < size[1]:
            raise ImageError(
                'size',
                f'image is {format_size(size)}, expected at most {format_size(target)}: '
                'the graph was exported for this size; set the inference size to it',
            )
        return target

    def _graph(self, mode: str) -> GraphFile:
        """Return the graph of a mode, found or made at its first use; raises ModeError."""
        if mode not in self._graphs:
            with self._making[mode], self._serving(mode):
                if mode not in self._graphs:
                    self._graphs[mode] = self._find(mode)
        return self._graphs[mode]

    def _find(self, mode: str) -> GraphFile:
        """Return the graph of a mode from the store."""
        precision = self.precision
        if self._store.lacks_calibrated(self._file_format, precision, mode):
            _LOGGER.warning('no int8 graph for %s beside the weights: using fp32', mode)
            precision = 'fp32'
        return self._store.get(self._file_format, precision, mode)

    @contextmanager
    def _serving(self, mode: str) -> Iterator[None]:
        """
        Make of what is wrong with one mode a ModeError, at once where it is known already.

        What is wrong with the mode that the weights stand for is an error of the set-up.
        """
        if mode in self._lacking:
            raise ModeError(self._lacking[mode])
        try:
            yield
        except (CheckpointError, ConfigError, DeviceError) as error:
            if mode == self._store.mode or isinstance(error, (ModeError, OutOfMemoryError)):
                raise
            self._lacking[mode] = (
                f'{self.weights_id} cannot be computed for {MODE_CAMERAS[mode]}: {error}'
            )
            raise ModeError(self._lacking[mode]) from None

    def _runner(self, mode: str, size: Size, first: list[UInt8Image] | None = None) -> Runner:
        """
        Return what runs a mode at a size, made at its first use.

        Args:
            mode: one of ``MODES``.
            size: (height, width) that it computes at.
            first: images to run a new one on before anybody else gets it.

        Raises:
            ModeError: the mode cannot be computed.

        """
        key = (mode, size if self.fixed_shapes else None)
        with self._making[mode]:
            if self._closed:
                raise ConfigError('engine is closed, create a new one')
            runner = self._runners.get(key)
            if runner is None:
                with self._serving(mode):
                    runner = self._compile(self._graph(mode), key[1])
                if first is not None:
                    runner(first)
            self._keep(key, runner)
        return runner

    def _keep(self, key: tuple[str, Size | None], runner: Runner) -> None:
        """Put a runner into its place as the one used last, and those used longest ago away."""
        with self._keeping:
            self._runners.pop(key, None)
            while len(self._runners) >= _MAX_RUNNERS:
                self._runners.pop(next(iter(self._runners)))
            self._runners[key] = runner
