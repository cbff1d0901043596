"""`mafs-calibrate` from a recording to a file, and its answers to what cannot be."""

from __future__ import annotations

import json

import cv2
from mafs_calibration.cli import main
from mafs_calibration.recordings import open_input
from mafs_model.bags.writer import BagWriter
from mafs_model.calibration.calibration import Calibration
from mafs_model.images.image_files import write_png
import numpy as np
import pytest

RIG = np.array([[0.92, 0.02, 10.0], [-0.02, 0.92, 12.0], [0, 0, 1]])
DELAY_S, CLOCK_S = 0.15, 7.0


def world(moment, layers):
    """Return both images of a moment: shapes that drift across a still background."""
    visible, thermal = (np.full((240, 320), v, np.uint8) for v in (110, 70))
    for x, y, size, fx, fy, light, warm in layers:
        place = round(x + 90 * np.sin(fx * moment + x)), round(y + 60 * np.sin(fy * moment + y))
        for image, value in ((visible, light), (thermal, warm)):
            cv2.rectangle(image, place, (place[0] + size, place[1] + size + 9), int(value), -1)
    return visible, thermal


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    """Record a thermal camera that is crooked, slow, late, and has a clock of its own."""
    rng = np.random.default_rng(2)
    layers = [
        (*rng.uniform(0, (320, 240)), int(rng.integers(8, 45)), *rng.uniform(0.2, 1.3, 2),
         *rng.integers(0, 256, 2))
        for _ in range(26)
    ]  # fmt: skip
    path = tmp_path_factory.mktemp('bags') / 'drive'
    inverse = np.linalg.inv(RIG)
    messages = []
    for number in range(15 * 15):
        moment = number / 15
        visible, thermal = world(moment, layers)
        stamp = 1_700_000_000_000_000_000 + round(moment * 1e9)
        messages.append((stamp, '/camera/rgb', stamp, cv2.cvtColor(visible, cv2.COLOR_GRAY2RGB)))
        if number % 2 == 0 and rng.random() > 0.05:
            seen = cv2.warpPerspective(thermal, inverse, (320, 240), borderMode=cv2.BORDER_REFLECT)
            counts = (7000 + 6 * seen.astype(int) + rng.integers(0, 9, seen.shape)).astype('u2')
            late = stamp + round(DELAY_S * 1e9)
            messages.append((late, '/camera/thermal', late + round(CLOCK_S * 1e9), counts))
    with BagWriter(path) as writer:
        for received, topic, stamp, image in sorted(messages, key=lambda m: m[0]):
            encoding = 'mono16' if image.ndim == 2 else 'rgb8'
            writer.write_image(topic, stamp, 'camera', image, encoding, receive_ns=received)
    return path


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_from_a_bag_to_a_file_that_holds(bag, tmp_path, few_scales, capsys):
    out = tmp_path / 'rig.yaml'
    assert main(['scene', str(bag), '--out', str(out)]) == 0
    assert main(['time', str(bag), '--out', str(out)]) == 0
    calibration = Calibration.load(out)
    assert calibration.latency.offset_s == pytest.approx(-DELAY_S - CLOCK_S, abs=0.02)
    corners = np.array([[[40.0, 40], [280, 40], [40, 200], [280, 200]]])
    off = cv2.perspectiveTransform(corners, RIG) - cv2.perspectiveTransform(
        corners, calibration.homography
    )
    assert np.linalg.norm(off, axis=-1).mean() < 2.0
    assert calibration.scores['scene_margin'] > 3.5
    assert (tmp_path / 'rig_scene.png').stat().st_size > 1000
    assert 'clocks of the cameras differ by -7.' in capsys.readouterr().out

    assert main(['check', str(out), str(bag)]) == 0
    assert capsys.readouterr().out.count(': holds') == 2
    moved = calibration.to_dict()
    moved['homography'][0][2] += 12
    wrong = tmp_path / 'wrong.yaml'
    Calibration.from_dict(moved).save(wrong)
    assert main(['check', str(wrong), str(bag), '--json']) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer['registration_holds'] is False
    assert answer['shift_px'][0] == pytest.approx(12, abs=2)


def test_pictures_have_no_time(scenes, tmp_path, capsys):
    for number, (visible, thermal) in enumerate(scenes):
        write_png(tmp_path / 'vi' / f'{number}.png', cv2.cvtColor(visible, cv2.COLOR_GRAY2RGB))
        write_png(tmp_path / 'ir' / f'{number}.png', thermal)
    assert main(['time', str(tmp_path), '--out', str(tmp_path / 'rig.yaml')]) == 2
    error = capsys.readouterr().err
    assert 'single pictures carry no time' in error
    assert error.count('\n') == 1
    assert not (tmp_path / 'rig.yaml').exists()


@pytest.mark.timeout(600)
def test_a_file_of_other_images_is_not_mixed_with_these(scenes, tmp_path, few_scales, capsys):
    out = tmp_path / 'rig.yaml'
    Calibration((120, 160), (240, 320)).save(out)
    for number, (visible, thermal) in enumerate(scenes):
        write_png(tmp_path / 'vi' / f'{number}.png', cv2.cvtColor(visible, cv2.COLOR_GRAY2RGB))
        write_png(tmp_path / 'ir' / f'{number}.png', thermal)
    assert main(['scene', str(tmp_path), '--out', str(out)]) == 2
    assert 'is of thermal images of 160x120, these have 320x240' in capsys.readouterr().err


def film(path, images):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10, (320, 240))
    for image in images:
        writer.write(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
    writer.release()


@pytest.mark.parametrize('kind', ['pictures', 'films', 'bag'])
def test_the_thermal_camera_is_what_it_is_said_to_be(kind, scenes, tmp_path):
    pairs = scenes[:3]
    if kind == 'bag':
        with BagWriter(tmp_path / 'in') as writer:
            for number, (visible, thermal) in enumerate(pairs):
                stamp = 1_700_000_000_000_000_000 + number * 10**8
                rgb = cv2.cvtColor(visible, cv2.COLOR_GRAY2RGB)
                writer.write_image('/rgb', stamp, 'a', rgb, 'rgb8', receive_ns=stamp)
                writer.write_image('/thermal', stamp, 'b', thermal, 'mono8', receive_ns=stamp)
    elif kind == 'films':
        (tmp_path / 'in').mkdir()
        film(tmp_path / 'in' / 'vi.avi', [visible for visible, _ in pairs])
        film(tmp_path / 'in' / 'ir.avi', [thermal for _, thermal in pairs])
    else:
        for number, (visible, thermal) in enumerate(pairs):
            rgb = cv2.cvtColor(visible, cv2.COLOR_GRAY2RGB)
            write_png(tmp_path / 'in' / 'vi' / f'{number}.png', rgb)
            write_png(tmp_path / 'in' / 'ir' / f'{number}.png', thermal)
    camera = tmp_path / 'upside_down.yaml'
    camera.write_text('rotation: 180')

    def thermal_images(name):
        source = open_input(str(tmp_path / 'in'), None, None, thermal_camera=name)
        return [pair.thermal.astype(int) for pair in source.pairs(3)]

    plain, turned = thermal_images('auto'), thermal_images(str(camera))
    assert len(plain) == len(turned) == 3
    for before, after in zip(plain, turned, strict=True):
        assert np.abs(after - before[::-1, ::-1]).mean() < 1
        assert np.abs(after - before).mean() > 10


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['scene'], 'no input'),
        (['scene', 'nowhere'], 'no such file or folder'),
        (['scene', 'nowhere', '--duration', '0'], 'expected 1 to 3600 s'),
        (['scene', 'nowhere', '--rgb', 'a'], 'expected one of them'),
        (['scene', 'nowhere', '--thermal-camera', 'x'], "camera 'x': expected auto, one of boson"),
        (['target', 'nowhere', '--board', 'dice:6'], "board 'dice:6': expected chessboard"),
        (['check', 'nothing.yaml', 'nowhere'], 'no such file'),
    ],
)
def test_mistakes_are_one_line(words, message, capsys):
    assert main(words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count('\n') == 1
    assert error.startswith(f'mafs-calibrate {words[0]}: ')
