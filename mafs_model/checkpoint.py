"""
Weights files: safetensors with the description of the network as JSON beside the tensors.

Nothing here unpickles: a weights file can hold numbers and text, never code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
import hashlib
import json
from pathlib import Path
import pickle
from typing import Any, TYPE_CHECKING
import zipfile

from mafs_model.classes import ClassTable
from mafs_model.decision import Decision
from mafs_model.errors import CheckpointError, ConfigError
from mafs_model.extras import require
from mafs_model.files import write_bytes
from mafs_model.metadata import (
    build_metadata,
    check_metadata,
    METADATA_KEY,
    weights_id_of,
)

if TYPE_CHECKING:
    from mafs_model.network.mafs import MAFS
    import torch

__all__ = [
    'Checkpoint',
    'METADATA_KEY',
    'build_metadata',
    'build_model',
    'check_fits',
    'check_metadata',
    'convert_lightning',
    'load_checkpoint',
    'load_model',
    'load_state',
    'read_metadata',
    'save_checkpoint',
    'tensor_checksum',
    'weights_id_of',
]

_LISTED_KEYS = 8  # An error that lists all 400 keys of another network helps nobody.
_EXPECTED = 'expected a .safetensors file written by mafs-train or mafs'


@dataclass(frozen=True)
class Checkpoint:
    """
    A weights file in memory.

    Attributes:
        state_dict: name -> tensor on the CPU.
        metadata: what :func:`build_metadata` made, as read from the file.
        path: where it came from.

    """

    state_dict: dict[str, torch.Tensor]
    metadata: dict[str, Any]
    path: Path

    @property
    def architecture(self) -> dict[str, Any]:
        """Return the values of ``MAFSConfig``."""
        return dict(self.metadata['architecture'])

    @property
    def classes(self) -> ClassTable:
        """Return the class table of the labels."""
        return ClassTable.from_dict(self.metadata['classes'], f"weights '{self.path}': classes")

    @property
    def weights_id(self) -> str:
        """Return variant and the first digits of the checksum, e.g. ``mafs_t-1a2b3c4d``."""
        return weights_id_of(self.metadata)


def save_checkpoint(
    path: str | Path, state_dict: Mapping[str, torch.Tensor], metadata: Mapping[str, Any]
) -> str:
    """
    Write tensors and metadata; a file that is there is replaced at once or not at all.

    Args:
        path: file to write, suffix ``.safetensors``.
        state_dict: name -> tensor.
        metadata: at least ``architecture`` and ``classes``; see :func:`build_metadata`. The
            checksum ``sha256`` of the tensors and of the decision is added.

    Returns:
        The checksum.

    Raises:
        CheckpointError: metadata is incomplete or the file cannot be written.

    """
    from safetensors.torch import save

    path = Path(path)
    check_metadata(metadata, f"weights '{path}'")
    # clone: safetensors refuses tensors that share memory, and views would drag their base along.
    tensors = {k: v.detach().to('cpu').contiguous().clone() for k, v in state_dict.items()}
    checksum = tensor_checksum(tensors, Decision.from_metadata(metadata).identity)
    try:
        text = json.dumps({**metadata, 'sha256': checksum}, allow_nan=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"weights '{path}': metadata is not JSON: {error}") from None
    write_bytes(path, save(tensors, {METADATA_KEY: text}), error=CheckpointError)
    return checksum


def load_checkpoint(path: str | Path) -> Checkpoint:
    """
    Read a weights file and check that it is whole.

    Raises:
        CheckpointError: missing, truncated, pickled, without metadata or with a wrong checksum;
            the message names the file and what was expected.
        DeviceError: torch is not installed.

    """
    path = Path(path).expanduser()
    metadata = read_metadata(path)
    require(f"weights '{path}'", 'torch')
    tensors: dict[str, torch.Tensor] = {}
    with _open_safetensors(path, 'pt') as file:
        # safe_open is no mapping: it has keys() but cannot be iterated.
        for key in file.keys():  # noqa: SIM118
            tensors[key] = file.get_tensor(key)
    checksum = tensor_checksum(tensors, Decision.from_metadata(metadata).identity)
    if metadata.get('sha256') != checksum:
        raise CheckpointError(
            f"weights '{path}': checksum is {checksum[:16]}, expected "
            f'{str(metadata.get("sha256"))[:16]}: the file was changed after it was written'
        )
    return Checkpoint(tensors, metadata, path)


def read_metadata(path: str | Path) -> dict[str, Any]:
    """
    Return the metadata of a weights file without reading its tensors and without torch.

    Raises:
        CheckpointError: see :func:`load_checkpoint`.

    """
    path = Path(path).expanduser()
    _check_readable(path)
    with _open_safetensors(path, 'np') as file:
        header = file.metadata() or {}
    if METADATA_KEY not in header:
        raise CheckpointError(
            f"weights '{path}': no metadata '{METADATA_KEY}' inside, {_EXPECTED}"
        )
    try:
        metadata = json.loads(header[METADATA_KEY])
    except (ValueError, RecursionError) as error:  # nested too deep, a number too long
        raise CheckpointError(f"weights '{path}': metadata is not JSON: {error}") from None
    check_metadata(metadata, f"weights '{path}'")
    return dict(metadata)


@contextmanager
def _open_safetensors(path: Path, framework: str) -> Iterator[Any]:
    """Open a file; whatever is wrong with it becomes a CheckpointError."""
    from safetensors import safe_open, SafetensorError

    try:
        with safe_open(str(path), framework=framework, device='cpu') as file:
            yield file
    except (SafetensorError, OSError, ValueError) as error:
        reason = ' '.join(str(error).split())
        raise CheckpointError(
            f"weights '{path}': truncated or damaged ({reason}), {_EXPECTED}"
        ) from None


def load_model(path: str | Path, device: str = 'cpu') -> tuple[MAFS, dict[str, Any]]:
    """
    Build the network that a weights file describes and load its weights.

    Args:
        path: weights file.
        device: torch device.

    Returns:
        The network in evaluation mode and the metadata.

    Raises:
        CheckpointError: see :func:`load_checkpoint`; also tensors that do not fit.

    """
    checkpoint = load_checkpoint(path)
    return build_model(checkpoint, device), checkpoint.metadata


def build_model(checkpoint: Checkpoint, device: str = 'cpu') -> MAFS:
    """Return the network of a loaded checkpoint in evaluation mode; raises CheckpointError."""
    model = _untrained(checkpoint)
    load_state(model, checkpoint.state_dict, f"weights '{checkpoint.path}'")
    return model.eval().to(device)


def check_fits(checkpoint: Checkpoint) -> None:
    """
    Check that the tensors fit the architecture, without building the network in memory.

    Raises:
        CheckpointError: see :func:`build_model`.

    """
    import torch

    with torch.device('meta'):
        model = _untrained(checkpoint)
    check_state(model, checkpoint.state_dict, f"weights '{checkpoint.path}'")


def _untrained(checkpoint: Checkpoint) -> MAFS:
    """Return a new network of the architecture that a checkpoint describes."""
    from mafs_model.network.config import MAFSConfig
    from mafs_model.network.mafs import MAFS

    try:
        config = MAFSConfig.from_dict(checkpoint.architecture)
    except ConfigError as error:
        raise CheckpointError(f"weights '{checkpoint.path}': architecture: {error}") from None
    if config.num_classes != len(checkpoint.classes):
        raise CheckpointError(
            f"weights '{checkpoint.path}': {len(checkpoint.classes)} classes in the table, "
            f'expected {config.num_classes} as in the architecture'
        )
    return MAFS(config)


def load_state(model: torch.nn.Module, state_dict: Mapping[str, torch.Tensor], where: str) -> None:
    """
    Load tensors strictly: the same names, the same shapes, finite values.

    Args:
        model: the module to fill.
        state_dict: name -> tensor.
        where: how error messages call the source.

    Raises:
        CheckpointError: listing the first keys that are missing, unexpected or of another shape.

    """
    check_state(model, state_dict, where)
    model.load_state_dict(dict(state_dict), strict=True)


def check_state(
    model: torch.nn.Module, state_dict: Mapping[str, torch.Tensor], where: str
) -> None:
    """Raise CheckpointError if tensors do not fit a module, see :func:`load_state`."""
    import torch

    own = model.state_dict()
    missing = [f'{k} {tuple(own[k].shape)}' for k in own if k not in state_dict]
    unexpected = [f'{k} {tuple(v.shape)}' for k, v in state_dict.items() if k not in own]
    shapes = [
        f'{k} {tuple(v.shape)}, expected {tuple(own[k].shape)}'
        for k, v in state_dict.items()
        if k in own and v.shape != own[k].shape
    ]
    problems = [
        f'{len(keys)} {title}: {_shorten(keys)}'
        for title, keys in (
            ('missing keys', missing),
            ('unexpected keys', unexpected),
            ('keys of another shape', shapes),
        )
        if keys
    ]
    if problems:
        raise CheckpointError(
            f'{where}: tensors do not fit the architecture: {"; ".join(problems)}'
        )
    broken = [
        k
        for k, v in state_dict.items()
        if v.is_floating_point() and not bool(torch.isfinite(v).all())
    ]
    if broken:
        raise CheckpointError(f'{where}: NaN or Inf in {_shorten(broken)}')


def convert_lightning(
    source: str | Path,
    target: str | Path,
    *,
    prefix: str = 'network.',
    metadata: Mapping[str, Any] | None = None,
) -> str:
    """
    Write the network of a Lightning checkpoint as a weights file.

    Args:
        source: Lightning ``.ckpt``; loaded with ``weights_only``, so that no code in it runs.
        target: ``.safetensors`` file to write.
        prefix: what the names of the network's tensors begin with; it is removed.
        metadata: see :func:`build_metadata`; default is what the checkpoint carries under the
            key ``mafs`` (a mapping or JSON text).

    Returns:
        The checksum of the tensors.

    Raises:
        CheckpointError: not readable without running code, no such tensors or no metadata.
        DeviceError: torch is not installed.

    """
    require(f"checkpoint '{source}'", 'torch')
    import torch

    source = Path(source).expanduser()
    if not source.is_file():
        raise CheckpointError(f"checkpoint '{source}': no such file, expected a Lightning .ckpt")
    try:
        content = torch.load(source, map_location='cpu', weights_only=True)
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
        KeyError,
        AttributeError,
        zipfile.BadZipFile,
    ) as error:
        reason = ' '.join(str(error).split())[:200]
        raise CheckpointError(
            f"checkpoint '{source}': cannot be read as plain tensors: {reason}"
        ) from None
    state = content.get('state_dict') if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping):
        raise CheckpointError(
            f"checkpoint '{source}': no 'state_dict' inside, expected a Lightning .ckpt"
        )
    tensors = {
        k[len(prefix) :]: v
        for k, v in state.items()
        if k.startswith(prefix) and isinstance(v, torch.Tensor)
    }
    if not tensors:
        raise CheckpointError(
            f"checkpoint '{source}': no tensor begins with '{prefix}', it has "
            f'{_shorten(sorted(str(k) for k in state))}'
        )
    found = metadata if metadata is not None else content.get(METADATA_KEY)
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except (ValueError, RecursionError) as error:
            raise CheckpointError(
                f"checkpoint '{source}': metadata is not JSON: {error}"
            ) from None
    if found is None:
        raise CheckpointError(
            f"checkpoint '{source}': no metadata '{METADATA_KEY}' inside and none given"
        )
    return save_checkpoint(target, tensors, found)


def tensor_checksum(tensors: Mapping[str, torch.Tensor], decision: str = '') -> str:
    """
    Return the SHA-256 over names, types, shapes and values, independent of their order.

    The decision counts as well, by its identity: it is in what exported graphs compute, and a
    graph is found by this checksum.
    """
    import torch

    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().to('cpu').contiguous()
        digest.update(f'{name}|{tensor.dtype}|{tuple(tensor.shape)}|'.encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    digest.update(decision.encode())
    return digest.hexdigest()


def _check_readable(path: Path) -> None:
    """Raise CheckpointError if the file is missing or looks pickled."""
    if not path.is_file():
        kind = 'is a folder' if path.is_dir() else 'no such file'
        raise CheckpointError(f"weights '{path}': {kind}, {_EXPECTED}")
    try:
        with path.open('rb') as file:
            head = file.read(9)
    except OSError as error:
        raise CheckpointError(f"weights '{path}': cannot be read: {error}") from None
    # safetensors begins with 8 bytes of length and a brace; torch.save writes a zip archive
    # (PK) or, like pickle itself, a stream that begins with 0x80 and the protocol.
    if len(head) == 9 and head[8:] != b'{' and (head[:2] == b'PK' or head[:1] == b'\x80'):
        raise CheckpointError(
            f"weights '{path}': a pickle file (.pt, .pth, .ckpt) can run code and is never "
            f'loaded, {_EXPECTED}; Lightning checkpoints are converted by mafs convert'
        )


def _shorten(names: list[str]) -> str:
    """Return the first names, and how many more there are."""
    rest = len(names) - _LISTED_KEYS
    return ', '.join(names[:_LISTED_KEYS]) + (f' and {rest} more' if rest > 0 else '')
