"""Refinement of a registration: each part of the image says how far it is off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
from mafs_model.calibration.structure import fit_size, Mask, Structure, structure
from mafs_model.images.registration import scaling
from mafs_model.types import Size, UInt8Image
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Level:
    """
    One resolution of the refinement.

    Attributes:
        width: of the visible image, px.
        reach: largest shift looked for, px at this width.
        grid: rows and columns of tiles.
        steps: repetitions.

    """

    width: int
    reach: int
    grid: tuple[int, int]
    steps: int


COARSE = Level(160, 6, (4, 5), 3)
FINE = Level(320, 6, (6, 8), 2)

# Residuals are those of a lens and of depth, not noise: tiles within this are all believed. px of
# the level; a smaller one lets a few strong tiles pull the rest away.
_TOLERANCE_PX = 3.0
# A peak this many standard deviations above the mean of its surface says nothing yet.
_MIN_CONTRAST = 2.0
# Most of a homography of two cameras on one bracket is a similarity; strength of that prior.
_PRIOR = 0.2
# Strong edges in one tile should not outvote the others: share of the median information.
_INFORMATION_CAP = 0.3
_MIN_TILES = 4
_ROBUST_STEPS = 15


@dataclass(frozen=True)
class TileShifts:
    """
    Where the tiles of the visible image say that the thermal one belongs.

    Attributes:
        centres: x, y in visible px at full size, float64 [n,2].
        shifts: by how much the thermal content must move, visible px, float64 [n,2].
        residuals: what is left of it after the fit, visible px, float64 [n,2].
        weights: how much each counted, 0 to 1, float64 [n].

    """

    centres: NDArray[np.float64]
    shifts: NDArray[np.float64]
    residuals: NDArray[np.float64]
    weights: NDArray[np.float64]


class Refiner:
    """
    The pairs at one level, ready to be compared under any homography.

    Args:
        visible: uint8 [H,W] luminances of one size.
        thermal: uint8 [h,w] images of one size, as many.
        live: float32 [h,w], see `structure.live_area`.
        level: resolution.

    """

    def __init__(
        self,
        visible: Sequence[UInt8Image],
        thermal: Sequence[UInt8Image],
        live: Mask,
        level: Level,
    ) -> None:
        self._level = level
        self._full: Size = visible[0].shape[0], visible[0].shape[1]
        self._size = fit_size(self._full, level.width)
        self._thermal = [image.astype(np.float32) for image in thermal]
        self._live = live
        self._visible = [
            structure(cv2.resize(image, self._size[::-1], interpolation=cv2.INTER_AREA))
            for image in visible
        ]

    def structures(
        self, homography: NDArray[np.float64]
    ) -> tuple[list[Structure], list[Structure], Mask]:
        """
        Return visible and registered thermal structures, and where there is thermal data.

        Args:
            homography: 3x3, thermal to visible pixels at full size.

        """
        to_level = scaling(self._full, self._size) @ homography
        shrinking = float(np.sqrt(abs(np.linalg.det(to_level[:2, :2]))))
        size = self._size[::-1]
        mask = cv2.warpPerspective(self._live, to_level, size, borderMode=cv2.BORDER_CONSTANT)
        mask = cv2.erode((mask > 0.99).astype(np.float32), np.ones((5, 5), np.uint8))
        fields = []
        for image in self._thermal:
            if shrinking < 0.8:  # bilinear look-up alone would alias
                image = cv2.GaussianBlur(image, (0, 0), 0.5 / shrinking)
            warped = cv2.warpPerspective(image, to_level, size, borderMode=cv2.BORDER_REPLICATE)
            fields.append(structure(warped, mask))
        return self._visible, fields, mask

    def refine(
        self, homography: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], TileShifts | None]:
        """
        Return a better homography, and the tiles of the last step.

        None in place of the tiles says that too few of them show anything.
        """
        tiles = None
        for _ in range(self._level.steps):
            visible, thermal, _ = self.structures(homography)
            peaks = self._peaks(visible, thermal)
            if len(peaks.weights) < _MIN_TILES:
                return homography, None
            correction, tiles = self._fit(peaks)
            homography = correction @ homography
            homography = homography / homography[2, 2]
        return homography, tiles

    def _peaks(self, visible: list[Structure], thermal: list[Structure]) -> _Peaks:
        """Return the shift of every tile at which all pairs together agree best."""
        reach, (rows, columns) = self._level.reach, self._level.grid
        height, width = self._size
        count = 2 * reach + 1
        surface = np.empty((count, count, rows, columns), np.float32)
        # Real and imaginary part as channels: OpenCV adds up their products in one pass.
        warm = [field.view(np.float32).reshape(height, width, 2) for field in thermal]
        around = ((reach, reach), (reach, reach), (0, 0))
        light = [
            np.pad(field.view(np.float32).reshape(height, width, 2), around) for field in visible
        ]
        product = np.empty((height, width, 2), np.float32)
        for i in range(count):
            for j in range(count):
                product[:] = 0
                for field, other in zip(warm, light, strict=True):
                    cv2.accumulateProduct(field, other[i : i + height, j : j + width], product)
                tiles = cv2.resize(product, (columns, rows), interpolation=cv2.INTER_AREA)
                surface[i, j] = tiles.sum(axis=2)
        return _locate(surface, reach, self._size)

    def _fit(self, peaks: _Peaks) -> tuple[NDArray[np.float64], TileShifts]:
        """Return the 3x3 correction in visible pixels that moves the tiles to their peaks."""
        height, width = self._size
        x, y = peaks.centres[:, 0] / width - 0.5, (peaks.centres[:, 1] - height / 2) / width
        zero, one = np.zeros_like(x), np.ones_like(x)
        # Displacement of a homography near identity, to first order in its eight parameters.
        jacobian = np.stack(
            [
                np.stack([one, x, y, zero, zero, zero, x * x, x * y], axis=1),
                np.stack([zero, zero, zero, one, x, y, x * y, y * y], axis=1),
            ],
            axis=1,
        )
        shifts = peaks.shifts / width
        prior = np.zeros((4, 8))
        prior[0, [1, 5]] = 1.0, -1.0
        prior[1, [2, 4]] = 1.0, 1.0
        prior[2, 6] = prior[3, 7] = 1.0
        trace = np.trace(peaks.information, axis1=1, axis2=2)
        cap = np.minimum(trace, _INFORMATION_CAP * np.median(trace)) / trace
        information = peaks.information * cap[:, None, None]
        parameters = np.zeros(8)
        for step in range(_ROBUST_STEPS):
            distance = np.linalg.norm(shifts - jacobian @ parameters, axis=1) * width
            tolerance = max(self._level.reach * (1 - step / 12), _TOLERANCE_PX)
            robust = 1 / (1 + (distance / tolerance) ** 2) ** 2
            weights = robust * peaks.weights
            weighted = weights[:, None, None] * information
            normal = np.einsum('nik,nij,njl->kl', jacobian, weighted, jacobian)
            right = np.einsum('nik,nij,nj->k', jacobian, weighted, shifts)
            total = float(np.einsum('nii->', weighted)) / 2
            normal += total * (_PRIOR * prior.T @ prior + 1e-9 * np.eye(8))
            parameters = np.linalg.solve(normal, right)
        a = parameters
        correction = np.array(
            [[1 + a[1], a[2], a[0]], [a[4], 1 + a[5], a[3]], [-a[6], -a[7], 1.0]]
        )
        full_height, full_width = self._full
        normalise = np.array(
            [
                [1 / full_width, 0, -(full_width - 1) / 2 / full_width],
                [0, 1 / full_width, -(full_height - 1) / 2 / full_width],
                [0, 0, 1.0],
            ]
        )
        scale = full_width / width
        tiles = TileShifts(
            centres=(peaks.centres + 0.5) * scale - 0.5,
            shifts=peaks.shifts * scale,
            residuals=(shifts - jacobian @ parameters) * full_width,
            weights=robust * np.minimum(1.0, peaks.weights),
        )
        return np.linalg.inv(normalise) @ correction @ normalise, tiles


@dataclass(frozen=True)
class _Peaks:
    """Peaks of the correlation surfaces in px of the level, with their sharpness."""

    centres: NDArray[np.float64]
    shifts: NDArray[np.float64]
    information: NDArray[np.float64]
    weights: NDArray[np.float64]


def _locate(surface: NDArray[np.float32], reach: int, size: Size) -> _Peaks:
    """Return the peak of each tile to a fraction of a pixel; tiles without one are left out."""
    count, _, rows, columns = surface.shape
    centres, shifts, information, weights = [], [], [], []
    for row in range(rows):
        for column in range(columns):
            tile = surface[:, :, row, column]
            spread = float(tile.std())
            i, j = (int(v) for v in np.unravel_index(int(np.argmax(tile)), tile.shape))
            if spread <= 0 or not (0 < i < count - 1 and 0 < j < count - 1):
                continue
            near = tile[i - 1 : i + 2, j - 1 : j + 2].astype(np.float64)
            slope = np.array([near[1, 2] - near[1, 0], near[2, 1] - near[0, 1]]) / 2
            xx = 2 * near[1, 1] - near[1, 2] - near[1, 0]
            yy = 2 * near[1, 1] - near[2, 1] - near[0, 1]
            xy = (near[0, 2] + near[2, 0] - near[2, 2] - near[0, 0]) / 4
            curvature = np.array([[xx, xy], [xy, yy]])
            contrast = (float(tile[i, j]) - float(tile.mean())) / spread
            if xx <= 0 or xx * yy - xy * xy <= 0 or contrast <= _MIN_CONTRAST:
                continue
            offset = np.clip(np.linalg.solve(curvature, slope), -1, 1)
            centres.append(((column + 0.5) * size[1] / columns, (row + 0.5) * size[0] / rows))
            shifts.append((j - reach + offset[0], i - reach + offset[1]))
            information.append(curvature / spread)
            weights.append((contrast - _MIN_CONTRAST) ** 2)
    return _Peaks(
        np.array(centres).reshape(-1, 2),
        np.array(shifts).reshape(-1, 2),
        np.array(information).reshape(-1, 2, 2),
        np.array(weights),
    )
