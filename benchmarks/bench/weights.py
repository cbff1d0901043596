"""Weights and images for the benchmark: what is shipped, else made on the spot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mafs_model.runtime.factory import DEFAULT_WEIGHTS, GRAPH_FORMATS
from mafs_model.types import Size, UInt8Image
import numpy as np

if TYPE_CHECKING:
    from mafs_model.network.mafs import MAFS

_CALIBRATION_SIZE: Size = (240, 320)
_CALIBRATION_PAIRS = 8
_SECONDS_APART = 1.5
Pairs = list[tuple[UInt8Image, UInt8Image]]


@dataclass(frozen=True)
class PreparedWeights:
    """
    Weights in a folder where graphs may be written.

    Attributes:
        path: the file.
        trained: whether they are the shipped ones; else they are random.
        made_int8: backends whose int8 graph was calibrated for this run, on rendered scenes.

    """

    path: Path
    trained: bool
    made_int8: tuple[str, ...] = ()


def random_network(variant: str, num_classes: int = 9) -> MAFS:
    """Return an untrained network with every bias and statistic away from its first value."""
    from mafs_model.network.config import create_config
    from mafs_model.network.mafs import MAFS
    import torch

    torch.manual_seed(0)
    network = MAFS(create_config(variant, num_classes)).eval()
    with torch.no_grad():
        for name, values in network.state_dict().items():
            if name.endswith(('bias', 'running_mean')):
                values.add_(0.05 * torch.randn_like(values))
    return network


def prepare_weights(variant: str, folder: Path, int8: Sequence[str] = ()) -> PreparedWeights:
    """
    Put weights, and the int8 graphs beside them, into a folder.

    Args:
        variant: network.
        folder: where to.
        int8: backends that need a calibrated graph.

    Raises:
        MafsError: calibration failed, NNCF is not installed.

    """
    from mafs_model.runtime.graph_store import GraphStore

    folder.mkdir(parents=True, exist_ok=True)
    shipped = DEFAULT_WEIGHTS.with_name(f'{variant}.safetensors')
    path = folder / shipped.name
    if shipped.is_file():
        for file in shipped.parent.glob(f'{variant}.*'):
            (folder / file.name).symlink_to(file)
    else:
        save_random(variant, path)
    made = []
    for backend in int8:
        if not GraphStore(path).has(GRAPH_FORMATS[backend], 'int8'):
            _calibrate(path, GRAPH_FORMATS[backend])
            made.append(backend)
    return PreparedWeights(path, shipped.is_file(), tuple(made))


def save_random(variant: str, path: Path) -> None:
    """Write a weights file of an untrained network."""
    from mafs_model.checkpoint import build_metadata, save_checkpoint
    from mafs_model.classes import ClassTable

    network = random_network(variant)
    save_checkpoint(
        path,
        network.state_dict(),
        build_metadata(network.config.to_dict(), ClassTable.load('mfnet')),
    )


def _calibrate(weights: Path, file_format: str) -> None:
    """Write the int8 graph of both cameras beside the weights."""
    from mafs_model.checkpoint import load_checkpoint
    from mafs_model.runtime.export import export_graph
    from mafs_model.runtime.graph_file import graph_path

    path = graph_path(weights, file_format, 'int8', 'fusion')
    pairs = rendered_pairs(_CALIBRATION_SIZE, _CALIBRATION_PAIRS)
    export_graph(load_checkpoint(weights), path, file_format, calibration=pairs)


def rendered_pairs(size: Size, count: int) -> Pairs:
    """Return pairs of a rendered drive at night, uint8."""
    from mafs_model.images.thermal import ThermalScaler
    from mafs_synthetic import NightDrive, SceneConfig

    drive = NightDrive(SceneConfig(width=size[1], height=size[0], seed=1))
    frames = [drive.frame(index * _SECONDS_APART) for index in range(count)]
    scaler = ThermalScaler()
    return [(frame.visible, scaler(frame.thermal)) for frame in frames]


def save_pairs(path: Path, base: Pairs, size: Size) -> None:
    """Write pairs at a size for a worker."""
    from mafs_model.images.preprocessing import resize

    np.savez(
        path,
        visible=np.stack([resize(visible, size) for visible, _ in base]),
        thermal=np.stack([resize(thermal, size) for _, thermal in base]),
    )
