"""Going on after a GPU has run out of memory: smaller once, then on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
import logging
from typing import TYPE_CHECKING

from mafs_model.classes import ClassTable
from mafs_model.errors import OutOfMemoryError
from mafs_model.images.enlargement import enlarge
from mafs_model.images.preprocessing import MIN_SIDE_PX, resize, size_of
from mafs_model.images.registration import Unregistered
from mafs_model.prediction import Outputs, Prediction
from mafs_model.runtime.engine import Engine, registers, takes_tensors
from mafs_model.types import UInt8Image

if TYPE_CHECKING:  # A GPU may be used without torch.
    from torch import Tensor

_LOGGER = logging.getLogger('mafs_model.runtime')


class FallbackEngine:
    """
    Wraps an engine on a GPU.

    At the first lack of memory images are halved, at the second the CPU takes over; both stay
    until the engine is closed and are told in ``notices``. Other failures pass through.

    Args:
        engine: the engine to wrap.
        make_cpu: makes the engine that takes over.

    """

    def __init__(self, engine: Engine, make_cpu: Callable[[], Engine]) -> None:
        self._engine = engine
        self._make_cpu = make_cpu
        self._halved = False
        self._on_cpu = False
        self._extra: tuple[str, ...] = ()
        self.is_classical = engine.is_classical
        self.weights_id = engine.weights_id
        self.classes: ClassTable = engine.classes
        self.backend = engine.backend
        self.device = engine.device

    @property
    def notices(self) -> tuple[str, ...]:
        """Return what a user should know, what went wrong included."""
        return (*self._engine.notices, *self._extra)

    @property
    def registers(self) -> bool:
        """Return whether thermal images are taken as they were received."""
        return registers(self._engine) and not self._halved

    def infer_unregistered(
        self, visible: UInt8Image | None, thermal: Unregistered, outputs: Outputs
    ) -> Prediction:
        """Compute; see :class:`mafs_model.runtime.engine.RegisteringEngine`."""
        if registers(self._engine) and self.registers:
            try:
                return self._engine.infer_unregistered(visible, thermal, outputs)
            except OutOfMemoryError as error:
                self._step_down(str(error))
        return self.infer(visible, thermal.registered(visible), outputs)

    def infer(
        self, visible: UInt8Image | None, thermal: UInt8Image | None, outputs: Outputs
    ) -> Prediction:
        """Compute the wanted outputs; see :class:`mafs_model.runtime.engine.Engine`."""
        while True:
            try:
                return self._infer(visible, thermal, outputs)
            except OutOfMemoryError as error:
                if self._on_cpu:
                    raise
                self._step_down(str(error))

    @property
    def takes_tensors(self) -> bool:
        """Return whether the engine in use takes tensors."""
        return takes_tensors(self._engine)

    def infer_tensors(
        self, visible: Tensor | None, thermal: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute tensors as they are; a lack of memory is left to the caller."""
        assert takes_tensors(self._engine)
        return self._engine.infer_tensors(visible, thermal)

    def why_not(self, mode: str) -> str:
        """Return why a mode cannot be computed, '' if it can."""
        return self._engine.why_not(mode)

    def close(self) -> None:
        """Free the engine in use."""
        self._engine.close()

    def _infer(
        self, visible: UInt8Image | None, thermal: UInt8Image | None, outputs: Outputs
    ) -> Prediction:
        """Run the engine in use, at half size if need be."""
        image = visible if visible is not None else thermal
        assert image is not None
        size = size_of(image)
        if not self._halved or self._on_cpu:
            return self._engine.infer(visible, thermal, outputs)
        half = (max(MIN_SIDE_PX, size[0] // 2), max(MIN_SIDE_PX, size[1] // 2))
        result = self._engine.infer(
            None if visible is None else resize(visible, half),
            None if thermal is None else resize(thermal, half),
            replace(outputs, overlay=None),
        )
        return enlarge(result, visible, thermal, half, size)

    def _step_down(self, reason: str) -> None:
        """Halve the images, or move to the CPU."""
        if not self._halved:
            self._halved = True
            notice = f'{reason}: computing at half size'
        else:
            notice = f'{reason} at half size, too: computing on the CPU'
            self._engine.close()
            self._engine = self._make_cpu()
            self._on_cpu = True
            self.backend, self.device = self._engine.backend, self._engine.device
        self._extra = (notice,)
        _LOGGER.warning(notice)
