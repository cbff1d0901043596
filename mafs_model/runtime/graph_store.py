"""Where the graphs of some weights are found, or made."""

from __future__ import annotations

import logging
from pathlib import Path
import tempfile

from mafs_model.checkpoint import load_checkpoint, read_metadata, weights_id_of
from mafs_model.classes import ClassTable
from mafs_model.errors import CheckpointError, ConfigError, DeviceError
from mafs_model.extras import require
from mafs_model.runtime.cache import cache_folder, locked, prune, touch
from mafs_model.runtime.engine import MODES
from mafs_model.runtime.graph_checksums import check_graph
from mafs_model.runtime.graph_file import graph_path, GraphFile, read_graph_metadata, SUFFIXES
from mafs_model.runtime.source_hash import network_source_hash
from mafs_model.version import __version__

_LOGGER = logging.getLogger('mafs_model.runtime')


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
        """Return whether a fusion graph is there, beside the weights or kept from before."""
        return self._found(file_format, precision, 'fusion') is not None

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
            DeviceError: a package is not installed that making it takes.

        """
        assert mode in MODES
        found = self._found(file_format, precision, mode)
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
            check_graph(path)
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

    def _found(self, file_format: str, precision: str, mode: str) -> GraphFile | None:
        """Return a graph that need not be made."""
        return self.beside(file_format, precision, mode) or self._cached(
            file_format, precision, mode
        )

    def _cached(self, file_format: str, precision: str, mode: str) -> GraphFile | None:
        """Return an export of an earlier run."""
        folder = cache_folder()
        if folder is None:
            return None
        path = folder / self._cache_name(file_format, precision, mode)
        if not path.is_file():
            return None
        try:
            check_graph(path)
            touch(path)
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
        require(f"making the {precision} graph ({mode}) of '{self.weights}'", 'torch')
        from mafs_model.runtime.export import export_graph  # loads torch

        folder = cache_folder()
        if folder is None:
            if self._temporary is None:
                self._temporary = tempfile.TemporaryDirectory(prefix='mafs-')
            folder = Path(self._temporary.name)
        path = folder / self._cache_name(file_format, precision, mode)
        with locked(path):
            # Another process may have made it while this one waited.
            made = self._cached(file_format, precision, mode)
            if made is not None:
                return made
            _LOGGER.info('exporting %s graph (%s) of %s', file_format, mode, self.weights_id)
            exported = export_graph(
                load_checkpoint(self.weights), path, file_format, mode, precision=precision
            )
        if self._temporary is None:
            prune(folder)
        return exported
