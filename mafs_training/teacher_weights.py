"""A teacher that was trained before, by its file alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mafs_model.errors import ConfigError
from mafs_training.options import JointConfig, StageConfig

_KINDS = {
    '.safetensors': 'mafs', '.ckpt': 'mafs', '.pt': 'torchscript', '.ts': 'torchscript',
    '.torchscript': 'torchscript', '.onnx': 'onnx',
}  # fmt: skip


def apply_teacher_weights(config: StageConfig) -> None:
    """
    Let ``teacher.weights`` decide what the segmenter is, in place.

    Raises:
        ConfigError: a file of another kind, or one beside another segmenter.

    """
    if not isinstance(config, JointConfig) or not config.teacher.weights:
        return
    file, given = config.teacher.weights, config.segmenter
    kind = _KINDS.get(Path(file).suffix.lower())
    if kind is None:
        raise ConfigError(f'teacher.weights: {file!r}, expected a file {", ".join(_KINDS)}')
    wanted = replace(given, kind=kind, weights=file, trainable=False)
    if given.kind != 'fresh' and given != wanted:
        raise ConfigError(
            f'teacher.weights is {file!r} and segmenter.kind {given.kind!r}: expected one of them'
        )
    if not config.teacher.enabled:
        raise ConfigError(f'teacher.weights is {file!r}, but teacher.enabled false')
    config.segmenter = wanted
