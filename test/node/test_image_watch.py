"""Copies that a driver adds, and a thermal image that does not lie on the visible one."""

from __future__ import annotations

import os
from pathlib import Path

from mafs_model.images.image_files import read_visible
from mafs_model.images.palettes import _tables
from mafs_model.images.registration import Registration
from mafs_ros.conversions import Frame
from mafs_ros.image_watch import CopyWatch, RegistrationWatch, SwapWatch
import numpy as np
import pytest
from sensor_msgs.msg import Image

RANDOM = np.random.default_rng(3)


def pictures(count: int) -> list[np.ndarray]:
    return [RANDOM.integers(0, 256, (60, 80), np.uint8) for _ in range(count)]


def test_copies_of_a_slow_camera_are_told() -> None:
    watch = CopyWatch()
    sent = [picture for picture in pictures(20) for _ in range(3)]  # 9 Hz sent as 27
    found = [watch.is_copy('thermal', image, index / 27) for index, image in enumerate(sent)]
    # Once it is known, the first of three goes through and the others do not.
    assert found[12:] == [index % 3 != 0 for index in range(12, 60)]


def test_new_pictures_are_no_copies() -> None:
    watch = CopyWatch()
    assert not any(
        watch.is_copy('thermal', image, index / 30) for index, image in enumerate(pictures(40))
    )


def test_copies_are_told_beside_a_camera_that_goes_on() -> None:
    watch, moving = CopyWatch(), pictures(60)
    sent = [picture for picture in pictures(20) for _ in range(3)]
    found = []
    for index, (visible, thermal) in enumerate(zip(moving, sent, strict=True)):
        assert not watch.is_copy('visible', visible, index / 27)
        found.append(watch.is_copy('thermal', thermal, index / 27))
    assert found[12:] == [index % 3 != 0 for index in range(12, 60)]


@pytest.mark.parametrize('held', [2, 3, 8])
def test_slide_show_in_both_streams_has_no_copies(held: int) -> None:
    watch = CopyWatch()
    sent = [picture for picture in pictures(12) for _ in range(held)]
    for index, image in enumerate(sent):
        assert not watch.is_copy('visible', image, index / 20)
        assert not watch.is_copy('thermal', image.copy(), index / 20)


def test_scene_without_any_change_is_no_copy() -> None:
    watch, image = CopyWatch(), pictures(1)[0]
    assert not any(watch.is_copy('thermal', image.copy(), index / 30) for index in range(60))


def test_camera_that_starts_to_hang_goes_on_being_received() -> None:
    watch = CopyWatch()
    for index, image in enumerate(pictures(30)):
        watch.is_copy('thermal', image, index / 30)
    hung = pictures(1)[0]
    found = [watch.is_copy('thermal', hung.copy(), 1 + index / 30) for index in range(60)]
    assert not any(found[12:]), 'whoever looks for frozen cameras must see it'


def scene(index: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a visible and a thermal picture of the same boxes, others in each call."""
    random = np.random.default_rng(index)
    visible = np.full((240, 320, 3), 90, np.uint8)
    thermal = np.full((240, 320), 29000, np.uint16)
    for _ in range(25):
        x, y = random.integers(10, 270), random.integers(10, 200)
        width, height = random.integers(8, 50, 2)
        visible[y : y + height, x : x + width] = random.integers(0, 256, 3)
        thermal[y : y + height, x : x + width] = random.integers(28500, 31000)
    noise = random.normal(0, 3, visible.shape[:2])
    visible = np.clip(visible + noise[..., None], 0, 255).astype(np.uint8)
    return visible, (thermal + random.normal(0, 5, thermal.shape)).astype(np.uint16)


def watch_pairs(shift: int, looks: int = 12, mirrored: bool = False) -> RegistrationWatch:
    now = [0.0]
    watch = RegistrationWatch(Registration(), clock=lambda: now[0])
    for index in range(looks):
        visible, thermal = scene(index)
        thermal = np.roll(thermal, shift, axis=1)
        watch.look(visible, thermal[:, ::-1] if mirrored else thermal)
        now[0] += 3.1
    return watch


def test_images_that_fit_are_not_mentioned() -> None:
    watch = watch_pairs(0)
    assert not watch.off
    assert watch.sentence == ''


@pytest.mark.parametrize('shift', [16, -16])
def test_shift_is_said_with_direction_and_size(shift: int) -> None:
    watch = watch_pairs(shift)
    assert watch.off
    assert ('to the right' if shift > 0 else 'to the left') in watch.sentence
    assert abs(int(watch.sentence.split('about ')[1].split(' px')[0]) - 16) <= 3


def test_mirrored_image_is_said() -> None:
    assert watch_pairs(0, mirrored=True).sentence == (
        'the thermal image is mirrored left to right'
    )


def test_it_looks_seldom() -> None:
    now = [0.0]
    watch = RegistrationWatch(Registration(), clock=lambda: now[0])
    looked = []
    watch._monitor.add_pair = lambda *images: looked.append(now[0])  # type: ignore[method-assign]
    pair = scene(0)
    for index in range(300):
        now[0] = index / 30
        watch.look(*pair)
    assert len(looked) <= 4


def swapped(pairs) -> bool:
    """Return what is said after looks at pairs of (visible, what the thermal topic carries)."""
    now = [0.0]
    watch = SwapWatch(clock=lambda: now[0])
    for visible, thermal in pairs:
        message = Image(
            height=thermal.shape[0],
            width=thermal.shape[1],
            encoding={2: 'mono8', 3: 'rgb8'}[thermal.ndim],
            step=thermal.strides[0],
            data=thermal.tobytes(),
        )
        watch.look(visible, Frame(message.header, 0, 0.0, message))
        now[0] += 3.1
    return watch.swapped


def grey(image: np.ndarray) -> np.ndarray:
    return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image


def photographs() -> tuple[list[np.ndarray], list[np.ndarray]]:
    visible, thermal = zip(*(scene(index) for index in range(2)), strict=True)
    # A photograph has less colour than boxes of random ones.
    dull = [(0.6 * v.mean(axis=2, keepdims=True) + 0.4 * v).astype(np.uint8) for v in visible]
    return dull, [np.clip((t - 28000.0) / 12, 0, 255).astype(np.uint8) for t in thermal]


@pytest.mark.parametrize('palette', ['', 'inferno', 'hot', 'jet', 'turbo', 'rainbow'])
def test_swapped_cameras_are_known_by_what_they_show(palette: str) -> None:
    visible, thermal = photographs()
    shown = [_tables()[palette][t] if palette else grey(t) for t in thermal]
    assert swapped(zip(shown, visible, strict=True))
    assert not swapped(zip(visible, shown, strict=True)), 'they are right'
    assert not swapped(zip(visible, thermal, strict=True))
    assert not swapped(zip(visible, visible, strict=True)), 'two photographs tell nothing'
    assert not swapped([(shown[0], visible[0])]), 'one look is not enough'


def test_real_cameras_are_told_apart_too() -> None:
    here = Path(__file__).resolve().parents[2]
    shared = Path(os.environ.get('MAFS_SHARED_DATA', here.parent / 'shared')) / 'data'
    if not (shared / 'msrs' / 'val').is_dir():
        pytest.skip('no real images: set MAFS_SHARED_DATA or place them in ../shared')
    seen = 0
    for folder in (shared / 'msrs' / 'val', shared / 'roadscene' / 'val'):
        for path in sorted((folder / 'vi').iterdir())[::9]:
            visible = read_visible(path)
            thermal = read_visible(folder / 'ir' / path.name)
            assert swapped([(thermal, visible)] * 2), path.name
            assert not swapped([(visible, thermal)] * 2), path.name
            seen += 1
    assert seen > 6
