"""The time offset from motion, against known delays."""

from __future__ import annotations

import cv2
from mafs_model.calibration.content_offset import estimate_offset
from mafs_model.calibration.image_motion import COARSE_CELLS, MotionTrack
import numpy as np
import pytest

SIZE = (120, 160)


def film(moments, seed, invert=False):
    """Yield (moment, image): discs on paths that never repeat, over a still background."""
    rng = np.random.default_rng(seed)
    frequency = rng.uniform(0.05, 0.35, (6, 2, 3))
    phase = rng.uniform(0, 6.28, (6, 2, 3))
    background = cv2.GaussianBlur(rng.integers(0, 256, SIZE).astype(np.uint8), (0, 0), 3)
    noise = np.random.default_rng(seed + 1 + invert)
    for t in moments:
        image = background.copy()
        for f, p in zip(frequency, phase, strict=True):
            x, y = (np.sin(6.2832 * f * t + p).sum(axis=1) / 3 + 1) / 2
            centre = round(16 * 160 * x), round(16 * 120 * y)
            cv2.circle(image, centre, 16 * 7, 40 if invert else 220, -1, cv2.LINE_AA, 4)
        if invert:
            image = 255 - image // 2
        yield t, np.clip(image + noise.normal(0, 2, SIZE), 0, 255).astype(np.uint8)


def motion(frames, lag=0.112, cells=(24, 32)):
    track = MotionTrack(lag, cells)
    for moment, image in frames:
        track.add_image(moment, image)
    return track.samples()


def delayed(frames, delay):
    return ((moment + delay, image) for moment, image in frames)


def lossy(moments, share, seed=0):
    moments = np.asarray(moments)
    return moments[np.random.default_rng(seed).random(len(moments)) >= share]


@pytest.fixture(scope='module')
def visible():
    return motion(film(lossy(np.arange(0, 30, 1 / 30), 0.05), 8))


@pytest.mark.parametrize('delay', [0.0, 0.12, -0.37, 0.93])
def test_a_known_delay_at_9_hz_against_30_with_lost_frames(visible, delay):
    moments = lossy(np.arange(0.03, 30, 1 / 9), 0.08, seed=3)
    found = estimate_offset(visible, motion(delayed(film(moments, 8, True), delay)))
    assert found.doubt is None
    assert found.offset_s == pytest.approx(-delay, abs=0.005)
    assert found.interval_s < 0.03


def test_the_faster_stream_may_be_the_thermal_one():
    slow = motion(film(np.arange(0, 20, 1 / 10), 5), lag=0.1)
    fast = motion(delayed(film(np.arange(0, 20, 1 / 30), 5, True), 0.2), lag=0.1)
    found = estimate_offset(slow, fast)
    assert found.doubt is None
    assert found.offset_s == pytest.approx(-0.2, abs=0.006)


def test_coarse_cells_tell_the_same_less_sharply(visible):
    frames = list(film(np.arange(0, 30, 1 / 30), 8))
    thermal = delayed(film(np.arange(0, 30, 1 / 9), 8, True), 0.4)
    found = estimate_offset(
        motion(frames, cells=COARSE_CELLS), motion(thermal, cells=COARSE_CELLS)
    )
    assert found.offset_s == pytest.approx(-0.4, abs=0.03)


def test_a_still_scene_is_not_enough_motion(visible):
    noise = np.random.default_rng(0)
    still = np.full(SIZE, 90.0)
    frames = (
        (t, (still + noise.normal(0, 2, SIZE)).astype(np.uint8)) for t in np.arange(0, 30, 1 / 9)
    )
    assert 'not enough motion' in estimate_offset(visible, motion(frames)).doubt


def test_another_scene_gives_no_result(visible):
    found = estimate_offset(visible, motion(film(np.arange(0, 30, 1 / 9), 77, True)))
    assert found.doubt is not None


def test_motion_that_repeats_itself_is_ambiguous():
    def pendulum(moments):
        for t in moments:
            image = np.full(SIZE, 60, np.uint8)
            x = round(16 * (80 + 50 * np.sin(6.2832 * t / 0.8)))
            cv2.circle(image, (x, 16 * 60), 16 * 9, 200, -1, cv2.LINE_AA, 4)
            yield t, image

    found = estimate_offset(
        motion(pendulum(np.arange(0, 20, 1 / 30))), motion(pendulum(np.arange(0, 20, 1 / 9)))
    )
    assert found.doubt is not None


def test_too_short_or_apart_is_none(visible):
    assert estimate_offset(visible, motion(film(np.arange(0, 2, 1 / 9), 8))) is None
    assert estimate_offset(visible, motion([])) is None
    apart = estimate_offset(visible, motion(delayed(film(np.arange(0, 20, 1 / 9), 8), 500.0)))
    assert apart is None


def test_old_repeated_and_late_frames_are_ignored():
    track = MotionTrack(0.1)
    image = np.zeros(SIZE, np.uint8)
    for moment in (0.0, 0.1, 0.1, 0.05, 0.2, 5.0):
        track.add_image(moment, image)
    assert np.all(np.diff(track.samples().times_s) > 0)
    assert len(track) == 2  # nothing is compared over the gap


def test_the_window_bounds_what_is_kept():
    track = MotionTrack(0.1, window_s=2.0)
    image = np.zeros(SIZE, np.uint8)
    for moment in np.arange(0, 10, 0.1):
        track.add_image(moment, image)
    assert len(track) <= 22
