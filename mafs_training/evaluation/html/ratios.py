"""Tables of scores that are ratios of counts, for reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from mafs_training.evaluation.html.page import cell, table
from mafs_training.evaluation.ratios import Ratio, ratio_header
from mafs_training.evaluation.tables import number


def ratio_html(
    groups: Mapping[str, Any], ratios: Sequence[Ratio], grey: Sequence[str] = ()
) -> str:
    """
    Return the tables of `ratio_groups`, one a group: a row for each class and method.

    Args:
        groups: group to method to class to scores.
        ratios: the columns.
        grey: methods that are only there to compare with.

    """
    parts: list[str] = []
    for group, methods in groups.items():
        shown = table(
            [escape(text) for text in ratio_header(ratios)], _rows(methods, ratios, grey)
        )
        # The whole first; day and night are opened by those who want them.
        parts.append(
            f'<details><summary>{escape(group)}</summary>{shown}</details>' if parts else shown
        )
    return ''.join(parts)


def _rows(
    methods: Mapping[str, Any], ratios: Sequence[Ratio], grey: Sequence[str]
) -> list[tuple[str, list[str]]]:
    """Return the rows of one group."""
    rows = []
    for kind in dict.fromkeys(kind for scores in methods.values() for kind in scores):
        for method, scores in methods.items():
            if kind in scores:
                own = scores[kind]
                cells = [
                    cell(escape(method), 'name'),
                    cell(escape(kind)),
                    cell(str(own.get(ratios[0].name, {'n': 0})['n'])),
                    *(cell(_spread(own.get(ratio.name))) for ratio in ratios),
                ]
                rows.append(('base' if method in grey else '', cells))
    return rows


def meanings(ratios: Sequence[Ratio]) -> str:
    """Say in plain text what each column is."""
    return '; '.join(f'{ratio.title}: {ratio.meaning}' for ratio in ratios) + '.'


def _spread(score: Mapping[str, Any] | None) -> str:
    if score is None:
        return '–'
    low, high = score['ci95']
    return f'{number(score["value"], 3)} <small>{number(low, 3)} – {number(high, 3)}</small>'
