"""
Class colours for people: told apart by everybody, on dark and on bright pictures.

The colours of a data set are what its files are written in; some of them are nearly black, others
nearly alike. These are for looking at: reports, contact sheets, legends.
"""

from __future__ import annotations

from dataclasses import replace

from mafs_model.classes import ClassTable, SemanticClass
from mafs_model.images.visualization import CLEAR_NAMES

Color = tuple[int, int, int]

# What a robot must not confuse always looks the same, whatever the table.
_BY_NAME: dict[str, Color] = {
    'person': (213, 94, 0),
    'pedestrian': (213, 94, 0),
    'survivor': (213, 94, 0),
    'car': (86, 180, 233),
    'bike': (0, 158, 115),
    'bicycle': (0, 158, 115),
    'road': (187, 187, 187),
}
# The rest in the order of the table: Okabe and Ito (2008), then Tol's muted scheme (2021).
_OTHERS: tuple[Color, ...] = (
    (240, 228, 66),
    (204, 121, 167),
    (230, 159, 0),
    (0, 114, 178),
    (136, 34, 85),
    (153, 153, 51),
    (68, 170, 153),
    (170, 68, 153),
    (221, 204, 119),
    (17, 119, 51),
)


def for_people(table: ClassTable) -> ClassTable:
    """
    Return a class table with other colours; ids and names stay.

    Classes without meaning (background, unlabelled) stay as they are, and so do those for which
    there is no colour left.

    Args:
        table: the classes of a data set.

    """
    left = iter(_OTHERS)

    def recolored(one: SemanticClass) -> SemanticClass:
        if one.name.lower() in CLEAR_NAMES:
            return one
        color = _BY_NAME.get(one.name.lower()) or next(left, one.color)
        return replace(one, color=color)

    return replace(table, classes=tuple(recolored(one) for one in table.classes))
