"""Training pairs rendered from the project's own scenes, with exact labels."""

from __future__ import annotations

from collections.abc import Iterator

from mafs_model.errors import DatasetError
from mafs_training.datasets.reading import RawPair
from mafs_training.datasets.spec import SourceSpec

FRAMES_PER_DRIVE = 8


def render_pairs(spec: SourceSpec) -> Iterator[RawPair]:
    """
    Render scenes.

    Args:
        spec: 'path' is the number of pairs; a new drive begins every `FRAMES_PER_DRIVE` pairs,
            with seeds that start at 'seed'; frames of a drive are 'step' seconds apart.

    Yields:
        Pairs with labels in the ids of MFNet.

    Raises:
        DatasetError: the number of pairs is no positive integer.

    """
    from mafs_model.images.thermal import ThermalScaler
    from mafs_synthetic import NightDrive, SceneConfig

    if not spec.path.isdecimal() or int(spec.path) < 1:
        raise DatasetError(f'synthetic:{spec.path}: expected a number of pairs, e.g. synthetic:64')
    drive: NightDrive | None = None
    for index in range(int(spec.path)):
        seed, frame = spec.seed + index // FRAMES_PER_DRIVE, index % FRAMES_PER_DRIVE
        if drive is None or frame == 0:
            drive = NightDrive(SceneConfig(width=spec.size[1], height=spec.size[0], seed=seed))
            scaler = ThermalScaler(smoothing=0.0)
        scene = drive.frame(frame * spec.step)
        yield RawPair(
            f'synthetic_{seed:05d}_{frame}', scene.visible, scaler(scene.thermal), scene.labels
        )
