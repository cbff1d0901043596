"""The work of ``mafs export``: graphs of all modes beside each other, each compared with torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mafs_model.checkpoint import Checkpoint
from mafs_model.errors import ConfigError, ImageError
from mafs_model.images.image_files import match_pairs, read_thermal, read_visible
from mafs_model.images.preprocessing import check_visible, resize
from mafs_model.images.thermal import ThermalScaler
from mafs_model.runtime import tensorrt_plan
from mafs_model.runtime.agreement import Agreement, compare, TOLERANCES
from mafs_model.runtime.engine import MODES
from mafs_model.runtime.export import deployment_graph, export_graph, sample_pairs
from mafs_model.runtime.graph_engine import GraphEngine
from mafs_model.runtime.graph_file import graph_path
from mafs_model.runtime.graph_store import GraphStore
from mafs_model.runtime.onnx_engine import OnnxEngine
from mafs_model.runtime.openvino_engine import OpenVinoEngine
from mafs_model.runtime.tensorrt_engine import TensorRtEngine
from mafs_model.types import Size, UInt8Image
import numpy as np

CALIBRATION_PAIRS = 64
_VERIFIED_PAIRS = 4

Pairs = list[tuple[UInt8Image, UInt8Image]]


@dataclass(frozen=True)
class ExportedFile:
    """
    One exported file and how it compares with torch fp32.

    Attributes:
        path: the file.
        mode: which images it takes.
        precision: ``fp32``, ``fp16`` or ``int8``.
        agreement: comparison on real pairs where given, else on smooth random images.
        passed: whether it is within the tolerance of its precision.

    """

    path: Path
    mode: str
    precision: str
    agreement: Agreement
    passed: bool

    @property
    def size_mb(self) -> float:
        """Return the size on disk, the weights beside an .xml included."""
        files = [self.path]
        if self.path.suffix == '.xml':
            files.append(self.path.with_suffix('.bin'))
        return sum(file.stat().st_size for file in files) / 1e6


def export_files(
    checkpoint: Checkpoint,
    target: Path,
    file_format: str,
    *,
    modes: Sequence[str] = MODES,
    size: Size | None = None,
    calibration: Pairs | None = None,
    precision: str = 'fp32',
    progress: Callable[[str], None] = lambda text: None,
) -> list[ExportedFile]:
    """
    Export graphs and compare each with torch right away.

    Args:
        checkpoint: the weights.
        target: name that the names of the files derive from, e.g. ``mafs_t.safetensors``.
        file_format: ``onnx``, ``openvino`` or ``tensorrt``.
        modes: of ``MODES``; without the last two the loss of a camera ends inference.
        size: (height, width) of graphs for one size only.
        calibration: pairs for int8; None: ``precision``.
        precision: see :func:`mafs_model.runtime.export.export_graph`.
        progress: called with one line per step.

    Raises:
        MafsError: see :func:`mafs_model.runtime.export.export_graph`.

    """
    precision = precision if calibration is None else 'int8'
    checked = (calibration or sample_pairs(size or (192, 256)))[:_VERIFIED_PAIRS]
    results = []
    for mode in modes:
        path = graph_path(target, file_format, precision, mode)
        progress(f'{mode}: exporting')
        export_graph(
            checkpoint,
            path,
            file_format,
            mode,
            size=size,
            calibration=calibration,
            precision=precision,
        )
        progress(f'{mode}: comparing with torch')
        agreement = verify(checkpoint, path, mode, checked)
        results.append(
            ExportedFile(path, mode, precision, agreement, agreement.within(TOLERANCES[precision]))
        )
    return results


def verify(checkpoint: Checkpoint, path: Path, mode: str, pairs: Pairs) -> Agreement:
    """
    Compare an exported graph, run by its own engine, with torch fp32.

    Args:
        checkpoint: the weights it was made from.
        path: the graph.
        mode: which images it takes.
        pairs: images of one size that the graph takes without padding.

    """
    engine = _engine(path)
    try:
        run = engine.raw_runner(mode, (pairs[0][1].shape[0], pairs[0][1].shape[1]))
        return compare(
            deployment_graph(checkpoint, mode), lambda *images: run(list(images)), pairs
        )
    finally:
        engine.close()


def load_calibration(folder: Path, size: Size, count: int = CALIBRATION_PAIRS) -> Pairs:
    """
    Read pairs for calibration, evenly spread over a folder with ``vi/`` and ``ir/``.

    Args:
        folder: data set folder.
        size: (height, width) to bring them to.
        count: number of pairs at most.

    Raises:
        ConfigError: folders are missing or hold too few usable pairs.

    """
    pairs, _ = match_pairs(folder / 'vi', folder / 'ir')
    chosen = (
        [pairs[i] for i in sorted(set(np.linspace(0, len(pairs) - 1, count).astype(int)))]
        if pairs
        else []
    )
    images: Pairs = []
    for pair in chosen:
        assert pair.visible is not None
        assert pair.thermal is not None
        try:
            visible = check_visible(read_visible(pair.visible))
            thermal = ThermalScaler()(read_thermal(pair.thermal))
        except ImageError:
            continue  # A broken file is no reason to go without calibration.
        images.append((resize(visible, size), resize(thermal, size)))
    if not images:
        raise ConfigError(f"calibration '{folder}': no usable pairs in vi/ and ir/")
    return images


def _engine(path: Path) -> GraphEngine:
    """Return the engine of an exported file."""
    store = GraphStore(path)
    precision: Any = store.metadata['export']['precision']
    if path.suffix == '.engine':
        return TensorRtEngine(store, device=tensorrt_plan.building_device(), precision=precision)
    if path.suffix == '.onnx':
        return OnnxEngine(store, precision=precision)
    return OpenVinoEngine(store, precision=precision)
