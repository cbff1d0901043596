"""Export of the deployment graph to ONNX, OpenVINO and TensorRT files, verified against torch."""

from __future__ import annotations

from collections.abc import Sequence
import inspect
import json
import logging
from pathlib import Path
import tempfile
from typing import Any
import warnings

from mafs_model.checkpoint import build_model, Checkpoint, METADATA_KEY
from mafs_model.decision import Decision
from mafs_model.errors import CheckpointError, ConfigError
from mafs_model.extras import missing
from mafs_model.files import replacing
from mafs_model.network.config import MAFSConfig
from mafs_model.network.folding import fold_batch_norm
from mafs_model.runtime import tensorrt_plan
from mafs_model.runtime.engine import LABEL_STRIDE, OUTPUT_NAMES
from mafs_model.runtime.graph import DeploymentGraph
from mafs_model.runtime.graph_checksums import write_checksums
from mafs_model.runtime.graph_file import GraphFile
from mafs_model.runtime.quantisation import quantise
from mafs_model.types import Size, UInt8Image
import numpy as np
import torch

_LOGGER = logging.getLogger('mafs_model.runtime')

_OPSET = 17
_EXAMPLE_SIZE = (96, 128)  # Shapes are dynamic: the size of the example leaves no trace.


def export_graph(
    checkpoint: Checkpoint,
    path: Path,
    file_format: str,
    mode: str = 'fusion',
    *,
    size: Size | None = None,
    calibration: Sequence[tuple[UInt8Image, UInt8Image]] | None = None,
    precision: str = 'fp32',
) -> GraphFile:
    """
    Write one graph.

    Args:
        checkpoint: the weights.
        path: file to write.
        file_format: ``onnx``, ``openvino`` or ``tensorrt``.
        mode: which images the graph takes.
        size: (height, width) of a graph for one size only, as plans of TensorRT are; None: any
            size.
        calibration: pairs of images of one size for int8; None: ``precision``.
        precision: ``fp32``, or ``fp16`` but for OpenVINO.

    Raises:
        CheckpointError: the weights do not fit or the file cannot be written.
        ConfigError: format, size and precision contradict each other.
        DeviceError: a package is not installed, or no GPU is there to build a plan for.

    """
    precision = precision if calibration is None else 'int8'
    check_format(file_format, precision, size)
    graph = deployment_graph(checkpoint, mode)
    if precision == 'fp16':
        graph = graph.half()
    metadata = export_metadata(checkpoint, file_format, mode, precision, size)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix='.mafs-', dir=path.parent) as folder:
            plain = Path(folder) / 'graph.onnx'
            _trace_to_onnx(graph, plain, None if file_format == 'tensorrt' else size)
            if file_format == 'tensorrt':
                assert size is not None
                exported = _export_plan(plain, path, metadata, size)
                write_checksums(path)
                return exported
            model = _read_onnx(plain) if file_format == 'onnx' else read_openvino(plain)
            if calibration is not None:
                model = quantise(model, calibration, graph.input_names)
            (save_onnx if file_format == 'onnx' else save_openvino)(model, path, metadata)
            write_checksums(path)
    except OSError as error:
        raise CheckpointError(f"graph '{path}': cannot be written: {error}") from None
    return GraphFile(path, metadata)


def check_format(file_format: str, precision: str, size: Size | None) -> None:
    """Raise ConfigError if a format cannot hold a precision or lacks its size."""
    known = {
        'onnx': ('fp32', 'fp16', 'int8'),
        'openvino': ('fp32', 'int8'),  # computes bf16 from the fp32 graph
        'tensorrt': ('fp32', 'fp16'),
    }[file_format]
    if precision not in known:
        raise ConfigError(
            f"precision '{precision}' with format '{file_format}': expected {' or '.join(known)}"
        )
    if file_format == 'tensorrt' and size is None:
        raise ConfigError("format 'tensorrt' without a size: a plan holds for one image size")


def _export_plan(plain: Path, path: Path, metadata: dict[str, Any], size: Size) -> GraphFile:
    """Build a TensorRT plan from an ONNX file and write it."""
    library = tensorrt_plan.import_tensorrt()
    device = tensorrt_plan.building_device()
    metadata['export']['built_for'] = tensorrt_plan.fingerprint(library, device)
    tensorrt_plan.save_plan(tensorrt_plan.build_plan(library, plain, size), path, metadata)
    return GraphFile(path, metadata)


def deployment_graph(checkpoint: Checkpoint, mode: str) -> DeploymentGraph:
    """Return the module that a graph is exported from and compared with."""
    temperature = Decision.from_metadata(checkpoint.metadata).temperature
    return DeploymentGraph(fold_batch_norm(build_model(checkpoint)), mode, temperature).eval()


def export_metadata(
    checkpoint: Checkpoint, file_format: str, mode: str, precision: str, size: Size | None
) -> dict[str, Any]:
    """Return the metadata of the weights and how the graph was made from them."""
    config = MAFSConfig.from_dict(checkpoint.architecture)
    return {
        **checkpoint.metadata,
        'export': {
            'format': file_format,
            'mode': mode,
            'precision': precision,
            'size': None if size is None else list(size),
            'multiple': config.max_stride,
            'label_stride': LABEL_STRIDE,
            'torch': str(torch.__version__),
        },
    }


def sample_pairs(size: Size = (192, 256), count: int = 2) -> list[tuple[UInt8Image, UInt8Image]]:
    """Return smooth random images for a first check where no real ones are given."""
    import cv2

    generator = np.random.default_rng(0)
    pairs = []
    for _ in range(count):
        planes = [
            cv2.resize(
                generator.integers(0, 256, (size[0] // 16, size[1] // 16), dtype=np.uint8),
                (size[1], size[0]),
                interpolation=cv2.INTER_CUBIC,
            )
            for _ in range(4)
        ]
        pairs.append((np.dstack(planes[:3]), planes[3]))
    return pairs


def read_openvino(path: Path) -> Any:
    """Return the OpenVINO model in an ONNX or XML file; raises DeviceError, CheckpointError."""
    try:
        import openvino
    except ImportError:
        raise missing("backend 'openvino'", 'openvino') from None
    try:
        return openvino.Core().read_model(str(path))
    except RuntimeError as error:
        reason = ' '.join(str(error).split())[:200]
        raise CheckpointError(f"graph '{path}': OpenVINO cannot read it: {reason}") from None


def _trace_to_onnx(graph: DeploymentGraph, path: Path, size: Size | None) -> None:
    """Write the plain ONNX file."""
    height, width = size or _EXAMPLE_SIZE
    shapes = {'visible': (1, height, width, 3), 'thermal': (1, height, width)}
    names = list(graph.input_names)
    example = tuple(torch.zeros(shapes[name], dtype=torch.uint8) for name in names)
    axes = {name: {1: 'height', 2: 'width'} for name in names}
    options: dict[str, Any] = {}
    if 'dynamo' in inspect.signature(torch.onnx.export).parameters:
        # The tracing exporter needs no further package and keeps the padding dynamic.
        options['dynamo'] = False
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter('ignore')  # Tracer warnings on shape checks, all intended.
        torch.onnx.export(
            graph,
            example,
            str(path),
            input_names=names,
            output_names=list(OUTPUT_NAMES),
            dynamic_axes=None if size else axes,
            opset_version=_OPSET,
            **options,
        )


def _read_onnx(path: Path) -> Any:
    """Return the ONNX model in a file."""
    try:
        import onnx
    except ImportError:
        raise missing('export to ONNX', 'onnx') from None
    return onnx.load(str(path))


def save_onnx(model: Any, path: Path, metadata: dict[str, Any]) -> None:
    """Write an ONNX model with metadata, replacing the file at once."""
    import onnx

    onnx.helper.set_model_props(model, {METADATA_KEY: json.dumps(metadata, sort_keys=True)})
    with replacing(path, error=CheckpointError) as beside:
        onnx.save(model, str(beside))


def save_openvino(model: Any, path: Path, metadata: dict[str, Any]) -> None:
    """Write an OpenVINO model with metadata as .xml and .bin."""
    import openvino

    model.set_rt_info(json.dumps(metadata, sort_keys=True), [METADATA_KEY])
    with tempfile.TemporaryDirectory(prefix='.mafs-', dir=path.parent) as folder:
        written = Path(folder) / path.name
        openvino.save_model(model, str(written), compress_to_fp16=False)
        # The weights first: whoever sees the .xml finds a complete pair.
        written.with_suffix('.bin').replace(path.with_suffix('.bin'))
        written.replace(path)
