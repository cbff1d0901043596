"""Registration of two cameras from what they see on a drive, without a target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mafs_calibration.coarse_search import Candidate, search
from mafs_calibration.tile_shifts import COARSE, FINE, Refiner, TileShifts
from mafs_model.calibration.structure import agreement, live_area, Mask
from mafs_model.types import UInt8Image
import numpy as np
from numpy.typing import NDArray

MIN_PAIRS = 8
_COARSE_PAIRS = 12  # More do not make the coarse place surer, but slower.
_CANDIDATES = 3


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
        tiles: shifts and residuals of the parts of the image.

    """

    homography: NDArray[np.float64]
    agreement: float
    margin: float
    uniqueness: float
    tiles: TileShifts


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
    homography, tiles = Refiner(visible, thermal, live, FINE).refine(refined[0][1])
    if tiles is None:
        return None
    joint, margin = _scores(coarse, homography)
    best = candidates[0]
    rival = next((c for c in candidates if c.differs(best)), None)
    uniqueness = best.significance / rival.significance if rival else 1.0
    return SceneRegistration(homography, joint, margin, uniqueness, tiles)


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
