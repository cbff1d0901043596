"""Where the results of ``mafs fuse`` go: folder, picture or film, whole or not at all."""

from __future__ import annotations

import json

import av
import cv2
from mafs_model.cli import main
from mafs_model.errors import MafsError
from mafs_model.images.image_files import read_thermal, read_visible, write_png
import numpy as np
import pytest

RNG = np.random.default_rng(5)


@pytest.fixture
def data(tmp_path):
    for index in (1, 2, 3):
        write_png(tmp_path / 'vi' / f'{index}.png', RNG.integers(0, 256, (75, 101, 3), np.uint8))
        write_png(tmp_path / 'ir' / f'{index}.png', RNG.integers(0, 256, (48, 64), np.uint8))
    return tmp_path


@pytest.fixture
def fuse(data, capsys):
    def run(out, *options, pairs=3, weights='classical'):
        tail = '' if pairs > 1 else '/1.png'
        words = [
            'fuse',
            '--rgb',
            f'{data}/vi{tail}',
            '--thermal',
            f'{data}/ir{tail}',
            '--out',
            str(out),
        ]
        try:
            code = main([*words, '--weights', str(weights), '--device', 'cpu', *options])
        except SystemExit as end:
            code = end.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.mark.parametrize('name', ['r.png', 'r.jpg', 'r.webp', 'r.bmp', 'r.tif', 'new/r.png'])
def test_one_picture(data, fuse, name):
    code, _, err = fuse(data / name, pairs=1)
    assert code == 0, err
    fuse(data / 'all', pairs=1)
    expected = read_visible(data / 'all/fused/1.png')
    picture = read_visible(data / name)
    assert picture.shape == expected.shape
    if not name.endswith(('jpg', 'webp')):
        assert np.array_equal(picture, expected)


@pytest.mark.parametrize('picture', ['labels', 'colors', 'overlay'])
def test_other_pictures_are_those_of_the_folder(data, fuse, picture, small_weights):
    assert fuse(data / 'r.png', '--picture', picture, pairs=1, weights=small_weights)[0] == 0
    assert fuse(data / 'all', pairs=1, weights=small_weights)[0] == 0
    assert (data / 'r.png').read_bytes() == (data / 'all' / picture / '1.png').read_bytes()


def test_colors_are_those_of_the_ids(data, fuse, small_weights):
    from mafs_model.classes import ClassTable

    assert fuse(data / 'all', pairs=1, weights=small_weights)[0] == 0
    ids = read_thermal(data / 'all/labels/1.png')
    colors = read_visible(data / 'all/colors/1.png')
    assert len(np.unique(ids)) > 1
    assert np.array_equal(colors, ClassTable.load('pst900').palette[ids])


def test_panels_show_all(data, fuse):
    assert fuse(data / 'r.png', '--picture', 'panels', pairs=1)[0] == 0
    panels = read_visible(data / 'r.png')
    assert panels.shape[1] == 2 * 101
    assert panels.shape[0] > 2 * 75
    assert np.array_equal(panels[:75, 101:], read_visible(data / 'vi/1.png'))


@pytest.mark.parametrize('suffix', ['mp4', 'mkv', 'avi', 'mov'])
def test_film(data, fuse, suffix):
    code, _, err = fuse(data / f'r.{suffix}', '--rate', '5')
    assert code == 0, err
    with av.open(str(data / f'r.{suffix}')) as film:
        images = [f.to_ndarray(format='rgb24') for f in film.decode(video=0)]
        assert float(film.streams.video[0].average_rate) == 5.0
    assert len(images) == 3
    assert images[0].shape == (76, 102, 3)  # halves of the colour format
    fuse(data / 'all')
    for number, image in enumerate(images, 1):
        expected = read_visible(data / f'all/fused/{number}.png')
        # Noise is the worst case of a video; its brightness is what must be that of its image.
        assert abs(float(image[:75, :101].mean()) - float(expected.mean())) < 5


def test_report_as_json_and_summary(data, fuse, small_weights):
    code, out, _ = fuse(data / 'a', '--json', weights=small_weights)
    report = json.loads(out)
    assert code == 0
    assert (report['pairs'], report['left_out'], report['device']) == (3, [], 'cpu')
    assert report['files'] == [str(data / 'a')]
    ids = np.concatenate([read_thermal(data / f'a/labels/{n}.png').ravel() for n in (1, 2, 3)])
    names = ['background', 'fire_extinguisher', 'backpack', 'hand_drill', 'survivor']
    for index, share in enumerate(np.bincount(ids, minlength=5) / ids.size):
        if share:
            named = [v for k, v in report['class_shares'].items() if abs(v - share) < 1e-6]
            assert named, (names[index], share, report['class_shares'])
    assert sum(report['class_shares'].values()) == pytest.approx(1.0, abs=1e-5)
    assert report['ms_per_pair'] > 0
    # The weights are random: what they call an object is one region of those labels.
    found = 0
    for name in (1, 2, 3):
        labels = read_thermal(data / f'a/labels/{name}.png')
        for index in (1, 2, 3, 4):
            areas = cv2.connectedComponentsWithStats((labels == index).astype(np.uint8))[2][1:, -1]
            found += int((areas >= 64).sum())
    assert sum(f['detections'] for f in report['detections'].values()) == found
    assert all('tracks' not in figures for figures in report['detections'].values())
    code, out, _ = fuse(data / 'b', weights=small_weights)
    assert out.splitlines()[0].startswith('3 fused into')
    assert out.splitlines()[1].startswith('classes: ')
    assert fuse(data / 'c', '--quiet')[1:] == ('', '')


def test_nothing_is_replaced_unasked(data, fuse):
    for out in ('a', 'r.png', 'r.mp4'):
        pairs = 1 if out == 'r.png' else 3
        assert fuse(data / out, pairs=pairs)[0] == 0
        code, _, err = fuse(data / out, pairs=pairs)
        assert code == 2
        assert '--overwrite' in err
        assert fuse(data / out, '--overwrite', pairs=pairs)[0] == 0


def test_an_input_is_never_replaced(data, fuse):
    before = (data / 'vi/1.png').read_bytes()
    code, _, err = fuse(data / 'vi/1.png', '--overwrite', pairs=1)
    assert code == 2
    assert 'is an input' in err
    assert (data / 'vi/1.png').read_bytes() == before


@pytest.mark.parametrize(
    ('out', 'options', 'message'),
    [
        ('r.png', (), 'one picture for 3 pairs'),
        ('r.npy', (), 'not written as .npy'),
        ('r.webm', (), 'not written as .webm'),
        ('r.mp4', ('--picture', 'labels'), 'would change class ids'),
        ('dir', ('--picture', 'fused'), 'for a picture or a video'),
        ('file', (), 'is a file'),
        ('file/below', (), 'file/below'),
        ('r.mp4', ('--rate', '0'), '--rate 0: expected more than 0'),
        ('r.mp4', ('--frames', '0'), '--frames 0: expected'),
        ('r.mp4', ('--rate', 'nan'), '--rate nan: expected'),
    ],
)
def test_refusals_are_one_line(data, fuse, out, options, message):
    (data / 'file').write_text('mine')
    code, _, err = fuse(data / out, *options)
    assert code == 2
    lines = [x for x in err.splitlines() if x.startswith('mafs')]
    assert len(lines) == 1
    assert message in lines[0]
    assert (data / 'file').read_text() == 'mine'


def test_links_in_the_output_folder_are_not_followed(data, fuse):
    precious = data / 'precious.png'
    precious.write_text('mine')
    (data / 'a/fused').mkdir(parents=True)
    (data / 'a/fused/1.png').symlink_to(precious)
    assert fuse(data / 'a', '--overwrite')[0] == 0
    assert precious.read_text() == 'mine'
    assert not (data / 'a/fused/1.png').is_symlink()
    (data / 'elsewhere').mkdir()
    (data / 'b').mkdir()
    (data / 'b/fused').symlink_to(data / 'elsewhere')
    code, _, err = fuse(data / 'b', '--overwrite')
    assert code == 2
    assert 'is a link' in err
    assert not list((data / 'elsewhere').iterdir())
    for name in ('r.png', 'r.mp4'):
        (data / name).symlink_to(precious)
        assert fuse(data / name, '--overwrite', pairs=1)[0] == 0
        assert precious.read_text() == 'mine'


def test_a_failure_leaves_nothing_half_written(data, fuse, monkeypatch):
    from mafs_model.result import Painter

    paint = Painter.paint

    def fail(self, result, picture):
        if result.name == '3':
            raise MafsError('the disk is full')
        return paint(self, result, picture)

    monkeypatch.setattr(Painter, 'paint', fail)
    code, _, err = fuse(data / 'r.mp4')
    assert code == 2
    assert 'the disk is full' in err
    assert sorted(p.name for p in data.iterdir()) == ['ir', 'vi']


def test_a_changing_size_keeps_the_size_of_the_film(data, fuse):
    cv2.imwrite(str(data / 'vi/2.png'), RNG.integers(0, 256, (64, 64, 3), np.uint8))
    assert fuse(data / 'r.mp4')[0] == 0
    with av.open(str(data / 'r.mp4')) as film:
        assert {(f.height, f.width) for f in film.decode(video=0)} == {(76, 102)}
