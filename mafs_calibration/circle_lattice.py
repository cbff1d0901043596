"""Finding a plane lattice of circles in an image, whatever its rows are like."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import cv2
from mafs_model.types import UInt8Image
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Index = tuple[int, int]

_UPSCALED_TO_PX = 640  # Small thermal images have circles of a few pixels.
_MAX_BLOBS = 1000  # More are texture, not a board.
_STARTS = 4  # circles in the middle of the image that a match is begun at
_NEIGHBOURS = 7
_SNAP = 0.3  # of the distance to the next circle: how far a predicted circle may be off
_LOCAL = 9  # known circles that the next one is predicted from
_MAX_ERROR = 0.2  # of that distance: what a lens may bend a plane board


def find_blobs(image: UInt8Image) -> Points:
    """
    Return the centres of bright round spots, float64 [n,2].

    Args:
        image: uint8 [H,W].

    """
    factor = float(np.clip(_UPSCALED_TO_PX / image.shape[1], 1.0, 4.0))
    scaled = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    library: Any = cv2  # whose stubs lack this detector
    options = library.SimpleBlobDetector_Params()
    options.filterByColor, options.blobColor = True, 255
    options.minThreshold, options.maxThreshold, options.thresholdStep = 20, 240, 8
    options.filterByArea, options.minArea, options.maxArea = True, 12, scaled.size / 100
    options.filterByCircularity, options.minCircularity = True, 0.6
    options.filterByInertia, options.minInertiaRatio = True, 0.2
    options.filterByConvexity, options.minConvexity = True, 0.8
    options.minDistBetweenBlobs, options.minRepeatability = 4, 2
    found = library.SimpleBlobDetector_create(options).detect(scaled)
    centres = np.array([key.pt for key in found], np.float64).reshape(-1, 2)
    return (centres + 0.5) / factor - 0.5


class Lattice:
    """
    A layout of circles that are all nodes of one lattice.

    Args:
        layout: centres, float64 [n,2], any unit, x to the right and y down.

    Raises:
        ValueError: they are too few, on a line, or on no lattice.

    """

    def __init__(self, layout: Points) -> None:
        if len(layout) < 6:
            raise ValueError('expected at least 6 circles')
        self.layout = layout
        middle = layout[np.argmin(np.linalg.norm(layout - layout.mean(axis=0), axis=1))]
        around = layout - middle
        around = around[np.argsort(np.linalg.norm(around, axis=1), kind='stable')][1:]
        first = around[0] if around[0][0] >= 0 else -around[0]
        others = [v for v in around if abs(_cross(first, v)) > 0.1 * float(first @ first)]
        if not others:
            raise ValueError('all circles are on one line')
        second = others[0] if _cross(first, others[0]) > 0 else -others[0]
        basis = np.stack([first, second], axis=1)
        steps = np.linalg.solve(basis, (layout - middle).T).T
        if float(np.abs(steps - np.round(steps)).max()) > 0.1:
            raise ValueError('the circles are not on one lattice')
        self._nodes: list[Index] = [(int(i), int(j)) for i, j in np.round(steps)]

    def find(self, blobs: Points) -> Points | None:
        """
        Return where each circle is, float64 [n,2] in the order of the layout, or None.

        Lattice steps are guessed at a spot near the middle and followed outwards, each next
        circle predicted from those around it; then the layout is placed on what was found. Where
        two placements fit (a layout that looks the same upside down), that with x to the right
        is taken.

        Args:
            blobs: spots, float64 [m,2]; there may be others than circles among them.

        """
        if not len(self.layout) <= len(blobs) <= _MAX_BLOBS:
            return None
        middle = np.median(blobs, axis=0)
        for start in np.argsort(np.linalg.norm(blobs - middle, axis=1))[:_STARTS]:
            for steps in _guess_steps(blobs, int(start)):
                found = self._place(blobs, _follow(blobs, int(start), steps))
                if found is not None:
                    return found
        return None

    def _place(self, blobs: Points, nodes: dict[Index, int]) -> Points | None:
        """Return the circles where the whole layout lies on the nodes found."""
        if len(nodes) < len(self._nodes):
            return None
        best: tuple[float, Points] | None = None
        first = self._nodes[0]
        for node in nodes:
            shift = node[0] - first[0], node[1] - first[1]
            moved = [(i + shift[0], j + shift[1]) for i, j in self._nodes]
            if not all(place in nodes for place in moved):
                continue
            places = blobs[[nodes[place] for place in moved]]
            error = self._error(places)
            if error < _MAX_ERROR and (best is None or error < best[0]):
                best = error, places
        return None if best is None else best[1]

    def _error(self, places: Points) -> float:
        """Return how far the circles are from a plane board, in circle distances."""
        homography, _ = cv2.findHomography(self.layout, places)
        if homography is None:
            return float('inf')
        seen = cv2.perspectiveTransform(self.layout[None], homography)[0]
        spacing = np.sort(np.linalg.norm(places - places[0], axis=1))[1]
        return float(np.sqrt(np.mean(np.sum((seen - places) ** 2, axis=1))) / spacing)


def _guess_steps(blobs: Points, start: int) -> Iterator[Points]:
    """Yield pairs of steps [2,2] (rows) to neighbours that continue on the other side, too."""
    distance = np.linalg.norm(blobs - blobs[start], axis=1)
    near = blobs[np.argsort(distance)[1 : 1 + _NEIGHBOURS]] - blobs[start]
    pairs = [
        np.stack([a, b]) for a, b in permutations(near, 2) if _cross(a, b) > 0.2 * float(a @ a)
    ]
    # The first step should be to the right, as in the layout.
    pairs.sort(key=lambda steps: -steps[0, 0] / np.linalg.norm(steps[0]))
    for steps in pairs:
        reach = _SNAP * float(np.linalg.norm(steps, axis=1).min())
        around = blobs[start] + np.concatenate([steps, -steps])
        gaps = np.linalg.norm(around[:, None] - blobs[None], axis=2).min(axis=1)
        if np.count_nonzero(gaps < reach) >= 4:
            yield steps


def _follow(blobs: Points, start: int, steps: Points) -> dict[Index, int]:
    """Return lattice nodes with their blobs, grown from one circle and its two steps."""
    nodes: dict[Index, int] = {(0, 0): start}
    used = {start}
    queue: list[Index] = [(0, 0)]
    while queue:
        i, j = queue.pop(0)
        for place in ((i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)):
            if place in nodes:
                continue
            expected, local = _predict(blobs, nodes, place, steps)
            distance = np.linalg.norm(blobs - expected, axis=1)
            nearest = int(np.argmin(distance))
            reach = _SNAP * float(np.linalg.norm(local, axis=1).min())
            if distance[nearest] < reach and nearest not in used:
                nodes[place] = nearest
                used.add(nearest)
                queue.append(place)
    return nodes


def _predict(
    blobs: Points, nodes: dict[Index, int], place: Index, steps: Points
) -> tuple[Points, Points]:
    """Return where a node is expected and the steps there, from the nodes next to it."""
    known = sorted(nodes, key=lambda n: (n[0] - place[0]) ** 2 + (n[1] - place[1]) ** 2)[:_LOCAL]
    index = np.array(known, np.float64) - place
    seen = blobs[[nodes[n] for n in known]]
    if len(known) < 5 or np.linalg.matrix_rank(index - index.mean(axis=0)) < 2:
        return seen[0] - index[0] @ steps, steps
    design = np.column_stack([np.ones(len(index)), index])
    fit = np.linalg.lstsq(design, seen, rcond=None)[0].astype(np.float64)
    return fit[0], fit[1:]


def _cross(a: Points, b: Points) -> float:
    """Return the z component of the cross product."""
    return float(a[0] * b[1] - a[1] * b[0])
