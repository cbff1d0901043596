"""
The one table of the node's parameters.

Declaration, validation, the check of `config/mafs_fusion.yaml` and the tables in the README and
in `docs/node.md` are all made from it. This module knows no ROS, so that it can be used for
documentation and tested alone; `parameter_handler` connects it to a node.

`python -m mafs_ros.parameters` prints the table as Markdown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
import math
import re
from typing import Any, Literal

from mafs_model.errors import ConfigError
from mafs_model.runtime.factory import BACKENDS, PRECISIONS

Kind = Literal['bool', 'int', 'double', 'string', 'double_array', 'double_or_auto']
Size = tuple[int, int]

AUTO = 'auto'
MAX_SIDE_PX = 8192  # No sensor that a robot carries is larger; more is a typing error.


class Expectation(ValueError):  # noqa: N818 - it is what was expected, not what went wrong
    """What a value should have been; the text completes 'expected ...'."""


@dataclass(frozen=True)
class Parameter:
    """
    One row of the table.

    Attributes:
        name: ROS name, dots separate groups.
        kind: type of the value.
        default: value where the user gives none.
        description: one sentence, without unit and range.
        unit: SI or pixel unit of a number.
        minimum: smallest number that is accepted.
        maximum: largest number that is accepted.
        choices: texts that are accepted; empty: any that `parse` accepts.
        dynamic: whether it can change between two frames; the others change only while the
            node is unconfigured.
        parse: turns a text or list into the value of `Settings`; raises Expectation.
        expected: what `parse` accepts, for the documentation.

    """

    name: str
    kind: Kind
    default: Any
    description: str
    unit: str = ''
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    dynamic: bool = False
    parse: Callable[[Any], Any] | None = None
    expected: str = ''

    @property
    def field(self) -> str:
        """Return the name of the attribute of `Settings`."""
        return self.name.replace('.', '_')

    def validate(self, value: Any) -> Any:
        """
        Return the value in the form that `Settings` holds.

        Args:
            value: as it came from the parameter API.

        Raises:
            ConfigError: one line with name, value and expectation.

        """
        try:
            value = self._check_type(value)
            self._check_limits(value)
            return self.parse(value) if self.parse is not None else value
        except Expectation as expectation:
            raise ConfigError(
                f'{self.name}: got {_shorten(value)}, expected {expectation}') from None

    def describe_range(self) -> str:
        """Return the accepted values in words."""
        if self.choices:
            return ', '.join(f'`{choice}`' for choice in self.choices)
        if self.expected:
            return self.expected
        if self.minimum is None:
            return ''
        limits = f'{_number(self.minimum)} to {_number(self.maximum)}'
        return limits + (' or `auto`' if self.kind == 'double_or_auto' else '')

    def _expectation(self) -> str:
        """Return the complete expectation for error messages."""
        words = _KIND_WORDS[self.kind]
        limits = self.describe_range().replace('`', "'")
        if self.choices:
            return f'one of {limits}'
        if self.expected:
            return limits
        unit = f' {self.unit}' if self.unit else ''
        return f'{words} {limits}{unit}' if limits else words

    def _check_type(self, value: Any) -> Any:
        """Return value with the Python type of the kind; whole numbers pass for doubles."""
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if self.kind == 'bool' and isinstance(value, bool):
            return value
        if self.kind == 'int' and is_number and isinstance(value, int):
            return value
        if self.kind == 'string' and isinstance(value, str):
            return value
        if self.kind in ('double', 'double_or_auto') and is_number:
            return float(value)
        if self.kind == 'double_or_auto' and value == AUTO:
            return value
        if self.kind == 'double_array' and _is_number_list(value):
            return tuple(float(number) for number in value)
        raise Expectation(self._expectation())

    def _check_limits(self, value: Any) -> None:
        """Raise Expectation where a number or a choice is outside of what is accepted."""
        if self.choices and value not in self.choices:
            raise Expectation(self._expectation())
        if isinstance(value, float) and not math.isfinite(value):
            raise Expectation(self._expectation())
        if self.minimum is not None and value != AUTO:
            assert self.maximum is not None
            if not self.minimum <= value <= self.maximum:
                raise Expectation(self._expectation())


_KIND_WORDS = {
    'bool': 'true or false', 'int': 'a whole number', 'double': 'a number', 'string': 'a text',
    'double_array': 'a list of numbers', 'double_or_auto': 'a number',
}


def _is_number_list(value: Any) -> bool:
    """Return whether value is a sequence of numbers (an empty one counts)."""
    if isinstance(value, (str, bytes)) or not hasattr(value, '__iter__'):
        return False
    return all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in value)


def _shorten(value: Any, limit: int = 80) -> str:
    """Return repr(value), cut to a length that fits into a log line."""
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= limit else text[:limit] + '...'


def _number(value: float | None) -> str:
    """Return a number without a trailing '.0'."""
    return '' if value is None else f'{value:g}'


def parse_size(text: str) -> Size | None:
    """
    Return (height, width) of a text such as '640x480', None for an empty one.

    Raises:
        Expectation: not of that form or outside 16 to 8192 pixels.

    """
    if not text:
        return None
    match = re.fullmatch(r'(\d{1,5})x(\d{1,5})', text)
    if match:
        width, height = int(match[1]), int(match[2])
        if all(16 <= side <= MAX_SIDE_PX for side in (width, height)):
            return height, width
    raise Expectation(f"WIDTHxHEIGHT such as '640x480', 16 to {MAX_SIDE_PX} px each, or ''")


def parse_device(text: str) -> str:
    """
    Return the device name unchanged if it is well formed.

    Raises:
        Expectation: anything but auto, cpu, cuda, cuda:N.

    """
    if re.fullmatch(r'auto|cpu|cuda(:\d{1,2})?', text):
        return text
    raise Expectation("one of 'auto', 'cpu', 'cuda', 'cuda:N'")


def parse_homography(values: tuple[float, ...]) -> tuple[float, ...] | None:
    """
    Return nine finite numbers, or None for an empty list.

    Raises:
        Expectation: another count, NaN or infinity, or a matrix that cannot be inverted.

    """
    if not values:
        return None
    expectation = '9 finite numbers (3x3, row by row) of an invertible matrix, or []'
    if len(values) != 9 or not all(math.isfinite(v) for v in values):
        raise Expectation(expectation)
    a, b, c, d, e, f, g, h, i = values
    determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    # Relative to the size of the entries: a tiny scale alone does not make a matrix singular.
    scale = max(abs(v) for v in values)
    if scale == 0 or abs(determinant) < 1e-12 * scale**3:
        raise Expectation(expectation)
    return values


_SIZE = '`WIDTHxHEIGHT` such as `640x480`, or empty'

TABLE: tuple[Parameter, ...] = (
    Parameter('autostart', 'bool', False,
              'Configure and activate by itself at start, without a lifecycle manager.'),
    Parameter('weights', 'string', 'default',
              'Weights file of the network; `default`: the shipped one, or classical fusion '
              'without labels where none is shipped; `classical`: no network.',
              expected='path of a safetensors file, `default`, or `classical`'),
    Parameter('classes', 'string', '',
              'Names and colours of the classes; empty: as stored in the weights.',
              expected='`mfnet`, `msrs`, `fmb`, `pst900`, path of a YAML file, or empty'),
    Parameter('device', 'string', 'auto',
              'Where to compute; `auto` takes a GPU if there is one and warns if not.',
              parse=parse_device, expected='one of `auto`, `cpu`, `cuda`, `cuda:N`'),
    Parameter('backend', 'string', 'auto', 'Runtime that computes the network.',
              choices=BACKENDS),
    Parameter('precision', 'string', 'auto', 'Number format of the network.',
              choices=PRECISIONS),
    Parameter('threads', 'int', 0, 'CPU threads of the network; 0: chosen by the backend.',
              minimum=0, maximum=256),
    Parameter('inference.size', 'string', '',
              'Size at which the network sees the images; empty: the output size. Results are '
              'brought to the output size.', parse=parse_size, expected=_SIZE, unit='px'),
    Parameter('output.size', 'string', '',
              'Size of all output images; empty: the size of the visible image.',
              parse=parse_size, expected=_SIZE, unit='px'),
    Parameter('reference', 'string', 'rgb',
              'Camera whose stamp and frame_id all outputs carry.', choices=('rgb', 'thermal')),
    Parameter('rgb.transport', 'string', 'raw',
              'Message type of the visible images: Image or CompressedImage.',
              choices=('raw', 'compressed')),
    Parameter('thermal.transport', 'string', 'raw',
              'Message type of the thermal images: Image or CompressedImage.',
              choices=('raw', 'compressed')),
    Parameter('thermal.time_offset', 'double_or_auto', 0.0,
              'Added to the stamps of thermal images, against a constant latency of that camera; '
              '`auto`: estimated as the median offset.', unit='s', minimum=-10.0, maximum=10.0,
              dynamic=True),
    Parameter('thermal.scaling', 'string', 'percentile',
              'How 16- and 32-bit thermal images become 8-bit.',
              choices=('percentile', 'range', 'minmax', 'clahe'), dynamic=True),
    Parameter('thermal.percentile_low', 'double', 1.0,
              'Share of pixels that become black for `percentile` and `clahe`.', unit='%',
              minimum=0.0, maximum=100.0, dynamic=True),
    Parameter('thermal.percentile_high', 'double', 99.0,
              'Share of pixels below white for `percentile` and `clahe`.', unit='%',
              minimum=0.0, maximum=100.0, dynamic=True),
    Parameter('thermal.range_low', 'double', 0.0,
              'Black for `range`, in the unit of `thermal.range_unit`.',
              minimum=-1e6, maximum=1e6, dynamic=True),
    Parameter('thermal.range_high', 'double', 65535.0,
              'White for `range`, in the unit of `thermal.range_unit`.',
              minimum=-1e6, maximum=1e6, dynamic=True),
    Parameter('thermal.range_unit', 'string', 'raw',
              'Unit of the limits of `range`: sensor counts or degrees Celsius.',
              choices=('raw', 'celsius'), dynamic=True),
    Parameter('thermal.smoothing', 'double', 0.9,
              'Weight of the past in the scaling limits, against flicker; 0: each frame alone.',
              minimum=0.0, maximum=0.999, dynamic=True),
    Parameter('thermal.homography', 'double_array', (),
              '3x3 matrix, row by row, from thermal to visible pixels; empty: the thermal image '
              'is resized to the visible one.', parse=parse_homography,
              expected='9 numbers, or empty'),
    Parameter('thermal.homography_file', 'string', '',
              'YAML file with that matrix; the list above wins over it.',
              expected='path of a YAML file, or empty'),
    Parameter('sync.policy', 'string', 'nearest',
              'How visible and thermal images become pairs: mutually nearest stamps, or the '
              'synchronisers of message_filters.', choices=('nearest', 'approximate', 'exact')),
    Parameter('sync.slop', 'double', 0.03, 'Largest offset of a pair.', unit='s',
              minimum=0.0001, maximum=10.0, dynamic=True),
    Parameter('sync.queue_size', 'int', 30, 'Images of each camera that wait for a partner.',
              minimum=2, maximum=1000),
    Parameter('stamps.max_ahead', 'double', 10.0,
              'Images whose stamp is further ahead of the clock are dropped; 0: not checked.',
              unit='s', minimum=0.0, maximum=1e9, dynamic=True),
    Parameter('stamps.jump_back', 'double', 1.0,
              'A stamp this much older than the newest of its camera restarts the pairing, as '
              'when a bag starts over.', unit='s', minimum=0.01, maximum=3600.0, dynamic=True),
    Parameter('overlay.opacity', 'double', 0.5, 'Weight of the class colours in the overlay.',
              minimum=0.0, maximum=1.0, dynamic=True),
    Parameter('overlay.legend', 'bool', False, 'Draw the names of the classes in the overlay.',
              dynamic=True),
    Parameter('diagnostics.stale_after', 'double', 3.0,
              'An input without an image for this long counts as stalled.', unit='s',
              minimum=0.1, maximum=3600.0, dynamic=True),
    Parameter('diagnostics.min_pair_rate', 'double', 0.0,
              'Fewer pairs than this per second are a warning; 0: no limit.', unit='Hz',
              minimum=0.0, maximum=1000.0, dynamic=True),
)

BY_NAME: Mapping[str, Parameter] = {parameter.name: parameter for parameter in TABLE}


@dataclass(frozen=True)
class Settings:
    """The validated values of all parameters; sizes are (height, width)."""

    autostart: bool
    weights: str
    classes: str
    device: str
    backend: str
    precision: str
    threads: int
    inference_size: Size | None
    output_size: Size | None
    reference: str
    rgb_transport: str
    thermal_transport: str
    thermal_time_offset: float | str
    thermal_scaling: str
    thermal_percentile_low: float
    thermal_percentile_high: float
    thermal_range_low: float
    thermal_range_high: float
    thermal_range_unit: str
    thermal_smoothing: float
    thermal_homography: tuple[float, ...] | None
    thermal_homography_file: str
    sync_policy: str
    sync_slop: float
    sync_queue_size: int
    stamps_max_ahead: float
    stamps_jump_back: float
    overlay_opacity: float
    overlay_legend: bool
    diagnostics_stale_after: float
    diagnostics_min_pair_rate: float

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Settings:
        """
        Validate values by parameter name; what is missing takes its default.

        Raises:
            ConfigError: naming the first refused parameter, its value and the expectation.

        """
        settings = cls(**{
            parameter.field: parameter.validate(values.get(parameter.name, parameter.default))
            for parameter in TABLE})
        settings.check_combinations()
        return settings

    def check_combinations(self) -> None:
        """Raise ConfigError where values exclude each other."""
        if self.thermal_scaling == 'range' and self.thermal_range_low >= self.thermal_range_high:
            raise ConfigError(
                f'thermal.range_low: got {self.thermal_range_low:g}, expected less than '
                f'thermal.range_high ({self.thermal_range_high:g}) for scaling by range')
        if self.thermal_percentile_low >= self.thermal_percentile_high:
            raise ConfigError(
                f'thermal.percentile_low: got {self.thermal_percentile_low:g}, expected less '
                f'than thermal.percentile_high ({self.thermal_percentile_high:g})')

    def changed_from(self, other: Settings) -> tuple[str, ...]:
        """Return the names of the parameters that differ between the two."""
        differing = {f.name for f in fields(self)
                     if getattr(self, f.name) != getattr(other, f.name)}
        return tuple(p.name for p in TABLE if p.field in differing)


def defaults() -> dict[str, Any]:
    """Return name and default of every parameter, as the parameter API takes them."""
    return {p.name: list(p.default) if isinstance(p.default, tuple) else p.default for p in TABLE}


def markdown_table() -> str:
    """Return the table as Markdown, one row for each parameter."""
    rows = ['| parameter | type | default | unit | range or choices | changes | meaning |',
            '|---|---|---|---|---|---|---|']
    for p in TABLE:
        kind = p.kind.replace('_', ' ')
        default = _default_text(p)
        when = 'any time' if p.dynamic else 'unconfigured'
        rows.append(f'| `{p.name}` | {kind} | {default} | {p.unit} | {p.describe_range()} | '
                    f'{when} | {p.description} |')
    return '\n'.join(rows)


def _default_text(parameter: Parameter) -> str:
    """Return the default as it would be written in YAML."""
    value = parameter.default
    if isinstance(value, bool):
        return f'`{str(value).lower()}`'
    if isinstance(value, tuple):
        return f'`{list(value)}`'
    return f'`{value!r}`' if isinstance(value, str) else f'`{value}`'


if __name__ == '__main__':
    print(markdown_table())  # noqa: T201 - printing the table is what this entry is for
