"""The crooked rig, from registered frames to the figures: simulate, calibrate, play, compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
import shutil
from typing import Any

from mafs_demo.replay.playback import Playback
from mafs_demo.replay.schedule import Schedule
from mafs_demo.replay.session import Recording
from mafs_demo.replay.sources import render_labels, Sequence, SequenceOptions
from mafs_demo.replay.store import FrameStore
from mafs_demo.rig.calibration import calibrate
from mafs_demo.rig.crooked import CrookedRig, make_crooked, write_input_bag
from mafs_demo.rig.score import score
from mafs_model.calibration.calibration import Calibration
from mafs_model.predictor import Predictor
import numpy as np

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class RigRun:
    """
    A rig with the calibration that was made of its own bag.

    Attributes:
        original: the registered frames.
        sequence: what the rig sends.
        rig: how it really is.
        calibration: what was found out.
        file: where that is written.

    """

    original: Sequence
    sequence: Sequence
    rig: CrookedRig
    calibration: Calibration
    file: Path

    @classmethod
    def prepare(
        cls, original: Sequence, wanted: SequenceOptions, work: Path, progress: Progress
    ) -> RigRun:
        """
        Simulate the rig, record a bag of it and calibrate.

        Args:
            original: registered frames.
            wanted: how they were rendered.
            work: folder for frames, bag and calibration.
            progress: called with (phase, done, total) now and then.

        Raises:
            DemoError: the calibration was refused.

        """
        rig = CrookedRig.draw(wanted.seed, wanted.size)
        sequence = make_crooked(original, rig, wanted.rate_hz, work, progress)
        bag, file = work / 'rig_bag', work / 'calibration.yaml'
        write_input_bag(sequence, bag)
        progress('calibrating', 0, 1)
        calibration = calibrate(bag, file)
        shutil.rmtree(bag)
        return cls(original, sequence, rig, calibration, file)

    @property
    def true_schedule(self) -> Schedule:
        """Return when the frames were exposed: what a perfect calibration would pair."""
        late_ns = round(1e9 * self.rig.latency_s)
        events = [
            replace(event, stamp_ns=event.stamp_ns - late_ns * (event.stream == 'thermal'))
            for event in self.sequence.schedule.events
        ]
        events.sort(key=lambda event: (event.stamp_ns, event.stream))
        return Schedule(tuple(events), partners_known=False)

    def compare(
        self,
        recording: Recording,
        wanted: SequenceOptions,
        predictor: Predictor,
        progress: Progress,
    ) -> dict[str, Any]:
        """
        Return what summary.json says about the rig.

        Args:
            recording: what the run left.
            wanted: how the frames were rendered.
            predictor: of the weights of the run, without registration.
            progress: called with (phase, done, total) now and then.

        """
        playback = Playback(recording, FrameStore(self.sequence.store))
        figures = score(
            playback,
            FrameStore(self.original.store),
            lambda index: render_labels(wanted, index),
            predictor,
            progress,
        )
        return {**self._errors(wanted), **figures}

    def _errors(self, wanted: SequenceOptions) -> dict[str, Any]:
        """Return how far the calibration is from how the rig really is."""
        height, width = wanted.size
        assert self.calibration.homography is not None
        assert self.calibration.latency is not None
        grid = np.mgrid[0 : width : width // 8, 0 : height : height // 8].reshape(2, -1)
        places = np.linalg.solve(self.rig.homography, np.vstack([grid, np.ones_like(grid[0])]))
        found = self.calibration.homography @ places
        off = np.hypot(*(found[:2] / found[2] - grid))
        offset_s = self.calibration.latency.offset_s
        return {
            'latency_ms': round(1e3 * self.rig.latency_s, 1),
            'time_error_ms': round(1e3 * (offset_s + self.rig.latency_s), 1),
            'registration_error_px': round(float(off.mean()), 2),
        }
