"""The watch over registration tells shifts, turns, and when it cannot tell."""

from __future__ import annotations

import cv2
from mafs_model.calibration.registration_monitor import MIN_PAIRS, RegistrationMonitor
import numpy as np
import pytest


def state_of(pairs, change=lambda image: image, outside=None):
    monitor = RegistrationMonitor()
    for visible, thermal in pairs:
        monitor.add_pair(visible, np.ascontiguousarray(change(thermal)), outside)
    return monitor.state()


def shifted(x, y):
    matrix = np.float32([[1, 0, x], [0, 1, y]])
    return lambda image: cv2.warpAffine(
        image, matrix, image.shape[::-1], borderMode=cv2.BORDER_REFLECT
    )


def test_nothing_is_said_of_too_few_pairs(scenes):
    assert state_of(scenes[: MIN_PAIRS - 1]) is None


def test_registered_images_lie_on_each_other(scenes):
    state = state_of(scenes)
    assert state.off_px < 1
    assert state.agreement > 0.3
    assert state.sentence() == 'thermal and visible image lie on each other'


@pytest.mark.parametrize(
    ('x', 'y', 'words'),
    [
        (12, 0, '12 px to the right'),
        (-9, 0, '9 px to the left'),
        (0, 7, '7 px down'),
        (0, -30, '30 px up'),
    ],
)
def test_a_shift_is_told_with_its_direction(scenes, x, y, words):
    state = state_of(scenes, shifted(x, y))
    assert state.shift_px == pytest.approx((x, y), abs=1.0)
    assert words.split(' px ')[1] in state.sentence()
    assert 'about' in state.sentence()


@pytest.mark.parametrize(
    ('turn', 'words'),
    [
        (lambda image: image[:, ::-1], 'mirrored left to right'),
        (lambda image: image[::-1], 'mirrored top to bottom'),
        (lambda image: image[::-1, ::-1], 'rotated by 180 degrees'),
    ],
)
def test_a_turned_image_is_named(scenes, turn, words):
    state = state_of(scenes, turn)
    assert state.turned == words
    assert state.sentence() == f'the thermal image is {words}'


def test_unrelated_images_cannot_be_judged(scenes):
    visible, thermal = zip(*scenes, strict=True)
    state = state_of(list(zip(visible, thermal[1:] + thermal[:1], strict=True)))
    assert state.shift_px is None
    assert state.off_px is None
    assert 'cannot be judged' in state.sentence()


def test_what_the_thermal_camera_does_not_see_is_left_out(scenes):
    outside = np.zeros((240, 320), np.uint8)
    outside[:, :120] = 255

    def replaced(image):
        image = shifted(8, 0)(image)
        image[:, :120] = 0
        return image

    state = state_of(scenes, replaced, outside)
    assert state.shift_px == pytest.approx((8, 0), abs=1.0)


def test_another_size_starts_anew(scenes):
    monitor = RegistrationMonitor()
    for visible, thermal in scenes:
        monitor.add_pair(visible, thermal)
    monitor.add_pair(visible[:200], thermal[:200])
    assert monitor.state() is None
