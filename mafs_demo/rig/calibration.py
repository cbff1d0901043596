"""What a user does with such a camera: `mafs-calibrate scene` and `time` on a bag of it."""

from __future__ import annotations

from pathlib import Path

from mafs_calibration import cli
from mafs_demo.replay.children import DemoError
from mafs_model.calibration.calibration import Calibration


def calibrate(bag: Path, file: Path) -> Calibration:
    """
    Calibrate from a bag alone; no number is given by hand.

    Args:
        bag: what both cameras sent.
        file: where the calibration goes.

    Raises:
        DemoError: a step was refused; why was printed by it.

    """
    for command in ('scene', 'time'):
        if cli.main([command, str(bag), '--out', str(file)]) != 0:
            raise DemoError(f'mafs-calibrate {command} was refused for the crooked rig')
    return Calibration.load(file)
