"""Pictures: colours against plain indexing, overlay arithmetic, legend and notice."""

from __future__ import annotations

from dataclasses import fields

import cv2
from mafs_model.classes import ClassTable, SemanticClass
from mafs_model.errors import ConfigError
from mafs_model.images.overlay import Annotator, OverlayStyle, paint
from mafs_model.images.visualization import (
    colorize,
    colormap_thermal,
    draw_legend,
    put_notice,
)
import numpy as np
import pytest

RNG = np.random.default_rng(2)
TABLE = ClassTable.load('mfnet')
LABELS = RNG.integers(0, 9, (50, 70), dtype=np.uint8)
FUSED = RNG.integers(0, 256, (50, 70, 3), dtype=np.uint8)


def test_colorize_is_the_palette():
    labels = LABELS.copy()
    labels[0, :3] = (255, 200, 9)
    assert np.array_equal(colorize(labels, TABLE), TABLE.palette[labels])


@pytest.mark.parametrize('opacity', [0.0, 0.3, 0.5, 1.0])
def test_overlay_blends_classes_and_leaves_the_rest(opacity):
    labels = LABELS.copy()
    labels[0, :3] = (255, 200, 0)
    before = FUSED.copy()
    result = paint(FUSED, labels, TABLE, OverlayStyle(opacity))
    color = TABLE.palette[labels].astype(float)
    expected = (1 - opacity) * FUSED + opacity * color
    shown = (labels > 0) & (labels < 9)
    assert np.abs(result[shown] - expected[shown]).max() <= 0.51
    assert np.array_equal(result[~shown], FUSED[~shown])
    assert np.array_equal(before, FUSED)
    assert result is not FUSED


def test_first_class_of_a_table_without_background_is_shown():
    table = ClassTable('own', (SemanticClass(0, 'road', (10, 20, 30)),))
    assert (
        paint(FUSED, np.zeros((50, 70), np.uint8), table, OverlayStyle(1.0)) == (10, 20, 30)
    ).all()


@pytest.mark.parametrize(
    'name', [item.name for item in fields(OverlayStyle) if item.type == 'float']
)
@pytest.mark.parametrize('value', [-0.1, 1.1, float('nan')])
def test_refused_style(name, value):
    with pytest.raises(ConfigError, match=rf'overlay {name} .*: expected 0 to 1'):
        OverlayStyle(**{name: value})


@pytest.mark.parametrize('least', [0.0, 0.2, 0.5, 1.0])
def test_overlay_leaves_out_what_is_doubtful(least):
    confidence = RNG.integers(0, 256, (50, 70), dtype=np.uint8)
    confidence[0] = 255
    labels = np.full((50, 70), 2, np.uint8)
    style = OverlayStyle(1.0, min_confidence=least)
    painted = (paint(FUSED, labels, TABLE, style, confidence) == TABLE.palette[2]).all(-1)
    assert np.array_equal(painted, confidence / 255 >= least)


def test_annotations_lie_over_the_overlay():
    image = np.full((200, 300, 3), 90, np.uint8)
    draw = Annotator(TABLE)
    draw(image, OverlayStyle())
    assert (image == 90).all(), 'neither legend nor notice is asked for'
    legend = draw_legend(TABLE, 300)
    draw(image, OverlayStyle(legend=True))
    assert np.array_equal(image[-len(legend) :], legend)
    assert (image[: -len(legend)] == 90).all()
    draw(image, OverlayStyle(), 'labels are empty')
    assert image[:10].mean() < 60
    small = np.full((10, 64, 3), 90, np.uint8)
    draw(small, OverlayStyle(legend=True))
    assert np.array_equal(small, draw_legend(TABLE, 64)[:10]), 'cut where the image ends'


def test_thermal_colours_get_brighter_with_temperature():
    colors = colormap_thermal(np.arange(256, dtype=np.uint8)[None])[0]
    luma = cv2.cvtColor(colors[None], cv2.COLOR_RGB2GRAY)[0].astype(int)
    assert colors.shape == (256, 3)
    assert (np.diff(luma) >= -1).all()
    assert luma[0] < 5
    assert luma[-1] > 200
    assert colors[128, 0] > colors[128, 2]  # RGB: the middle of inferno is red


def test_legend_shows_each_colour_once_and_wraps():
    wide, narrow = draw_legend(TABLE, 1200), draw_legend(TABLE, 200)
    assert wide.shape[1] == 1200
    assert narrow.shape[0] > wide.shape[0]
    for entry in TABLE.classes[1:]:
        assert (wide == entry.color).all(-1).sum() > 100, entry.name
    assert (wide == TABLE.classes[0].color).all(-1).sum() == 0


def test_legend_of_chosen_classes():
    strip = draw_legend(TABLE, 400, ids={2})
    assert (strip == TABLE.classes[2].color).all(-1).sum() > 100
    assert (strip == TABLE.classes[1].color).all(-1).sum() == 0


@pytest.mark.parametrize('width', [64, 160, 640, 1920])
def test_notice_changes_only_a_bar_at_the_top(width):
    image = np.full((200, width, 3), 200, np.uint8)
    result = put_notice(image, 'no network weights: fusing classically \u2013 labels are empty')
    assert result is image
    assert (image[40:] == 200).all()
    assert image[:10].mean() < 100
    assert image[:40].max() > 200  # the text
