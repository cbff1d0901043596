"""
The fusion node with an engine that computes nothing: what is left is the cost of the node.

Everything else is the node as it is installed; arguments are those of `fusion_node`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mafs_model import predictor
from mafs_model.classes import ClassTable
from mafs_model.prediction import Outputs, Prediction
from mafs_model.types import UInt8Image
from mafs_ros.executable import main
import numpy as np

_BLOCK_PX = 60


class NullEngine:
    """Computes nothing: what it hands out is there already."""

    backend = 'null'
    device = 'cpu'
    weights_id = 'none (benchmark)'
    is_classical = False
    notices: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.classes = ClassTable.load('mfnet')
        self._output = Prediction()

    def infer(
        self, visible: UInt8Image | None, thermal: UInt8Image | None, outputs: Outputs
    ) -> Prediction:
        """Return the visible image as the fused one, and labels made once."""
        image = visible if visible is not None else thermal
        assert image is not None
        size = image.shape[:2]
        if self._output.fused is None or self._output.fused.shape[:2] != size:
            # Labels in blocks: colours, legend, objects and PNG must have something to do.
            row, column = np.indices(size)
            labels = (row // _BLOCK_PX * 3 + column // _BLOCK_PX) % len(self.classes)
            self._output = Prediction(
                fused=np.full((*size, 3), 90, np.uint8),
                labels=labels.astype(np.uint8),
                confidence=np.full(size, 200, np.uint8),
            )
        fused = self._output.fused if visible is None else visible
        return replace(self._output, fused=fused).only(outputs)

    def why_not(self, mode: str) -> str:
        """Return '': it has an answer to everything."""
        return ''

    def close(self) -> None:
        """Do nothing."""


def _create_engine(weights: Any = None, **unused: Any) -> NullEngine:
    return NullEngine()


if __name__ == '__main__':
    predictor.create_engine = _create_engine
    main()
