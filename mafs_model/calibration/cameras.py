"""Pinhole cameras with lens distortion, and how one stands beside the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
from mafs_model.errors import ConfigError
from mafs_model.images.registration import scaling
from mafs_model.numeric import is_number
from mafs_model.types import Size
import numpy as np
from numpy.typing import NDArray

DISTORTION_COUNTS = (0, 4, 5, 8, 12, 14)  # what OpenCV's model plumb_bob and rational take
MAX_FOCAL_PX = 1e6
_MAX_SHIFT_M = 100.0


@dataclass(frozen=True, eq=False)
class Camera:
    """
    Intrinsics of one camera, as `sensor_msgs/CameraInfo` has them in K and D.

    Attributes:
        size: (height, width) of the image they hold for.
        matrix: 3x3 float64: focal lengths and principal point in px.
        distortion: OpenCV's coefficients k1, k2, p1, p2, k3, ..., float64 [n].

    """

    size: Size
    matrix: NDArray[np.float64]
    distortion: NDArray[np.float64]

    @classmethod
    def checked(cls, size: Size, matrix: Any, distortion: Any, where: str) -> Camera:
        """
        Return a camera from values of unknown origin.

        Raises:
            ConfigError: they are no intrinsics; `where` begins the message.

        """
        k = numbers(matrix, (3, 3), f'{where}: matrix')
        d = numbers(distortion, (-1,), f'{where}: distortion')
        if len(d) not in DISTORTION_COUNTS:
            raise ConfigError(
                f'{where}: distortion has {len(d)} coefficients, expected one of '
                f'{", ".join(map(str, DISTORTION_COUNTS))}'
            )
        if (
            not (1 <= k[0, 0] <= MAX_FOCAL_PX and 1 <= k[1, 1] <= MAX_FOCAL_PX)
            or k[1, 0] != 0
            or not np.array_equal(k[2], [0, 0, 1])
        ):
            raise ConfigError(
                f'{where}: matrix {k.ravel().tolist()}: expected [fx, s, cx, 0, fy, cy, 0, 0, 1] '
                'with positive focal lengths in px'
            )
        return cls(size, k, d)

    def resized(self, size: Size) -> Camera:
        """Return the camera for the same image at another size."""
        return Camera(size, scaling(self.size, size) @ self.matrix, self.distortion)

    def rays(self) -> NDArray[np.float64]:
        """Return the direction x/z, y/z that each pixel looks in, float64 [H,W,2]."""
        height, width = self.size
        y, x = np.mgrid[:height, :width]
        pixels = np.stack([x, y], axis=-1).reshape(-1, 1, 2).astype(np.float64)
        rays = cv2.undistortPoints(pixels, self.matrix, self.distortion)
        return rays.reshape(height, width, 2)

    def project(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        Return where points in the camera's frame appear, px.

        Args:
            points: float64 [n,3]; those behind the camera give NaN.

        """
        behind = points[:, 2] <= 1e-9
        safe = np.where(behind[:, None], [0.0, 0.0, 1.0], points)
        pixels, _ = cv2.projectPoints(
            safe.reshape(-1, 1, 3), np.zeros(3), np.zeros(3), self.matrix, self.distortion
        )
        pixels = pixels.reshape(-1, 2)
        # Far outside of the image the polynomial folds back into it.
        ideal = safe[:, :2] / safe[:, 2:]
        reach = np.hypot(
            max(self.matrix[0, 2], self.size[1] - self.matrix[0, 2]) / self.matrix[0, 0],
            max(self.matrix[1, 2], self.size[0] - self.matrix[1, 2]) / self.matrix[1, 1],
        )
        pixels[behind | (np.hypot(ideal[:, 0], ideal[:, 1]) > 2 * reach + 0.5)] = np.nan
        return pixels


@dataclass(frozen=True, eq=False)
class Extrinsics:
    """
    Pose of the thermal camera in the frame of the visible one (x right, y down, z forward).

    A point of the thermal camera's frame is `rotation @ point + translation_m` in that frame.

    Attributes:
        rotation: 3x3 float64.
        translation_m: float64 [3], m.

    """

    rotation: NDArray[np.float64]
    translation_m: NDArray[np.float64]

    @classmethod
    def checked(cls, rotation: Any, translation_m: Any, where: str) -> Extrinsics:
        """
        Return a pose from values of unknown origin.

        Raises:
            ConfigError: they are no pose; `where` begins the message.

        """
        r = numbers(rotation, (3, 3), f'{where}: rotation')
        t = numbers(translation_m, (3,), f'{where}: translation_m')
        if not np.allclose(r @ r.T, np.eye(3), atol=1e-3) or np.linalg.det(r) < 0:
            raise ConfigError(f'{where}: rotation is no rotation matrix')
        if float(np.abs(t).max()) > _MAX_SHIFT_M:
            raise ConfigError(
                f'{where}: translation_m {t.tolist()}: expected metres, at most {_MAX_SHIFT_M:g}'
            )
        return cls(r, t)


def numbers(value: Any, shape: tuple[int, ...], what: str) -> NDArray[np.float64]:
    """
    Return finite numbers as float64 of a shape; -1 stands for any length up to 32.

    Raises:
        ConfigError: anything else; `what` begins the message.

    """
    flat = _flatten(value, what)
    count = int(np.prod(shape)) if -1 not in shape else len(flat)
    if len(flat) != count or count > 32:
        raise ConfigError(f'{what}: {len(flat)} numbers, expected {min(count, 32)}')
    array = np.array(flat, np.float64).reshape(shape)
    if not np.isfinite(array).all():
        raise ConfigError(f'{what}: holds NaN or Inf, expected finite numbers')
    return array


def _flatten(value: Any, what: str) -> list[float]:
    """Return the numbers of a list or of a list of lists."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, (list, tuple)) or len(value) > 32:
        raise ConfigError(f'{what}: expected a list of numbers, got {type(value).__name__}')
    flat: list[Any] = []
    for entry in value:
        flat.extend(entry if isinstance(entry, (list, tuple)) else [entry])
    if len(flat) > 32 or not all(is_number(v) for v in flat):
        raise ConfigError(f'{what}: expected numbers only')
    return [float(v) if abs(v) < 1e300 else float('inf') for v in flat]
