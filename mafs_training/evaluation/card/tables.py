"""Markdown tables and values of a model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import math
from pathlib import Path
from typing import Any

from mafs_training.evaluation.tables import number


def data_name(document: Mapping[str, Any]) -> str:
    """Return the data set of a result as DATASET/SPLIT, whatever path led there."""
    inputs = document['inputs']
    if 'data' in inputs:
        return f'{Path(inputs["data"]).name}/{inputs["split"]}'
    if document.get('kind') == 'objects':
        return '/'.join(Path(document['objects']['boxes']).parts[-3:-1])
    return '/'.join(Path(inputs['visible']).parts[-3:-1]) or str(inputs['visible'])


def markdown_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: bool = True
) -> str:
    """Return a Markdown table, all columns but the first to the right if they are numbers."""
    lines = [header, ['---', *['---:' if numbers else '---'] * (len(header) - 1)], *rows]
    escaped = [[cell.replace('|', '\\|') for cell in line] for line in lines]
    return '\n'.join(f'| {" | ".join(line)} |' for line in escaped)


def value_cell(entry: Mapping[str, Any], digits: int = 3, *, signed: bool = False) -> str:
    """Return a value with its interval in brackets."""
    value = entry['value']
    text = number(value, digits)
    if signed and value is not None and value >= 0:
        text = f'+{text}'
    ends = interval_text(entry['ci95'], digits)
    return text if ends == '-' else f'{text} ({ends})'


def interval_text(ends: Sequence[float | None], digits: int = 3) -> str:
    """Return 'LOW to HIGH', '-' where it is undefined."""
    if any(end is None or not math.isfinite(end) for end in ends):
        return '-'
    return ' to '.join(number(end, digits) for end in ends)


def percent_text(value: float | None) -> str:
    """Return a signed share in percent."""
    return '-' if value is None else f'{100 * value:+.2f} %'


def plain_text(value: Any) -> str:
    """Return a JSON value, numbers with four digits."""
    return f'{value:.4g}' if isinstance(value, float) else str(value)


def listed(value: Any) -> list[str]:
    """Return JSON values as a list of lines."""
    if isinstance(value, Mapping):
        return [f'- {key}: {plain_text(item)}' for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [f'- {plain_text(item)}' for item in value]
    return [plain_text(value) if value is not None else 'not recorded']
