#!/usr/bin/env python3
"""
Make the pictures of the documentation from rendered scenes; no camera image is in them.

    python scripts/render_pictures.py [--out docs/images]

`overview.jpg` (night) and `day_and_haze.jpg` (haze: what fog and smoke do): thermal, visible,
fused and labels of a few moments, by the predictor as it is installed. Without trained weights the
fusion is classical and the labels are the exact ones of the renderer, not a result; the title
above the column says which. `scenes.jpg`: what else the renderer draws.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
import sys

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mafs_model.images.overlay import OverlayStyle, paint
from mafs_model.images.thermal import ThermalScaler
from mafs_model.images.visualization import draw_legend
from mafs_model.predictor import Predictor
from mafs_synthetic import NightDrive, random_scene, SceneConfig

# Scenes and the moment of the drive, s.
NIGHT = tuple((SceneConfig(seed=seed), t_s) for seed, t_s in ((0, 4.0), (8, 4.0), (11, 4.2)))
DAY_AND_HAZE = (
    (SceneConfig(seed=10, daylight=0.9, crossing=6, pedestrians=16), 3.0),
    (SceneConfig(seed=20, daylight=0.8, haze=0.97, crossing=6, pedestrians=16), 4.0),
)
SCENES = (3, 5, 8, 10, 13, 16)
PANEL = (300, 400)
TITLE_PX = 30
STYLE = OverlayStyle(opacity=0.6)
Image = NDArray[np.uint8]


def shrink(image: Image) -> Image:
    """Return an image at the size of a panel."""
    return cv2.resize(image, PANEL[::-1], interpolation=cv2.INTER_AREA)


def title(text: str) -> Image:
    """Return a dark strip with a text in its middle."""
    strip = np.full((TITLE_PX, PANEL[1], 3), 24, np.uint8)
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.55, 1)
    place = ((PANEL[1] - width) // 2, 21)
    cv2.putText(strip, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.55, (235,) * 3, 1, cv2.LINE_AA)
    return strip


def grey(image: Image) -> Image:
    """Return a grey image with three channels."""
    return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)


def overview(moments: Sequence[tuple[SceneConfig, float]]) -> Image:
    """Return the rows thermal, visible, fused, labels with titles and legend."""
    rows, seen = [], set()
    with Predictor.create() as predictor:
        table = predictor.classes
        titles = ('thermal', 'visible', 'fused', 'labels over fused')
        if predictor.is_classical:
            titles = (*titles[:2], 'fused (classical, no weights)', 'exact labels of the renderer')
        for scene, t_s in moments:
            frame = NightDrive(scene).frame(t_s)
            predictor.reset()
            result = predictor.predict(frame.visible, frame.thermal)
            assert result.fused is not None
            assert result.labels is not None
            labels = frame.labels if predictor.is_classical else result.labels
            seen |= set(np.unique(labels).tolist()) - {0}
            painted = paint(result.fused, labels, table, STYLE)
            panels = (grey(ThermalScaler()(frame.thermal)), frame.visible, result.fused, painted)
            rows.append(np.hstack([shrink(panel) for panel in panels]))
    head = np.hstack([title(text) for text in titles])
    return np.vstack([head, *rows, draw_legend(table, head.shape[1], seen)])


def scenes() -> Image:
    """Return visible and thermal images of random scenes."""
    tiles = []
    for seed in SCENES:
        frame = NightDrive(random_scene(seed)).frame(3.0)
        tiles.append(
            np.vstack([shrink(frame.visible), shrink(grey(ThermalScaler()(frame.thermal)))])
        )
    return np.vstack([np.hstack(tiles[:3]), np.hstack(tiles[3:])])


def main() -> int:
    """Write the pictures and say how large they are."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument('--out', type=Path, default=Path('docs/images'))
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in (
        ('overview.jpg', overview(NIGHT)),
        ('day_and_haze.jpg', overview(DAY_AND_HAZE)),
        ('scenes.jpg', scenes()),
    ):
        _, data = cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
        (folder / name).write_bytes(data.tobytes())
        print(f'{folder / name}: {image.shape[1]}x{image.shape[0]}, {len(data) / 1024:.0f} KB')
    return 0


if __name__ == '__main__':
    sys.exit(main())
