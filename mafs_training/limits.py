"""What an option may be, said beside its default, and the refusal of any other value."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, fields, is_dataclass
import math
from typing import Any

from mafs_model.errors import ConfigError
from mafs_model.numeric import is_number


@dataclass(frozen=True)
class Limits:
    """
    The values of an option; of a list of numbers they hold for each.

    Attributes:
        low: least value.
        above: a value that must be exceeded.
        high: largest value.
        below: a value that must not be reached.
        multiple: the value is a multiple of it; 0: need not be.
        ascending: a list must not descend.
        choices: the only values; empty: any.
        apart: a value outside the limits that is allowed.
        apart_means: what it means, for the message.

    """

    low: float | None = None
    above: float | None = None
    high: float | None = None
    below: float | None = None
    multiple: int = 0
    ascending: bool = False
    choices: tuple[str, ...] = ()
    apart: float | None = None
    apart_means: str = ''

    def fits(self, value: object) -> bool:
        """Return whether a value, or each of a list, is within the limits."""
        if isinstance(value, list | tuple):
            if self.ascending and list(value) != sorted(value):
                return False
            return all(self.fits(item) for item in value)
        if self.choices:
            return value in self.choices
        if not is_number(value):
            return False
        return value == self.apart or (
            (self.low is None or value >= self.low)
            and (self.above is None or value > self.above)
            and (self.high is None or value <= self.high)
            and (self.below is None or value < self.below)
            and not (self.multiple and value % self.multiple)
        )

    def __str__(self) -> str:
        """Say what is expected, in words that follow 'expected'."""
        if self.choices:
            return 'one of ' + ', '.join(self.choices)
        if self.low is not None and self.high is not None:
            parts = [f'{self.low} to {self.high}']
        else:
            named = (
                ('at least', self.low),
                ('more than', self.above),
                ('at most', self.high),
                ('less than', self.below),
            )
            parts = [f'{word} {bound}' for word, bound in named if bound is not None]
        if self.multiple:
            parts = [f'a multiple of {self.multiple}']
        if self.ascending:
            parts.append('ascending')
        text = ' and '.join(parts)
        return text if self.apart is None else f'{text}, or {self.apart} for {self.apart_means}'


def bounded(default: Any, *, choices: Collection[str] = (), **limits: Any) -> Any:
    """
    Declare a field of an options dataclass with its default and limits.

    Args:
        default: of the field.
        choices: see `Limits`.
        limits: further fields of `Limits`.

    """
    return field(default=default, metadata={'limits': Limits(choices=tuple(choices), **limits)})


def check_limits(section: str, options: Any) -> None:
    """
    Refuse a value outside its limits, and numbers that are none.

    Args:
        section: name of the options, for the message.
        options: a dataclass; its fields may carry `Limits`, or be such dataclasses.

    Raises:
        ConfigError: names option, value and expectation.

    """
    for item in fields(options):
        value = getattr(options, item.name)
        if is_dataclass(value):
            check_limits(f'{section}.{item.name}', value)
            continue
        limits = item.metadata.get('limits')
        if limits is not None and not limits.fits(value):
            raise ConfigError(f'{section}.{item.name} is {value!r}, expected {limits}')
        numbers = value if isinstance(value, list | tuple) else [value]
        if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
            raise ConfigError(f'{section}.{item.name} is {value!r}, expected finite numbers')
