"""Mapping of the thermal image onto the pixel grid of the visible image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
from mafs_model.errors import ConfigError, ImageError
from mafs_model.files import write_text
from mafs_model.images.preprocessing import check_size, format_size, luminance, resize, size_of
from mafs_model.types import Size, UInt8Image
from mafs_model.yaml_files import read_yaml
import numpy as np
from numpy.typing import NDArray
import yaml

_MAX_CONDITION = 1e12  # Beyond this the inverse has no correct digit left.
_STEPS = 32  # OpenCV looks up in steps of this fraction of a pixel.
_ASPECT_TOLERANCE = 0.01
_FAR_PX = 1 << 14  # far outside, still within remap's 16-bit coordinates
_CACHED_MAPS = 4  # Sizes change rarely; a handful covers alternating cameras.


class Registration:
    """
    A homography thermal -> visible, or plain resizing if there is none.

    The homography maps homogeneous pixel coordinates (x, y, 1) of the thermal image to those of
    the visible image; pixel centres are at whole numbers. It holds for the calibrated sizes; for
    other sizes of the same proportions it is rescaled, others are refused.

    Args:
        homography: 3x3 numbers, or None for identity by resizing.
        thermal_size: (height, width) of the thermal image at calibration, None: as received.
        visible_size: (height, width) of the visible image at calibration, None: as received.

    Raises:
        ConfigError: not 3x3, not finite, not invertible.

    """

    def __init__(
        self, homography: Any = None, *, thermal_size: Any = None, visible_size: Any = None
    ) -> None:
        self.homography = None if homography is None else check_homography(homography)
        self.thermal_size = (
            None if thermal_size is None else check_size(thermal_size, 'thermal_size')
        )
        self.visible_size = (
            None if visible_size is None else check_size(visible_size, 'visible_size')
        )
        self._maps: dict[tuple[Size, Size, Size], Maps] = {}

    @property
    def is_identity(self) -> bool:
        """Return whether the thermal image is only resized."""
        return self.homography is None

    @classmethod
    def load(cls, path: str | Path) -> Registration:
        """
        Load a YAML file with ``homography`` and optional ``thermal_size``, ``visible_size``.

        The homography is a list of three rows or of nine numbers row by row; sizes are
        ``[height, width]``.

        Raises:
            ConfigError: missing or malformed file, naming the key and the expectation.

        """
        data = read_yaml(path, 'homography file')
        known = {'homography', 'thermal_size', 'visible_size'}
        if not isinstance(data, Mapping) or 'homography' not in data:
            raise ConfigError(f"homography file '{path}': expected a key 'homography'")
        unknown = sorted(str(key) for key in data.keys() - known)
        if unknown:
            raise ConfigError(f"homography file '{path}': unknown keys: {', '.join(unknown)}")
        try:
            return cls(
                data['homography'],
                thermal_size=data.get('thermal_size'),
                visible_size=data.get('visible_size'),
            )
        except ConfigError as error:
            raise ConfigError(f"homography file '{path}': {error}") from None

    def save(self, path: str | Path) -> None:
        """Write the YAML file that :meth:`load` reads."""
        data = {
            'homography': None if self.homography is None else self.homography.tolist(),
            'thermal_size': None if self.thermal_size is None else list(self.thermal_size),
            'visible_size': None if self.visible_size is None else list(self.visible_size),
        }
        write_text(path, yaml.safe_dump(data, default_flow_style=None))

    def matrix(
        self, thermal_size: Size, size: Size, visible_size: Size | None = None
    ) -> NDArray[np.float64]:
        """
        Return the 3x3 map from pixels of this thermal image to pixels of the result.

        Args:
            thermal_size: (height, width) of the received thermal image.
            size: (height, width) of the result.
            visible_size: (height, width) of the received visible image; default ``size``.

        Raises:
            ImageError: an image has not the proportions of the calibrated one.

        """
        if self.homography is None:
            return scaling(thermal_size, size)
        check_proportions('thermal', thermal_size, self.thermal_size)
        check_proportions('visible', visible_size or size, self.visible_size)
        calibrated = self.visible_size or visible_size or size
        matrix = scaling(calibrated, size) @ self.homography
        return matrix @ scaling(thermal_size, self.thermal_size or thermal_size)

    def warp(
        self, thermal: UInt8Image, size: Size, visible_size: Size | None = None
    ) -> UInt8Image:
        """
        Return the thermal image on the visible pixel grid.

        Pixels outside the thermal field of view repeat its border; see :meth:`coverage`.

        Args:
            thermal: uint8 [h,w].
            size: (height, width) of the result.
            visible_size: (height, width) of the received visible image if the result has
                another size; default ``size``.

        Returns:
            uint8 [H,W].

        """
        if self.is_identity:
            return resize(thermal, size)
        return _remap(thermal, self._lookup(size_of(thermal), size, visible_size or size))

    def coverage(
        self, thermal_size: Size, size: Size, visible_size: Size | None = None
    ) -> UInt8Image | None:
        """
        Return a mask uint8 [H,W], 255 where :meth:`warp` has no thermal data, or None.

        None means that the thermal image covers everything.
        """
        if self.is_identity:
            return None
        return self._lookup(thermal_size, size, visible_size or size).outside

    def unregistered(
        self, thermal: UInt8Image, size: Size, visible_size: Size | None = None
    ) -> Unregistered | None:
        """
        Return the thermal image with the maps that register it, for a device to do it.

        Args:
            thermal: see :meth:`warp`.
            size: see :meth:`warp`.
            visible_size: see :meth:`warp`.

        Returns:
            None if there is nothing to look up: the image is on the grid already, or it shrinks,
            which takes averages over areas.

        """
        own = size_of(thermal)
        if self.is_identity and (own == size or own[0] > size[0] or own[1] > size[1]):
            return None
        return Unregistered(thermal, self._lookup(own, size, visible_size or size))

    def _lookup(self, thermal_size: Size, size: Size, visible_size: Size) -> Maps:
        """Return the cached maps for these sizes, made at the first call."""
        key = (thermal_size, size, visible_size)
        if key not in self._maps:
            while len(self._maps) >= _CACHED_MAPS:
                self._maps.pop(next(iter(self._maps)))
            self._maps[key] = self._make_maps(*key)
        return self._maps[key]

    def _make_maps(self, thermal_size: Size, size: Size, visible_size: Size) -> Maps:
        """Return new maps for these sizes; raises ImageError."""
        return Maps.of_homography(
            self.matrix(thermal_size, size, visible_size), thermal_size, size
        )


class Maps:
    """
    Look-up coordinates of one combination of sizes, in steps of 1/32 pixel.

    Args:
        xs: column in the thermal image of each pixel of the result, float [H,W].
        ys: row, likewise.
        thermal_size: (height, width) of the thermal image.

    Attributes:
        thermal_size: as given.
        size: (height, width) of the result.
        outside: uint8 [H,W], 255 where there is no thermal data; None if there is everywhere.
        coordinates: whole numbers x, y of the look-up, int16 [H,W,2].
        fractions: the rest in OpenCV's packing, uint16 [H,W].

    """

    def __init__(
        self, xs: NDArray[np.floating[Any]], ys: NDArray[np.floating[Any]], thermal_size: Size
    ) -> None:
        self.thermal_size = thermal_size
        self.size: Size = (int(xs.shape[0]), int(xs.shape[1]))
        xs = np.clip(xs, -_FAR_PX, _FAR_PX).astype(np.float32)
        ys = np.clip(ys, -_FAR_PX, _FAR_PX).astype(np.float32)
        outside = (
            (xs < -0.5) | (ys < -0.5) | (xs > thermal_size[1] - 0.5) | (ys > thermal_size[0] - 0.5)
        )
        self.outside = np.where(outside, 255, 0).astype(np.uint8) if outside.any() else None
        self.coordinates, self.fractions = cv2.convertMaps(xs, ys, cv2.CV_16SC2)

    @classmethod
    def of_homography(cls, matrix: NDArray[np.float64], thermal_size: Size, size: Size) -> Maps:
        """
        Return the maps of a homography.

        Args:
            matrix: 3x3 map from thermal pixels to those of the result.
            thermal_size: (height, width) of the thermal image.
            size: (height, width) of the result.

        """
        height, width = size
        inverse = np.linalg.inv(matrix)
        # Row vectors keep the intermediate arrays at the size of one image plane.
        x = np.arange(width, dtype=np.float64)[None, :]
        y = np.arange(height, dtype=np.float64)[:, None]
        u, v, w = (row[0] * x + row[1] * y + row[2] for row in inverse)
        sign = np.sign(w[height // 2, width // 2]) or 1.0
        behind = w * sign <= 1e-12  # beyond the horizon: no thermal pixel maps there
        w = np.where(behind, 1.0, w)
        return cls(
            np.where(behind, -_FAR_PX, u / w), np.where(behind, -_FAR_PX, v / w), thermal_size
        )

    def points(self) -> NDArray[np.float32]:
        """Return the same x, y as numbers, float32 [H,W,2], exact."""
        packed = self.fractions.astype(np.int32)  # y in steps of 1/32, then x, five bits each
        rest = np.stack([packed % _STEPS, packed // _STEPS], axis=-1)
        return self.coordinates.astype(np.float32) + rest.astype(np.float32) / _STEPS


@dataclass(frozen=True)
class Unregistered:
    """
    A thermal image as received, and where its pixels belong.

    Attributes:
        image: uint8 [h,w].
        maps: look-up coordinates.

    """

    image: UInt8Image
    maps: Maps

    @property
    def size(self) -> Size:
        """Return (height, width) of the registered image."""
        return self.maps.size

    def registered(self, visible: UInt8Image | None) -> UInt8Image:
        """
        Return the image on the visible grid, uint8 [H,W].

        Where the thermal camera does not look, the visible luminance stands in for it: fusing
        an image with itself gives the visible image, without a false edge's full contrast.

        Args:
            visible: uint8 [H,W,3], or None: the border is repeated.

        """
        warped = _remap(self.image, self.maps)
        if self.maps.outside is not None and visible is not None:
            cv2.copyTo(luminance(visible), self.maps.outside, warped)
        return warped


def _remap(thermal: UInt8Image, maps: Maps) -> UInt8Image:
    """Return an image looked up bilinearly; beyond its border the border is repeated."""
    return cv2.remap(
        thermal,
        maps.coordinates,
        maps.fractions,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )


def check_proportions(name: str, size: Size, calibrated: Size | None) -> None:
    """
    Refuse an image that is not the calibrated one at another size.

    Args:
        name: 'thermal' or 'visible'.
        size: (height, width) as received.
        calibrated: (height, width) at calibration; None: not known, nothing is refused.

    Raises:
        ImageError: the sides differ by different factors: another crop, rotation or camera.

    """
    if calibrated is None or size == calibrated:
        return
    rows, columns = size[0] / calibrated[0], size[1] / calibrated[1]
    # Sizes are rounded to whole pixels, so small images may be off by more.
    tolerance = _ASPECT_TOLERANCE + 1 / min(*size, *calibrated)
    if abs(rows / columns - 1) > tolerance:
        raise ImageError(
            'size',
            f'{name} image is {format_size(size)}, but its calibration was made at '
            f'{format_size(calibrated)}: expected that size or the same proportions',
        )


def scaling(source: Size, target: Size) -> NDArray[np.float64]:
    """Return the 3x3 pixel map of resizing: corners of the outer pixels stay on each other."""
    sy, sx = target[0] / source[0], target[1] / source[1]
    return np.array([[sx, 0.0, 0.5 * sx - 0.5], [0.0, sy, 0.5 * sy - 0.5], [0.0, 0.0, 1.0]])


def check_homography(value: Any) -> NDArray[np.float64]:
    """Return a finite, invertible 3x3 float64 matrix; raises ConfigError."""
    try:
        matrix = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ConfigError('homography: expected 3x3 numbers, got something else') from None
    if matrix.shape == (9,):
        matrix = matrix.reshape(3, 3)
    if matrix.shape != (3, 3):
        raise ConfigError(f'homography: shape {matrix.shape}, expected (3, 3) or 9 numbers')
    if not np.isfinite(matrix).all():
        raise ConfigError('homography: holds NaN or Inf, expected finite numbers')
    if np.linalg.matrix_rank(matrix) < 3 or np.linalg.cond(matrix) > _MAX_CONDITION:
        raise ConfigError('homography: not invertible (determinant 0)')
    return matrix
