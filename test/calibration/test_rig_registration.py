"""Registration by cameras and distance, against points projected one by one."""

from __future__ import annotations

from dataclasses import replace

import cv2
from mafs_model.calibration.calibration import Calibration
from mafs_model.calibration.cameras import Camera, Extrinsics
from mafs_model.calibration.rig_registration import (
    create_registration,
    load_registration,
    plane_homography,
    RigRegistration,
)
from mafs_model.errors import ConfigError, ImageError
from mafs_model.images.registration import Registration
import numpy as np
import pytest

THERMAL, VISIBLE = (256, 320), (480, 640)
TURN = cv2.Rodrigues(np.array([0.02, -0.03, 0.01]))[0]
RIG = Calibration(
    THERMAL,
    VISIBLE,
    Camera(THERMAL, np.array([[300.0, 0, 158], [0, 301, 130], [0, 0, 1]]),
           np.array([-0.35, 0.12, 0.001, -0.0005, 0.0])),
    Camera(VISIBLE, np.array([[520.0, 0, 322], [0, 519, 236], [0, 0, 1]]),
           np.array([0.08, -0.12, 0.0, 0.0, 0.0])),
    Extrinsics(TURN, np.array([-0.06, 0.01, 0.02])),
)  # fmt: skip


def project(camera, points):
    pixels, _ = cv2.projectPoints(
        points, np.zeros(3), np.zeros(3), camera.matrix, camera.distortion
    )
    return pixels.reshape(-1, 2)


@pytest.mark.parametrize('distance', [1.0, 4.0, 50.0])
def test_maps_lead_to_where_the_thermal_camera_sees_the_same_point(distance):
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.uniform(-0.35, 0.35, (200, 2)), np.ones(200)]) * distance
    seen = project(RIG.visible, points)
    warm = project(RIG.thermal, (points - RIG.extrinsics.translation_m) @ TURN)
    maps = RigRegistration(RIG, distance)._lookup(THERMAL, VISIBLE, VISIBLE).points()
    inside = (seen >= 1).all(axis=1) & (seen < [638, 478]).all(axis=1)
    found = cv2.remap(maps, seen[inside, None].astype(np.float32), None, cv2.INTER_LINEAR)[:, 0]
    assert inside.sum() > 100
    assert np.abs(found - warm[inside]).max() < 0.08


def test_the_plane_matters_near_by():
    near, far = (RigRegistration(RIG, d)._lookup(THERMAL, VISIBLE, VISIBLE) for d in (1.0, 100.0))
    shift = near.points()[240, 320] - far.points()[240, 320]
    assert abs(shift[0]) == pytest.approx(0.06 * 300, rel=0.1)  # baseline * focal length / 1 m


def test_other_sizes_of_the_same_proportions_are_rescaled():
    maps = RigRegistration(RIG, 5.0)._lookup(THERMAL, VISIBLE, VISIBLE).points()
    half = RigRegistration(RIG, 5.0)._lookup((512, 640), (240, 320), (240, 320)).points()
    middle = maps.reshape(240, 2, 320, 2, 2).mean(axis=(1, 3))
    expected = (middle + 0.5) * 2 - 0.5
    assert np.abs(half - expected)[20:-20, 20:-20].max() < 0.15


@pytest.mark.parametrize(
    ('thermal', 'visible', 'words'),
    [
        ((240, 320), VISIBLE, r'thermal image is 320x240, but its calibration .* 320x256'),
        (THERMAL, (720, 1280), r'visible image is 1280x720, but its calibration .* 640x480'),
        ((320, 256), VISIBLE, 'thermal image is 256x320'),
    ],
)
@pytest.mark.parametrize('kind', ['cameras', 'homography'])
def test_other_proportions_are_refused(kind, thermal, visible, words):
    registration = RigRegistration(RIG, 5.0)
    if kind == 'homography':
        registration = Registration(np.eye(3), thermal_size=THERMAL, visible_size=VISIBLE)
    with pytest.raises(ImageError, match=words):
        registration.warp(np.zeros(thermal, np.uint8), visible)


def test_rounded_sizes_of_small_cameras_are_no_other_proportions():
    registration = Registration(np.eye(3), thermal_size=(62, 80))
    registration.matrix((31, 40), (480, 640))
    registration.matrix((61, 80), (480, 640))


def test_without_lenses_the_maps_are_the_homography():
    plain = replace(
        RIG,
        thermal=Camera(THERMAL, RIG.thermal.matrix, np.zeros(5)),
        visible=Camera(VISIBLE, RIG.visible.matrix, np.zeros(5)),
    )
    registration = RigRegistration(plain, 3.0)
    by_matrix = Registration(registration.matrix(THERMAL, VISIBLE))
    image = np.random.default_rng(1).integers(0, 256, THERMAL).astype(np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 3)
    difference = cv2.absdiff(registration.warp(image, VISIBLE), by_matrix.warp(image, VISIBLE))
    assert difference.max() <= 2
    assert plane_homography(plain, 3.0) == pytest.approx(
        by_matrix.homography / by_matrix.homography[2, 2], rel=1e-2, abs=0.5
    )


def test_choice_by_what_the_file_holds():
    both = replace(RIG, homography=np.diag([2.0, 1.9, 1.0]))
    assert isinstance(create_registration(both, 2.0), RigRegistration)
    assert not isinstance(create_registration(both), RigRegistration)
    assert isinstance(create_registration(RIG), RigRegistration)
    bare = Calibration(THERMAL, VISIBLE)
    assert create_registration(bare).is_identity
    with pytest.raises(ConfigError, match='no extrinsics'):
        create_registration(bare, 2.0)
    with pytest.raises(ConfigError, match='no extrinsics'):
        RigRegistration(bare)
    for distance in (0.0, -1.0, float('nan'), True):
        with pytest.raises(ConfigError, match=r'at least 0\.1 m'):
            RigRegistration(RIG, distance)


def test_what_is_behind_or_far_outside_is_outside():
    turned = replace(
        RIG, extrinsics=Extrinsics(cv2.Rodrigues(np.array([0, 3.1, 0.0]))[0], np.zeros(3))
    )
    assert (RigRegistration(turned, 5.0).coverage(THERMAL, VISIBLE) == 255).all()
    aside = replace(
        RIG, extrinsics=Extrinsics(cv2.Rodrigues(np.array([0, 1.2, 0.0]))[0], np.zeros(3))
    )
    assert (RigRegistration(aside, 5.0).coverage(THERMAL, VISIBLE) == 255).all()


def test_a_file_is_taken_for_what_it_is(tmp_path):
    calibration, plain = tmp_path / 'rig.yaml', tmp_path / 'plain.yaml'
    RIG.save(calibration)
    Registration(np.diag([2.0, 2.0, 1.0])).save(plain)
    assert isinstance(load_registration(calibration, 3.0), RigRegistration)
    assert load_registration(plain).homography[0, 0] == 2.0
    with pytest.raises(ConfigError, match='knows no distances'):
        load_registration(plain, 3.0)
    with pytest.raises(ConfigError, match=r'none\.yaml.*no such file'):
        load_registration(tmp_path / 'none.yaml')
    replace(RIG, extrinsics=None).save(calibration)
    with pytest.raises(ConfigError, match=r'rig\.yaml.*no extrinsics'):
        load_registration(calibration, 3.0)
