"""TensorRT plans: built from an ONNX graph for one size, one GPU and one version of TensorRT."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mafs_model.errors import CheckpointError, DeviceError, OutOfMemoryError
from mafs_model.extras import missing
from mafs_model.files import write_bytes
from mafs_model.runtime.device import resolve_device
from mafs_model.types import Size

_WORKSPACE_BYTES = 1 << 30


def import_tensorrt() -> Any:
    """Return the package; raises DeviceError if it is not installed."""
    try:
        import tensorrt  # type: ignore[import-untyped,import-not-found]
    except ImportError:
        raise missing("backend 'tensorrt'", 'tensorrt') from None
    return tensorrt


def building_device() -> str:
    """Return the GPU that plans are built on; raises DeviceError if there is none."""
    try:
        return resolve_device('cuda')[0]
    except DeviceError:
        raise DeviceError(
            'export to TensorRT: a plan is built on the GPU that will run it, no CUDA device found'
        ) from None


def fingerprint(library: Any, device: str) -> dict[str, str]:
    """Return what a plan is tied to: GPU and version of TensorRT."""
    import torch

    return {
        'gpu': str(torch.cuda.get_device_name(device)),
        'tensorrt': str(library.__version__),
    }


def build_plan(library: Any, onnx: Path, size: Size) -> bytes:
    """
    Build a plan; takes about a minute.

    Precision is that of the graph (a strongly typed network): version 11 knows no other way, and
    the graph that is verified is the one that runs.

    Args:
        library: the package tensorrt.
        onnx: graph of any size.
        size: (height, width) of the images.

    Raises:
        CheckpointError: TensorRT cannot read the graph.
        OutOfMemoryError: it could not build a plan.

    """
    logger = library.Logger(library.Logger.WARNING)
    builder = library.Builder(logger)
    flags = 1 << int(library.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(flags)
    parser = library.OnnxParser(network, logger)
    if not parser.parse_from_file(str(onnx)):
        reason = parser.get_error(0).desc() if parser.num_errors else 'unknown reason'
        raise CheckpointError(f"graph '{onnx}': TensorRT cannot read it: {reason}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(library.MemoryPoolType.WORKSPACE, _WORKSPACE_BYTES)
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        node = network.get_input(index)
        shape = (1, *size, *tuple(node.shape)[3:])
        profile.set_shape(node.name, shape, shape, shape)
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise OutOfMemoryError(f'TensorRT could not build a plan for {size[1]}x{size[0]}')
    return bytes(plan)


def save_plan(plan: bytes, path: Path, metadata: dict[str, Any]) -> None:
    """Write a plan, and its metadata beside it; a file that is there is replaced at once."""
    # The metadata first: whoever sees the plan finds a complete pair.
    text = json.dumps(metadata, sort_keys=True)
    for target, content in (
        (path.with_name(f'{path.name}.json'), text.encode()),
        (path, plan),
    ):
        write_bytes(target, content, error=CheckpointError)


def check_plan(path: Path, metadata: dict[str, Any], present: dict[str, str]) -> None:
    """
    Check that a plan was built for this GPU and version.

    Raises:
        CheckpointError: naming both.

    """
    built = metadata['export'].get('built_for')
    if built != present:
        was = f'TensorRT {built.get("tensorrt")} on {built.get("gpu")}' if built else 'unknown'
        raise CheckpointError(
            f"graph '{path}': built for {was}, here is TensorRT {present['tensorrt']} on "
            f'{present["gpu"]}: export it again on this machine'
        )
