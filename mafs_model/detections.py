"""Objects in a label image: connected regions of persons, bikes, cars, followed over pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import cv2
from mafs_model.images.temperature import Unit
from mafs_model.types import ThermalImage, UInt8Image
import numpy as np
from numpy.typing import NDArray

# Classes of the known tables that come as single things.
OBJECT_NAMES = frozenset(
    {
        'person', 'survivor', 'bike', 'bicycle', 'motorcycle', 'car', 'truck', 'bus', 'backpack',
        'fire_extinguisher', 'hand_drill',
    }
)  # fmt: skip
MIN_AREA_PX = 64
MAX_DETECTIONS = 100  # per pair: labels of pure noise must not cost more than a crowd
_MIN_OVERLAP = 0.2  # intersection over union of boxes of one object in two pairs
_MAX_MISSED = 5  # pairs in which an object may be hidden and still be the same


class Temperature(NamedTuple):
    """Temperatures of an object, degrees Celsius."""

    minimum: float
    mean: float
    maximum: float


@dataclass(frozen=True)
class Detection:
    """
    One object.

    Attributes:
        class_id: label of its pixels.
        name: name of that class.
        confidence: mean probability of its pixels, 0 to 1.
        left: first column of its box, px.
        top: first row of its box, px.
        width: columns of the box.
        height: rows of the box.
        area: number of its pixels.
        temperature: None where the camera does not measure it, or does not look there.
        track: number of the object, the same in all pairs in which it is followed; 0: not
            followed.

    """

    class_id: int
    name: str
    confidence: float
    left: int
    top: int
    width: int
    height: int
    area: int
    temperature: Temperature | None = None
    track: int = 0


def find_detections(
    labels: UInt8Image,
    names: Sequence[str],
    wanted: Sequence[int],
    confidence: UInt8Image,
    *,
    counts: ThermalImage | None = None,
    unit: Unit | None = None,
    outside: UInt8Image | None = None,
    min_area: int = MIN_AREA_PX,
    max_count: int = MAX_DETECTIONS,
) -> tuple[Detection, ...]:
    """
    Return the objects of a label image: regions of one class, connected over edges and corners.

    Args:
        labels: uint8 [H,W] class ids.
        names: name of every class id.
        wanted: ids of the classes that are objects.
        confidence: uint8 [H,W], 255 = probability 1.
        counts: [H,W] registered thermal image in the values of the camera; None: no temperatures.
        unit: what these values mean; None: no temperatures.
        outside: uint8 [H,W], not 0 where the thermal camera does not look; None: nowhere.
        min_area: smaller regions are left out, px.
        max_count: the largest so many are returned.

    Returns:
        The largest first; of equal ones, the first class and then the uppermost first.

    """
    found: list[_Region] = []
    for class_id in wanted:
        mask = cv2.compare(labels, float(class_id), cv2.CMP_EQ)
        _, regions, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        found += [
            _Region(regions, number, class_id, *(int(value) for value in stats[number]))
            for number in range(1, len(stats))
            if stats[number, cv2.CC_STAT_AREA] >= min_area
        ]
    found.sort(key=lambda region: (-region.area, region.class_id, region.top, region.left))
    return tuple(
        Detection(
            class_id=region.class_id,
            name=names[region.class_id],
            confidence=float(region.of(confidence).mean()) / 255.0,
            left=region.left,
            top=region.top,
            width=region.width,
            height=region.height,
            area=region.area,
            temperature=None
            if counts is None or unit is None
            else _measure(region, counts, unit, outside),
        )
        for region in found[:max_count]
    )


class _Region(NamedTuple):
    """One connected region: where it is in an image of numbered regions, and its box."""

    regions: NDArray[np.int32]
    number: int
    class_id: int
    left: int
    top: int
    width: int
    height: int
    area: int

    def of(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return the values [N] of an image [H,W] in the region."""
        rows = slice(self.top, self.top + self.height)
        columns = slice(self.left, self.left + self.width)
        values: NDArray[Any] = image[rows, columns][self.regions[rows, columns] == self.number]
        return values


def _measure(
    region: _Region, counts: ThermalImage, unit: Unit, outside: UInt8Image | None
) -> Temperature | None:
    """Return the temperatures of a region, None where nothing was measured in it."""
    values = region.of(counts)
    if outside is not None:
        values = values[region.of(outside) == 0]
    values = values[np.isfinite(values)]
    if not values.size:
        return None
    middle = float(values.mean(dtype=np.float64))
    return Temperature(*map(unit.to_celsius, (float(values.min()), middle, float(values.max()))))


class Tracker:
    """
    Gives objects numbers that stay from pair to pair.

    An object is the one of the same class whose last box it overlaps most, the best overlap first.
    One that is hidden is waited for over a few pairs.
    """

    def __init__(self) -> None:
        self._last_number = 0
        self._known: list[tuple[Detection, int]] = []  # and in how many pairs it was missed

    def __call__(self, detections: Sequence[Detection]) -> tuple[Detection, ...]:
        """Return the objects of the next pair with their numbers."""
        overlaps = sorted(
            (
                (-_overlap(known, new), place, index)
                for place, (known, _) in enumerate(self._known)
                for index, new in enumerate(detections)
                if known.class_id == new.class_id and _overlap(known, new) >= _MIN_OVERLAP
            ),
        )
        track_of: dict[int, int] = {}
        taken: set[int] = set()
        for _, place, index in overlaps:
            if place not in taken and index not in track_of:
                taken.add(place)
                track_of[index] = self._known[place][0].track
        numbered = []
        for index, new in enumerate(detections):
            if index not in track_of:
                self._last_number += 1
                track_of[index] = self._last_number
            numbered.append(replace(new, track=track_of[index]))
        hidden = [
            (known, missed + 1)
            for place, (known, missed) in enumerate(self._known)
            if place not in taken and missed < _MAX_MISSED
        ]
        # The most recent first: flicker must not make the list grow.
        self._known = [(new, 0) for new in numbered] + hidden[:MAX_DETECTIONS]
        return tuple(numbered)


class _ClassSums:
    """Running sums over the objects of one class."""

    def __init__(self) -> None:
        self.count = self.tracks = self.measured = 0
        self.confidence = self.temperature = 0.0


class DetectionCounts:
    """
    What was detected in many pairs, by class; as much memory for a day as for one pair.

    Args:
        followed: the pairs follow each other, so that tracks mean something.

    """

    def __init__(self, followed: bool = True) -> None:
        self._followed = followed
        self._pairs = self._last_track = 0
        self._sums: dict[str, _ClassSums] = {}

    def add_pair(self, found: Sequence[Detection]) -> None:
        """Count the objects of the next pair, with the numbers of one tracker."""
        self._pairs += 1
        newest = self._last_track
        for one in found:
            sums = self._sums.setdefault(one.name, _ClassSums())
            sums.count += 1
            sums.tracks += one.track > newest  # numbers only rise
            sums.confidence += one.confidence
            if one.temperature is not None:
                sums.measured += 1
                sums.temperature += one.temperature.mean
            self._last_track = max(self._last_track, one.track)

    def summary(self) -> dict[str, dict[str, Any]]:
        """
        Return what was detected, by class, the most frequent first.

        Of each class: `detections` in all pairs, `per_pair`, `tracks` (different objects as far
        as they were followed; only where pairs follow each other), the means of `confidence` and
        of `temperature` in degrees Celsius (None without temperatures).
        """
        return {
            name: {
                'detections': sums.count,
                'per_pair': round(sums.count / self._pairs, 2),
                **({'tracks': sums.tracks} if self._followed else {}),
                'confidence': round(sums.confidence / sums.count, 3),
                'temperature': (
                    round(sums.temperature / sums.measured, 1) if sums.measured else None
                ),
            }
            for name, sums in sorted(self._sums.items(), key=lambda entry: -entry[1].count)
        }


def _overlap(one: Detection, other: Detection) -> float:
    """Return intersection over union of two boxes."""
    width = min(one.left + one.width, other.left + other.width) - max(one.left, other.left)
    height = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (one.width * one.height + other.width * other.height - shared)
