"""Thermal cameras: what is in their buffers, as data files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
import functools
from pathlib import Path
import re
from typing import Any

from mafs_model.errors import ConfigError
from mafs_model.images.palettes import PALETTE_NAMES
from mafs_model.images.temperature import AUTO_UNIT, UNIT_NAMES
from mafs_model.numeric import is_finite, is_whole
from mafs_model.types import Size
from mafs_model.yaml_files import read_yaml

AUTO = 'auto'
OF_CAMERA = 'camera'  # a setting that leaves the camera's value
BYTE_ORDERS = (AUTO, 'little', 'big')
ROTATIONS = (0, 90, 180, 270)
MIRRORS = ('none', 'horizontal', 'vertical')
POLARITIES = ('white_hot', 'black_hot', AUTO)
PALETTES = (AUTO, 'none', *PALETTE_NAMES)
_FOLDER = Path(__file__).resolve().parents[1] / 'data' / 'cameras'
_FRAME_SIZE = re.compile(r'([1-9]\d{0,3})x([1-9]\d{0,3})')


@dataclass(frozen=True)
class FrameLayout:
    """
    Where the picture is in frames of one size.

    Attributes:
        telemetry_rows: rows of other data above or below the picture; the side is seen by their
            content.
        crop: (x, y, width, height) of the picture, None: all of it.
        split: the upper half is an 8-bit picture, the lower one has the counts.
        counts: two 8-bit channels (YUYV) are the bytes of 16-bit counts.

    """

    telemetry_rows: int = 0
    crop: tuple[int, int, int, int] | None = None
    split: bool = False
    counts: bool = False


PLAIN = FrameLayout()

# A picture of a 9 Hz camera is 0.11 s old when the next one comes, and one may get lost.
_OLD_S = 0.25
_OLD_PICTURES = 2.5
_HUNG_S = 3.0
_HUNG_SHUTTERS = 3.0


@dataclass(frozen=True)
class CameraProfile:
    """
    What a thermal camera sends.

    Attributes:
        name: of the data file.
        title: for people.
        frames: layouts by (height, width) of what arrives; other sizes are just the picture.
        unit: of :data:`UNIT_NAMES`.
        byte_order: of 16-bit counts: as the message says (``little``: and if it says nothing),
            ``big``, or ``auto``: the order in which neighbours differ less.
        rotation: clockwise turn of the picture in degrees, a multiple of 90.
        mirror: ``none``, ``horizontal`` (left and right change places) or ``vertical``; after
            the rotation.
        polarity: ``white_hot``, ``black_hot``, or ``auto``: from the picture.
        palette: of false colours: a name, ``none`` (the luminance is taken), or ``auto``.
        rate_hz: images a second, 0: not known.
        shutter_s: how long the picture stands still when the shutter closes; 0: it has none.

    """

    name: str
    title: str = ''
    frames: Mapping[Size, FrameLayout] | None = None
    unit: str = AUTO_UNIT
    byte_order: str = AUTO
    rotation: int = 0
    mirror: str = 'none'
    polarity: str = 'white_hot'
    palette: str = AUTO
    rate_hz: float = 0.0
    shutter_s: float = 1.0

    @property
    def still_after_s(self) -> float | None:
        """When an unchanged picture is one of before the shutter closed; None: no shutter."""
        if self.shutter_s == 0.0:
            return None
        return max(_OLD_S, _OLD_PICTURES / self.rate_hz if self.rate_hz else 0.0)

    @property
    def frozen_after_s(self) -> float:
        """When an unchanged picture is that of a camera that hangs."""
        return max(_HUNG_S, _HUNG_SHUTTERS * self.shutter_s)

    def layout_of(self, size: Size) -> FrameLayout:
        """Return the layout of frames of a size (height, width)."""
        return (self.frames or {}).get(size, PLAIN)

    def overridden(self, **values: Any) -> CameraProfile:
        """
        Return the profile with other values; None and ``OF_CAMERA`` leave a value alone.

        Raises:
            ConfigError: a value is not allowed.

        """
        given = {k: v for k, v in values.items() if v is not None and v != OF_CAMERA}
        for name, value in given.items():
            _check_value(name, value, f'thermal.{name}')
        return replace(self, **given)


def camera_names() -> tuple[str, ...]:
    """Return the names of the cameras that come with the package."""
    return tuple(sorted(path.stem for path in _FOLDER.glob('*.yaml')))


def load_camera(camera: str | Path = AUTO) -> CameraProfile:
    """
    Return a camera by its name or file.

    Args:
        camera: ``auto``, a name of :func:`camera_names`, or the path of a YAML file of the same
            form.

    Raises:
        ConfigError: unknown, unreadable or malformed; the message names key and expectation.

    """
    text = str(camera)
    if text == AUTO:
        return _any_camera()
    names = camera_names()
    if text in names:
        return _load(_FOLDER / f'{text}.yaml')
    path = Path(text).expanduser()
    if path.suffix in {'.yaml', '.yml'} or path.exists():
        return _load(path)
    raise ConfigError(
        f"camera '{text}': expected auto, one of {', '.join(names)}, or the path of a YAML file"
    )


@functools.cache
def _any_camera() -> CameraProfile:
    """Return the camera that is told by the size of its frames."""
    return CameraProfile(AUTO, title='told by the size of its frames', frames=_known_frames())


@functools.cache
def special_cameras() -> Mapping[Size, CameraProfile]:
    """Return which shipped camera sends frames of a size that only special layouts have."""
    return {
        size: profile
        for profile in (_load(_FOLDER / f'{name}.yaml') for name in camera_names())
        for size in profile.frames or {}
    }


@functools.cache
def _known_frames() -> dict[Size, FrameLayout]:
    """Return the layouts of all shipped cameras."""
    return {size: profile.layout_of(size) for size, profile in special_cameras().items()}


def _load(path: Path) -> CameraProfile:
    """Return the camera in a file; raises ConfigError."""
    where = f"camera file '{path}'"
    data = read_yaml(path, 'camera file')
    if not isinstance(data, Mapping):
        raise ConfigError(f'{where}: expected a mapping of settings')
    known = {f.name for f in fields(CameraProfile)} - {'name'}
    unknown = sorted(str(key) for key in data.keys() - known)
    if unknown:
        raise ConfigError(
            f'{where}: unknown keys: {", ".join(unknown)}; expected some of '
            f'{", ".join(sorted(known))}'
        )
    values = dict(data)
    if 'frames' in values:
        values['frames'] = _parse_frames(values['frames'], where)
    for name, value in values.items():
        if name != 'frames':
            _check_value(name, value, f'{where}: {name}')
    return CameraProfile(path.stem, **values)


_CHOICES: dict[str, tuple[object, ...]] = {
    'unit': UNIT_NAMES,
    'byte_order': BYTE_ORDERS,
    'rotation': ROTATIONS,
    'mirror': MIRRORS,
    'polarity': POLARITIES,
    'palette': PALETTES,
}
_NUMBERS = {'rate_hz': 1000.0, 'shutter_s': 60.0}


def _check_value(name: str, value: object, where: str) -> None:
    """Raise ConfigError for a value that a setting does not take."""
    if name in _CHOICES:
        choices = _CHOICES[name]
        if isinstance(value, bool) or value not in choices:
            expected = ', '.join(str(choice) for choice in choices)
            raise ConfigError(f'{where} {value!r}: expected one of {expected}')
    elif name in _NUMBERS:
        if not is_finite(value) or not 0.0 <= value <= _NUMBERS[name]:
            raise ConfigError(f'{where} {value!r}: expected a number 0 to {_NUMBERS[name]:g}')
    elif name == 'title' and not isinstance(value, str):
        raise ConfigError(f'{where} {value!r}: expected a text')


def _parse_frames(value: object, where: str) -> dict[Size, FrameLayout]:
    """Return the layouts by size; raises ConfigError."""
    if not isinstance(value, Mapping):
        raise ConfigError(f'{where}: frames: expected WIDTHxHEIGHT with a layout each')
    frames: dict[Size, FrameLayout] = {}
    for key, layout in value.items():
        match = _FRAME_SIZE.fullmatch(str(key))
        if match is None or not isinstance(layout, Mapping):
            raise ConfigError(f'{where}: frames: {key!r}: expected WIDTHxHEIGHT with a layout')
        size = int(match[2]), int(match[1])
        frames[size] = _parse_layout(layout, size, f'{where}: frames: {key}')
    return frames


def _parse_layout(value: Mapping[Any, Any], size: Size, where: str) -> FrameLayout:
    """Return a checked layout; raises ConfigError."""
    unknown = sorted(str(k) for k in value.keys() - {f.name for f in fields(FrameLayout)})
    if unknown:
        raise ConfigError(f'{where}: unknown keys: {", ".join(unknown)}')
    rows = value.get('telemetry_rows', 0)
    if not is_whole(rows) or not 0 <= rows < size[0] // 2:
        raise ConfigError(f'{where}: telemetry_rows {rows!r}: expected less than half the rows')
    for name in ('split', 'counts'):
        if not isinstance(value.get(name, False), bool):
            raise ConfigError(f'{where}: {name} {value[name]!r}: expected true or false')
    split = value.get('split', False)
    if split and size[0] % 2:
        raise ConfigError(f'{where}: split: expected an even number of rows')
    crop = value.get('crop')
    if crop is not None:
        whole = isinstance(crop, list) and len(crop) == 4 and all(is_whole(v) for v in crop)
        if not whole or not _inside(crop, size):
            raise ConfigError(
                f'{where}: crop {crop!r}: expected [x, y, width, height] inside the frame'
            )
        crop = (crop[0], crop[1], crop[2], crop[3])
    return FrameLayout(rows, crop, split, value.get('counts', False))


def _inside(crop: list[int], size: Size) -> bool:
    """Return whether (x, y, width, height) lies in an image."""
    x, y, width, height = crop
    fits = x + width <= size[1] and y + height <= size[0]
    return x >= 0 and y >= 0 and width > 0 and height > 0 and fits
