"""The calibration file of a thermal and a visible camera, what `mafs-calibrate` writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from mafs_model.calibration.cameras import Camera, Extrinsics, numbers
from mafs_model.errors import ConfigError
from mafs_model.files import write_text
from mafs_model.images.preprocessing import (
    check_size,
    format_size,
    MAX_SIDE_PX,
    MIN_SIDE_PX,
)
from mafs_model.images.registration import check_homography
from mafs_model.numeric import check_number
from mafs_model.types import Size
from mafs_model.version import __version__
from mafs_model.yaml_files import read_yaml
import numpy as np
from numpy.typing import NDArray
import yaml

FORMAT = 1
MAX_OFFSET_S = 10.0**7  # Clocks that were never set are off by decades, not by more.
_MAX_DRIFT_PPM = 1e5
_MAX_SCORES = 64
_MAX_TEXT = 200


@dataclass(frozen=True)
class Latency:
    """
    Difference of the clocks and delays of both cameras.

    Attributes:
        offset_s: to be added to thermal stamps, s.
        interval_s: half of its 95 % interval, s.
        drift_ppm: growth of the offset in us per s; None: not measured.
        drift_interval_ppm: half of its 95 % interval.

    """

    offset_s: float
    interval_s: float
    drift_ppm: float | None = None
    drift_interval_ppm: float | None = None


@dataclass(frozen=True, eq=False)
class Calibration:
    """
    What is known of a rig. Parts that were not calibrated are None.

    Attributes:
        thermal_size: (height, width) of the thermal image that all of it holds for.
        visible_size: (height, width) of the visible image. One of both sizes is there at least.
        thermal: intrinsics.
        visible: intrinsics.
        extrinsics: pose of the thermal camera beside the visible one.
        homography: 3x3, thermal to visible pixels (as received, not undistorted), for a plane.
        latency: time offset.
        scores: quality of each part at calibration, by name.
        date: ISO 8601, UTC.
        software: program and version.

    """

    thermal_size: Size | None
    visible_size: Size | None
    thermal: Camera | None = None
    visible: Camera | None = None
    extrinsics: Extrinsics | None = None
    homography: NDArray[np.float64] | None = None
    latency: Latency | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    date: str = field(
        default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec='seconds')
    )
    software: str = f'mafs-calibrate {__version__}'

    @classmethod
    def load(cls, path: str | Path) -> Calibration:
        """
        Read a calibration file.

        Raises:
            ConfigError: missing, too large, malformed, or a value out of range; the message
                names file, key and expectation.

        """
        return cls.from_dict(read_yaml(path, 'calibration file'), f"calibration file '{path}'")

    def save(self, path: str | Path) -> None:
        """
        Write the file that :meth:`load` reads.

        Raises:
            MafsError: it cannot be written.

        """
        text = yaml.safe_dump(self.to_dict(), sort_keys=False, default_flow_style=None, width=99)
        write_text(path, text)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, the inverse of :meth:`from_dict`."""
        data: dict[str, Any] = {
            'format': FORMAT,
            'date': self.date,
            'software': self.software,
        }
        if self.thermal_size is not None:
            data['thermal'] = _camera_dict(self.thermal_size, self.thermal)
        if self.visible_size is not None:
            data['visible'] = _camera_dict(self.visible_size, self.visible)
        if self.extrinsics is not None:
            data['extrinsics'] = {
                'rotation': self.extrinsics.rotation.tolist(),
                'translation_m': self.extrinsics.translation_m.tolist(),
            }
        if self.homography is not None:
            data['homography'] = self.homography.tolist()
        if self.latency is not None:
            data['latency'] = {k: v for k, v in vars(self.latency).items() if v is not None}
        if self.scores:
            data['scores'] = {name: float(value) for name, value in self.scores.items()}
        return data

    @classmethod
    def from_dict(cls, data: Any, where: str = 'calibration') -> Calibration:
        """
        Validate plain values and return the calibration.

        Args:
            data: what :meth:`to_dict` gives.
            where: how messages call the source.

        Raises:
            ConfigError: naming the key and what was expected.

        """
        keys = {'format'}
        optional = {
            'thermal', 'visible', 'date', 'software', 'extrinsics', 'homography', 'latency',
            'scores',
        }  # fmt: skip
        _check_keys(data, keys, optional, where)
        if type(data['format']) is not int or data['format'] != FORMAT:
            raise ConfigError(f'{where}: format {data["format"]!r}, expected {FORMAT}')
        sizes: dict[str, Size | None] = {'thermal': None, 'visible': None}
        cameras: dict[str, Camera | None] = {'thermal': None, 'visible': None}
        present = [name for name in sizes if name in data]
        if not present:
            raise ConfigError(f'{where}: expected thermal, visible or both')
        for name in present:
            sizes[name], cameras[name] = _camera(data[name], f'{where}: {name}')
        extrinsics = homography = latency = None
        if 'extrinsics' in data:
            entry, place = data['extrinsics'], f'{where}: extrinsics'
            _check_keys(entry, {'rotation', 'translation_m'}, set(), place)
            extrinsics = Extrinsics.checked(entry['rotation'], entry['translation_m'], place)
            if None in cameras.values():
                raise ConfigError(f'{place}: expected a matrix of both cameras with them')
        if 'homography' in data:
            if len(present) < 2:
                raise ConfigError(f'{where}: homography: expected the sizes of both images')
            try:
                homography = check_homography(
                    numbers(data['homography'], (3, 3), f'{where}: homography')
                )
            except ConfigError as error:
                raise ConfigError(f'{where}: {str(error).removeprefix(f"{where}: ")}') from None
        if 'latency' in data:
            latency = _latency(data['latency'], f'{where}: latency')
        return cls(
            sizes['thermal'],
            sizes['visible'],
            cameras['thermal'],
            cameras['visible'],
            extrinsics,
            homography,
            latency,
            _scores(data.get('scores', {}), f'{where}: scores'),
            _text(data.get('date', ''), f'{where}: date'),
            _text(data.get('software', ''), f'{where}: software'),
        )

    def describe(self) -> str:
        """Return one line on what the file holds."""
        sizes = (('thermal', self.thermal_size), ('visible', self.visible_size))
        parts = [' and '.join(f'{name} {format_size(s)}' for name, s in sizes if s is not None)]
        if self.thermal is not None or self.visible is not None:
            cameras = (('thermal', self.thermal), ('visible', self.visible))
            parts.append(f'intrinsics {" and ".join(n for n, c in cameras if c is not None)}')
        if self.extrinsics is not None:
            parts.append('extrinsics')
        if self.homography is not None:
            parts.append('plane homography')
        if self.latency is not None:
            parts.append(f'time offset {1e3 * self.latency.offset_s:+.1f} ms')
        return ', '.join(parts) + (f' ({self.date})' if self.date else '')


def _camera_dict(size: Size, camera: Camera | None) -> dict[str, Any]:
    """Return one camera as plain values."""
    data: dict[str, Any] = {'width': size[1], 'height': size[0]}
    if camera is not None:
        data['matrix'] = camera.matrix.tolist()
        data['distortion'] = camera.distortion.tolist()
    return data


def _camera(data: Any, where: str) -> tuple[Size, Camera | None]:
    """Return size and intrinsics of plain values."""
    _check_keys(data, {'width', 'height'}, {'matrix', 'distortion'}, where)
    sides = data['height'], data['width']
    if any(type(v) is not int for v in sides):
        raise ConfigError(
            f'{where}: width {sides[1]!r}, height {sides[0]!r}: expected whole numbers of '
            f'{MIN_SIDE_PX} to {MAX_SIDE_PX} px'
        )
    size = check_size(sides, f'{where}: size')
    if ('matrix' in data) != ('distortion' in data):
        raise ConfigError(f'{where}: expected matrix and distortion, or neither')
    if 'matrix' not in data:
        return size, None
    return size, Camera.checked(size, data['matrix'], data['distortion'], where)


def _latency(data: Any, where: str) -> Latency:
    """Return the time offset of plain values."""
    limits = {
        'offset_s': (-MAX_OFFSET_S * 1e3, MAX_OFFSET_S * 1e3),
        'interval_s': (0.0, MAX_OFFSET_S),
        'drift_ppm': (-_MAX_DRIFT_PPM, _MAX_DRIFT_PPM),
        'drift_interval_ppm': (0.0, _MAX_DRIFT_PPM),
    }
    required = {'offset_s', 'interval_s'}
    _check_keys(data, required, set(limits) - required, where)
    return Latency(
        **{
            name: check_number(value, *limits[name], f'{where}: {name}')
            for name, value in data.items()
        }
    )


def _scores(data: Any, where: str) -> dict[str, float]:
    """Return named numbers."""
    if not isinstance(data, Mapping) or len(data) > _MAX_SCORES:
        raise ConfigError(f'{where}: expected at most {_MAX_SCORES} named numbers')
    return {
        _text(name, f'{where}: name'): check_number(value, -1e12, 1e12, f'{where}: {name}')
        for name, value in data.items()
    }


def _text(value: Any, what: str) -> str:
    """Return a short line of text; what YAML took for a date is one again."""
    if isinstance(value, datetime):
        value = value.isoformat()
    if not isinstance(value, str) or len(value) > _MAX_TEXT or not value.isprintable():
        raise ConfigError(f'{what}: expected a line of at most {_MAX_TEXT} characters')
    return value


def _check_keys(data: Any, required: set[str], optional: set[str], where: str) -> None:
    """Raise ConfigError unless `data` is a mapping with these keys."""
    if not isinstance(data, Mapping):
        raise ConfigError(f'{where}: expected {", ".join(sorted(required))} with their values')
    missing = sorted(required - data.keys())
    if missing:
        raise ConfigError(f'{where}: missing {", ".join(missing)}')
    unknown = sorted(str(key) for key in data.keys() - required - optional)
    if unknown:
        raise ConfigError(f'{where}: unknown keys: {", ".join(unknown)}')
