"""Flicker of fused images along a sequence, for a model and the baselines side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mafs_model.errors import DatasetError, ImageError
from mafs_model.predictor import Outputs, Predictor
from mafs_training.evaluation.bag.run import KeepingScaler, registered
from mafs_training.evaluation.flicker.sequences import Sequence, SequenceFrame
from mafs_training.evaluation.fusion.baselines import BASELINES, fuse_baseline, SOURCES
from mafs_training.evaluation.images import read_eight_bit
from mafs_training.metrics.bootstrap import Interval
from mafs_training.metrics.plane import luminance
from mafs_training.metrics.temporal import flicker_scores, Frame, frame_change, FrameChange
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]

METHODS = tuple(name for name in BASELINES if name not in SOURCES)
# Scores of the sources, the same for every method.
SHARED = ('TD_thermal', 'TD_visible', 'still')


class FlickerRun:
    """
    Collects the changes from frame to frame.

    The predictor runs as in the node: its thermal range follows the sequence and is not reset
    between frames.

    Args:
        predictor: the model, with a `KeepingScaler`; None: baselines and folders only.
        method: name of the model in tables.
        fused: further methods: name to image name to file.

    """

    def __init__(
        self,
        predictor: Predictor | None,
        method: str,
        fused: Mapping[str, Mapping[str, Path]],
    ) -> None:
        self.changes: dict[str, list[FrameChange]] = {
            name: [] for name in (*([method] if predictor else []), *fused, *METHODS)
        }
        self.frames = 0
        self.problems: list[str] = []
        self._predictor = predictor
        self._method = method
        self._fused = fused
        self._before: dict[str, Frame] = {}
        self._scaler = predictor.thermal_scaler if predictor else KeepingScaler()

    def add_frame(self, frame: SequenceFrame) -> None:
        """Fuse a frame with every method and measure what changed since the one before."""
        try:
            now = self._fuse(frame)
        except ImageError as error:
            self.problems.append(f'{frame.name}: {error}')
            self._before = {}
            return
        before = {} if frame.restart else self._before
        for name, images in now.items():
            if name in before:
                try:
                    self.changes[name].append(frame_change(before[name], images))
                except ImageError as error:
                    self.problems.append(f'{frame.name}, {name}: {error}')
        self._before = now
        self.frames += 1

    def _fuse(self, frame: SequenceFrame) -> dict[str, Frame]:
        """Return fused image and sources of every method."""
        visible = luminance(frame.visible)
        images: dict[str, Grey] = {}
        scaler = self._scaler
        assert isinstance(scaler, KeepingScaler), 'metrics need the scaled thermal image'
        if self._predictor is not None:
            if frame.restart:
                self._predictor.reset()
            wanted = Outputs(labels=False, confidence=False)
            fused = self._predictor.predict(frame.visible, frame.thermal, wanted).fused
            assert fused is not None, 'it was asked for'
            images[self._method] = luminance(fused)
        else:
            scaler(frame.thermal)
        assert scaler.last is not None
        registration = self._predictor.registration if self._predictor else _identity()
        thermal = registered(scaler.last, frame.visible, registration)
        for name in METHODS:
            images[name] = fuse_baseline(name, thermal, visible)
        for name, files in self._fused.items():
            if frame.name in files:
                images[name] = luminance(read_eight_bit(files[frame.name], f'fused ({name})'))
        return {name: Frame(image, thermal, visible) for name, image in images.items()}


def _identity() -> Any:
    from mafs_model.images.registration import Registration

    return Registration()


def run_flicker(
    sequence: Sequence,
    run: FlickerRun,
    *,
    limit: int = 0,
    progress: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """
    Measure a sequence.

    Args:
        sequence: the frames.
        run: the methods.
        limit: stop after that many frames; 0: all.
        progress: called after every frame.

    Returns:
        The parts 'frames', 'transitions', 'sources', 'methods', 'series' and 'problems' of a
        flicker document; see docs/evaluation.md.

    Raises:
        DatasetError: fewer than two frames can be used.

    """
    for frame in sequence.frames:
        run.add_frame(frame)
        progress()
        if limit and run.frames >= limit:
            break
    problems = [*sequence.problems, *run.problems]
    if not run.changes[METHODS[0]]:
        raise DatasetError(
            problems[0] if problems else f'{sequence.title}: expected at least two frames'
        )
    scores = {n: flicker_scores(changes) for n, changes in run.changes.items() if changes}
    problems += [f'method {n}: no two frames in a row' for n in run.changes if n not in scores]
    shared = scores[METHODS[0]]
    return {
        'sequence': sequence.title,
        'frames': run.frames,
        'transitions': len(run.changes[METHODS[0]]),
        'baselines': list(METHODS),
        'sources': {name: as_cell(shared[name]) for name in SHARED},
        'methods': {
            method: {n: as_cell(i) for n, i in rows.items() if n not in SHARED}
            for method, rows in scores.items()
        },
        'series': {
            **{method: [c.fused for c in run.changes[method]] for method in scores},
            'thermal': [c.thermal for c in run.changes[METHODS[0]]],
            'visible': [c.visible for c in run.changes[METHODS[0]]],
        },
        'problems': problems,
    }


def as_cell(interval: Interval) -> dict[str, Any]:
    """Return an interval as the document holds it."""
    return {'value': interval.value, 'ci95': [interval.low, interval.high]}
