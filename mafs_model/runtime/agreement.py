"""How far a graph may be from torch fp32, and how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mafs_model.runtime.graph import DeploymentGraph
from mafs_model.types import UInt8Image
import numpy as np
import torch


@dataclass(frozen=True)
class Tolerance:
    """
    How far a graph may be from torch fp32.

    Attributes:
        fused: largest mean difference of the fused image in grey levels.
        fused_max: largest difference of a single value in grey levels.
        labels: smallest share of equal labels.

    """

    fused: float
    fused_max: float
    labels: float


# fp32: other summation orders move values across a rounding border. The others: what their formats
# resolve, seen on networks of this project.
TOLERANCES = {
    'fp32': Tolerance(0.05, 2, 0.995),
    'fp16': Tolerance(0.5, 12, 0.99),
    'bf16': Tolerance(1.5, 48, 0.97),
    'int8': Tolerance(2.0, 96, 0.985),
}


@dataclass(frozen=True)
class Agreement:
    """
    Comparison of a graph with torch fp32 on the same images.

    Attributes:
        fused_mean: mean difference of the fused image in grey levels.
        fused_max: largest difference of a single value in grey levels.
        labels: share of equal labels.
        confidence_mean: mean difference of the confidence, 255 = 1.
        images: number of pairs compared.

    """

    fused_mean: float
    fused_max: int
    labels: float
    confidence_mean: float
    images: int

    def within(self, tolerance: Tolerance) -> bool:
        """Return whether every figure is within the tolerance."""
        return (
            self.fused_mean <= tolerance.fused
            and self.fused_max <= tolerance.fused_max
            and self.labels >= tolerance.labels
        )

    def __str__(self) -> str:
        return (
            f'fused mean {self.fused_mean:.3f} max {self.fused_max}, labels equal '
            f'{100 * self.labels:.2f} %, confidence mean {self.confidence_mean:.3f}, '
            f'{self.images} pair(s)'
        )


def compare(
    reference: DeploymentGraph, run: Any, pairs: Sequence[tuple[UInt8Image, UInt8Image]]
) -> Agreement:
    """
    Compare a graph with torch on the same images.

    Args:
        reference: the module it was exported from.
        run: callable from the graph's images (uint8 [1,H,W,3] and [1,H,W], as its mode takes
            them) to its three arrays.
        pairs: visible uint8 [H,W,3] and thermal uint8 [H,W] images.

    """
    rows = []
    for visible, thermal in pairs:
        given = {'visible': visible[None], 'thermal': thermal[None]}
        images = [np.ascontiguousarray(given[name]) for name in reference.input_names]
        with torch.inference_mode():
            wanted = [
                t.numpy().astype(np.int16)
                for t in reference(*(torch.from_numpy(i) for i in images))
            ]
        fused, labels, confidence = (
            np.abs(w - np.asarray(g)) for w, g in zip(wanted, run(*images), strict=True)
        )
        rows.append((fused.mean(), fused.max(), (labels == 0).mean(), confidence.mean()))
    columns = list(zip(*rows, strict=True))
    return Agreement(
        float(np.mean(columns[0])),
        int(np.max(columns[1])),
        float(np.mean(columns[2])),
        float(np.mean(columns[3])),
        len(pairs),
    )
