"""Registration from scenes: a known rig is found, and what is none is refused."""

from __future__ import annotations

from dataclasses import replace
import re

import cv2
from mafs_calibration import scene
from mafs_calibration.scene import estimate, MAX_SPREAD, register
from mafs_model.calibration.structure import agreement, live_area, structure
from mafs_model.errors import CalibrationError
import numpy as np
import pytest

RIG = np.array([[0.88, -0.03, 30.0], [0.03, 0.89, 8.0], [1e-5, -2e-5, 1.0]])


def seen_by(rig, thermal, size=(240, 320), border=cv2.BORDER_REFLECT):
    inverse = np.linalg.inv(rig)
    return [cv2.warpPerspective(t, inverse, size[::-1], borderMode=border) for t in thermal]


def mean_error(truth, found, size=(240, 320)):
    y, x = np.mgrid[0 : size[0] : 16, 0 : size[1] : 16]
    thermal = np.stack([x, y], -1).reshape(1, -1, 2).astype(float)
    off = cv2.perspectiveTransform(thermal, truth) - cv2.perspectiveTransform(thermal, found)
    return float(np.linalg.norm(off, axis=-1).mean())


def test_a_known_rig_is_found_to_a_pixel(scenes, few_scales):
    visible, thermal = zip(*scenes, strict=True)
    found = register(visible, seen_by(RIG, thermal))
    assert mean_error(RIG, found.homography) < 1.0
    assert found.is_sure
    assert found.margin > 5
    assert found.spread < 2 / 320
    # Each score alone is reason enough to refuse.
    for change, reason in (
        ({'agreement': 0.1}, r'agree by 0\.10, expected 0\.13'),
        ({'margin': 3.9}, r'by 3\.9 standard errors, expected 4: .*a robot that stands'),
        ({'spread': 0.02}, r'2\.0% of the image width away, expected at most 1\.2%'),
    ):
        doubtful = replace(found, **change)
        assert not doubtful.is_sure
        assert re.search(reason, doubtful.doubt)


def test_a_camera_that_moved_between_the_pairs_is_refused(scenes, few_scales):
    visible, thermal = zip(*scenes, strict=True)
    moved = np.array([[1, 0, 12.0], [0, 1, 0], [0, 0, 1]])
    seen = list(thermal)
    seen[1::2] = seen_by(moved, thermal[1::2])
    found = estimate(visible, seen)
    assert found.spread > MAX_SPREAD
    assert not found.is_sure


def test_a_dead_border_and_a_burnt_in_text_do_not_pull_it_away(scenes, few_scales):
    visible, thermal = zip(*scenes, strict=True)
    seen = seen_by(RIG, thermal, border=cv2.BORDER_CONSTANT)
    for image in seen:
        cv2.putText(image, '23.4 C  10:24', (8, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 255, 2)
    assert mean_error(RIG, register(visible, seen).homography) < 1.5


def test_a_smaller_thermal_image_is_registered_in_its_own_pixels(scenes, few_scales):
    visible, thermal = zip(*scenes, strict=True)
    small = [cv2.resize(t, (160, 120), interpolation=cv2.INTER_AREA) for t in thermal]
    found = register(visible, small)
    corner = cv2.perspectiveTransform(np.array([[[79.5, 59.5]]]), found.homography)
    assert np.abs(corner - [159.5, 119.5]).max() < 1.0


def test_pairs_of_different_moments_are_refused(scenes, few_scales, monkeypatch):
    monkeypatch.setattr(scene, '_TURNS', {})  # each costs seconds
    visible, thermal = zip(*scenes, strict=True)
    with pytest.raises(CalibrationError, match=r'no registration is sure: .*different moments'):
        register(visible, thermal[1:] + thermal[:1])


def test_a_mirrored_image_is_named(scenes, few_scales):
    visible, thermal = zip(*scenes, strict=True)
    mirrored = [np.ascontiguousarray(t[:, ::-1]) for t in thermal]
    with pytest.raises(CalibrationError, match='mirrored left to right'):
        register(visible, mirrored)


def test_images_without_structure_are_refused(few_scales, monkeypatch):
    monkeypatch.setattr(scene, '_TURNS', {})
    flat = [np.full((240, 320), 100 + i, np.uint8) for i in range(8)]
    with pytest.raises(CalibrationError, match=r'no structure|no registration is sure'):
        register(flat, flat)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda images: images[:7], '7 pairs, expected at least 8'),
        (lambda images: [*images[:7], images[7][:200]], 'thermal images have different sizes'),
        (lambda images: [image[:20, :20] for image in images], 'too small'),
    ],
)
def test_unusable_pairs_are_refused(scenes, change, message):
    visible, thermal = (list(images) for images in zip(*scenes, strict=True))
    thermal = change(thermal)
    with pytest.raises(CalibrationError, match=message):
        register(visible[: len(thermal)], thermal)


def test_structure_does_not_depend_on_polarity_or_contrast(scenes):
    image = scenes[0][0]
    same = structure(image)
    assert agreement(same, structure(255 - image)) == pytest.approx(1.0, abs=1e-3)
    assert agreement(same, structure(image // 2 + 30)) > 0.9
    assert abs(agreement(same, structure(scenes[1][0]))) < 0.1


def test_live_area_is_what_changes(scenes):
    images = [t.copy() for _, t in scenes]
    for image in images:
        image[:40] = 17
    live = live_area(images)
    assert not live[:40].any()
    assert live[60:].mean() > 0.95
    assert live_area(images[:1]).all()
    assert live_area([images[0], images[0]]).all()  # a still scene says nothing
