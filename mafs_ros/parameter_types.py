"""One row of the parameter table: its type, its limits and the check of a value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import math
import re
from typing import Any, Literal

from mafs_model.classes import MAX_CLASSES
from mafs_model.errors import ConfigError
from mafs_model.numeric import is_number, is_whole

Kind = Literal['bool', 'int', 'double', 'string', 'double_array', 'string_array', 'double_or_auto']
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
                f'{self.name}: got {_shorten(value)}, expected {expectation}'
            ) from None

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
        if self.kind == 'bool' and isinstance(value, bool):
            return value
        if self.kind == 'int' and is_whole(value):
            return value
        if self.kind == 'string' and isinstance(value, str):
            return value
        if self.kind in ('double', 'double_or_auto') and is_number(value):
            return float(value)
        if self.kind == 'double_or_auto' and value == AUTO:
            return value
        if self.kind == 'double_array' and _is_number_list(value):
            return tuple(float(number) for number in value)
        if self.kind == 'string_array' and _is_text_list(value):
            return tuple(value)
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
    'bool': 'true or false',
    'int': 'a whole number',
    'double': 'a number',
    'string': 'a text',
    'double_array': 'a list of numbers',
    'string_array': 'a list of texts',
    'double_or_auto': 'a number',
}


def _is_number_list(value: Any) -> bool:
    """Return whether value is a sequence of numbers (an empty one counts)."""
    if isinstance(value, (str, bytes)) or not hasattr(value, '__iter__'):
        return False
    return all(is_number(v) for v in value)


def _is_text_list(value: Any) -> bool:
    """Return whether value is a list of texts (an empty one counts), no longer than any table."""
    return (
        isinstance(value, (list, tuple))
        and len(value) <= MAX_CLASSES
        and all(isinstance(text, str) for text in value)
    )


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


def parse_groups(texts: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """
    Return (name, members) of texts such as 'vehicles=car+truck'.

    Raises:
        Expectation: not of that form, or a group twice.

    """
    groups: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, _, rest = (part.strip() for part in text.partition('='))
        members = tuple(member.strip() for member in rest.split('+'))
        if not name or not all(members) or name in groups:
            raise Expectation("groups such as 'vehicles=car+truck', each name once")
        groups[name] = members
    return tuple(groups.items())
