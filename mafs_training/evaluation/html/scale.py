"""Axes of charts: round tick values and the map from data to pixels."""

from __future__ import annotations

from dataclasses import dataclass
import math

_ROUNDING = 1e-9  # of values: what sums and differences of the same ones may differ by
_SMALLEST = 1e-300  # spans below this cannot be divided into bins


@dataclass(frozen=True)
class Scale:
    """Linear map of low..high to the pixels start..end."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        span = self.high - self.low or 1.0
        return self.start + (value - self.low) / span * (self.end - self.start)


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Return round values inside low..high, about as many as asked for."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return [low]
    raw = span / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= raw)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def label(value: float) -> str:
    """Return a tick value as short as it can be."""
    if value == 0:
        return '0'
    if abs(value) >= 1e5 or abs(value) < 1e-3:
        return f'{value:.0e}'
    return f'{value:.4g}'


def padded(low: float, high: float, share: float = 0.05) -> tuple[float, float]:
    """Widen a range a little; values that differ by rounding alone get one around them."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return 0.0, 1.0
    span, largest = high - low, max(abs(low), abs(high))
    if span <= _ROUNDING * largest or span < _SMALLEST:
        span = largest if largest >= _SMALLEST else 1.0
    return low - share * span, high + share * span
