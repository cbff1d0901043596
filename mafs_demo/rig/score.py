"""What the node made of a crooked rig, beside what it makes of registered images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mafs_demo.replay.playback import Playback
from mafs_demo.replay.store import FrameStore
from mafs_model.classes import ClassTable
from mafs_model.images.thermal import ThermalScaler
from mafs_model.prediction import Outputs
from mafs_model.predictor import Predictor
from mafs_training.metrics.qabf import edge_transfer
import numpy as np
from numpy.typing import NDArray

ACCEPTED_RATIO = 0.95  # of the registered original, of what is measured
MAX_PAIRS = 24  # Of a run; a pair takes a second.
_PERSON = 'person'


class _Overlap:
    """Intersection and union of one class over many label images."""

    def __init__(self) -> None:
        self._common = self._either = 0

    def add(self, found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> None:
        self._common += int(np.count_nonzero(found & truth))
        self._either += int(np.count_nonzero(found | truth))

    @property
    def iou(self) -> float:
        return self._common / self._either if self._either else float('nan')


def score(
    playback: Playback,
    original: FrameStore,
    truth: Callable[[int], NDArray[np.uint8]],
    predictor: Predictor,
    progress: Callable[[str, int, int], None],
) -> dict[str, Any]:
    """
    Return how good fused and label images are, as share of those of the registered original.

    Both are measured against the registered images and the true labels of the same visible frame.

    Args:
        playback: of the run with the rig.
        original: the registered frames.
        truth: returns the MFNet labels of a frame, uint8 [H,W].
        predictor: of the same weights, without registration.
        progress: called with (phase, done, total) now and then.

    """
    count = min(len(playback), MAX_PAIRS)
    chosen = np.linspace(0, len(playback) - 1, count).round().astype(int)
    person = ClassTable.load('mfnet').names.index(_PERSON)
    names = predictor.classes.names
    own = names.index(_PERSON) if _PERSON in names else None
    overlaps = {'crooked': _Overlap(), 'registered': _Overlap()}
    edges: dict[str, list[float]] = {'crooked': [], 'registered': []}
    scaler = ThermalScaler(smoothing=0.0)
    for done, number in enumerate(chosen, 1):
        index = playback.visible_index(int(number))
        visible, thermal = original.frame('visible', index), original.frame('thermal', index)
        pair = playback.pair(int(number))
        reference = predictor.predict(visible, thermal, Outputs(confidence=False))
        people = truth(index) == person
        for name, fused, labels in (
            ('crooked', pair.fused, pair.labels),
            ('registered', reference.fused, reference.labels),
        ):
            assert fused is not None
            edges[name].append(edge_transfer(fused, scaler(thermal), visible))
            if own is not None and labels is not None:
                overlaps[name].add(labels == own, people)
        progress('comparing', done, count)
    values = {
        'qabf': {name: float(np.mean(found)) for name, found in edges.items()},
        'person_iou': {name: overlap.iou for name, overlap in overlaps.items()},
    }
    return {'pairs': count, 'bar': ACCEPTED_RATIO} | {
        measure: _compared(found) for measure, found in values.items()
    }


def _compared(values: dict[str, float]) -> dict[str, float | None]:
    """Return both values and their ratio; None where there is nothing to compare."""
    share = values['crooked'] / values['registered'] if values['registered'] else float('nan')
    return {
        name: round(value, 4) if np.isfinite(value) else None
        for name, value in (values | {'share': share}).items()
    }
