"""Charts as SVG text that follows the page's colours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
import math

from mafs_training.evaluation.html.scale import label, padded, Scale, ticks
import numpy as np
from numpy.typing import NDArray

COLORS = tuple(f'var(--s{i})' for i in range(8))
MUTED = 'var(--muted)'
WIDTH = 360
LONGEST_NAME = 20
# Width of a letter at 11 px: of the wide ones, for a font that is not known here.
_LETTER = 6.6


def svg(width: float, height: float, parts: Sequence[str], title: str) -> str:
    """Return an SVG element that scales with its column."""
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{escape(title, quote=True)}">{"".join(parts)}</svg>'
    )


def text(x: float, y: float, words: str, anchor: str = 'middle', kind: str = 't') -> str:
    """Return a text element."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">'
        f'{escape(words)}</text>'
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str = 'g') -> str:
    """Return a straight line of a CSS class."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def shorten(words: str, most: int = LONGEST_NAME) -> str:
    """Leave out the middle of long names: weights differ in their last letters."""
    if len(words) <= most:
        return words
    tail = (most - 1) // 2
    return f'{words[: most - 1 - tail]}…{words[-tail:]}'


def names_width(names: Iterable[str]) -> float:
    """Return the room that names need beside a chart, so that none loses its first letter."""
    longest = max((len(shorten(name)) for name in names), default=0)
    return max(48.0, 12.0 + _LETTER * longest)


def box_chart(series: Mapping[str, Sequence[float]], colors: Mapping[str, str], title: str) -> str:
    """
    Box plots side by side: quartiles, median, whiskers at 5 and 95 %, dot at the mean.

    Args:
        series: name to values; those that are not finite are left out.
        colors: name to CSS colour.
        title: for screen readers.

    """
    data = {
        name: np.array([v for v in values if v is not None and math.isfinite(v)])
        for name, values in series.items()
    }
    filled = [values for values in data.values() if values.size]
    row, left, top = 20, names_width(data), 4
    bottom = top + row * len(data)
    if not filled:
        return svg(WIDTH, 30, [text(WIDTH / 2, 18, 'no values')], title)
    edges = [np.quantile(values, [0.05, 0.95]) for values in filled]
    low, high = padded(min(e[0] for e in edges), max(e[1] for e in edges))
    x = Scale(low, high, left, WIDTH - 18)
    parts = []
    for tick in ticks(low, high):
        parts += [line(x(tick), top, x(tick), bottom), text(x(tick), bottom + 13, label(tick))]
    for i, (name, values) in enumerate(data.items()):
        y = top + row * (i + 0.5)
        color = colors.get(name, MUTED)
        parts.append(text(left - 6, y + 4, shorten(name), 'end', ''))
        if not values.size:
            parts.append(text(left + 4, y + 4, 'undefined', 'start'))
            continue
        p5, q1, q2, q3, p95 = (x(v) for v in np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95]))
        parts.append(
            f'<g stroke="{color}" fill="{color}"><line x1="{p5:.1f}" y1="{y}" x2="{p95:.1f}" '
            f'y2="{y}" stroke-width="1.4"/><rect x="{q1:.1f}" y="{y - 6}" '
            f'width="{max(q3 - q1, 1):.1f}" height="12" rx="2" fill-opacity=".25"/>'
            f'<line x1="{q2:.1f}" y1="{y - 6}" x2="{q2:.1f}" y2="{y + 6}" stroke-width="2.4"/>'
            f'<circle cx="{x(float(values.mean())):.1f}" cy="{y}" r="2.6" stroke="none"/></g>'
        )
    return svg(WIDTH, bottom + 18, parts, title)


def bar_chart(
    values: Mapping[str, float | None],
    title: str,
    *,
    colors: Mapping[str, str] | None = None,
    low: float = 0.0,
    high: float | None = None,
    intervals: Mapping[str, tuple[float, float]] | None = None,
    digits: int = 3,
    width: float = WIDTH,
) -> str:
    """Horizontal bars with their value, with error bars where an interval is given."""
    row, left, top, right = 21, names_width(values), 2, 48
    known = [v for v in values.values() if v is not None and math.isfinite(v)]
    ends = [end for pair in (intervals or {}).values() for end in pair if math.isfinite(end)]
    top_value = high if high is not None else max([*known, *ends, 1e-9])
    bottom = top + row * len(values)
    x = Scale(low, top_value, left, width - right)
    parts = []
    for tick in ticks(low, top_value):
        parts += [line(x(tick), top, x(tick), bottom), text(x(tick), bottom + 13, label(tick))]
    for i, (name, value) in enumerate(values.items()):
        y = top + row * (i + 0.5)
        parts.append(text(left - 6, y + 4, shorten(name), 'end', ''))
        if value is None or not math.isfinite(value):
            parts.append(text(left + 4, y + 4, 'not present', 'start'))
            continue
        color = (colors or {}).get(name, COLORS[0])
        parts.append(
            f'<rect x="{left:.1f}" y="{y - 6.5}" width="{max(x(value) - left, 0):.1f}" '
            f'height="13" rx="2" fill="{color}" stroke="var(--line)"/>'
        )
        end = x(value)
        if intervals and name in intervals and all(map(math.isfinite, intervals[name])):
            a, b = (x(v) for v in intervals[name])
            parts.append(
                f'<path d="M{a:.1f} {y}H{b:.1f}M{a:.1f} {y - 3}v6M{b:.1f} {y - 3}v6" '
                'stroke="var(--ink)" stroke-width="1.2" fill="none"/>'
            )
            end = max(end, b)
        parts.append(text(end + 5, y + 4, f'{value:.{digits}f}', 'start', ''))
    return svg(width, bottom + 18, parts, title)


def line_chart(
    series: Mapping[str, Sequence[tuple[float, float | None]]],
    colors: Mapping[str, str],
    title: str,
    *,
    x_title: str = '',
    width: float = WIDTH,
    height: float = 210,
    dots: bool = True,
    zero: bool = False,
) -> str:
    """
    Curves of y over x.

    Args:
        series: name to (x, y) in order; a y of None interrupts the curve.
        colors: name to CSS colour.
        title: for screen readers.
        x_title: text below the x axis.
        width: of the drawing.
        height: of the drawing.
        dots: mark the points.
        zero: start the y axis at zero.

    """
    points = [
        (x, y) for curve in series.values() for x, y in curve if y is not None and math.isfinite(y)
    ]
    if not points:
        return svg(width, 30, [text(width / 2, 18, 'no values')], title)
    left, right, top, bottom = 44, width - 18, 8, height - (34 if x_title else 20)
    low_y, high_y = padded(min(y for _, y in points), max(y for _, y in points), 0.08)
    low_x, high_x = min(x for x, _ in points), max(x for x, _ in points)
    x = Scale(low_x, high_x, left, right)
    y = Scale(0.0 if zero else low_y, high_y, bottom, top)
    parts = []
    for tick in ticks(y.low, y.high):
        parts += [
            line(left, y(tick), right, y(tick)),
            text(left - 5, y(tick) + 4, label(tick), 'end'),
        ]
    for tick in ticks(low_x, high_x, 5):
        parts.append(text(x(tick), bottom + 14, label(tick)))
    parts.append(line(left, bottom, right, bottom, 'axis'))
    if x_title:
        parts.append(text((left + right) / 2, height - 4, x_title))
    for name, curve in series.items():
        parts += _curve(curve, x, y, colors.get(name, MUTED), dots)
    return svg(width, height, parts, title)


def _curve(
    curve: Sequence[tuple[float, float | None]], x: Scale, y: Scale, color: str, dots: bool
) -> list[str]:
    """Return the path and the dots of one curve."""
    path, pen_up, marks = [], True, []
    for px, py in curve:
        if py is None or not math.isfinite(py):
            pen_up = True
            continue
        path.append(f'{"M" if pen_up else "L"}{x(px):.1f} {y(py):.1f}')
        pen_up = False
        if dots:
            marks.append(f'<circle cx="{x(px):.1f}" cy="{y(py):.1f}" r="2.8" fill="{color}"/>')
    drawn = (
        f'<path d="{"".join(path)}" fill="none" stroke="{color}" stroke-width="1.8" '
        'stroke-linejoin="round"/>'
    )
    return [drawn, *marks]


def histogram(
    values: Sequence[float],
    title: str,
    *,
    x_title: str,
    bins: int = 30,
    color: str = COLORS[0],
    marks: Mapping[str, float] | None = None,
) -> str:
    """Histogram of finite values with labelled vertical marks."""
    finite = np.array([v for v in values if v is not None and math.isfinite(v)])
    if not finite.size:
        return svg(WIDTH, 30, [text(WIDTH / 2, 18, 'no values')], title)
    low, high = padded(float(finite.min()), float(finite.max()), 0.02)
    counts, edges = np.histogram(finite, bins=bins, range=(low, high))
    height, left, right, top = 190, 36, WIDTH - 18, 20
    bottom = height - 34
    x, y = Scale(low, high, left, right), Scale(0, float(counts.max()), bottom, top)
    parts = []
    for tick in ticks(0, float(counts.max()), 3):
        parts += [
            line(left, y(tick), right, y(tick)),
            text(left - 5, y(tick) + 4, label(tick), 'end'),
        ]
    for count, a, b in zip(counts, edges[:-1], edges[1:], strict=True):
        if count:
            parts.append(
                f'<rect x="{x(a) + 0.5:.1f}" y="{y(count):.1f}" '
                f'width="{max(x(b) - x(a) - 1, 0.5):.1f}" '
                f'height="{bottom - y(count):.1f}" fill="{color}" fill-opacity=".75"/>'
            )
    for tick in ticks(low, high, 5):
        parts.append(text(x(tick), bottom + 14, label(tick)))
    for i, (name, value) in enumerate((marks or {}).items()):
        if math.isfinite(value):
            parts.append(
                f'<path d="M{x(value):.1f} {top - 6}V{bottom}" stroke="var(--s1)" '
                f'stroke-width="1.3" stroke-dasharray="4 3"/>'
            )
            parts.append(
                text(
                    x(value),
                    top - 9 + 11 * (i % 2),
                    name,
                    'end' if x(value) > WIDTH * 0.7 else 'start',
                    '',
                )
            )
    parts.append(text((left + right) / 2, height - 4, x_title))
    return svg(WIDTH, height, parts, title)


def heat_map(
    shares: NDArray[np.float64], rows: Sequence[str], columns: Sequence[str], title: str
) -> str:
    """Matrix of shares 0..1 (nan: empty row) with their percentages."""
    cell, left, top = 42, names_width(rows), 74
    width, height = left + cell * len(columns) + 6, top + cell * len(rows) * 0.62 + 6
    tall = cell * 0.62
    parts = []
    for j, name in enumerate(columns):
        cx = left + cell * (j + 0.5)
        parts.append(
            f'<text transform="translate({cx + 3:.1f} {top - 7}) rotate(-40)" '
            f'class="t">{escape(shorten(name, 12))}</text>'
        )
    for i, name in enumerate(rows):
        cy = top + tall * (i + 0.5)
        parts.append(text(left - 6, cy + 4, shorten(name), 'end', ''))
        for j in range(len(columns)):
            share = shares[i, j]
            known = bool(np.isfinite(share))
            color = COLORS[0] if i == j else COLORS[1]
            strength = 0.08 + 0.92 * float(share) if known and share > 0.0005 else 0.0
            parts.append(
                f'<rect x="{left + cell * j + 1:.1f}" y="{top + tall * i + 1:.1f}" '
                f'width="{cell - 2}" height="{tall - 2:.1f}" rx="2" fill="{color}" '
                f'fill-opacity="{strength:.2f}" stroke="var(--grid)"/>'
            )
            if known and share >= 0.005:
                ink = ' style="fill:#fff"' if strength > 0.55 else ''
                parts.append(
                    f'<text x="{left + cell * (j + 0.5):.1f}" y="{cy + 4:.1f}" '
                    f'text-anchor="middle"{ink}>{100 * share:.0f}</text>'
                )
    return svg(width, height, parts, title)


def interval_chart(rows: Mapping[str, tuple[float, float, float]], title: str) -> str:
    """Differences with intervals around a line at zero; those that exclude it are coloured."""
    known = [v for triple in rows.values() for v in triple if math.isfinite(v)]
    if not known:
        return svg(WIDTH, 30, [text(WIDTH / 2, 18, 'no values')], title)
    row, left, top = 21, names_width(rows), 4
    bottom = top + row * len(rows)
    low, high = padded(min([*known, 0.0]), max([*known, 0.0]))
    x = Scale(low, high, left, WIDTH - 18)
    parts = []
    for tick in ticks(low, high):
        parts += [line(x(tick), top, x(tick), bottom), text(x(tick), bottom + 13, label(tick))]
    parts.append(
        f'<line x1="{x(0):.1f}" y1="{top}" x2="{x(0):.1f}" y2="{bottom}" '
        'stroke="var(--ink)" stroke-width="1"/>'
    )
    for i, (name, (value, a, b)) in enumerate(rows.items()):
        y = top + row * (i + 0.5)
        parts.append(text(left - 6, y + 4, shorten(name), 'end', ''))
        if all(map(math.isfinite, (value, a, b))):
            color = COLORS[2] if a > 0 else COLORS[1] if b < 0 else MUTED
            parts.append(
                f'<g stroke="{color}" fill="{color}"><line x1="{x(a):.1f}" y1="{y}" '
                f'x2="{x(b):.1f}" y2="{y}" stroke-width="2.4"/>'
                f'<circle cx="{x(value):.1f}" cy="{y}" r="4" stroke="none"/></g>'
            )
    return svg(WIDTH, bottom + 18, parts, title)
