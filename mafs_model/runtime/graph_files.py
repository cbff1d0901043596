"""Exported graphs on disk: their names, the metadata inside, and where they are found or made."""

from __future__ import annotations

from dataclasses import dataclass
import json
import logging
import os
from pathlib import Path
import tempfile
from typing import Any
from xml.etree import ElementTree as ET

from mafs_model.checkpoint import (
    check_metadata,
    METADATA_KEY,
    read_metadata,
    weights_id_of,
)
from mafs_model.classes import ClassTable
from mafs_model.errors import CheckpointError, ConfigError, DeviceError
from mafs_model.runtime.engine import MODES
from mafs_model.runtime.source_hash import network_source_hash
from mafs_model.version import __version__

_LOGGER = logging.getLogger('mafs_model.runtime')

SUFFIXES = {'onnx': '.onnx', 'openvino': '.xml', 'tensorrt': '.engine'}
CACHE_VARIABLE = 'MAFS_CACHE_DIR'


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
    except ValueError as error:
        raise CheckpointError(f'{where}: metadata is not JSON: {error}') from None
    check_metadata(metadata, where)
    if not isinstance(metadata.get('export'), dict):
        raise CheckpointError(f"{where}: metadata has no mapping 'export'")
    return metadata


class GraphStore:
    """
    Finds the graphs of some weights, or makes them.

    A graph is looked for beside the weights (exported by ``mafs export`` from the same tensors),
    then in the cache folder that the environment variable ``MAFS_CACHE_DIR`` names, and is
    exported otherwise: into that folder, or a temporary one that :meth:`close` removes.

    Args:
        weights: a ``.safetensors`` file or the fusion graph of an export.

    Raises:
        CheckpointError: the file cannot be used.

    """

    def __init__(self, weights: Path) -> None:
        self.weights = weights
        self.is_export = weights.suffix in SUFFIXES.values()
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        # Metadata only: a robot with exported graphs need not load torch at all.
        self.metadata = (read_graph_metadata if self.is_export else read_metadata)(weights)

    @property
    def classes(self) -> ClassTable:
        """Return the class table of the labels."""
        return ClassTable.from_dict(self.metadata['classes'], f"weights '{self.weights}': classes")

    @property
    def mode(self) -> str:
        """Return the mode of the file given; weights stand for fusion."""
        return str(self.metadata['export']['mode']) if self.is_export else 'fusion'

    @property
    def weights_id(self) -> str:
        """Return the short identification of the weights."""
        return weights_id_of(self.metadata)

    def has(self, file_format: str, precision: str) -> bool:
        """Return whether a fusion graph lies beside the weights."""
        return self.beside(file_format, precision, 'fusion') is not None

    def lacks_calibrated(self, file_format: str, precision: str, mode: str) -> bool:
        """Return whether one camera alone has to do with the fp32 graph of these weights."""
        if precision != 'int8' or mode == 'fusion' or self.is_export:
            return False
        return self.beside(file_format, precision, mode) is None

    def get(self, file_format: str, precision: str, mode: str) -> GraphFile:
        """
        Return a graph, exporting it if need be.

        Raises:
            CheckpointError: it is neither there nor can it be made from what is there.
            ConfigError: int8 without a calibrated export.

        """
        assert mode in MODES
        found = self.beside(file_format, precision, mode) or self._cached(
            file_format, precision, mode
        )
        if found is not None:
            return found
        if self.is_export:
            raise CheckpointError(
                f"graph '{graph_path(self._base, file_format, precision, mode)}': no such file; "
                f'mafs export writes it with --modes {mode}'
            )
        if precision == 'int8':
            raise ConfigError(
                f"precision 'int8': no calibrated graph beside '{self.weights}', make it with "
                f'mafs export --format {file_format} --int8 --calib DIR'
            )
        return self._make(file_format, precision, mode)

    def close(self) -> None:
        """Remove temporary files."""
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    @property
    def _base(self) -> Path:
        """Return the weights path that names derive from."""
        if not self.is_export:
            return self.weights
        name = self.weights.name.removesuffix(self.weights.suffix)
        for part in (self.mode, self.metadata['export']['precision']):
            name = name.removesuffix(f'.{part}')
        return self.weights.with_name(name + '.safetensors')

    def beside(self, file_format: str, precision: str, mode: str) -> GraphFile | None:
        """Return an export beside the weights if it was made from the same tensors."""
        path = graph_path(self._base, file_format, precision, mode)
        if not path.is_file():
            return None
        try:
            metadata = read_graph_metadata(path)
        except (CheckpointError, DeviceError) as error:
            if self.is_export:
                raise
            _LOGGER.warning('ignored: %s', error)
            return None
        if metadata.get('sha256') != self.metadata.get('sha256'):
            _LOGGER.warning(
                "graph '%s': made from other weights than '%s', ignored", path, self.weights
            )
            return None
        return GraphFile(path, metadata)

    def _cached(self, file_format: str, precision: str, mode: str) -> GraphFile | None:
        """Return an export of an earlier run."""
        folder = cache_folder()
        if folder is None:
            return None
        path = folder / self._cache_name(file_format, precision, mode)
        if not path.is_file():
            return None
        try:
            return GraphFile(path, read_graph_metadata(path))
        except CheckpointError as error:
            _LOGGER.warning('made again: %s', error)
            return None

    def _cache_name(self, file_format: str, precision: str, mode: str) -> str:
        """Return a file name that changes with everything the graph depends on."""
        key = f'{self.metadata["sha256"][:16]}-{__version__}-{network_source_hash()}'
        return graph_path(Path(f'{key}.safetensors'), file_format, precision, mode).name

    def _make(self, file_format: str, precision: str, mode: str) -> GraphFile:
        """Export a graph into the cache or a temporary folder."""
        from mafs_model.checkpoint import load_checkpoint
        from mafs_model.runtime.export import export_graph

        folder = cache_folder()
        if folder is None:
            if self._temporary is None:
                self._temporary = tempfile.TemporaryDirectory(prefix='mafs-')
            folder = Path(self._temporary.name)
        path = folder / self._cache_name(file_format, precision, mode)
        _LOGGER.info('exporting %s graph (%s) of %s', file_format, mode, self.weights_id)
        return export_graph(
            load_checkpoint(self.weights), path, file_format, mode, precision=precision
        )


def cache_folder() -> Path | None:
    """Return the folder for derived files, None if ``MAFS_CACHE_DIR`` names none."""
    value = os.environ.get(CACHE_VARIABLE, '').strip()
    if not value:
        return None
    folder = Path(value).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _LOGGER.warning("%s '%s': cannot be used: %s", CACHE_VARIABLE, value, error.strerror)
        return None
    return folder


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
        root = ET.parse(path).getroot()
    except (ET.ParseError, OSError) as error:
        raise CheckpointError(f'{where}: truncated or damaged ({error})') from None
    if not path.with_suffix('.bin').is_file():
        raise CheckpointError(f"{where}: '{path.with_suffix('.bin').name}' is missing beside it")
    entry = root.find(f'rt_info/{METADATA_KEY}')
    return None if entry is None else entry.get('value')


def _read_sidecar(path: Path, where: str) -> str | None:
    """Return the JSON text beside a file that cannot hold it."""
    sidecar = path.with_name(path.name + '.json')
    try:
        return sidecar.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{where}: '{sidecar.name}' cannot be read: {error}") from None
