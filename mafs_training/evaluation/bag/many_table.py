"""The table of several bags, as it is printed and as the page shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mafs_training.evaluation.tables import number, text_table

# What the table shows of the fused images; the results of the bags have all.
SHOWN = ('EN', 'AG', 'VIF', 'Qabf', 'SSIM', 'visible_kept')
HEADER = ['bag', 'seconds', 'pairs', 'paired %', 'max ms', 'median ms', *SHOWN, 'state']


def bags_table(document: Mapping[str, Any]) -> str:
    """Return the table that is printed: one row a bag."""
    return text_table(HEADER, [row_cells(row) for row in document['bags']])


def row_cells(row: Mapping[str, Any]) -> list[str]:
    """Return the cells of a bag, '-' for all that a broken one lacks."""
    if row['error'] is not None:
        return [str(row['bag']), *['-'] * (5 + len(SHOWN)), 'not usable']
    state = 'damaged' if row['damage'] else 'problems' if row['problems'] else 'good'
    return [
        str(row['bag']),
        number(row['duration_s'], 1),
        str(row['pairs']),
        number(100 * row['match_rate'], 1),
        number(row['offset_max_ms'], 1),
        number(row['latency_median_ms'], 1),
        *(number(row['metrics'].get(metric)) for metric in SHOWN),
        f'{state}, kept' if row['kept'] else state,
    ]
