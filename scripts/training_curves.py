#!/usr/bin/env python3
r"""
Draw curves of training runs into one SVG file.

    python scripts/training_curves.py --out docs/images/mae.svg \
        --metric train/visible train/thermal val/psnr_visible -- 'stage I=out/train/mae'

One chart per metric, one curve per run. Values of training are averaged over a tenth of the run
with --smooth 0.1, as they come from single batches.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import csv
from html import escape
from pathlib import Path
import sys

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mafs_training.evaluation.html.charts import line_chart, text

COLORS = ('#2563a8', '#d9822b', '#2f8f5b', '#b03a5b', '#7a5ab5', '#6b7280')
COLUMNS = 3
CHART = (360, 210)
TITLE_PX = 22
STYLE = (
    'text{font:11px system-ui,sans-serif;fill:#1f2937}.t{fill:#4b5563}.h{font-weight:600}'
    '.g{stroke:#e5e7eb}.axis{stroke:#9ca3af}'
)
Curve = list[tuple[float, float | None]]


def read_curve(run: Path, metric: str, smooth: float) -> Curve:
    """
    Read a metric of a run folder by step; empty if the run has not logged it.

    Args:
        run: folder written by mafs-train.
        metric: column of its metrics.csv.
        smooth: width of the moving average, share of the run; training metrics only.

    """
    points: dict[float, float] = {}
    for file in sorted(run.glob('csv*/metrics.csv')):
        with file.open(newline='', encoding='utf-8') as stream:
            for row in csv.DictReader(stream):
                if row.get(metric):
                    points[float(row['step'])] = float(row[metric])
    steps, values = np.array(sorted(points)), np.array([points[s] for s in sorted(points)])
    width = max(1, round(smooth * len(values))) if metric.startswith('train/') else 1
    if len(values) and width > 1:
        kernel = np.ones(width)
        values = np.convolve(values, kernel, 'same') / np.convolve(
            np.ones_like(values), kernel, 'same'
        )
    return list(zip(steps.tolist(), values.tolist(), strict=True))


def draw(runs: Sequence[tuple[str, Path]], metrics: Sequence[str], smooth: float) -> str:
    """Return the SVG document."""
    colors = {name: COLORS[i % len(COLORS)] for i, (name, _) in enumerate(runs)}
    width, height = CHART
    cells = []
    for index, metric in enumerate(metrics):
        curves = {name: read_curve(path, metric, smooth) for name, path in runs}
        chart = line_chart(
            {name: curve for name, curve in curves.items() if curve},
            colors,
            metric,
            x_title='step',
            width=width,
            height=height,
            dots=metric.startswith('val/'),
        )
        x = index % COLUMNS * width
        y = TITLE_PX + index // COLUMNS * (height + TITLE_PX)
        placed = chart.replace('<svg ', f'<svg x="{x}" y="{y}" width="{width}" height="{height}" ')
        cells += [text(x + 44, y - 6, metric, 'start', 'h'), placed]
    rows = -(-len(metrics) // COLUMNS)
    bottom = rows * (height + TITLE_PX)
    for index, (name, color) in enumerate(colors.items()):
        x, y = 44 + index % 6 * 170, bottom + 12 + index // 6 * 16
        cells.append(f'<rect x="{x}" y="{y - 8}" width="14" height="4" fill="{color}"/>')
        cells.append(text(x + 20, y, name, 'start'))
    total = (min(COLUMNS, len(metrics)) * width, bottom + 4 + 16 * -(-len(runs) // 6))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total[0]} {total[1]}" '
        f'width="{total[0]}" height="{total[1]}" role="img" '
        f'aria-label="{escape(", ".join(metrics), quote=True)}"><style>{STYLE}</style>'
        f'<rect width="100%" height="100%" fill="#ffffff"/>{"".join(cells)}</svg>\n'
    )


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description='Draw curves of training runs as SVG.')
    parser.add_argument('runs', nargs='+', metavar='NAME=FOLDER', help='runs of mafs-train')
    parser.add_argument('--metric', nargs='+', required=True, help='columns of metrics.csv')
    parser.add_argument('--smooth', type=float, default=0.1, help='default: 0.1 of the run')
    parser.add_argument('--out', type=Path, required=True)
    arguments = parser.parse_args()
    runs = []
    for item in arguments.runs:
        name, equals, folder = item.partition('=')
        if not equals or not list(Path(folder).glob('csv*/metrics.csv')):
            parser.error(f'{item!r}: expected NAME=FOLDER with csv/metrics.csv inside')
        runs.append((name, Path(folder)))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(draw(runs, arguments.metric, arguments.smooth), encoding='utf-8')
    print(arguments.out)
    return 0


if __name__ == '__main__':
    sys.exit(main())
