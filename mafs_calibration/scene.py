"""Registration of two cameras from what they see on a drive, without a target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
from mafs_calibration.coarse_search import Candidate, search
from mafs_calibration.tile_shifts import COARSE, FINE, Refiner, TileShifts
from mafs_model.calibration.registration_monitor import TURNS
from mafs_model.calibration.structure import agreement, live_area, Mask
from mafs_model.errors import CalibrationError
from mafs_model.types import Size, UInt8Image
import numpy as np
from numpy.typing import NDArray

MIN_PAIRS = 8
PAIRS = 24  # More do not make it better, but slower.
# None of the three is enough alone: pairs of different moments reached a margin of 5 and, where
# both cameras stand still, an agreement of 0.22, but their halves were 19 px of 640 apart or more
# then. Right ones begin at 5.2 and 0.18, with halves within 4.1 px; chosen on the training splits
# (benchmarks/scene_calibration.py).
MIN_MARGIN = 4.0
MIN_AGREEMENT = 0.13
MAX_SPREAD = 1 / 80  # of the visible width
_COARSE_PAIRS = 12  # More do not make the coarse place surer, but slower.
_CANDIDATES = 3
_MIN_SIDE_PX = 32
_TURNS: dict[
    str, Callable[[UInt8Image], UInt8Image]
] = {  # how the thermal image may be turned, and what undoes it
    **TURNS,
    'rotated by 90 degrees clockwise': np.rot90,
    'rotated by 90 degrees counterclockwise': lambda image: np.rot90(image, -1),
}


@dataclass(frozen=True)
class SceneRegistration:
    """
    How the thermal image lies on the visible one, and how sure that is.

    Attributes:
        homography: 3x3 float64, thermal to visible pixels.
        agreement: of the edges of all pairs together, -1 to 1.
        margin: by how many standard errors images of one moment agree better than images of
            different moments.
        uniqueness: how much better this place is than the best other one, 1: not at all.
        spread: mean distance of the registrations by every other pair and by the pairs between
            them, in visible widths.
        tiles: shifts and residuals of the parts of the image.

    """

    homography: NDArray[np.float64]
    agreement: float
    margin: float
    uniqueness: float
    spread: float
    tiles: TileShifts

    @property
    def is_sure(self) -> bool:
        """Return whether this is a registration and no coincidence."""
        return self.doubt is None

    @property
    def doubt(self) -> str | None:
        """Return why this may be a coincidence, None if it is none."""
        if self.agreement < MIN_AGREEMENT:
            return (
                f'images of one moment agree by {self.agreement:.2f}, expected {MIN_AGREEMENT:g}: '
                'the pairs may be of different moments, the scene too empty, or scale or rotation '
                'out of range (0.5 to 2, 6 degrees)'
            )
        if self.margin < MIN_MARGIN:
            return (
                'images of one moment agree better than images of different moments by '
                f'{self.margin:.1f} standard errors, expected {MIN_MARGIN:g}: the pairs may be of '
                'different moments, or all of one view, as of a robot that stands: let it drive'
            )
        if self.spread > MAX_SPREAD:
            return (
                'one half of the pairs says another place than the other half, '
                f'{self.spread:.1%} of the image width away, expected at most {MAX_SPREAD:.1%}: '
                'the pairs may be of different moments, or a camera has moved'
            )
        return None


def register(visible: Sequence[UInt8Image], thermal: Sequence[UInt8Image]) -> SceneRegistration:
    """
    Return how the thermal images lie on the visible ones.

    Args:
        visible: uint8 [H,W] luminances of one size, of different moments, at least `MIN_PAIRS`.
        thermal: uint8 [h,w] images of the same moments.

    Raises:
        CalibrationError: too few pairs, different sizes, or nothing sure; the message says what
            the images look like instead.

    """
    if len(visible) < MIN_PAIRS:
        raise CalibrationError(
            f'{len(visible)} pairs, expected at least {MIN_PAIRS} of different moments'
        )
    for name, images in (('visible', visible), ('thermal', thermal)):
        sizes = {image.shape for image in images}
        if len(sizes) > 1:
            shown = ', '.join(f'{w}x{h}' for h, w in sorted(sizes)[:4])
            raise CalibrationError(f'{name} images have different sizes: {shown}; expected one')
        if min(images[0].shape) < _MIN_SIDE_PX:
            raise CalibrationError(
                f'{name} images of {images[0].shape[1]}x{images[0].shape[0]} are too small, '
                f'expected sides of at least {_MIN_SIDE_PX} px'
            )
    found = estimate(visible, thermal)
    if found is not None and found.is_sure:
        return found
    for name, turn in _TURNS.items():
        other = estimate(visible, [np.ascontiguousarray(turn(image)) for image in thermal])
        if other is not None and other.is_sure:
            raise CalibrationError(
                f'the thermal image is {name}: it fits when that is undone; correct it in the '
                'camera, its driver or its profile first'
            )
    if found is None:
        raise CalibrationError('the images show no structure that could be compared')
    raise CalibrationError(f'no registration is sure: {found.doubt}')


def estimate(
    visible: Sequence[UInt8Image], thermal: Sequence[UInt8Image], live: Mask | None = None
) -> SceneRegistration | None:
    """Return the best registration, however bad it is; None: the images show no structure."""
    live = live_area(thermal) if live is None else live
    chosen = np.unique(
        np.linspace(0, len(visible) - 1, min(len(visible), _COARSE_PAIRS)).round().astype(int)
    )
    candidates = search([visible[i] for i in chosen], [thermal[i] for i in chosen], live)
    coarse = Refiner(visible, thermal, live, COARSE)
    refined = []
    for candidate in _distinct(candidates):
        homography, tiles = coarse.refine(candidate.matrix)
        if tiles is not None:
            refined.append((_joint(coarse, homography), homography))
    if not refined:
        return None
    refined.sort(key=lambda item: -item[0])
    start = refined[0][1]
    homography, tiles = Refiner(visible, thermal, live, FINE).refine(start)
    if tiles is None:
        return None
    joint, margin = _scores(coarse, homography)
    one, other = (_refine(visible[part::2], thermal[part::2], live, start) for part in range(2))
    best = candidates[0]
    rival = next((c for c in candidates if c.differs(best)), None)
    uniqueness = best.significance / rival.significance if rival else 1.0
    spread = _distance(one, other, _size(visible[0]), _size(thermal[0]))
    return SceneRegistration(homography, joint, margin, uniqueness, spread, tiles)


def _refine(
    visible: Sequence[UInt8Image],
    thermal: Sequence[UInt8Image],
    live: Mask,
    homography: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return where these pairs alone take a registration."""
    for level in (COARSE, FINE):
        homography, _ = Refiner(visible, thermal, live, level).refine(homography)
    return homography


def _distance(
    one: NDArray[np.float64], other: NDArray[np.float64], visible: Size, thermal: Size
) -> float:
    """Return the mean distance of two registrations over what both cameras see, in widths."""
    y, x = np.mgrid[: visible[0] : 16j, : visible[1] : 16j]
    points = np.stack([x, y], axis=-1).reshape(1, -1, 2)
    warm = cv2.perspectiveTransform(points, np.linalg.inv(one))
    seen = np.all((warm[0] >= 0) & (warm[0] < thermal[::-1]), axis=1)
    if not seen.any():
        return 1.0
    back = cv2.perspectiveTransform(warm[:, seen], other)
    return float(np.linalg.norm(back - points[:, seen], axis=-1).mean()) / visible[1]


def _distinct(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the first few that are not the same place again."""
    chosen: list[Candidate] = []
    for candidate in candidates:
        if all(candidate.differs(other) for other in chosen):
            chosen.append(candidate)
        if len(chosen) == _CANDIDATES:
            break
    return chosen


def _joint(refiner: Refiner, homography: NDArray[np.float64]) -> float:
    """Return the significance of a homography: agreement times root of the common pixels."""
    visible, thermal, mask = refiner.structures(homography)
    return agreement(np.stack(visible), np.stack(thermal)) * float(np.sqrt(mask.sum()))


def _scores(refiner: Refiner, homography: NDArray[np.float64]) -> tuple[float, float]:
    """Return the agreement of all pairs, and by how many errors it is above that of no pairs."""
    visible, thermal, _ = refiner.structures(homography)
    table = np.array([[agreement(v, t) for v in visible] for t in thermal])
    own = np.diag(table)
    # What is common to all images of a road (horizon, kerbs) is in both sums.
    others = (table.sum(0) + table.sum(1) - 2 * own) / (2 * (len(own) - 1))
    gain = own - others
    error = float(gain.std(ddof=1)) / np.sqrt(len(gain))
    return agreement(np.stack(visible), np.stack(thermal)), float(gain.mean() / max(error, 1e-9))


def _size(image: UInt8Image) -> Size:
    """Return (height, width)."""
    return int(image.shape[0]), int(image.shape[1])
