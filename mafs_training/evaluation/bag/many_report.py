"""Report of `mafs-eval bag` over several bags."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from mafs_training.evaluation.bag.many_table import HEADER, row_cells
from mafs_training.evaluation.html.page import cell, page, problems_note, section, table


def bags_page(document: Mapping[str, Any]) -> str:
    """Return the report: one row a bag."""
    rows = document['bags']
    usable = [row for row in rows if row['error'] is None]
    lines = []
    for row in rows:
        name, *values = row_cells(row)
        mark = 'down' if row['error'] is not None else ''
        cells = [cell(escape(name), 'name'), *(cell(escape(value), mark) for value in values)]
        lines.append(('', cells))
    facts = {
        'bags': str(len(rows)),
        'usable': str(len(usable)),
        'pairs': str(sum(row['pairs'] for row in usable)),
        'hours': f'{sum(row["duration_s"] for row in usable) / 3600:.2f}',
    }
    return page(
        'Bags',
        f'{document["inputs"]["weights"]} over {len(rows)} bags.',
        facts,
        [
            section(
                'All bags',
                table(HEADER, lines) + problems_note(document['problems']),
                'Paired: share of the slower stream; max: largest offset of a pair; median: '
                'latency of a pair; metrics: means over the measured pairs.',
            )
        ],
        document['inputs']['command'],
    )
