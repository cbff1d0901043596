"""The running time offset, on cameras that are late, slow, lossy, still or of another clock."""

from __future__ import annotations

from functools import cache

import cv2
from mafs_model.calibration import running_offset
from mafs_model.calibration.running_offset import RunningOffset
from mafs_model.images.registration import Registration
import numpy as np
import pytest

SIZE = (60, 80)
STEP_S = 1 / 90  # all moments of all cameras lie on this raster


@cache
def world():
    """Return places of discs on paths that never repeat, and what is behind them."""
    rng = np.random.default_rng(8)
    background = cv2.GaussianBlur(rng.integers(0, 256, SIZE).astype(np.uint8), (0, 0), 3)
    return rng.uniform(0.05, 0.35, (6, 2, 3)), rng.uniform(0, 6.28, (6, 2, 3)), background


@cache
def picture(stream, step, still=False):
    """Return what a camera sees: colour, or 16-bit counts with warm things dark."""
    frequency, phase, background = world()
    image = background.copy()
    moment = 0.0 if still else step * STEP_S
    for f, p in zip(frequency, phase, strict=True):
        x, y = (np.sin(6.2832 * f * moment + p).sum(axis=1) / 3 + 1) / 2
        centre = round(16 * SIZE[1] * x), round(16 * SIZE[0] * y)
        cv2.circle(image, centre, 16 * 4, 230, -1, cv2.LINE_AA, 4)
    noise = np.random.default_rng(2 * step + (stream == 'thermal')).normal(0, 2, SIZE)
    if stream == 'visible':
        return np.clip(image + noise, 0, 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    return (30000 - 8 * (image + noise)).astype(np.uint16)


def play(
    running,
    seconds,
    thermal_hz=30,
    late_s=0.0,
    clock_s=0.0,
    lost=0.0,
    still=False,
    start_s=0.0,
    seed=1,
):
    """Play two cameras; return the moments at which the offset in force changed."""
    rng = np.random.default_rng(seed)
    frames = []
    for stream, hz, late in (('visible', 30, 0.0), ('thermal', thermal_hz, late_s)):
        for moment in np.arange(start_s + 0.02, start_s + seconds, 1 / hz):
            if rng.random() >= lost:
                step = round(moment / STEP_S)
                stamp = step * STEP_S + late + (clock_s if stream == 'thermal' else 0.0)
                frames.append((step * STEP_S + max(late, 0.0), stream, stamp, step))
    changes = []
    for received, stream, stamp, step in sorted(frames):
        if running.add_image(stream, stamp, received, lambda a=(stream, step): picture(*a, still)):
            changes.append(received)
    return changes


@pytest.mark.parametrize('thermal_hz', [10, 15, 30])
def test_a_camera_late_by_120_ms(thermal_hz):
    running = RunningOffset()
    changes = play(running, 15, thermal_hz, late_s=0.12)
    assert running.is_known
    assert running.offset_s == pytest.approx(-0.12, abs=0.008)
    assert changes[0] > running_offset.LEARNING_S
    assert 'measured from motion' in running.sentence()


def test_correct_stamps_of_9_hz_are_left_alone():
    running = RunningOffset()
    assert play(running, 15, 9, lost=0.05) == []
    assert running.is_known
    assert running.offset_s == 0.0


def test_dropped_frames_and_negative_latency():
    running = RunningOffset()
    play(running, 16, 9, late_s=-0.3, lost=0.2)
    assert running.offset_s == pytest.approx(0.3, abs=0.01)


def test_clocks_that_differ_by_seconds_are_brought_together_first():
    running = RunningOffset()
    play(running, 15, 15, late_s=0.1, clock_s=9.0)
    assert running.offset_s == pytest.approx(-9.1, abs=0.01)


def test_no_motion_leaves_the_stamps_and_says_so():
    running = RunningOffset()
    assert play(running, 15, 9, late_s=0.12, still=True) == []
    assert not running.is_known
    assert running.offset_s == 0.0
    assert 'not enough motion' in running.sentence()
    assert 'ambiguous by a period' in running.sentence()


def test_stamps_of_a_very_slow_camera():
    running = RunningOffset()
    play(running, 24, 5, late_s=0.25)
    assert running.offset_s == pytest.approx(-0.25, abs=0.02)


def test_a_known_offset_stays_while_nothing_moves_and_follows_when_it_changes(monkeypatch):
    monkeypatch.setattr(running_offset, 'REST_S', 5.0)
    monkeypatch.setattr(running_offset, 'WINDOW_S', 12.0)
    running = RunningOffset()
    play(running, 14, 15, late_s=0.12)
    play(running, 20, 15, late_s=0.12, still=True, start_s=14)
    assert running.offset_s == pytest.approx(-0.12, abs=0.008)
    play(running, 30, 15, late_s=0.3, start_s=34)
    assert running.offset_s == pytest.approx(-0.3, abs=0.02)
    running.reset()
    assert (running.is_known, running.offset_s) == (False, 0.0)


def test_nothing_is_decoded_while_it_rests_nor_twice_as_often_as_needed():
    running = RunningOffset()
    decoded = []

    def note(image):
        decoded.append(1)
        return image

    for step in range(0, 90 * 60, 3):
        moment, look = step * STEP_S, step % 900  # pictures repeat, which saves drawing them
        for stream in running_offset.STREAMS:
            running.add_image(stream, moment, moment, lambda s=stream, n=look: note(picture(s, n)))
    assert running.is_known
    assert len(decoded) < 0.62 * 2 * 1800


def test_a_registered_image_is_compared_where_it_lies():
    # The thermal image shows the left half of what the visible one does.
    half = np.array([[0.5, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    running = RunningOffset(Registration(half))
    for step in range(0, 90 * 16, 6):
        moment = step * STEP_S
        running.add_image('visible', moment, moment, lambda n=step: picture('visible', n))
        left = picture('thermal', step)[:, : SIZE[1] // 2]
        wide = cv2.resize(left, SIZE[::-1], interpolation=cv2.INTER_LINEAR)
        running.add_image('thermal', moment + 0.12, moment + 0.12, lambda image=wide: image)
    assert running.offset_s == pytest.approx(-0.12, abs=0.01)


def test_one_camera_alone_is_said():
    running = RunningOffset()
    for step in range(0, 90 * 12, 6):
        running.add_image(
            'visible', step * STEP_S, step * STEP_S, lambda n=step: picture('visible', n)
        )
    assert 'one of the cameras does not deliver' in running.sentence()
