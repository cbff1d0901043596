"""
One training target per pair from many weak sources: class maps, boxes, and the heat itself.

No human has drawn the pixels of these sets. Networks have, each with its own mistakes, and boxes
by humans or detectors say where objects are but not their outlines. Put together they are worth
more than each: a box says what may be there, the maps inside it say which pixels are meant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
import math
from pathlib import Path

from mafs_model.errors import DatasetError
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
IGNORE = 255
# Class of a box file -> class id of MFNet, in the order in which they are drawn: what stands in
# front comes last.
BOX_CLASSES = {2: 1, 1: 3, 0: 2}
PERSON = 2
# The other classes of MFNet that the maps are believed: curve, car stop, colour cone. Two networks
# agree on a tenth of their guardrails and bumps.
MAP_CLASSES, NOISE_CLASSES = (4, 5, 7), (6, 8)
# Train ids of Cityscapes -> class id of MFNet: person, rider; car, truck, bus; two wheels.
CITYSCAPES = {11: 2, 12: 2, 13: 1, 14: 1, 15: 1, 17: 3, 18: 3}


@dataclass(frozen=True)
class FuseOptions:
    """
    Thresholds of the fusion.

    Attributes:
        sure: score from which a detector's box is believed; below it the box is ignored.
        coverage: share of a box that a map must fill to have a say in it.
        agreement: share of the votes that makes a pixel the class; with less it is ignored.
        doubt: share of the votes from which a pixel is ignored and not background.
        day: mean grey level of the visible image from which maps of it alone are believed.
        contrast: least difference of a person to its surroundings in the thermal image, grey
            levels, for an outline by heat.

    """

    sure: float = 0.42
    coverage: float = 0.15
    agreement: float = 0.4
    doubt: float = 0.2
    day: float = 50.0
    contrast: float = 12.0


@dataclass(frozen=True)
class Box:
    """
    One box in pixels.

    Attributes:
        ident: class id of MFNet.
        x: of the centre.
        y: of the centre.
        width: full width.
        height: full height.
        score: 0..1, 1 for a human's.

    """

    ident: int
    x: float
    y: float
    width: float
    height: float
    score: float = 1.0

    def window(self, size: tuple[int, int], margin: float = 0.0) -> tuple[slice, slice]:
        """Rows and columns, cut to an image of (height, width), larger by ``margin`` pixels."""
        top, left = self.y - self.height / 2 - margin, self.x - self.width / 2 - margin
        bottom, right = top + self.height + 2 * margin, left + self.width + 2 * margin
        return (
            slice(max(0, math.floor(top)), max(0, min(size[0], math.ceil(bottom)))),
            slice(max(0, math.floor(left)), max(0, min(size[1], math.ceil(right)))),
        )

    def ellipse(self, size: tuple[int, int], wide: float, high: float, extra: float = 0.0) -> Mask:
        """Ellipse with the half axes ``wide`` of the width and ``high`` of the height + extra."""
        rows = (np.arange(size[0])[:, None] - self.y) / max(1.0, high * self.height + extra)
        columns = (np.arange(size[1])[None] - self.x) / max(1.0, wide * self.width + extra)
        return rows**2 + columns**2 <= 1


def read_boxes(path: Path, size: tuple[int, int]) -> list[Box] | None:
    """
    Read boxes in the text form of YOLO, ``class cx cy w h [score ...]``, relative to the image.

    Args:
        path: of the file.
        size: (height, width) of the image.

    Returns:
        Boxes of the classes 0 person, 1 bicycle, 2 car; None if there is no file.

    Raises:
        DatasetError: a line that is no box.

    """
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f'{path}: cannot be read: {error}') from None
    boxes = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words:
            continue
        try:
            kind = int(words[0])
            values = [float(word) for word in words[1:6]]
            if len(values) < 4 or not all(-1 <= value <= 2 for value in values):
                raise ValueError
        except ValueError:
            raise DatasetError(
                f'{path}, line {number}: {line[:60]!r}, expected class cx cy w h [score], '
                'relative to the image'
            ) from None
        if kind in BOX_CLASSES and min(values[2:4]) > 0:
            x, y, width, height = values[:4]
            boxes.append(
                Box(
                    BOX_CLASSES[kind],
                    x * size[1],
                    y * size[0],
                    width * size[1],
                    height * size[0],
                    values[4] if len(values) > 4 else 1.0,
                )
            )
    return boxes


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0..1."""
    high = min(a.y + a.height / 2, b.y + b.height / 2) - max(
        a.y - a.height / 2, b.y - b.height / 2
    )
    wide = min(a.x + a.width / 2, b.x + b.width / 2) - max(a.x - a.width / 2, b.x - b.width / 2)
    shared = max(0.0, high) * max(0.0, wide)
    return shared / (a.width * a.height + b.width * b.height - shared)


def merge_detections(boxes: Sequence[Box], least_overlap: float = 0.45) -> list[Box]:
    """Keep the surest of boxes of one class that overlap: a detector has seen both images."""
    kept: list[Box] = []
    for box in sorted(boxes, key=lambda box: -box.score):
        if all(other.ident != box.ident or overlap(box, other) < least_overlap for other in kept):
            kept.append(box)
    return kept


def heat_mask(thermal: NDArray[np.uint8], box: Box, contrast: float) -> Mask | None:
    """
    Outline of a person by heat: pixels on the person's side of Otsu's threshold around the box.

    Args:
        thermal: uint8 [H,W].
        box: of the person.
        contrast: least difference between the inner ellipse and the ring around the box, levels.

    Returns:
        Mask [H,W], or None where heat does not set the person apart: too little contrast, or a
        ring that is as warm.

    """
    import cv2

    size = (thermal.shape[0], thermal.shape[1])
    window = box.window(size, margin=4 + 0.15 * box.width)
    part = thermal[window]
    if min(part.shape) < 6 or box.height < 12:
        return None
    inside = box.ellipse(size, 0.3, 0.42)[window]
    ring = ~box.ellipse(size, 0.55, 0.55)[window]
    if inside.sum() < 12 or ring.sum() < 12:
        return None
    difference = float(part[inside].mean()) - float(part[ring].mean())
    if abs(difference) < contrast:
        return None
    threshold, _ = cv2.threshold(part, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    warm = part > threshold if difference > 0 else part <= threshold
    # what hangs together with the middle of the box; the neighbour is another box's
    _, parts = cv2.connectedComponents(warm.astype(np.uint8), connectivity=8)
    core = parts[inside & warm]
    if not core.size:
        return None
    counts = np.bincount(core)
    warm = np.isin(parts, np.flatnonzero(counts >= 0.2 * counts.max()))
    if warm[ring].mean() > 0.35:
        return None
    mask = np.zeros(size, dtype=bool)
    mask[window] = warm
    return mask


def _paint(
    target: NDArray[np.uint8], box: Box, votes: Sequence[tuple[float, Mask]], options: FuseOptions
) -> None:
    """Write one box into the target: agreement, an inner ellipse where no map has a say."""
    size = (target.shape[0], target.shape[1])
    window = box.window(size, margin=1.0)
    part = target[window]
    if not part.size:
        return
    inner = (0.42, 0.41) if box.ident == 1 else (0.3, 0.44)
    if box.score < options.sure:
        part[part == 0] = IGNORE
        return
    core = box.window(size)
    said = [
        (weight, mask[window]) for weight, mask in votes if mask[core].mean() >= options.coverage
    ]
    if not said:
        part[part == 0] = IGNORE
        part[box.ellipse(size, *inner)[window]] = box.ident
        return
    total = sum(weight for weight, _ in said)
    share = np.zeros(part.shape)
    for weight, mask in said:
        share += weight / total * mask
    agreed = share >= options.agreement
    part[(share >= options.doubt) & ~agreed] = IGNORE
    part[agreed] = box.ident


def fuse_frame(
    visible: NDArray[np.uint8],
    thermal: NDArray[np.uint8],
    maps: Sequence[tuple[float, NDArray[np.uint8]]],
    human: Sequence[Box] | None,
    detected: Sequence[Box],
    cityscapes: NDArray[np.uint8] | None = None,
    options: FuseOptions | None = None,
) -> NDArray[np.uint8]:
    """
    Fuse everything that is known of one pair.

    Args:
        visible: RGB uint8 [H,W,3].
        thermal: uint8 [H,W].
        maps: (weight of the vote, class ids of MFNet uint8 [H,W]), the most trusted first.
        human: boxes by a human, complete; None: there are none of this frame.
        detected: boxes of a detector, of both images.
        cityscapes: train ids uint8 [H,W] of a network on the visible image; believed by day.
        options: thresholds.

    Returns:
        Class ids of MFNet uint8 [H,W]; 255: no target.

    The rules. *Inside a box* a pixel is the class if enough votes say so; a map votes where it
    fills a fair share of the box, a person's heat votes too. Without a vote the inner ellipse is
    the class and the rest of the box is ignored. *Outside the boxes of a class* a map's claim is
    background: no box, no object; without human boxes it is ignored where a map and the Cityscapes
    network, which share nothing, claim the same. *Other classes* are those of the most trusted
    map if it has weight 1, of weaker maps they are ignored; guardrail and bump always are.

    """
    options = options or FuseOptions()
    size = (thermal.shape[0], thermal.shape[1])
    day = cityscapes is not None and float(visible.mean()) >= options.day
    street = np.zeros(size, np.uint8)
    if cityscapes is not None and day:
        for theirs, ours in CITYSCAPES.items():
            street[cityscapes == theirs] = ours
    target = np.zeros(size, np.uint8)
    for rank, (weight, ids) in enumerate(maps):
        if rank == 0:
            target[np.isin(ids, NOISE_CLASSES)] = IGNORE
            for ident in MAP_CLASSES:
                target[ids == ident] = ident if weight >= 1 else IGNORE
        else:
            target[(target == 0) & np.isin(ids, (*MAP_CLASSES, *NOISE_CLASSES))] = IGNORE
    if human is None and day:
        for ident in BOX_CLASSES.values():
            for _, ids in maps:
                target[(ids == ident) & (street == ident)] = IGNORE
    boxes = merge_detections(detected) if human is None else list(human)
    for ident in BOX_CLASSES.values():
        votes = [(weight, ids == ident) for weight, ids in maps]
        if day:
            votes.append((0.7, street == ident))
        for box in sorted((b for b in boxes if b.ident == ident), key=lambda box: box.score):
            heat = heat_mask(thermal, box, options.contrast) if ident == PERSON else None
            _paint(target, box, votes if heat is None else [*votes, (0.8, heat)], options)
    return target


def parse_maps(texts: Sequence[str]) -> dict[str, float]:
    """
    Read ``FOLDER[=WEIGHT]``.

    Raises:
        DatasetError: a weight that is no number above 0.

    """
    maps = {}
    for text in texts:
        folder, equals, weight = text.partition('=')
        try:
            value = float(weight) if equals else 1.0
            if not (folder and 0 < value < math.inf):
                raise ValueError
        except ValueError:
            raise DatasetError(
                f'map {text!r}: expected FOLDER or FOLDER=WEIGHT with a weight above 0'
            ) from None
        maps[folder] = value
    return maps


def fuse_folder(
    root: Path,
    maps: Mapping[str, float],
    boxes: str = 'boxes',
    detections: str = 'teacher_boxes',
    cityscapes: str = 'teacher_cityscapes',
    options: FuseOptions | None = None,
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """
    Fuse the labels of a folder with ``vi``, ``ir`` and whatever of the sources it has.

    Args:
        root: of the set.
        maps: folder of class maps -> weight of their votes, the most trusted first.
        boxes: folder of human boxes.
        detections: folder of a detector's boxes.
        cityscapes: folder of Cityscapes train ids.
        options: thresholds.

    Yields:
        Name and target of each pair.

    Raises:
        DatasetError: no source at all for a pair, or a file that cannot be read.

    """
    from mafs_training.datasets.layouts import find_pairs, index_images, read_pair
    from mafs_training.datasets.reading import as_label, read_image
    from mafs_training.datasets.spec import parse_source

    pairs = find_pairs(parse_source(f'generic:{root}?labels=none'))
    files = {name: index_images(root / name) for name in (*maps, cityscapes)}
    for pair_files in pairs:
        pair = read_pair(pair_files, None, IGNORE)
        name, size = pair.name, (pair.thermal.shape[0], pair.thermal.shape[1])

        def image(
            folder: str, name: str = name, size: tuple[int, int] = size
        ) -> NDArray[np.uint8] | None:
            path = files[folder].get(name)
            if path is None:
                return None
            ids = as_label(read_image(path), path)
            if ids.shape != size:
                raise DatasetError(
                    f'{path}: {ids.shape[1]}x{ids.shape[0]}, expected the {size[1]}x{size[0]} of '
                    'its pair'
                )
            return ids

        known = [(weight, ids) for key, weight in maps.items() if (ids := image(key)) is not None]
        human = read_boxes(root / boxes / f'{name}.txt', size)
        detected = read_boxes(root / detections / f'{name}.txt', size)
        if human is None and detected is None:
            raise DatasetError(
                f'{root}: no boxes of {name!r}, expected {boxes}/{name}.txt or '
                f'{detections}/{name}.txt'
            )
        yield (
            name,
            fuse_frame(
                pair.visible,
                pair.thermal,
                known,
                human,
                detected or [],
                image(cityscapes),
                options,
            ),
        )
