"""Reading of object boxes: YOLO text of people, or of a detector with scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math
from pathlib import Path

from mafs_model.errors import DatasetError

# What the ids 0, 1, 2 of a box file are, unless somebody says otherwise.
BOX_CLASSES = ('person', 'bike', 'car')

_MAX_BYTES = 1 << 20
_MOST_KINDS = 1000
_EXPECTED = "expected 'class cx cy w h [score ...]', relative to the image"


@dataclass(frozen=True)
class Box:
    """
    One box in pixels.

    Attributes:
        kind: class id of the box file.
        x: column of the centre.
        y: row of the centre.
        width: pixels.
        height: pixels.
        score: of a detector, 0..1; 1 where a person drew the box.

    """

    kind: int
    x: float
    y: float
    width: float
    height: float
    score: float = 1.0


def read_boxes(path: Path, size: tuple[int, int], min_score: float = 0.0) -> list[Box]:
    """
    Read the boxes of one image.

    A line is `class cx cy w h`, relative to the image, then the score of a detector if there is
    one; what follows is not looked at. An empty file says that there is no object.

    Args:
        path: the file.
        size: height and width of the image in pixels.
        min_score: boxes with a lower score are left out.

    Raises:
        DatasetError: not readable, too large, or a line that is no box, with its number.

    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DatasetError(f'{path}: larger than {_MAX_BYTES} bytes, expected a file of boxes')
        text = path.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f'cannot read {path}: {error}') from None
    boxes = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            box = _parse(line.split(), size, f'{path}, line {number}')
            if box.score >= min_score:
                boxes.append(box)
    return boxes


def _parse(fields: Sequence[str], size: tuple[int, int], where: str) -> Box:
    """Return the box of one line; raises DatasetError."""
    height, width = size
    try:
        kind = int(fields[0])
        x, y, w, h = (float(field) for field in fields[1:5])
        score = float(fields[5]) if len(fields) > 5 else 1.0
    except ValueError:
        raise DatasetError(f'{where}: {_EXPECTED}, got {" ".join(fields)[:80]!r}') from None
    # Boxes of people at the border reach outside a little; pixels instead of shares do not.
    inside = all(map(math.isfinite, (x, y, w, h))) and max(abs(x - 0.5), abs(y - 0.5)) <= 1
    if not (inside and 0 < w <= 2 and 0 < h <= 2 and 0 <= kind < _MOST_KINDS):
        raise DatasetError(f'{where}: {_EXPECTED}, got {" ".join(fields)[:80]!r}')
    if not 0 <= score <= 1:
        raise DatasetError(f'{where}: score {fields[5][:20]!r}, expected 0 to 1')
    return Box(kind, x * width, y * height, w * width, h * height, score)
