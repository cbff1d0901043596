from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

HERE = Path(__file__).resolve().parent


def draw_scene(rng, size=(240, 320), shapes=40):
    """Return one scene as both cameras see it: the same outlines, unrelated brightness."""
    height, width = size
    visible = np.full(size, rng.integers(60, 180), np.uint8)
    thermal = np.full(size, rng.integers(60, 180), np.uint8)
    for _ in range(shapes):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        a, b = (int(v) for v in rng.integers(6, 40, 2))
        angle = float(rng.uniform(0, 180))
        kind = rng.integers(0, 2)
        for image in (visible, thermal):
            value = int(rng.integers(0, 256))
            if kind:
                cv2.ellipse(image, ((x, y), (a, b), angle), value, -1, cv2.LINE_AA)
            else:
                corners = cv2.boxPoints(((x, y), (a, b), angle)).astype(np.int32)
                cv2.fillPoly(image, [corners], value, cv2.LINE_AA)
    noise = rng.normal(0, 3, (2, *size))
    return tuple(
        np.clip(image + n, 0, 255).astype(np.uint8)
        for image, n in zip((visible, thermal), noise, strict=True)
    )


@pytest.fixture(scope='session')
def scenes():
    """Eight pairs of different drawn scenes."""
    rng = np.random.default_rng(4)
    return [draw_scene(rng) for _ in range(8)]


@pytest.fixture
def few_scales(monkeypatch):
    """Search only around equal scales: the whole search takes seconds."""
    from mafs_calibration import coarse_search

    monkeypatch.setattr(coarse_search, 'SCALES', np.exp(np.arange(-0.24, 0.25, 0.08)))


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """Folder with real recordings; the test is skipped where it is absent."""
    folder = Path(os.environ.get('MAFS_SHARED_DATA', HERE.parents[1].parent / 'shared'))
    if not (folder / 'data' / 'calibration').is_dir():
        pytest.skip('no real data: set MAFS_SHARED_DATA or place it in ../shared')
    return folder / 'data'
