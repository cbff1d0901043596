"""The contact sheet: several moments as thermal | visible | fused | labels, on one picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mafs_demo.pictures.drawing import ACCENT, Canvas, draw_legend, fit, legend_rows, MUTED, TEXT
from mafs_demo.replay.playback import PanelMaker, Playback
from mafs_model.classes import ClassTable

ROWS = 5
TILE_WIDTH = 480
_MARGIN, _GAP, _CAPTION = 28, 10, 30
_HEADER, _COLUMN_HEADER = 96, 34
_TITLES = {
    'thermal': 'Thermal',
    'visible': 'Visible',
    'fused': 'Fused',
    'labels': 'Labels over fused',
}
NO_LABELS = 'no labels: classical fusion, no weights'


@dataclass(frozen=True)
class SheetText:
    """
    What is written on the sheet.

    Args:
        source: what was played.
        facts: one line of figures.
        classical: whether there are no labels to show.

    """

    source: str
    facts: str
    classical: bool


def pick_moments(count: int, rows: int = ROWS) -> list[int]:
    """Return the numbers of evenly spread pairs, neither the first nor the last instant."""
    rows = min(rows, count)
    return [min(count - 1, int((row + 0.5) * count / rows)) for row in range(rows)]


def write_contact_sheet(
    path: Path, playback: Playback, table: ClassTable, text: SheetText
) -> None:
    """
    Write the sheet as PNG.

    Args:
        path: of the file.
        playback: the pairs, at least one.
        table: names and colours of the classes.
        text: what to write on it.

    """
    moments = pick_moments(len(playback))
    height, width = playback.pair(moments[0]).fused.shape[:2]
    tile = (round(TILE_WIDTH * min(1.0, height / width)), TILE_WIDTH)
    row_height = tile[0] + _CAPTION
    columns = len(PanelMaker.NAMES)
    inner_width = columns * TILE_WIDTH + (columns - 1) * _GAP
    probe = Canvas((1, 1))
    legend = 0 if text.classical else 29 * len(legend_rows(probe, table, inner_width, 16))
    top = _HEADER + _COLUMN_HEADER
    canvas = Canvas(
        (top + len(moments) * row_height + legend + _MARGIN, inner_width + 2 * _MARGIN)
    )
    canvas.text(_MARGIN, 24, 'Thermal + visible fusion', 30)
    canvas.text(_MARGIN, 62, text.source, 17, MUTED)
    canvas.text(_MARGIN + inner_width, 62, text.facts, 17, MUTED, 'ra')
    for column, name in enumerate(PanelMaker.NAMES):
        canvas.text(_MARGIN + column * (TILE_WIDTH + _GAP), _HEADER + 6, _TITLES[name], 19)
    maker = PanelMaker(table)
    for row, number in enumerate(moments):
        pair = playback.pair(number)
        y = top + row * row_height
        for column, (name, panel) in enumerate(maker.panels(pair).items()):
            x = _MARGIN + column * (TILE_WIDTH + _GAP)
            canvas.paste(fit(panel, tile), x, y)
            if name == 'labels' and text.classical:
                note_width = canvas.width_of(NO_LABELS, 16)
                canvas.box(x + 10, y + tile[0] - 36, note_width + 16, 26, (18, 20, 24))
                canvas.text(x + 18, y + tile[0] - 23, NO_LABELS, 16, ACCENT, 'lm')
        canvas.text(_MARGIN, y + tile[0] + 6, f't = {pair.time_s:.2f} s', 14, TEXT)
        canvas.text(
            _MARGIN + TILE_WIDTH + _GAP,
            y + tile[0] + 6,
            f'thermal stamp {pair.offset_ms:+.1f} ms',
            14,
            MUTED,
        )
        canvas.text(
            _MARGIN + 2 * (TILE_WIDTH + _GAP),
            y + tile[0] + 6,
            f'{pair.mode}, {pair.latency_ms:.0f} ms after the later stamp',
            14,
            MUTED,
        )
    if legend:
        draw_legend(canvas, table, _MARGIN, top + len(moments) * row_height + 8, inner_width, 16)
    canvas.image.save(path, optimize=False, compress_level=6)
