"""Plain-text tables for the terminal."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
import math
from typing import Any


def number(value: float | None, digits: int = 4) -> str:
    """Format a value; '-' where it is undefined."""
    if value is None or not math.isfinite(value):
        return '-'
    return f'{value:.{digits}f}'


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align columns: the first to the left, the others to the right."""
    widths = [max(len(str(row[i])) for row in (header, *rows)) for i in range(len(header))]
    lines = []
    for row in (header, *rows):
        cells = [str(row[0]).ljust(widths[0])]
        cells += [str(cell).rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append('  '.join(cells).rstrip())
    lines.insert(1, '-' * max(len(line) for line in lines))
    return '\n'.join(lines)


def best_rows(values: Sequence[float | None], *, lower: bool = False) -> set[int]:
    """Return the indices of the best values of a column, compared as printed."""
    shown = [None if v is None or not math.isfinite(v) else round(v, 4) for v in values]
    known = [v for v in shown if v is not None]
    if not known:
        return set()
    best = min(known) if lower else max(known)
    return {i for i, v in enumerate(shown) if v == best}


def metric_table(
    means: Mapping[str, Mapping[str, float | None]],
    metrics: Sequence[str],
    lower_is_better: frozenset[str],
    counts: Mapping[str, object] | None = None,
    aside: Collection[str] = (),
) -> str:
    """
    Table of methods (rows) and metrics (columns), the best of a column marked with *.

    Args:
        means: method to metric to value.
        metrics: columns.
        lower_is_better: metrics whose smallest value is best.
        counts: images per method, shown in a column n.
        aside: methods that do not compete, such as a source taken as fused image.

    """
    methods = list(means)
    header = ['method', *(['n'] if counts else []), *metrics]
    rows: list[list[str]] = [
        [method, *([str(counts[method])] if counts else [])] for method in methods
    ]
    for metric in metrics:
        column = [means[method].get(metric) for method in methods]
        rivals = [None if m in aside else v for m, v in zip(methods, column, strict=True)]
        best = best_rows(rivals, lower=metric in lower_is_better)
        for i, value in enumerate(column):
            rows[i].append(number(value) + ('*' if i in best else ' '))
    return text_table(header, rows)


def problem_lines(problems: Sequence[str], most: int = 20) -> list[str]:
    """Return one line for each problem, the rest counted."""
    lines = [f'mafs-eval: {problem}' for problem in problems[:most]]
    if len(problems) > most:
        lines.append(f'mafs-eval: and {len(problems) - most} more problems (all in the JSON)')
    return lines


def means_of(methods: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    """Extract method to metric to mean from a document's methods."""
    return {
        method: {metric: cell['mean'] for metric, cell in table.items()}
        for method, table in methods.items()
    }
