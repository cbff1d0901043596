"""Registration from a calibration: where each visible pixel lies in the thermal image."""

from __future__ import annotations

from collections.abc import Mapping
import math
from pathlib import Path

import cv2
from mafs_model.calibration.calibration import Calibration
from mafs_model.calibration.cameras import Camera
from mafs_model.errors import ConfigError
from mafs_model.images.registration import (
    check_homography,
    check_proportions,
    Maps,
    Registration,
    scaling,
)
from mafs_model.numeric import is_number
from mafs_model.types import Size
from mafs_model.yaml_files import read_yaml
import numpy as np
from numpy.typing import NDArray

MIN_DISTANCE_M = 0.1
MAX_DISTANCE_M = 1e5  # From here on a plane is as good as infinitely far away.


class RigRegistration(Registration):
    """
    Registration of two calibrated cameras for things in one plane.

    The plane is perpendicular to the visible camera's axis. Each visible pixel is undistorted,
    put on the plane, and projected into the thermal camera with its distortion: one look-up, made
    once per size, so both lenses cost nothing per image. Use it where a `Registration` is used.

    Args:
        calibration: with intrinsics of both cameras and extrinsics.
        distance_m: of the plane, m; infinity is allowed.

    Raises:
        ConfigError: a part of the calibration is missing, or the distance is out of range.

    """

    def __init__(self, calibration: Calibration, distance_m: float = math.inf) -> None:
        super().__init__(
            None,
            thermal_size=calibration.thermal_size,
            visible_size=calibration.visible_size,
        )
        if None in (calibration.thermal, calibration.visible, calibration.extrinsics):
            raise ConfigError(
                'calibration has no extrinsics: expected those of mafs-calibrate target'
            )
        if not is_number(distance_m) or not distance_m >= MIN_DISTANCE_M:
            raise ConfigError(
                f'registration distance {distance_m!r}: expected at least {MIN_DISTANCE_M:g} m'
            )
        self.calibration = calibration
        self.distance_m = min(float(distance_m), MAX_DISTANCE_M)

    @property
    def is_identity(self) -> bool:
        """Return False: the thermal image is never only resized."""
        return False

    def matrix(
        self, thermal_size: Size, size: Size, visible_size: Size | None = None
    ) -> NDArray[np.float64]:
        """
        Return the homography of the plane without distortion, see `Registration.matrix`.

        The lenses bend it: images are registered by maps, not by this.
        """
        thermal, visible = self._cameras(thermal_size, visible_size or size)
        extrinsics = self.calibration.extrinsics
        assert extrinsics is not None
        # A point X of the plane n.X = d, in the visible frame, is R^T (X - t) in the thermal one.
        normal = np.array([0.0, 0.0, 1.0]) / self.distance_m
        to_thermal = extrinsics.rotation.T @ (
            np.eye(3) - np.outer(extrinsics.translation_m, normal)
        )
        to_visible = visible.matrix @ np.linalg.inv(to_thermal) @ np.linalg.inv(thermal.matrix)
        return scaling(visible.size, size) @ to_visible

    def _make_maps(self, thermal_size: Size, size: Size, visible_size: Size) -> Maps:
        thermal, visible = self._cameras(thermal_size, visible_size)
        extrinsics = self.calibration.extrinsics
        assert extrinsics is not None
        # The result is the visible image, stretched to its size.
        stretched = Camera(size, scaling(visible.size, size) @ visible.matrix, visible.distortion)
        rays = stretched.rays().reshape(-1, 2)
        points = np.column_stack([rays, np.ones(len(rays))]) * self.distance_m
        # R^T (X - t), for row vectors
        pixels = thermal.project((points - extrinsics.translation_m) @ extrinsics.rotation)
        pixels = np.nan_to_num(pixels, nan=-1e9).reshape(*size, 2)
        return Maps(pixels[..., 0], pixels[..., 1], thermal_size)

    def _cameras(self, thermal_size: Size, visible_size: Size) -> tuple[Camera, Camera]:
        """Return both cameras at the sizes received; raises ImageError."""
        calibration = self.calibration
        assert calibration.thermal is not None
        assert calibration.visible is not None
        check_proportions('thermal', thermal_size, calibration.thermal_size)
        check_proportions('visible', visible_size, calibration.visible_size)
        return calibration.thermal.resized(thermal_size), calibration.visible.resized(visible_size)


def create_registration(calibration: Calibration, distance_m: float | None = None) -> Registration:
    """
    Return the registration that a calibration allows.

    For the node: make it at configure time and again when `registration.distance` changes; give
    it to the predictor as `registration`. Making it is cheap, the maps of a size are made at its
    first image.

    Args:
        calibration: as loaded.
        distance_m: of the plane; None: what the homography holds for, or else far away.

    Returns:
        By intrinsics and extrinsics where they are known and a distance is given or no
        homography is there, else by the homography, else by resizing.

    Raises:
        ConfigError: a distance is given, but the file has no extrinsics.

    """
    if calibration.extrinsics is not None and (
        distance_m is not None or calibration.homography is None
    ):
        return RigRegistration(calibration, math.inf if distance_m is None else distance_m)
    if distance_m is not None:
        raise ConfigError(
            f'registration distance {distance_m:g} m: the calibration has no extrinsics, '
            'expected those of mafs-calibrate target'
        )
    return Registration(
        calibration.homography,
        thermal_size=calibration.thermal_size,
        visible_size=calibration.visible_size,
    )


def load_registration(path: str | Path, distance_m: float | None = None) -> Registration:
    """
    Return the registration of a file: one of `mafs-calibrate`, or one with a homography alone.

    Args:
        path: YAML file.
        distance_m: of the plane, see :func:`create_registration`.

    Raises:
        ConfigError: missing or malformed, or without what the distance needs.

    """
    data = read_yaml(path, 'homography file')
    if isinstance(data, Mapping) and 'format' in data:
        where = f"calibration file '{path}'"
        try:
            return create_registration(Calibration.from_dict(data, where), distance_m)
        except ConfigError as error:
            raise ConfigError(f'{where}: {str(error).removeprefix(f"{where}: ")}') from None
    if distance_m is not None:
        raise ConfigError(
            f"homography file '{path}': it knows no distances, expected a calibration file"
        )
    return Registration.load(path)


def plane_homography(calibration: Calibration, distance_m: float) -> NDArray[np.float64]:
    """
    Return the homography that fits a plane best, lenses included.

    Args:
        calibration: with extrinsics.
        distance_m: of the plane.

    Raises:
        ConfigError: as for `RigRegistration`, or the cameras see nothing in common there.

    """
    registration = RigRegistration(calibration, distance_m)
    assert calibration.thermal_size is not None
    assert calibration.visible_size is not None
    size = calibration.visible_size
    maps = registration._make_maps(calibration.thermal_size, size, size)
    step = max(1, min(size) // 40)
    y, x = np.mgrid[: size[0] : step, : size[1] : step]
    visible = np.stack([x, y], axis=-1).reshape(-1, 2).astype(np.float64)
    thermal = maps.points()[::step, ::step].reshape(-1, 2).astype(np.float64)
    seen = np.ones(len(thermal), bool)
    if maps.outside is not None:
        seen = maps.outside[::step, ::step].ravel() == 0
    if np.count_nonzero(seen) < 20:
        raise ConfigError(f'the cameras see nothing in common at {distance_m:g} m')
    homography, _ = cv2.findHomography(thermal[seen], visible[seen])
    return check_homography(homography)
