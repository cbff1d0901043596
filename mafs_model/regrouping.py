"""Regrouping of classes: some kept, some made one, in labels and class table alike."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import cv2
from mafs_model.classes import ClassTable, SemanticClass
from mafs_model.errors import ConfigError
from mafs_model.images.visualization import CLEAR_NAMES
from mafs_model.types import UInt8Image
import numpy as np
from numpy.typing import NDArray

_SHOWN_NAMES = 30


@dataclass(frozen=True)
class Regrouping:
    """
    New classes out of old ones.

    Attributes:
        table: the new classes, in the order of the old ones, ids 0..N-1.
        members: names of the old classes in each new one.
        new_labels: new label of every old one, uint8 [256].

    """

    table: ClassTable
    members: tuple[tuple[str, ...], ...]
    new_labels: NDArray[np.uint8]

    def __call__(self, labels: UInt8Image) -> UInt8Image:
        """Return a label image [H,W] of the old classes as one of the new ones, a new array."""
        return cv2.LUT(labels, self.new_labels)

    def merged(self, groups: Mapping[str, Collection[str]]) -> Regrouping:
        """
        Return this with classes made one.

        A group takes place and colour of the first of its classes, or the colour of the one
        whose name it has.

        Args:
            groups: name of the new class -> names of its classes.

        Raises:
            ConfigError: a class is unknown or in two groups, or the name of a group is taken.

        """
        group_of: dict[str, str] = {}
        for group, names in groups.items():
            for name in names:
                self._check_known('merge', name)
                if name in group_of:
                    raise ConfigError(
                        f"merge: got '{name}' in '{group_of[name]}' and in '{group}', expected "
                        'each class once'
                    )
                group_of[name] = group
        for group in groups:
            if group in self.table.names and group_of.get(group) != group:
                raise ConfigError(
                    f"merge: got '{group}' as the name of a group, expected one that no other "
                    'class has'
                )
        return self._grouped([group_of.get(name, name) for name in self.table.names])

    def kept(self, names: Collection[str]) -> Regrouping:
        """
        Return this with these classes alone.

        The others become the class without meaning ('unlabelled', 'background'), which stays,
        or the ignored label in a table that has none.

        Args:
            names: classes to keep; empty: all.

        Raises:
            ConfigError: a class is unknown.

        """
        for name in names:
            self._check_known('keep', name)
        if not names:
            return self
        rest = next((n for n in self.table.names if n in CLEAR_NAMES), None)
        wanted = {*names, rest}
        return self._grouped([name if name in wanted else rest for name in self.table.names])

    def _check_known(self, what: str, name: str) -> None:
        """Raise ConfigError unless there is a class of this name."""
        known = self.table.names
        if name not in known:
            more = ', ...' if len(known) > _SHOWN_NAMES else ''
            raise ConfigError(
                f'{what}: got {name[:80]!r}, expected names out of '
                f'{", ".join(known[:_SHOWN_NAMES])}{more}'
            )

    def _grouped(self, names: list[str | None]) -> Regrouping:
        """Return this with a new name for every class; None: the ignored label."""
        old_names, ignored = self.table.names, self.table.ignore_index
        ids: dict[str, int] = {}
        members: list[tuple[str, ...]] = []
        classes: list[SemanticClass] = []
        to_new = np.full(256, ignored, np.uint8)
        for old, name in enumerate(names):
            if name is None:
                continue
            if name not in ids:
                ids[name] = len(ids)
                model = old_names.index(name) if name in old_names else old
                color = self.table.classes[model].color
                classes.append(SemanticClass(ids[name], name, color))
                members.append(())
            to_new[old] = ids[name]
            members[ids[name]] += self.members[old]
        table = ClassTable(self.table.dataset, tuple(classes), ignored)
        return Regrouping(table, tuple(members), to_new[self.new_labels])


def all_apart(table: ClassTable) -> Regrouping:
    """Return the classes of a table as they are."""
    to_new = np.full(256, table.ignore_index, np.uint8)
    to_new[: len(table)] = np.arange(len(table))
    return Regrouping(table, tuple((name,) for name in table.names), to_new)
