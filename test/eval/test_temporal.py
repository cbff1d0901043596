"""Flicker: change of the fused image against that of its sources, independent of the module."""

from __future__ import annotations

from itertools import pairwise

from mafs_model.errors import ImageError
from mafs_training.metrics.temporal import flicker_scores, Frame, frame_change
import numpy as np
import pytest


def flat(fused, thermal, visible, shape=(8, 10)):
    return Frame(*(np.full(shape, v, np.uint8) for v in (fused, thermal, visible)))


def changes_of(frames):
    return [frame_change(a, b) for a, b in pairwise(frames)]


def sequence(count=5, shape=(24, 30), seed=2):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (2, *shape), dtype=np.uint8) for _ in range(count)]


def test_by_hand():
    # Thermal changes by 2 and 4, visible by 10 and 0, fused by 6 and 8.
    frames = [flat(100, 50, 20), flat(106, 52, 30), flat(98, 48, 30)]
    scores = flicker_scores(changes_of(frames))
    value = {name: interval.value for name, interval in scores.items()}
    assert value['TD'] == 7.0
    assert (value['TD_thermal'], value['TD_visible']) == (3.0, 5.0)
    assert value['ratio_max'] == pytest.approx(7 / 5)
    assert value['ratio_mean'] == pytest.approx(7 / 4)
    # The larger change per pixel is 10, then 4; beyond it the fused image changes by 0 and 4.
    assert value['ratio_pixel'] == pytest.approx(14 / 14)
    assert value['excess'] == pytest.approx(4 / 14)
    assert value['ratio_level'] == pytest.approx(14 / 10)
    assert value['still'] == 0.0
    assert np.isnan(value['ratio_still'])
    assert scores['TD'].low == 6.0
    assert scores['TD'].high == 8.0


@pytest.mark.parametrize('rule', [np.maximum, np.minimum, lambda a, b: a // 2 + b // 2 + 1])
def test_what_cannot_flicker_has_no_excess(rule):
    # Maximum and minimum change by no more than the larger change of their arguments.
    frames = [Frame(np.asarray(rule(t, v), np.uint8), t, v) for t, v in sequence()]
    value = {n: i.value for n, i in flicker_scores(changes_of(frames)).items()}
    assert value['excess'] < 0.01
    assert value['ratio_pixel'] <= 1.0


def test_a_copy_has_ratio_one_and_flicker_is_seen():
    pairs = sequence()
    copies = flicker_scores(changes_of([Frame(v, t, v) for t, v in pairs]))
    assert copies['TD'].value == copies['TD_visible'].value
    assert copies['excess'].value == 0.0
    # A still scene whose fused image is brighter in every second frame.
    t, v = pairs[0] // 2
    blinking = [Frame(v + np.uint8(9 * (i % 2)), t, v) for i in range(4)]
    scores = flicker_scores(changes_of(blinking))
    assert scores['TD'].value == 9.0
    assert scores['excess'].value == 1.0
    assert scores['still'].value == 1.0
    assert np.isnan(scores['ratio_max'].value)  # the sources do not move at all
    assert np.isnan(scores['ratio_still'].value)


def test_agrees_with_direct_loops():
    rng = np.random.default_rng(6)
    frames = [Frame(*rng.integers(0, 9, (3, 6, 7), dtype=np.uint8)) for _ in range(4)]
    sums = dict.fromkeys(('f', 't', 'v', 'larger', 'beyond', 'still', 'fs', 'ss'), 0.0)
    for a, b in pairwise(frames):
        for y in range(6):
            for x in range(7):
                f, t, v = (
                    abs(int(getattr(b, n)[y, x]) - int(getattr(a, n)[y, x]))
                    for n in ('fused', 'thermal', 'visible')
                )
                sums['f'] += f
                sums['t'] += t
                sums['v'] += v
                sums['larger'] += max(t, v)
                sums['beyond'] += max(0, f - max(t, v))
                if max(t, v) <= 2:
                    sums['still'] += 1
                    sums['fs'] += f
                    sums['ss'] += max(t, v)
    value = {n: i.value for n, i in flicker_scores(changes_of(frames)).items()}
    assert value['TD'] == pytest.approx(sums['f'] / (3 * 42))
    assert value['ratio_max'] == pytest.approx(sums['f'] / max(sums['t'], sums['v']))
    assert value['ratio_mean'] == pytest.approx(2 * sums['f'] / (sums['t'] + sums['v']))
    assert value['ratio_pixel'] == pytest.approx(sums['f'] / sums['larger'])
    assert value['excess'] == pytest.approx(sums['beyond'] / sums['f'])
    assert value['still'] == pytest.approx(sums['still'] / (3 * 42))
    assert value['ratio_still'] == pytest.approx(sums['fs'] / sums['ss'])


def test_frames_must_fit():
    with pytest.raises(ImageError, match='images of one size'):
        frame_change(flat(1, 2, 3), flat(1, 2, 3, (8, 9)))
    with pytest.raises(ImageError, match='at least two frames'):
        flicker_scores([])
