"""Synthetic drives: the same everywhere, exact labels, warm people, any size."""

from __future__ import annotations

import hashlib
import subprocess
import sys

from mafs_model.errors import ConfigError
from mafs_synthetic import CLASS_IDS, NightDrive, random_scene, SceneConfig
from mafs_synthetic.canvas import Canvas
from mafs_synthetic.car_models import CarModel
from mafs_synthetic.figures import Figure
from mafs_synthetic.geometry import Camera, Road
from mafs_synthetic.lighting import Lighting
from mafs_synthetic.sprite import Shade
from mafs_synthetic.vehicles import paint_car
import numpy as np
import pytest

SMALL = {'width': 160, 'height': 120}


def _digest(seed: int, t_s: float) -> str:
    frame = NightDrive(SceneConfig(seed=seed, **SMALL)).frame(t_s)
    parts = (frame.visible, frame.thermal, frame.labels)
    return hashlib.sha256(b''.join(part.tobytes() for part in parts)).hexdigest()


@pytest.fixture(name='drive', scope='module')
def _drive():
    return NightDrive(SceneConfig(seed=1, **SMALL))


class TestDeterminism:
    """A frame depends on configuration and time alone."""

    def test_another_process_renders_the_same(self):
        """Hash seeds and caches of the process do not matter."""
        code = (
            'import hashlib; from mafs_synthetic import *; '
            'f = NightDrive(SceneConfig(seed=3, width=160, height=120)).frame(1.3); '
            'print(hashlib.sha256(f.visible.tobytes() + f.thermal.tobytes() '
            '+ f.labels.tobytes()).hexdigest())'
        )
        done = subprocess.run(
            [sys.executable, '-c', code], capture_output=True, text=True, check=True, timeout=120
        )
        assert done.stdout.strip() == _digest(3, 1.3)

    def test_any_order_gives_the_same_frames(self):
        """Random access equals playing from the start."""
        times = [0.0, 0.4, 0.8, 1.2]
        forward, backward = (NightDrive(SceneConfig(seed=5, **SMALL)) for _ in range(2))
        there = [forward.frame(t) for t in times]
        back = [backward.frame(t) for t in reversed(times)][::-1]
        for a, b in zip(there, back, strict=True):
            np.testing.assert_array_equal(a.visible, b.visible)
            np.testing.assert_array_equal(a.thermal, b.thermal)
            np.testing.assert_array_equal(a.labels, b.labels)

    def test_seeds_differ(self):
        """Another seed is another street."""
        assert _digest(3, 0.0) != _digest(4, 0.0)

    def test_time_passes(self, drive):
        """Successive frames differ by motion, not by noise alone."""
        still = np.abs(drive.frame(1.0).labels.astype(int) - drive.frame(1.0).labels)
        moved = drive.frame(1.0).labels != drive.frame(1.5).labels
        assert still.sum() == 0
        assert moved.mean() > 0.002


class TestContent:
    """What the images show agrees with the labels."""

    def test_types_and_ranges(self, drive):
        """Bytes for the visible camera, centikelvin of an evening for the thermal one."""
        frame = drive.frame(0.7)
        assert frame.visible.shape == (120, 160, 3)
        assert frame.thermal.shape == frame.labels.shape == (120, 160)
        assert (frame.visible.dtype, frame.thermal.dtype, frame.labels.dtype) == (
            np.uint8,
            np.uint16,
            np.uint8,
        )
        assert 24000 < frame.thermal.min() < frame.thermal.max() < 34000
        assert set(np.unique(frame.labels)) <= set(CLASS_IDS.values())

    def test_all_channels_have_light(self, drive):
        """A scalar of OpenCV 4.6 is one of the first channel: pictures were red alone."""
        means = drive.frame(0.7).visible.mean((0, 1))
        assert means.min() > 0.3 * means.max() > 0

    @pytest.mark.parametrize('seed', range(3))
    def test_people_are_warmer_than_around_them(self, seed):
        """At night a person stands out in thermal by kelvins, though dark in the visible image."""
        drive = NightDrive(SceneConfig(seed=seed, width=320, height=240))
        warmer = []
        for t in (0.0, 2.0, 4.0):
            frame = drive.frame(t)
            person = frame.labels == CLASS_IDS['person']
            ground = frame.labels == CLASS_IDS['unlabelled']
            ground[:110] = False  # the sky is cold anyway
            if person.sum() > 30:
                kelvin = frame.thermal / 100
                warmer.append(np.median(kelvin[person]) - np.median(kelvin[ground]))
        assert warmer
        assert min(warmer) > 2.0

    def test_labels_have_sharp_truth(self):
        """Without noise, blur of the optics aside, warmth changes where the label does."""
        config = SceneConfig(seed=1, noise=0.0, width=320, height=240)
        frame = NightDrive(config).frame(0.5)
        person = (frame.labels == CLASS_IDS['person']).astype(np.int16)
        edge = np.abs(np.diff(person, axis=1)).astype(bool)
        step = np.abs(np.diff(frame.thermal.astype(np.float64), axis=1))
        assert step[edge].mean() > 4 * step[~edge].mean()

    def test_classes_of_the_table_occur(self):
        """Every class of MFNet's table is somewhere in a busy street."""
        config = SceneConfig(seed=2, cones=8, cyclists=6, **SMALL)
        drive = NightDrive(config)
        seen = set()
        for t in np.arange(0, 13, 1.0):
            seen |= set(np.unique(drive.frame(float(t)).labels).tolist())
        assert seen == set(CLASS_IDS.values())

    def test_day_is_brighter_than_night(self):
        """Daylight exposes more, and cools the contrast of warm bodies."""
        night, day = (
            NightDrive(SceneConfig(seed=1, daylight=d, **SMALL)).frame(0.0) for d in (0.0, 1.0)
        )
        assert day.visible.mean() > 2 * night.visible.mean()


class TestSilhouettes:
    """A label covers what was painted, no more and no less."""

    def test_a_car_alone(self):
        """Labelled are the pixels that the car covers by half."""
        config = SceneConfig(seed=3)
        camera = Camera(320, 240, Road(0.0, 200.0), 0.0)
        model = CarModel(np.random.default_rng(1), config, running=True)
        light = Lighting(config).at(12.0, 1.75, 0.0)
        cover = []
        for background in (0.0, 1.0):
            canvas = Canvas(320, 240)
            canvas.pixels[..., 3] = background
            paint_car(canvas, camera, model, 12.0, 1.75, 1, light, True)
            cover.append(canvas.pixels[..., 3])
        # Where the background shines through, its temperature does: 1 minus the coverage.
        shadow_free = canvas.labels == CLASS_IDS['car']
        through = cover[1] - cover[0]
        assert shadow_free.sum() > 500
        assert through[shadow_free].max() <= 0.5 + 1e-3
        assert through[~shadow_free].min() >= 0.5 - 1e-3

    def test_a_walker_alone(self):
        """The same for somebody on foot, from every side."""
        figure = Figure(np.random.default_rng(4), SceneConfig())
        for direction in np.arange(0, 6.2, 0.8):
            sprite = figure.pose(0.3, float(direction), cycling=False)
            canvas = Canvas(200, 280)
            canvas.upright(10.0, 4.0, 190.0, 270.0, sprite, Shade(np.ones(3)))
            person = canvas.labels == CLASS_IDS['person']
            assert 2000 < person.sum() < 30000
            assert (canvas.pixels[..., 3][person] > 140).all()  # half of a warm body at least
            assert canvas.pixels[..., 3][~person].max() < 160

    def test_light_does_not_move_labels(self):
        """Rain, lamps and their glare are in the visible image only."""
        base = {'seed': 4, 'width': 320, 'height': 240}
        dark, bright = (
            NightDrive(SceneConfig(**base, **light)).frame(3.0)
            for light in ({'wet': 0.0, 'lamp_power': 0.0}, {'wet': 1.0, 'lamp_power': 1.0})
        )
        np.testing.assert_array_equal(dark.labels, bright.labels)
        assert (np.abs(dark.visible.astype(int) - bright.visible) > 8).mean() > 0.2
        # Only the heads of the lamps are warmer.
        assert (np.abs(dark.thermal.astype(int) - bright.thermal) > 30).mean() < 0.01

    def test_glare_hides_in_the_visible_image_what_is_warm(self):
        """Before headlights the visible image is white; the thermal one still shows the car."""
        frame = NightDrive(SceneConfig(seed=0, width=320, height=240)).frame(4.0)
        car = frame.labels == CLASS_IDS['car']
        white = (frame.visible.min(axis=2) > 240) & car
        assert white.sum() > 100
        assert frame.thermal[white].std() > 100


class TestSizes:
    """Any size, any scene."""

    @pytest.mark.parametrize('size', [(64, 64), (97, 131), (120, 160), (400, 300), (200, 640)])
    def test_size(self, size):
        """Odd, portrait and wide images."""
        height, width = size
        frame = NightDrive(SceneConfig(seed=1, height=height, width=width)).frame(2.0)
        assert frame.labels.shape == (height, width)

    def test_scenes_vary(self):
        """Random scenes are valid, night and day, empty and full."""
        scenes = [random_scene(seed, **SMALL) for seed in range(200)]
        assert 0.5 < np.mean([s.daylight < 0.1 for s in scenes]) < 0.7
        assert len({s.pedestrians for s in scenes}) > 10
        assert random_scene(7) == random_scene(7)

    @pytest.mark.parametrize('seed', [0, 11, 23])
    def test_random_scenes_render(self, seed):
        """Whatever is drawn can be painted."""
        frame = NightDrive(random_scene(seed, **SMALL)).frame(3.3)
        assert frame.visible.std() > 3


class TestErrors:
    """Values out of range are named."""

    @pytest.mark.parametrize(
        ('values', 'message'),
        [
            ({'width': 10}, 'width is 10, expected 64 to 4096'),
            ({'daylight': 1.5}, 'daylight is 1.5, expected 0 to 1'),
            ({'seed': -1}, 'seed is -1, expected 0 or more'),
        ],
    )
    def test_config(self, values, message):
        """A field out of its range."""
        with pytest.raises(ConfigError, match=message):
            SceneConfig(**values)

    @pytest.mark.parametrize('t_s', [-0.1, float('nan'), float('inf')])
    def test_time(self, drive, t_s):
        """A drive starts at 0 and ends never."""
        with pytest.raises(ValueError, match='t_s is'):
            drive.frame(t_s)
