"""Image files: what is read back is what was written; pairs are matched by name."""

from __future__ import annotations

import cv2
from mafs_model.errors import ConfigError, ImageError, MafsError
from mafs_model.images.image_files import (
    list_images,
    match_pairs,
    natural_key,
    read_thermal,
    read_visible,
    write_png,
)
import numpy as np
import pytest

RNG = np.random.default_rng(9)
COLOR = RNG.integers(0, 256, (40, 50, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (40, 50), dtype=np.uint8)
DEEP = RNG.integers(27000, 31000, (40, 50), dtype=np.uint16)


def touch(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        cv2.imwrite(str(folder / name), GREY)
    return folder


@pytest.mark.parametrize('suffix', ['.png', '.tiff', '.bmp'])
def test_visible_is_rgb(tmp_path, suffix):
    path = tmp_path / f'a{suffix}'
    cv2.imwrite(str(path), COLOR[..., ::-1])
    assert np.array_equal(read_visible(path), COLOR)


def test_grey_and_transparent_visible_become_rgb(tmp_path):
    cv2.imwrite(str(tmp_path / 'g.png'), GREY)
    assert np.array_equal(read_visible(tmp_path / 'g.png'), np.repeat(GREY[..., None], 3, 2))
    cv2.imwrite(str(tmp_path / 'a.png'), np.dstack([COLOR[..., ::-1], GREY]))
    assert np.array_equal(read_visible(tmp_path / 'a.png'), COLOR)


@pytest.mark.parametrize('suffix', ['.png', '.tiff'])
@pytest.mark.parametrize('image', [GREY, DEEP], ids=['8bit', '16bit'])
def test_thermal_keeps_its_depth(tmp_path, suffix, image):
    path = tmp_path / f't{suffix}'
    cv2.imwrite(str(path), image)
    read = read_thermal(path)
    assert read.dtype == image.dtype
    assert np.array_equal(read, image)


def test_float_thermal(tmp_path):
    image = (DEEP / 100 - 273.15).astype(np.float32)
    cv2.imwrite(str(tmp_path / 't.tiff'), image)
    assert np.array_equal(read_thermal(tmp_path / 't.tiff'), image)


@pytest.mark.parametrize('suffix', ['.png', '.bmp'])
def test_coloured_thermal_becomes_luminance(tmp_path, suffix):
    cv2.imwrite(str(tmp_path / f't{suffix}'), COLOR[..., ::-1])
    expected = COLOR.astype(float) @ (0.299, 0.587, 0.114)
    assert np.abs(read_thermal(tmp_path / f't{suffix}') - expected).max() <= 1


@pytest.mark.parametrize('image', [COLOR, GREY, DEEP], ids=['color', 'grey', 'deep'])
def test_written_png_is_lossless_and_folders_are_made(tmp_path, image):
    path = tmp_path / 'new' / 'folder' / 'a.png'
    write_png(path, image)
    read = read_visible(path) if image.ndim == 3 else read_thermal(path)
    assert np.array_equal(read, image)


def test_names_outside_ascii(tmp_path):
    path = tmp_path / 'w\u00e4rme \u6e29.png'
    write_png(path, DEEP)
    assert np.array_equal(read_thermal(path), DEEP)


@pytest.mark.parametrize('reader', [read_visible, read_thermal])
def test_unreadable_files_name_the_file(tmp_path, reader):
    cut = tmp_path / 'cut.png'
    write_png(cut, COLOR)
    cut.write_bytes(cut.read_bytes()[:-200])
    (tmp_path / 'empty.png').write_bytes(b'')
    (tmp_path / 'text.png').write_text('no image')
    (tmp_path / 'text.tiff').write_text('no image')
    cases = {
        'cut.png': 'PNG is truncated',
        'empty.png': 'empty file',
        'text.png': 'not an image',
        'text.tiff': 'not an image',
        'none.png': 'cannot be read',
    }
    for name, message in cases.items():
        with pytest.raises(ImageError) as caught:
            reader(tmp_path / name)
        assert message in str(caught.value)
        assert str(tmp_path / name) in str(caught.value)


def test_unwritable_target(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(MafsError, match='cannot be written'):
        write_png(tmp_path / 'file' / 'a.png', GREY)


def test_natural_order():
    names = ['frame10', 'frame9', 'frame1', 'Frame2']
    assert sorted(names, key=natural_key) == ['frame1', 'Frame2', 'frame9', 'frame10']


def test_list_images_takes_images_only(tmp_path):
    touch(tmp_path, 'b10.png', 'b9.PNG', 'a.jpg')
    (tmp_path / 'notes.txt').write_text('')
    (tmp_path / 'folder.png').mkdir()
    assert [p.name for p in list_images(tmp_path)] == ['a.jpg', 'b9.PNG', 'b10.png']


def test_folders_are_matched_by_name_and_the_rest_is_reported(tmp_path):
    visible = touch(tmp_path / 'vi', '1.jpg', '2.png', '10.png', 'x.png', 'd.png', 'd.jpg')
    thermal = touch(tmp_path / 'ir', '1.tiff', '2.png', '10.png', 'y.png', 'd.png')
    pairs, problems = match_pairs(visible, thermal)
    assert [p.name for p in pairs] == ['1', '2', '10']
    assert (pairs[0].visible.name, pairs[0].thermal.name) == ('1.jpg', '1.tiff')
    text = '\n'.join(problems)
    assert len(problems) == 4
    assert "visible 'd': several files (d.jpg, d.png), expected one" in text.replace(
        'd.png, d.jpg', 'd.jpg, d.png'
    )
    assert f"visible '{visible / 'x.png'}': no thermal file of the same name" in text
    assert f"thermal '{thermal / 'y.png'}': no visible file" in text


def test_files_match_whatever_their_names(tmp_path):
    touch(tmp_path, 'a.png', 'b.png')
    pairs, problems = match_pairs(tmp_path / 'a.png', tmp_path / 'b.png')
    assert ([p.name for p in pairs], problems) == (['a'], [])


@pytest.mark.parametrize('kind', ['visible', 'thermal'])
def test_one_camera_alone(tmp_path, kind):
    touch(tmp_path, 'a.png', 'b.png')
    pairs, problems = match_pairs(**{'visible': None, 'thermal': None, kind: tmp_path})
    assert len(pairs) == 2
    assert not problems
    assert [getattr(p, kind).name for p in pairs] == ['a.png', 'b.png']


def test_refused_paths(tmp_path):
    touch(tmp_path, 'a.png')
    for arguments, message in (
        ((None, None), 'no input'),
        ((tmp_path / 'no', tmp_path), 'no such file or folder'),
        ((tmp_path / 'a.png', tmp_path), 'one input is a file and the other a folder'),
    ):
        with pytest.raises(ConfigError, match=message):
            match_pairs(*arguments)
