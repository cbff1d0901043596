"""Boards and cameras: rendered boards against the truth, refusals with a reason, real boards."""

from __future__ import annotations

import cv2
from mafs_calibration.boards import detect, parse_board
from mafs_calibration.circle_lattice import Lattice
from mafs_calibration.target import calibrate_camera, calibrate_pair, check_sizes
from mafs_model.errors import CalibrationError, ConfigError
import numpy as np
import pytest

SIZE = (384, 512)
MATRIX = np.array([[520.0, 0, 262], [0, 518, 188], [0, 0, 1]])
DISTORTION = np.array([-0.28, 0.09, 0.0006, -0.0004, 0.0])
POSES = [
    (0.0, 0.0, 0.0, -20, 0, 430),
    (0.45, 0.0, 0.05, 30, 20, 450),
    (-0.45, 0.1, -0.1, -40, -20, 460),
    (0.05, 0.5, 0.0, 60, 10, 470),
    (0.0, -0.5, 0.1, -70, -15, 470),
    (0.35, 0.35, -0.2, 10, 45, 480),
    (-0.35, -0.3, 0.2, -10, -45, 490),
    (0.3, -0.35, 0.0, 70, -40, 500),
    (-0.3, 0.35, 0.0, -70, 40, 500),
]


def board_picture(text):
    """Return a plane picture of a board, 4 px a mm, and the place of its origin in it, mm."""
    kind, grid, *sizes = text.split(':')
    columns, rows = (int(v) for v in grid.split('x'))
    scale, margin = 4, 25
    if kind == 'charuco':
        aruco = cv2.aruco
        board = aruco.CharucoBoard(
            (columns, rows), 30, 22, aruco.getPredefinedDictionary(aruco.DICT_4X4_50)
        )
        inner = board.generateImage((columns * 30 * scale, rows * 30 * scale))
        return np.pad(inner, margin * scale, constant_values=255), margin
    if kind == 'aruco':
        marker, gap = float(sizes[0]), float(sizes[1])
        pitch = marker + gap
        width, height = columns * pitch - gap, rows * pitch - gap
        picture = np.full(
            (round((height + 2 * margin) * scale), round((width + 2 * margin) * scale)),
            255,
            np.uint8,
        )
        dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50)
        side = round(marker * scale)
        for number in range(columns * rows):
            x = round((margin + number % columns * pitch) * scale)
            y = round((margin + number // columns * pitch) * scale)
            picture[y : y + side, x : x + side] = dictionary.generateImageMarker(number, side)
        return picture, margin
    step = float(sizes[0])
    if kind == 'chessboard':
        y, x = np.mgrid[: (rows + 1) * round(step * scale), : (columns + 1) * round(step * scale)]
        squares = ((x // round(step * scale) + y // round(step * scale)) % 2 * 255).astype(
            np.uint8
        )
        return np.pad(squares, margin * scale, constant_values=255), margin + step
    picture = np.full(
        (
            round(((rows - 1) * step + 2 * margin) * scale),
            round((2 * columns * step + 2 * margin) * scale),
        ),
        30,
        np.uint8,
    )
    for row in range(rows):
        for column in range(columns):
            centre = (
                (margin + (2 * column + row % 2) * step) * scale,
                (margin + row * step) * scale,
            )
            cv2.circle(
                picture,
                (round(centre[0] * 16), round(centre[1] * 16)),
                round(6 * scale * 16),
                220,
                -1,
                cv2.LINE_AA,
                4,
            )
    return picture, margin


def render(text, pose, *, matrix=MATRIX, distortion=DISTORTION, size=SIZE, noise=3.0, seed=0):
    """Return what a camera sees of a board, by following each pixel's ray to the board."""
    picture, origin = board_picture(text)
    turn, shift = cv2.Rodrigues(np.array(pose[:3], float))[0], np.array(pose[3:], float)
    middle = np.array([picture.shape[1], picture.shape[0]]) / 8 - origin
    shift = shift - turn @ [*middle, 0.0]
    twice = (size[0] * 2, size[1] * 2)
    y, x = np.mgrid[: twice[0], : twice[1]]
    pixels = np.stack([(x + 0.5) / 2 - 0.5, (y + 0.5) / 2 - 0.5], -1).reshape(-1, 1, 2)
    rays = cv2.undistortPoints(pixels, matrix, distortion).reshape(-1, 2)
    inverse = np.linalg.inv(np.column_stack([turn[:, 0], turn[:, 1], shift]))
    plane = np.column_stack([rays, np.ones(len(rays))]) @ inverse.T
    places = ((plane[:, :2] / plane[:, 2:] + origin) * 4 - 0.5).astype(np.float32)
    places = places.reshape(*twice, 2)
    image = cv2.remap(picture, places, None, cv2.INTER_LINEAR, borderValue=128)
    image = cv2.GaussianBlur(image, (0, 0), 1.0)
    image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA).astype(float)
    image = 20 + image * 0.8 + np.random.default_rng(seed).normal(0, noise, size)
    return np.clip(image, 0, 255).astype(np.uint8)


BOARDS = ['chessboard:8x5:25', 'circles:4x9:18', 'aruco:5x3:30:12', 'charuco:7x5:30:22']


@pytest.mark.parametrize('text', BOARDS)
@pytest.mark.parametrize('inverted', [False, True])
def test_a_rendered_board_gives_its_camera_to_half_a_pixel(text, inverted):
    if 'aruco' in text and not hasattr(cv2, 'aruco'):
        pytest.skip('this OpenCV has no module aruco')
    board = parse_board(text)
    found = {}
    for number, pose in enumerate(POSES):
        image = render(text, pose, seed=number)
        found[f'{number}'] = detect(board, 255 - image if inverted else image)
    result = calibrate_camera(board, found, SIZE, 'thermal')
    assert len(result.views) >= 8, result.left_out
    assert result.rms_px <= 0.5
    assert result.camera.matrix[0, 0] == pytest.approx(520, rel=0.015)
    assert result.camera.matrix[:2, 2] == pytest.approx(MATRIX[:2, 2], abs=6)
    assert result.coverage > 0.4


def test_both_cameras_give_their_pose_and_bad_images_are_named():
    text = 'chessboard:8x5:25'
    board = parse_board(text)
    turn = cv2.Rodrigues(np.array([0.01, -0.03, 0.005]))[0]
    shift = np.array([-60.0, 4.0, 3.0])
    other = np.array([[600.0, 0, 330], [0, 600, 236], [0, 0, 1]])
    found = {'thermal': {}, 'visible': {}}
    for number, pose in enumerate(POSES):
        name = f'{number}'
        found['thermal'][name] = detect(board, render(text, pose, seed=number))
        # The board's middle is the pose's origin: the other camera turns it about its own.
        rotation = turn @ cv2.Rodrigues(np.array(pose[:3], float))[0]
        place = turn @ np.array(pose[3:], float) + shift
        seen = (*cv2.Rodrigues(rotation)[0].ravel(), *place)
        found['visible'][name] = detect(
            board,
            render(
                text, seen, matrix=other, distortion=np.zeros(5), size=(480, 640), seed=number + 50
            ),
        )
    wrong = found['thermal']['3']
    ruined = wrong.points + np.random.default_rng(1).normal(0, 8, wrong.points.shape)
    found['thermal']['3'] = type(wrong)(wrong.ids, ruined, wrong.variant)
    found['thermal']['x'] = 'no board found: hardly any contrast'
    thermal = calibrate_camera(board, found['thermal'], SIZE, 'thermal')
    visible = calibrate_camera(board, found['visible'], (480, 640), 'visible')
    assert set(thermal.left_out) == {'3', 'x'}
    assert 'reprojection error' in thermal.left_out['3']
    pair = calibrate_pair(board, thermal, visible)
    assert pair.rms_px <= 0.5
    assert pair.extrinsics.translation_m * 1000 == pytest.approx(shift, abs=6)
    assert np.degrees(np.linalg.norm(cv2.Rodrigues(pair.extrinsics.rotation @ turn.T)[0])) < 0.4
    assert '3' not in pair.names


def test_a_board_always_seen_alike_is_refused():
    text = 'chessboard:8x5:25'
    board = parse_board(text)
    poses = [(0, 0, 0, x, y, 430) for x, y in ((-20, 0), (20, 10), (0, -20), (40, 0))]
    found = {f'{i}': detect(board, render(text, pose, seed=i)) for i, pose in enumerate(poses)}
    with pytest.raises(CalibrationError, match='same way in all 4 images'):
        calibrate_camera(board, found, SIZE, 'visible')


def test_images_without_a_board_say_why():
    board = parse_board('chessboard:8x5:25')
    image = render('chessboard:8x5:25', POSES[0])
    assert 'hardly any contrast' in detect(board, np.full(SIZE, 90, np.uint8))
    assert 'blurred' in detect(board, cv2.GaussianBlur(image, (0, 0), 30))
    backlit = np.where(image > 120, 255, 0).astype(np.uint8)
    backlit[:, 200:] = 255
    assert 'black or white' in detect(board, backlit)
    noise = np.random.default_rng(0).integers(40, 200, SIZE).astype(np.uint8)
    assert 'not the board that was named' in detect(board, noise)
    with pytest.raises(CalibrationError, match=r'thermal: 1 images show the board.*a: no board'):
        calibrate_camera(
            board, {'a': 'no board found', 'b': detect(board, image)}, SIZE, 'thermal'
        )


def test_a_lattice_is_found_among_other_spots_and_upside_down():
    staggered = np.array(
        [
            (x * 30.0 + (15 if y % 2 == 0 else 0), y * 30.0)
            for y in range(4)
            for x in range(7 - (y + 1) % 2)
        ]
    )
    lattice = Lattice(staggered)
    rng = np.random.default_rng(3)
    for angle in (5, 170):
        cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        places = staggered @ np.array([[cos, sin], [-sin, cos]]) * 0.7 + [200, 150]
        places += rng.normal(0, 0.3, places.shape)
        spots = np.concatenate([rng.uniform(0, 400, (12, 2)), places])
        found = lattice.find(rng.permutation(spots))
        assert found is not None
        assert np.linalg.norm(found - places, axis=1).max() < 1e-9
    assert lattice.find(places[1:]) is None  # one is hidden


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('chess:9x6:25', 'expected chessboard'),
        ('chessboard:9:25', 'COLSxROWS'),
        ('chessboard:9x6:0', '0.1 to 10000 mm'),
        ('chessboard:9x6:nan', '0.1 to 10000 mm'),
        ('chessboard:2x6:25', 'from 3 to 100'),
        ('circles:nowhere.csv', 'cannot be read'),
        ('aruco:5x7:40:10:NONE', 'expected one of'),
        ('aruco:9x9:40:10:4X4_50', 'has 50 markers'),
        ('aruco:5x7:40:1x2x3', 'one gap, or two'),
        ('charuco:7x5:30:40', 'markers smaller than squares'),
    ],
)
def test_boards_that_cannot_be_are_refused(text, words):
    if text.startswith('aruco') and not hasattr(cv2, 'aruco'):
        pytest.skip('this OpenCV has no module aruco')
    with pytest.raises(ConfigError, match=words):
        parse_board(text)


def test_points_of_a_board_come_from_a_file(tmp_path):
    file = tmp_path / 'points.csv'
    file.write_text('X,Y\n0,0\n30,0\n60,0\n15,30\n45,30\n0,60\n30,60\n60,60\n')
    board = parse_board(f'circles:{file}')
    assert board.points[1] == pytest.approx([0.03, 0, 0])
    file.write_text('X,Y\n0,0\nnot a number\n')
    with pytest.raises(ConfigError, match='line 3'):
        parse_board(f'circles:{file}')
    file.write_text('X,Y\n' + ''.join(f'{x},{x * x}\n' for x in range(9)))
    with pytest.raises(ConfigError, match='not on one lattice'):
        parse_board(f'circles:{file}')


def test_images_of_different_sizes_are_refused():
    with pytest.raises(CalibrationError, match='512x384, 640x480'):
        check_sizes({'a': (384, 512), 'b': (480, 640)}, 'thermal')


def test_real_heated_circles(shared_data):
    folder = shared_data / 'calibration' / 'circle_board'
    board = parse_board(f'circles:{folder / "world_points.csv"}')
    images = {p.stem: cv2.imread(str(p), 0) for p in sorted(folder.glob('*.png'))[:6]}
    result = calibrate_camera(
        board,
        {name: detect(board, image) for name, image in images.items()},
        (288, 384),
        'thermal',
    )
    assert len(result.views) == 6
    assert result.rms_px <= 0.3


def test_real_heated_markers(shared_data):
    if not hasattr(cv2, 'aruco'):
        pytest.skip('this OpenCV has no module aruco')
    folder = shared_data / 'calibration' / 'aruco_board'
    board = parse_board('aruco:3x4:40:14x16.5:ARUCO_ORIGINAL:1')
    for camera, size, count in (('thermal', (348, 464), 6), ('visible', (512, 768), 5)):
        images = {p.stem: cv2.imread(str(p), 0) for p in sorted(folder.glob(f'*_{camera}.png'))}
        result = calibrate_camera(
            board, {name: detect(board, image) for name, image in images.items()}, size, camera
        )
        assert len(result.views) == count
        assert result.rms_px <= 1.0


def test_real_chessboard(shared_data):
    folder = shared_data / 'calibration' / 'chessboard_scene'
    board = parse_board('chessboard:6x5:40')
    for name in ('rgb0000.jpg', 'thermal0000.jpg'):
        found = detect(board, cv2.imread(str(folder / name), 0))
        assert not isinstance(found, str), found
        assert len(found.ids) == 30
