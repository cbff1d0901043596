"""The JSON document of an evaluation: building, writing and reading it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import json
import math
from pathlib import Path
from typing import Any

from mafs_model.errors import DatasetError
from mafs_model.files import write_text
from mafs_model.version import __version__
from mafs_training.metrics.bootstrap import mean_interval
import numpy as np

SCHEMA = 'mafs-eval/1'
KINDS = (
    'fusion',
    'seg',
    'objects',
    'model',
    'bag',
    'bags',
    'compare',
    'flicker',
    'calibrate',
    'agree',
)
_MAX_BYTES = 512 << 20

PerImage = Mapping[str, Mapping[str, float]]


def new_document(kind: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Start a document; `inputs` says what was evaluated."""
    return {'schema': SCHEMA, 'kind': kind, 'version': __version__, 'inputs': dict(inputs)}


def summarize(per_image: PerImage, metrics: Sequence[str]) -> dict[str, Any]:
    """
    Table of one method: per metric the mean, its interval and the values.

    Args:
        per_image: image name to metric name to value.
        metrics: names of the columns, in order.

    Returns:
        metric to {mean, std, ci95, n, values}; undefined values are None and in no mean.

    """
    table = {}
    for metric in metrics:
        values = {name: row[metric] for name, row in per_image.items() if metric in row}
        finite = np.array([v for v in values.values() if math.isfinite(v)], np.float64)
        interval = mean_interval(finite)
        table[metric] = {
            'mean': interval.value,
            'std': float(finite.std(ddof=1)) if finite.size > 1 else math.nan,
            'ci95': [interval.low, interval.high],
            'n': int(finite.size),
            'values': values,
        }
    return table


def group_means(
    methods: Mapping[str, Mapping[str, Any]],
    groups: Mapping[str, Sequence[str]],
    metrics: Sequence[str],
) -> dict[str, dict[str, dict[str, float]]]:
    """Mean per group, method and metric over the images that have a value."""
    return {
        group: {
            method: {metric: _mean_of(table[metric]['values'], names) for metric in metrics}
            for method, table in methods.items()
        }
        for group, names in groups.items()
    }


def _mean_of(values: Mapping[str, float], names: Sequence[str]) -> float:
    found = [values[n] for n in names if n in values and math.isfinite(values[n])]
    return float(np.mean(found)) if found else math.nan


def plain(value: Any) -> Any:
    """Bring a document to what JSON can hold: values that are not finite become None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, Path):
        return str(value)
    return value


def write_json(document: Mapping[str, Any], path: Path) -> None:
    """
    Write a document.

    Raises:
        DatasetError: the file cannot be written.

    """
    text = json.dumps(plain(document), indent=1, allow_nan=False)
    write_text(path, text + '\n', error=DatasetError)


def read_json(path: Path) -> Any:
    """
    Return the plain values of a JSON file.

    Raises:
        DatasetError: missing, unreadable, too large, or not JSON.

    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DatasetError(f'{path}: larger than {_MAX_BYTES >> 20} MiB')
        return json.loads(path.read_text(encoding='utf-8'))
    except OSError as error:
        raise DatasetError(f'cannot read {path}: {error.strerror or error}') from None
    except (ValueError, RecursionError) as error:
        raise DatasetError(f'{path}: not a JSON file: {error}') from None


def read_document(path: Path, kinds: Sequence[str] = KINDS) -> dict[str, Any]:
    """
    Read a document that `mafs-eval` wrote.

    Args:
        path: the file.
        kinds: which kinds of documents are expected.

    Raises:
        DatasetError: not there, not JSON, or not such a document.

    """
    document = read_json(path)
    schema = document.get('schema') if isinstance(document, dict) else None
    if schema != SCHEMA:
        raise DatasetError(f'{path}: schema is {schema!r}, expected {SCHEMA!r}')
    if document.get('kind') not in kinds:
        raise DatasetError(
            f'{path}: kind is {document.get("kind")!r}, expected one of {", ".join(kinds)}'
        )
    return document
