"""The film of a run: the four pictures of every pair, at the time of its stamp."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

from mafs_demo.pictures.contact_sheet import NO_LABELS
from mafs_demo.pictures.drawing import ACCENT, Canvas, draw_legend, fit, legend_rows, MUTED
from mafs_demo.replay.playback import PanelMaker, Playback
from mafs_model.classes import ClassTable
from mafs_model.images.preprocessing import size_of
from mafs_model.types import UInt8Image
import numpy as np

_TILE_WIDTH = 640
_BAR = 30
_TITLES = {'thermal': 'THERMAL', 'visible': 'VISIBLE', 'fused': 'FUSED', 'labels': 'LABELS'}
_TIME_BASE = Fraction(1, 1000)


def is_available() -> bool:
    """Tell whether the encoder is installed (package av, H.264 as every browser plays it)."""
    try:
        import av

        return 'libx264' in av.codecs_available
    except ImportError:
        return False


class _Layout:
    """Two by two tiles, each under its title, and the legend at the bottom."""

    def __init__(self, size: tuple[int, int], table: ClassTable, classical: bool) -> None:
        height, width = size
        # Even sizes: the colour planes of the film have half the resolution.
        self.tile = (round(_TILE_WIDTH * min(1.0, height / width)) // 2 * 2, _TILE_WIDTH)
        rows = len(legend_rows(Canvas((1, 1)), table, 2 * _TILE_WIDTH - 24, 14))
        bottom = 40 if classical else 25 * rows + 15
        self.size = ((2 * (self.tile[0] + _BAR) + bottom) // 2 * 2, 2 * _TILE_WIDTH)
        canvas = Canvas(self.size)
        for name, (x, y) in self._places().items():
            canvas.text(x + 12, y - _BAR / 2, _TITLES[name], 14, MUTED, 'lm')
        base = 2 * (self.tile[0] + _BAR)
        if classical:
            canvas.text(12, base + 20, NO_LABELS, 14, ACCENT, 'lm')
        else:
            draw_legend(canvas, table, 12, base + 10, 2 * _TILE_WIDTH - 24, 14)
        self._frame = canvas.array()

    def _places(self) -> dict[str, tuple[int, int]]:
        row = self.tile[0] + _BAR
        return {
            name: (number % 2 * _TILE_WIDTH, _BAR + number // 2 * row)
            for number, name in enumerate(PanelMaker.NAMES)
        }

    def fill(self, panels: dict[str, UInt8Image], caption: str) -> UInt8Image:
        """Return the frame with these pictures; the array is used again by the next call."""
        frame = self._frame
        for name, (x, y) in self._places().items():
            frame[y : y + self.tile[0], x : x + self.tile[1]] = fit(panels[name], self.tile)
        clock = Canvas((_BAR, 300))
        clock.text(288, _BAR / 2, caption, 14, MUTED, 'rm')
        frame[:_BAR, -300:] = clock.array()
        return frame


def write_movie(
    path: Path,
    playback: Playback,
    table: ClassTable,
    classical: bool,
    progress: Callable[[int, int], None],
) -> None:
    """
    Write the film as MP4 (H.264, 4:2:0), frames at their stamps.

    Args:
        path: of the file.
        playback: the pairs, at least one.
        table: names and colours of the classes.
        classical: whether there are no labels to show.
        progress: called with (done, total).

    """
    import av

    layout = _Layout(size_of(playback.pair(0).fused), table, classical)
    maker = PanelMaker(table)
    with av.open(str(path), 'w', options={'movflags': 'faststart'}) as container:
        stream: Any = container.add_stream(
            'libx264', rate=30, options={'crf': '21', 'preset': 'veryfast', 'g': '60'}
        )
        stream.height, stream.width = layout.size
        stream.pix_fmt = 'yuv420p'
        stream.codec_context.time_base = _TIME_BASE
        newest = -1
        for done, pair in enumerate(playback, 1):
            image = layout.fill(maker.panels(pair), f'{pair.time_s:6.2f} s')
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format='rgb24')
            newest = max(newest + 1, round(pair.time_s / _TIME_BASE))
            frame.pts, frame.time_base = newest, _TIME_BASE
            container.mux(stream.encode(frame))
            progress(done, len(playback))
        container.mux(stream.encode())
