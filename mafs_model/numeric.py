"""What counts as a number where values come from outside: true and false do not."""

from __future__ import annotations

from numbers import Real
import sys
from typing import Any, TypeGuard

from mafs_model.errors import ConfigError


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a value is a real number, of Python or NumPy; infinite ones count."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_finite(value: object) -> TypeGuard[float]:
    """Return whether a value is a number that a float can hold; integers have no limit."""
    return is_number(value) and abs(value) <= sys.float_info.max


def is_whole(value: object) -> TypeGuard[int]:
    """Return whether a value is an integer of Python."""
    return isinstance(value, int) and not isinstance(value, bool)


def check_number(value: Any, low: float, high: float, what: str) -> float:
    """
    Return a value as float if it is a number within limits.

    Args:
        value: what was given.
        low: least value.
        high: largest value.
        what: how the message calls it.

    Raises:
        ConfigError: no number, or beyond the limits.

    """
    if not is_finite(value) or not low <= value <= high:
        raise ConfigError(f'{what} {value!r}: expected a number from {low:g} to {high:g}')
    return float(value)
