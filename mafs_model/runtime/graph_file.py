"""One exported graph: its file, its name and the metadata inside."""

from __future__ import annotations

from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from mafs_model.errors import CheckpointError, DeviceError
from mafs_model.metadata import check_metadata, METADATA_KEY

SUFFIXES = {'onnx': '.onnx', 'openvino': '.xml', 'tensorrt': '.engine'}


@dataclass(frozen=True)
class GraphFile:
    """
    One exported graph.

    Attributes:
        path: the file.
        metadata: that of the weights plus a mapping ``export`` (format, mode, precision, size,
            multiple, label_stride).

    """

    path: Path
    metadata: dict[str, Any]


def graph_path(base: Path, file_format: str, precision: str, mode: str) -> Path:
    """
    Return the name of a graph beside its weights.

    ``mafs_t.safetensors`` -> ``mafs_t.onnx``, ``mafs_t.int8.xml``,
    ``mafs_t.visible_only.onnx``, ``mafs_t.int8.thermal_only.xml``.
    """
    parts = [base.name.removesuffix(base.suffix) if base.suffix else base.name]
    if precision != 'fp32':
        parts.append(precision)
    if mode != 'fusion':
        parts.append(mode)
    return base.with_name('.'.join(parts) + SUFFIXES[file_format])


def read_graph_metadata(path: Path) -> dict[str, Any]:
    """
    Return the metadata inside an exported graph.

    Raises:
        CheckpointError: missing, damaged or not exported by this project.
        DeviceError: the library that reads this format is not installed.

    """
    where = f"graph '{path}'"
    if not path.is_file():
        raise CheckpointError(f'{where}: no such file, expected one written by mafs export')
    if path.suffix == '.onnx':
        text = _read_onnx_metadata(path, where)
    elif path.suffix == '.xml':
        text = _read_openvino_metadata(path, where)
    else:
        text = _read_sidecar(path, where)
    if text is None:
        raise CheckpointError(
            f"{where}: no metadata '{METADATA_KEY}' inside, expected a file of mafs export"
        )
    try:
        metadata = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f'{where}: metadata is not JSON: {error}') from None
    check_metadata(metadata, where)
    if not isinstance(metadata.get('export'), dict):
        raise CheckpointError(f"{where}: metadata has no mapping 'export'")
    return metadata


def _read_onnx_metadata(path: Path, where: str) -> str | None:
    """Return the JSON text in an ONNX file."""
    try:
        import onnx
    except ImportError:
        return _read_onnx_by_runtime(path, where)
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped,import-not-found]

    try:
        model = onnx.load(str(path), load_external_data=False)
    except (DecodeError, OSError, ValueError) as error:
        reason = ' '.join(str(error).split())[:200]
        raise CheckpointError(f'{where}: truncated or damaged ({reason})') from None
    return next((p.value for p in model.metadata_props if p.key == METADATA_KEY), None)


def _read_onnx_by_runtime(path: Path, where: str) -> str | None:
    """Return the JSON text in an ONNX file where only onnxruntime is installed."""
    try:
        import onnxruntime
    except ImportError:
        raise DeviceError(
            f"{where}: neither package 'onnx' nor 'onnxruntime' is installed, "
            'install mafs_ros[onnx]'
        ) from None
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(str(path), options, ['CPUExecutionProvider'])
    except Exception as error:  # onnxruntime's errors share no base class but this one
        reason = ' '.join(str(error).split())[:200]
        raise CheckpointError(f'{where}: truncated or damaged ({reason})') from error
    value = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    return None if value is None else str(value)


def _read_openvino_metadata(path: Path, where: str) -> str | None:
    """Return the JSON text in an OpenVINO file."""
    try:
        root = ET.fromstring(_last_part(path.read_bytes()))
    except (ET.ParseError, OSError) as error:
        raise CheckpointError(f'{where}: truncated or damaged ({error})') from None
    if not path.with_suffix('.bin').is_file():
        raise CheckpointError(f"{where}: '{path.with_suffix('.bin').name}' is missing beside it")
    entry = root.find(f'rt_info/{METADATA_KEY}')
    return None if entry is None else entry.get('value')


def _last_part(document: bytes) -> bytes:
    """
    Return an OpenVINO graph without its layers: parsing those took longer than all the rest.

    One that does not end as OpenVINO writes it is returned whole, for the parser to judge.
    """
    start = document.rfind(b'<rt_info>')
    if not document.rfind(b'</edges>') < start or not document.rstrip().endswith(b'</net>'):
        return document
    return b'<net>' + document[start:]


def _read_sidecar(path: Path, where: str) -> str | None:
    """Return the JSON text beside a file that cannot hold it."""
    sidecar = path.with_name(path.name + '.json')
    try:
        return sidecar.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{where}: '{sidecar.name}' cannot be read: {error}") from None
