"""Images that show nothing: told apart from every scene, and treated as if they were not there."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
from mafs_model.cli import main
from mafs_model.images.cameras import CameraProfile
from mafs_model.images.dead import FrozenCamera, FrozenFrames, why_dead, why_visible_dead
from mafs_model.images.image_files import write_png
from mafs_model.predictor import Predictor
import numpy as np
import pytest

RNG = np.random.default_rng(3)
DATA = Path(os.environ.get('MAFS_SHARED_DATA', '/nowhere'))


def scene(dtype=np.uint8, low=40.0, high=200.0, size=(96, 128)):
    noise = cv2.GaussianBlur(RNG.random(size, np.float32), (0, 0), 5)
    image = low + (high - low) * cv2.normalize(noise, None, 0, 1, cv2.NORM_MINMAX)
    return (image + RNG.normal(0, 0.01 * (high - low), size)).astype(dtype)


def visible_scene():
    return np.dstack([scene() for _ in range(3)])


def faint_noise(dtype, middle, sigma):
    return (middle + RNG.normal(0, sigma, (96, 128))).astype(dtype)


DEAD = {
    'black': (np.zeros((96, 128), np.uint8), 'saturated'),
    'white': (np.full((96, 128), 255, np.uint8), 'saturated'),
    'grey': (np.full((96, 128), 128, np.uint8), 'constant'),
    'black counts': (np.zeros((96, 128), np.uint16), 'saturated'),
    'full counts': (np.full((96, 128), 65535, np.uint16), 'saturated'),
    'shutter': (np.full((96, 128), 29_315, np.uint16), 'constant'),
    'degrees': (np.full((96, 128), 21.5, np.float32), 'constant'),
    'half of it black, half white': (
        np.where(np.arange(96)[:, None] < 50, 0, 255).repeat(128, 1).astype(np.uint8),
        'saturated',
    ),
    'noise of 8 bit': (faint_noise(np.uint8, 90, 1.2), 'no texture'),
    'noise of counts': (faint_noise(np.uint16, 29_000, 9), 'no texture'),
    'noise of degrees': (faint_noise(np.float32, 21, 0.06), 'no texture'),
}


@pytest.mark.parametrize('name', DEAD)
def test_dead_thermal_images(name):
    image, reason = DEAD[name]
    assert reason in str(why_dead(image))


def test_a_logo_does_not_bring_it_to_life():
    image = np.zeros((480, 640), np.uint8)
    image[:20, :100] = 200
    assert 'saturated' in str(why_dead(image))


@pytest.mark.parametrize(
    'image',
    [
        scene(),
        scene(np.uint8, 90, 112),
        scene(np.uint8, 100, 106),
        scene(np.uint16, 29_000, 29_060),
        scene(np.uint16, 29_000, 31_000),
        scene(np.float32, 20.0, 20.5),
        np.where(scene() > 150, 255, 0).astype(np.uint8) // 2 + scene() // 4,
        RNG.integers(0, 256, (96, 128), dtype=np.uint8),
        np.full((96, 128), np.nan, np.float32),
    ],
    ids=lambda image: f'{image.dtype}',
)
def test_living_thermal_images(image):
    assert why_dead(image) is None


def test_visible_images():
    assert 'saturated' in str(why_visible_dead(np.full((96, 128, 3), 255, np.uint8)))
    assert 'constant' in str(why_visible_dead(np.full((96, 128, 3), (90, 120, 60), np.uint8)))
    for alive in (
        visible_scene(),
        np.zeros((96, 128, 3), np.uint8),
        RNG.integers(0, 9, (96, 128, 3), dtype=np.uint8),
        visible_scene() // 20,
    ):
        assert why_visible_dead(alive) is None


@pytest.mark.skipif(not DATA.is_dir(), reason='MAFS_SHARED_DATA is not set')
def test_no_real_image_is_dead():
    for folder in ('msrs/val', 'roadscene/val', 'm3svd/val'):
        for path in sorted((DATA / folder / 'ir').iterdir()):
            assert why_dead(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)) is None, path
        for path in sorted((DATA / folder / 'vi').iterdir()):
            assert why_visible_dead(cv2.imread(str(path), cv2.IMREAD_COLOR)) is None, path


@pytest.fixture(scope='module')
def predictor(small_weights):
    with Predictor.create(small_weights, device='cpu', backend='torch') as predictor:
        yield predictor


@pytest.mark.parametrize('name', DEAD)
def test_a_dead_thermal_camera_costs_nothing(predictor, name):
    visible = visible_scene()
    alone = predictor.predict(visible, None)
    result = predictor.predict(visible, DEAD[name][0])
    assert result.mode == 'visible_only'
    assert np.array_equal(result.fused, alone.fused)
    assert np.array_equal(result.labels, alone.labels)
    assert result.notices[0].startswith('thermal image ')
    assert result.notices[0].endswith('; the visible one alone is used')


def test_a_dead_visible_camera_costs_nothing(predictor):
    thermal = scene()
    predictor.predict(visible_scene(), thermal)
    result = predictor.predict(np.full((96, 128, 3), 255, np.uint8), thermal)
    assert result.mode == 'thermal_only'
    assert np.array_equal(result.fused, predictor.predict(None, thermal).fused)
    night = predictor.predict(np.zeros((96, 128, 3), np.uint8), thermal)
    assert night.mode == 'fusion'
    assert night.notices == ()


def test_with_both_dead_there_is_still_an_answer(predictor):
    result = predictor.predict(np.full((96, 128, 3), 9, np.uint8) * 20, DEAD['grey'][0])
    assert result.mode == 'fusion'
    assert len(result.notices) == 2


@pytest.mark.parametrize('shape', [(96, 128), (96, 128, 3)])
def test_frozen_frames(shape):
    frozen = FrozenFrames()
    images = [RNG.integers(0, 256, shape, dtype=np.uint8) for _ in range(2)]
    assert frozen.age_s(images[0], 10.0) == 0.0
    assert frozen.age_s(images[0], 10.1) == pytest.approx(0.1)
    assert frozen.age_s(images[0].copy(), 13.0) == pytest.approx(3.0)
    assert frozen.repeats == 2
    assert frozen.age_s(images[1], 13.1) == 0.0
    assert frozen.repeats == 0
    noisy = images[1].astype(int) + RNG.integers(-1, 2, shape)
    assert frozen.age_s(noisy.clip(0, 255).astype(np.uint8), 13.2) == 0.0
    frozen.age_s(images[0], 20.0)
    frozen.reset()
    assert frozen.age_s(images[0], 21.0) == 0.0
    assert frozen.age_s(images[0].astype(np.uint16), 22.0) == 0.0


def test_a_camera_is_frozen_while_the_other_one_moves():
    still, moving = scene(), [visible_scene() for _ in range(40)]
    watch = FrozenCamera(after_s=1.0)
    told = [watch.check(image, still, 0.1 * i) for i, image in enumerate(moving)]
    assert told[:11] == [None] * 11
    assert told[12:] == ['thermal'] * 28
    assert watch.age_s['thermal'] == pytest.approx(3.9)
    assert watch.check(moving[0], scene(), 4.0) is None
    swapped = FrozenCamera(after_s=1.0)
    told = [swapped.check(moving[0], scene(), 0.1 * i) for i in range(20)]
    assert told[-1] == 'visible'


def test_a_robot_at_rest_before_a_still_scene_has_no_frozen_camera():
    watch, thermal, visible = FrozenCamera(after_s=1.0), scene(), visible_scene()
    assert [watch.check(visible, thermal, 0.5 * i) for i in range(20)] == [None] * 20


def test_a_shutter_is_told_from_the_pace_of_the_camera_and_from_a_camera_that_hangs():
    moving = [visible_scene() for _ in range(20)]
    nine_hz = [scene() for _ in range(7)]
    watch = FrozenCamera(after_s=1.0, still_s=0.25)
    for i in range(20):  # 9 Hz sent as 27
        watch.check(moving[i], nine_hz[i // 3], i / 27)
        assert not watch.shutter
    watch.reset()
    told = []
    for i in range(20):
        frozen = watch.check(moving[i], nine_hz[0], 0.1 * i)
        told.append('frozen' if frozen else watch.shutter)
    assert told == [False] * 3 + [True] * 8 + ['frozen'] * 9
    assert not FrozenCamera(1.0).shutter


@pytest.mark.parametrize(
    ('shutter_s', 'rate_hz', 'still_s', 'frozen_s'),
    [(1.0, 0.0, 0.25, 3.0), (0.5, 60.0, 0.25, 3.0), (2.0, 5.0, 0.5, 6.0), (0.0, 9.0, None, 3.0)],
)
def test_limits_come_from_the_camera(shutter_s, rate_hz, still_s, frozen_s):
    camera = CameraProfile('mine', shutter_s=shutter_s, rate_hz=rate_hz)
    assert (camera.still_after_s, camera.frozen_after_s) == (still_s, frozen_s)


def test_mafs_fuse_names_the_pair(tmp_path, capsys):
    for name, thermal in (('good', scene()), ('dead', DEAD['grey'][0])):
        write_png(tmp_path / 'vi' / f'{name}.png', visible_scene())
        write_png(tmp_path / 'ir' / f'{name}.png', thermal)
    out = tmp_path / 'out'
    assert main(['fuse', str(tmp_path), '--out', str(out), '--weights', 'classical']) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith('pair')]
    (line,) = lines
    assert line.startswith("pair 'dead': thermal image is constant: nearly all pixels are 128; ")
