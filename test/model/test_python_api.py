"""The predictor as people call it: what it takes, what its results can do."""

from __future__ import annotations

import subprocess
import sys

import cv2
from mafs_model.classes import ClassTable
from mafs_model.errors import ConfigError, ImageError
from mafs_model.images.image_files import read_visible, write_png
from mafs_model.images.thermal import ThermalScaler
from mafs_model.predictor import Predictor, Result
import numpy as np
from PIL import Image
import pytest

RNG = np.random.default_rng(4)
VISIBLE = cv2.GaussianBlur(RNG.integers(0, 256, (96, 128, 3), np.uint8), (5, 5), 2)
THERMAL = cv2.GaussianBlur(RNG.integers(0, 256, (48, 64), np.uint8), (5, 5), 2)
COUNTS = THERMAL.astype(np.uint16) * 10 + 28000


@pytest.fixture
def predictor():
    with Predictor.create(
        'classical', device='cpu', thermal_scaler=ThermalScaler(smoothing=0)
    ) as p:
        yield p


@pytest.fixture(scope='module')
def network(small_weights):
    with Predictor.create(small_weights, device='cpu', backend='torch') as p:
        yield p


@pytest.fixture
def expected(predictor):
    return predictor.predict(VISIBLE, COUNTS).fused


def visible_forms(folder):
    import torch

    write_png(folder / 'v.png', VISIBLE)
    rgba = np.dstack([VISIBLE, np.full(VISIBLE.shape[:2], 7, np.uint8)])
    return {
        'array': VISIBLE,
        'str': str(folder / 'v.png'),
        'path': folder / 'v.png',
        'pil': Image.fromarray(VISIBLE),
        'pil rgba': Image.fromarray(rgba),
        'rgba': rgba,
        'not contiguous': np.asfortranarray(VISIBLE),
        'tensor': torch.from_numpy(VISIBLE),
        'tensor chw': torch.from_numpy(VISIBLE).permute(2, 0, 1),
    }


def thermal_forms(folder):
    import torch

    write_png(folder / 't.png', COUNTS)
    np.save(folder / 't.npy', COUNTS)
    return {
        'array': COUNTS,
        'path': folder / 't.png',
        'npy': folder / 't.npy',
        'pil': Image.fromarray(COUNTS),
        'hw1': COUNTS[..., None],
        'int32': COUNTS.astype(np.int32),
        'big endian': COUNTS.astype('>u2'),
        'tensor': torch.from_numpy(COUNTS.astype(np.int32)),
        'tensor 1hw': torch.from_numpy(COUNTS.astype(np.int32))[None],
    }


def test_every_form_of_a_visible_image_gives_the_same(predictor, expected, tmp_path):
    for name, form in visible_forms(tmp_path).items():
        result = predictor(form, COUNTS)
        assert np.array_equal(result.fused, expected), name
        assert np.array_equal(result.images.visible, VISIBLE), name


def test_every_form_of_a_thermal_image_gives_the_same(predictor, expected, tmp_path):
    for name, form in thermal_forms(tmp_path).items():
        result = predictor(VISIBLE, form)
        assert np.array_equal(result.fused, expected), name
        assert result.images.thermal.dtype == np.uint16, name


def test_grey_visible_and_float64_and_palette(predictor):
    grey = cv2.cvtColor(VISIBLE, cv2.COLOR_RGB2GRAY)
    one = predictor(grey, COUNTS)
    assert np.array_equal(one.fused, predictor(grey[..., None], COUNTS).fused)
    assert predictor(None, COUNTS / 100.0).images.thermal.dtype == np.float32
    assert predictor(thermal=np.dstack([THERMAL] * 3)).images.thermal.shape == THERMAL.shape
    assert predictor(VISIBLE).mode == 'visible_only'
    assert predictor(thermal=THERMAL).mode == 'thermal_only'


def test_lists_give_lists(predictor, expected):
    results = predictor([VISIBLE, VISIBLE[::-1]], [COUNTS, COUNTS])
    assert len(results) == 2
    assert np.array_equal(results[0].fused, expected)
    assert [r.mode for r in predictor(None, [COUNTS])] == ['thermal_only']
    assert predictor([], []) == []
    for wrong in (([VISIBLE], [COUNTS, COUNTS]), ([VISIBLE], COUNTS)):
        with pytest.raises(ConfigError, match='expected two lists of the same length'):
            predictor(*wrong)


@pytest.mark.parametrize(
    ('visible', 'thermal', 'message'),
    [
        (VISIBLE / 255.0, None, 'float64, expected uint8 RGB .multiply 0..1 by 255'),
        (np.zeros((96, 128, 2), np.uint8), None, r'shape \(96, 128, 2\)'),
        (42, None, 'visible image is int, expected a path'),
        (None, {'a': 1}, 'thermal image is dict, expected a path'),
        (None, np.zeros((2, 3, 4, 5)), 'expected .height, width. real numbers'),
        (None, np.array([['a']]), 'real numbers'),
        (None, np.zeros((48, 64), complex), 'real numbers'),
        ('/nowhere.png', None, "'/nowhere.png': cannot be read"),
        (None, None, 'expected a visible or a thermal image'),
        (COUNTS, None, 'visible image is uint16'),
    ],
)
def test_what_is_no_image_is_said_in_one_line(predictor, visible, thermal, message):
    with pytest.raises(ImageError, match=message) as caught:
        predictor(visible, thermal)
    assert len(str(caught.value).splitlines()) == 1
    assert predictor(VISIBLE).fused.shape == VISIBLE.shape


def test_result_makes_its_pictures(network):
    result = network(VISIBLE, COUNTS)
    assert isinstance(result, Result)
    table = ClassTable.load('pst900')
    assert np.array_equal(result.colors(), table.palette[result.labels])
    plain = result.overlay(legend=False)
    assert plain.shape == VISIBLE.shape
    background = result.labels == 0
    assert 0 < background.mean() < 1
    assert np.array_equal(plain[background], result.fused[background])
    mixed = (result.fused.astype(float) + result.colors()) / 2
    assert np.abs(plain - mixed)[~background].max() <= 1
    assert np.array_equal(result.overlay(0.0, legend=False), result.fused)
    with_legend = result.overlay()
    assert np.array_equal(with_legend[: len(plain)], plain)
    assert len(with_legend) > len(plain)
    with pytest.raises(ConfigError, match='opacity'):
        result.overlay(1.5)
    shares = result.shares()
    assert sum(shares.values()) == pytest.approx(1)
    assert shares['background'] == pytest.approx(background.mean())
    assert list(shares.values()) == sorted(shares.values(), reverse=True)


def test_result_plots_without_matplotlib(network):
    picture = network(VISIBLE, COUNTS).plot()
    assert isinstance(picture, Image.Image)
    assert picture.width == 2 * 128
    assert network(VISIBLE).plot('fused').size == (128, 96)
    with pytest.raises(ConfigError, match="picture 'wrong': expected one of fused"):
        network(VISIBLE).plot('wrong')
    assert network(VISIBLE)._repr_png_().startswith(b'\x89PNG')
    code = 'import sys, mafs_model.predictor; assert "matplotlib" not in sys.modules'
    subprocess.run([sys.executable, '-c', code], check=True, timeout=120)


def test_result_saves(network, tmp_path):
    result = network(VISIBLE, COUNTS)
    path = result.save(tmp_path / 'new' / 'a.png')
    assert np.array_equal(read_visible(path), result.fused)
    result.save(path, 'colors')
    assert np.array_equal(read_visible(path), result.colors())
    result.save(tmp_path / 'folder')
    assert (tmp_path / 'folder/fused/result.png').is_file()
    with pytest.raises(ConfigError, match='there already'):
        result.save(path, overwrite=False)
    with pytest.raises(ConfigError, match='would change class ids'):
        result.save(tmp_path / 'a.jpg', 'labels')
    with pytest.raises(ConfigError, match=r'not written as \.npy'):
        result.save(tmp_path / 'a.npy')


def test_reprs_are_short(network, predictor, tmp_path):
    write_png(tmp_path / 'street.png', VISIBLE)
    result = network(tmp_path / 'street.png', COUNTS)
    assert repr(result).startswith("Result('street', 128x96, fusion, ")
    assert len(repr(result)) < 120
    assert repr(predictor(VISIBLE, COUNTS)) == 'Result(128x96, classical)'
    assert repr(predictor).startswith('Predictor(')
    assert repr(predictor).endswith(', opencv, cpu)')
    predictor.close()
    assert repr(predictor) == 'Predictor(closed)'


def test_predict_video(predictor, tmp_path, caplog):
    for index in range(3):
        write_png(tmp_path / 'vi' / f'{index}.png', np.roll(VISIBLE, index, 1))
        write_png(tmp_path / 'ir' / f'{index}.png', COUNTS)
    (tmp_path / 'ir/1.png').write_bytes(b'\x89PNG broken')
    results = list(predictor.predict_video(tmp_path / 'vi', tmp_path / 'ir'))
    assert [r.name for r in results] == ['0', '2']
    assert "pair '1' is left out" in caplog.text
    assert np.array_equal(results[0].fused, predictor(VISIBLE, COUNTS).fused)
    assert len(list(predictor.predict_video(both=tmp_path, limit=1))) == 1
    with pytest.raises(ConfigError, match='no such file or folder'):
        predictor.predict_video(tmp_path / 'no')


def test_predict_video_tells_the_moments(predictor, tmp_path):
    import av

    with av.open(str(tmp_path / 'v.mkv'), 'w') as film:
        stream = film.add_stream('ffv1', rate=5)
        stream.height, stream.width, stream.pix_fmt = 96, 128, 'bgr0'
        for _ in range(4):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(VISIBLE, format='rgb24')))
        film.mux(stream.encode())
    moments = [r.time_s for r in predictor.predict_video(tmp_path / 'v.mkv')]
    assert moments == pytest.approx([0.0, 0.2, 0.4, 0.6], abs=0.002)
    left = predictor.predict_video(tmp_path / 'v.mkv')
    next(left)
    left.close()
