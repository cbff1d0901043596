"""The boxes of a folder, by image and by name of their class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mafs_model.classes import ClassTable
from mafs_model.errors import ConfigError, DatasetError
from mafs_training.datasets.boxes import Box, BOX_CLASSES, read_boxes
from mafs_training.evaluation.images import listing

# What class tables call the same thing.
_SYNONYMS = (
    frozenset({'person', 'pedestrian', 'people'}),
    frozenset({'bike', 'bicycle', 'cycle'}),
)


@dataclass(frozen=True)
class BoxFolder:
    """
    Boxes beside images, one text file an image.

    Attributes:
        folder: holds NAME.txt.
        min_score: boxes of a detector with a lower score are left out.
        names: class names by the ids of the files; boxes of other ids are left out.

    """

    folder: Path
    min_score: float = 0.0
    names: tuple[str, ...] = BOX_CLASSES

    def __post_init__(self) -> None:
        """Check that there are boxes; raises DatasetError."""
        if not self.folder.is_dir():
            raise DatasetError(f'box folder not found: {self.folder}')
        if next(self.folder.glob('*.txt'), None) is None:
            raise DatasetError(f'box folder has no files NAME.txt: {self.folder}')

    def of_image(self, name: str, size: tuple[int, int]) -> dict[str, list[Box]]:
        """
        Return class name to boxes of an image, every class included.

        Args:
            name: of the image, without suffix.
            size: height and width of the image in pixels.

        Raises:
            DatasetError: no such file or a line that is no box.

        """
        boxes = read_boxes(self.folder / f'{name}.txt', size, self.min_score)
        return {
            title: [box for box in boxes if box.kind == kind]
            for kind, title in enumerate(self.names)
        }

    def covered(self, names: Iterable[str]) -> tuple[list[str], list[str]]:
        """Return the names that have boxes, and one line about those that have none."""
        wanted = list(names)
        there = [name for name in wanted if (self.folder / f'{name}.txt').is_file()]
        missing = sorted(set(wanted) - set(there))
        problems = [f'{listing(missing)}: no boxes in {self.folder}'] if missing else []
        return there, problems


def class_ids(names: Sequence[str], table: ClassTable) -> dict[str, tuple[int, ...]]:
    """
    Return box class to the ids of a class table that mean it; classes it lacks are left out.

    Raises:
        ConfigError: the table has none of them.

    """
    found: dict[str, tuple[int, ...]] = {}
    for name in names:
        meant = next((s for s in _SYNONYMS if name.lower() in s), frozenset({name.lower()}))
        ids = tuple(c.id for c in table.classes if c.name.lower() in meant)
        if ids:
            found[name] = ids
    if not found:
        raise ConfigError(
            f'class table {table.dataset!r} has none of the boxed classes {", ".join(names)}: it '
            f'has {", ".join(table.names)}'
        )
    return found


def folder_of_options(
    boxes: Path | None, min_score: float | None, names: Sequence[str] | None
) -> BoxFolder | None:
    """
    Return the folder that --boxes, --min-score and --box-classes name; None without --boxes.

    Raises:
        ConfigError: the others without --boxes, or a name twice.

    """
    if boxes is None:
        if min_score is not None or names is not None:
            raise ConfigError('--min-score and --box-classes are about --boxes: give it as well')
        return None
    chosen = tuple(names or BOX_CLASSES)
    if len(set(chosen)) < len(chosen):
        raise ConfigError(f'--box-classes {" ".join(chosen)}: expected every name once')
    return BoxFolder(boxes, min_score or 0.0, chosen)
