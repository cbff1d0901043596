"""Rows of a table that were not measured here but read from a JSON file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mafs_model.errors import ConfigError, DatasetError
from mafs_model.numeric import is_finite
from mafs_training.evaluation.fusion.baselines import BASELINES
from mafs_training.evaluation.results import read_json, SCHEMA


def read_references(
    path: Path, metrics: Sequence[str], split: str | None = None, wanted: Sequence[str] = ()
) -> dict[str, dict[str, float]]:
    """
    Read means of methods from a file.

    Either a document of `mafs-eval` (its methods but the baselines), or a file with the mapping
    `methods`: name to metric to mean, or name to split to metric to mean.

    Args:
        path: JSON file.
        metrics: which metrics to take; a method may lack some.
        split: which split to take where the file has splits.
        wanted: methods to take; none: all.

    Returns:
        'NAME (ref)' to metric to mean; metrics without a value are left out.

    Raises:
        DatasetError: not readable or not such a file.
        ConfigError: a split or method that is not there.

    """
    methods = _methods_of(path)
    unknown = [name for name in wanted if name not in methods]
    if unknown:
        raise ConfigError(
            f'--reference-method {unknown[0]!r}: {path} has {", ".join(methods) or "none"}'
        )
    rows = {}
    for name in wanted or methods:
        table = _of_split(methods[name], name, path, metrics, split)
        row = {
            metric: float(value)
            for metric, value in table.items()
            if metric in metrics and is_finite(value)
        }
        if row:
            rows[f'{name} (ref)'] = row
    if not rows:
        raise DatasetError(f'{path}: no method has a value of {", ".join(metrics)}')
    return rows


def _methods_of(path: Path) -> dict[str, Mapping[str, Any]]:
    """Return name to table of the methods in a file."""
    document = read_json(path)
    methods = document.get('methods') if isinstance(document, dict) else None
    if not isinstance(methods, dict) or not all(isinstance(t, dict) for t in methods.values()):
        raise DatasetError(f"{path}: expected a mapping 'methods' of tables")
    if document.get('schema') != SCHEMA:
        return methods
    return {
        name: {m: cell.get('mean') for m, cell in table.items() if isinstance(cell, dict)}
        for name, table in methods.items()
        if name not in BASELINES
    }


def _of_split(
    table: Mapping[str, Any], name: str, path: Path, metrics: Sequence[str], split: str | None
) -> Mapping[str, Any]:
    """Return metric to value, of a split if the table has splits."""
    splits = [key for key, value in table.items() if isinstance(value, dict)]
    if not splits or any(metric in table for metric in metrics):
        return table
    if split is None and len(splits) == 1:
        split = splits[0]
    if split not in splits:
        raise ConfigError(
            f'{path}, method {name}: expected --reference-split with one of '
            f'{", ".join(splits)}, got {split!r}'
        )
    return dict(table[split])
