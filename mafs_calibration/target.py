"""Intrinsics, distortion and pose of two cameras from pictures of a board."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
from mafs_calibration.boards import Board, Detection
from mafs_model.calibration.cameras import Camera, Extrinsics
from mafs_model.errors import CalibrationError
from mafs_model.images.preprocessing import format_size
from mafs_model.types import Size
import numpy as np
from numpy.typing import NDArray

MIN_VIEWS = 3
_MIN_POINTS = 6
# Without this many views, or with a board that never reaches the outer image, the higher terms of
# the distortion are free to be anything.
_VIEWS_FOR_K3 = 10
_REACH_FOR_K3 = 0.8
_VIEWS_FOR_TANGENTIAL = 6
# A view is bad when it is worse than this and this many times worse than the others.
_BAD_PX = 0.5
_BAD_RATIO = 2.5
MAX_RMS_PX = 1.5  # Above this something is wrong: board, board's size, or a bent board.
_COVERAGE_GRID = (6, 8)


@dataclass(frozen=True)
class View:
    """
    The board in one image.

    Attributes:
        ids: numbers of its points, int64 [n].
        points: where they are, px, float64 [n,2].
        residuals: measured minus projected, px, float64 [n,2].
        distance_m: of the board's middle from the camera.

    """

    ids: NDArray[np.int64]
    points: NDArray[np.float64]
    residuals: NDArray[np.float64]
    distance_m: float

    @property
    def rms_px(self) -> float:
        """Return the reprojection error of this image."""
        return float(np.sqrt(np.mean(np.sum(self.residuals**2, axis=1))))


@dataclass(frozen=True)
class CameraResult:
    """
    One camera calibrated.

    Attributes:
        camera: intrinsics.
        views: the images used, by name.
        left_out: why each other image was not, by name.
        rms_px: reprojection error over all points.
        coverage: share of the image's cells that hold points, 0 to 1.

    """

    camera: Camera
    views: Mapping[str, View]
    left_out: Mapping[str, str]
    rms_px: float
    coverage: float


@dataclass(frozen=True)
class PairResult:
    """
    Pose of the thermal camera beside the visible one.

    Attributes:
        extrinsics: the pose.
        rms_px: reprojection error over both images.
        distance_m: median distance of the board from the visible camera.
        names: the pairs used.

    """

    extrinsics: Extrinsics
    rms_px: float
    distance_m: float
    names: tuple[str, ...]


def calibrate_camera(
    board: Board, detections: Mapping[str, Detection | str], size: Size, what: str
) -> CameraResult:
    """
    Return the intrinsics of one camera; bad images are left out one by one.

    Args:
        board: the board.
        detections: by image name what was found in it, or why nothing was.
        size: (height, width) of the images.
        what: 'thermal' or 'visible', for messages.

    Raises:
        CalibrationError: too few images show the board, they all show it alike, or the result
            is worse than a usable one.

    """
    left_out = {name: found for name, found in detections.items() if isinstance(found, str)}
    used: dict[str, Detection] = {}
    for name, found in detections.items():
        if isinstance(found, str):
            continue
        if len(found.ids) < _MIN_POINTS:
            left_out[name] = f'only {len(found.ids)} points of the board seen'
        else:
            used[name] = found
    while True:
        if len(used) < MIN_VIEWS:
            raise CalibrationError(_too_few(what, len(used), left_out))
        camera, views = _solve(board, used, size)
        errors = {name: view.rms_px for name, view in views.items()}
        worst = max(errors, key=lambda name: errors[name])
        typical = float(np.median(list(errors.values())))
        if errors[worst] <= max(_BAD_PX, _BAD_RATIO * typical):
            break
        left_out[worst] = (
            f'reprojection error {errors[worst]:.2f} px, the others have {typical:.2f} px '
            '(blurred, moved or wrongly detected)'
        )
        del used[worst]
    residuals = np.concatenate([view.residuals for view in views.values()])
    rms = float(np.sqrt(np.mean(np.sum(residuals**2, axis=1))))
    if rms > MAX_RMS_PX:
        raise CalibrationError(
            f'{what}: reprojection error {rms:.2f} px, expected at most {MAX_RMS_PX:g} px: is the '
            f'board really {board.name}, and flat?'
        )
    if not _is_tilted(views, board, camera):
        raise CalibrationError(
            f'{what}: the board faces the camera in the same way in all {len(views)} images, '
            'expected it tilted by 20 degrees and more to all sides'
        )
    return CameraResult(camera, views, left_out, rms, _coverage(views, size))


def calibrate_pair(
    board: Board,
    thermal: CameraResult,
    visible: CameraResult,
) -> PairResult:
    """
    Return the pose of the thermal camera from the images in which both see the board.

    Raises:
        CalibrationError: there are too few of them, or the cameras do not agree.

    """
    names, objects, warm, light = [], [], [], []
    for name in thermal.views.keys() & visible.views.keys():
        a, b = thermal.views[name], visible.views[name]
        ids, at_a, at_b = np.intersect1d(a.ids, b.ids, return_indices=True)
        if len(ids) >= _MIN_POINTS:
            names.append(name)
            objects.append(board.points[ids].astype(np.float32))
            warm.append(a.points[at_a].astype(np.float32).reshape(-1, 1, 2))
            light.append(b.points[at_b].astype(np.float32).reshape(-1, 1, 2))
    if len(names) < MIN_VIEWS:
        raise CalibrationError(
            f'both cameras see the board in {len(names)} pairs, expected at least {MIN_VIEWS}'
        )
    result = cv2.stereoCalibrate(
        objects,
        warm,
        light,
        thermal.camera.matrix,
        thermal.camera.distortion,
        visible.camera.matrix,
        visible.camera.distortion,
        None,
        flags=cv2.CALIB_FIX_INTRINSIC,
    )
    rms, rotation, translation = float(result[0]), result[5], result[6]
    if not np.isfinite(rms) or rms > 2 * MAX_RMS_PX:
        raise CalibrationError(
            f'the two cameras do not agree on where the board is: {rms:.1f} px, expected at most '
            f'{2 * MAX_RMS_PX:g} px; were the images of a pair taken at the same moment?'
        )
    return PairResult(
        Extrinsics(np.asarray(rotation, np.float64), np.asarray(translation, np.float64).ravel()),
        rms,
        float(np.median([visible.views[name].distance_m for name in names])),
        tuple(sorted(names)),
    )


def _solve(
    board: Board, used: Mapping[str, Detection], size: Size
) -> tuple[Camera, dict[str, View]]:
    """Return intrinsics and residuals of all images given."""
    objects = [board.points[d.ids].astype(np.float32) for d in used.values()]
    pixels = [d.points.astype(np.float32).reshape(-1, 1, 2) for d in used.values()]
    everywhere = np.concatenate([d.points for d in used.values()])
    centre = np.array([size[1] - 1, size[0] - 1]) / 2
    reach = float(np.linalg.norm((everywhere - centre) / centre, axis=1).max()) / np.sqrt(2)
    flags = 0
    if len(used) < _VIEWS_FOR_K3 or reach < _REACH_FOR_K3:
        flags |= cv2.CALIB_FIX_K3
    if len(used) < _VIEWS_FOR_TANGENTIAL:
        flags |= cv2.CALIB_ZERO_TANGENT_DIST
    try:
        _, matrix, distortion, turns, shifts = cv2.calibrateCamera(
            objects, pixels, size[::-1], None, None, flags=flags
        )
    except cv2.error as error:
        line = str(error).splitlines()[0]
        raise CalibrationError(f'no camera fits these images: {line}') from None
    camera = Camera(
        size, np.asarray(matrix, np.float64), np.asarray(distortion, np.float64).ravel()
    )
    views = {}
    for (name, found), points, turn, shift in zip(
        used.items(), objects, turns, shifts, strict=True
    ):
        seen, _ = cv2.projectPoints(points, turn, shift, camera.matrix, camera.distortion)
        middle = cv2.Rodrigues(turn)[0] @ points.mean(axis=0) + np.ravel(shift)
        views[name] = View(
            found.ids, found.points, found.points - seen.reshape(-1, 2), float(middle[2])
        )
    return camera, views


def _is_tilted(views: Mapping[str, View], board: Board, camera: Camera) -> bool:
    """Return whether the board is seen from directions that fix the focal length."""
    normals = []
    for view in views.values():
        _, turn, _ = cv2.solvePnP(
            board.points[view.ids], view.points, camera.matrix, camera.distortion
        )
        normals.append(cv2.Rodrigues(turn)[0][:, 2])
    away = np.array(normals)
    cosines = np.clip(np.abs(away @ away.T), 0, 1)
    return float(np.degrees(np.arccos(cosines.min()))) >= 10


def _coverage(views: Mapping[str, View], size: Size) -> float:
    """Return the share of the image's cells that hold points."""
    rows, columns = _COVERAGE_GRID
    filled = np.zeros(_COVERAGE_GRID, bool)
    for view in views.values():
        x = np.clip((view.points[:, 0] * columns / size[1]).astype(int), 0, columns - 1)
        y = np.clip((view.points[:, 1] * rows / size[0]).astype(int), 0, rows - 1)
        filled[y, x] = True
    return float(filled.mean())


def _too_few(what: str, count: int, left_out: Mapping[str, str]) -> str:
    """Return why a camera cannot be calibrated."""
    text = f'{what}: {count} images show the board, expected at least {MIN_VIEWS}'
    if left_out:
        reasons = '; '.join(f'{name}: {reason}' for name, reason in list(left_out.items())[:3])
        more = f'; and {len(left_out) - 3} more' if len(left_out) > 3 else ''
        text += f' ({reasons}{more})'
    return text


def check_sizes(sizes: Mapping[str, Size], what: str) -> Size:
    """
    Return the size that all images of a camera have.

    Raises:
        CalibrationError: they differ.

    """
    different = sorted(set(sizes.values()))
    if len(different) != 1:
        shown = ', '.join(format_size(size) for size in different[:4])
        raise CalibrationError(f'{what} images have different sizes: {shown}; expected one')
    return different[0]
