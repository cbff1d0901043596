"""The description of a network that travels inside its weights files and exported graphs."""

from __future__ import annotations

from collections.abc import Mapping
import platform
from typing import Any

from mafs_model.classes import ClassTable
from mafs_model.decision import Decision
from mafs_model.errors import CheckpointError, ConfigError
from mafs_model.images.preprocessing import LUMA_WEIGHTS, PIXEL_SCALE
from mafs_model.version import __version__

METADATA_KEY = 'mafs'
FORMAT_VERSION = 1


def weights_id_of(metadata: Mapping[str, Any]) -> str:
    """Return variant and the first digits of the checksum of the tensors."""
    variant = metadata['architecture'].get('variant', 'mafs')
    return f'{variant}-{str(metadata.get("sha256", "unknown"))[:8]}'


def build_metadata(
    architecture: Mapping[str, Any],
    classes: ClassTable,
    *,
    data: Any = None,
    command: str | None = None,
    metrics: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """
    Return the description that belongs into a weights file.

    Args:
        architecture: ``MAFSConfig.to_dict()``.
        classes: the classes of the segmentation head.
        data: JSON values that name the training data.
        command: the training command line.
        metrics: name -> value on validation data.
        extra: further JSON values, e.g. ``{'temperature': 1.3}``.

    """
    import cv2
    import numpy as np
    import torch

    return {
        **dict(extra or {}),
        'format_version': FORMAT_VERSION,
        'architecture': dict(architecture),
        'classes': classes.to_dict(),
        'normalisation': {
            'visible': {'order': 'RGB', 'scale': PIXEL_SCALE, 'mean': 0.0, 'std': 1.0},
            'thermal': {'scale': PIXEL_SCALE, 'mean': 0.0, 'std': 1.0},
            'luma': list(LUMA_WEIGHTS),
        },
        'data': data,
        'command': command,
        'metrics': dict(metrics or {}),
        'versions': {
            'mafs': __version__,
            'torch': str(torch.__version__),
            'numpy': np.__version__,
            'opencv': cv2.__version__,
            'python': platform.python_version(),
        },
    }


def check_metadata(metadata: Any, where: str) -> None:
    """Raise CheckpointError unless the parts every reader needs are there."""
    if not isinstance(metadata, Mapping):
        raise CheckpointError(
            f'{where}: metadata is {type(metadata).__name__}, expected a mapping'
        )
    for key in ('architecture', 'classes'):
        if not isinstance(metadata.get(key), Mapping):
            raise CheckpointError(f"{where}: metadata has no mapping '{key}'")
    try:
        ClassTable.from_dict(metadata['classes'], f'{where}: classes')
    except ConfigError as error:
        raise CheckpointError(str(error)) from None
    try:
        Decision.from_metadata(metadata)
    except CheckpointError as error:
        raise CheckpointError(f'{where}: {error}') from None
    version = metadata.get('format_version', FORMAT_VERSION)
    if version != FORMAT_VERSION:
        raise CheckpointError(f'{where}: format version {version!r}, expected {FORMAT_VERSION}')
