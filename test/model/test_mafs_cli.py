"""The command ``mafs``: results on disk, exit codes and one-line errors."""

from __future__ import annotations

import json
import subprocess
import sys

import cv2
from mafs_model.cli import main
from mafs_model.images.image_files import read_thermal, read_visible, write_png
from mafs_model.images.thermal import ThermalScaler
from mafs_model.predictor import Predictor
from mafs_model.version import __version__
import numpy as np
import pytest

RNG = np.random.default_rng(13)


@pytest.fixture
def folders(tmp_path):
    for index in (1, 2, 10):
        visible = cv2.GaussianBlur(RNG.integers(0, 256, (96, 128, 3), dtype=np.uint8), (7, 7), 2)
        thermal = cv2.GaussianBlur(RNG.integers(0, 256, (48, 64), dtype=np.uint8), (7, 7), 2)
        write_png(tmp_path / 'vi' / f'{index}.png', visible)
        cv2.imwrite(str(tmp_path / 'vi' / '..' / f'ir{index}.tiff'), thermal)
        (tmp_path / 'ir').mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / 'ir' / f'{index}.tiff'), thermal.astype(np.uint16) * 10 + 28000)
    return tmp_path


def fuse(folders, *extra, out='out'):
    return main(
        [
            'fuse',
            '--rgb',
            str(folders / 'vi'),
            '--thermal',
            str(folders / 'ir'),
            '--out',
            str(folders / out),
            '--weights',
            'classical',
            '--device',
            'cpu',
            *extra,
        ]
    )


def test_folders_are_fused(folders, capsys):
    assert fuse(folders) == 0
    for kind in ('fused', 'labels', 'overlay'):
        assert sorted(p.name for p in (folders / 'out' / kind).iterdir()) == [
            '1.png',
            '10.png',
            '2.png',
        ]
    assert '3 fused' in capsys.readouterr().out


def test_the_command_gives_the_predictors_arrays(folders):
    fuse(folders)
    predictor = Predictor.create(
        'classical', device='cpu', thermal_scaler=ThermalScaler(smoothing=0.0)
    )
    for name in ('1', '2', '10'):
        expected = predictor.predict(
            read_visible(folders / 'vi' / f'{name}.png'),
            read_thermal(folders / 'ir' / f'{name}.tiff'),
        )
        assert np.array_equal(read_visible(folders / 'out/fused' / f'{name}.png'), expected.fused)
        assert np.array_equal(
            read_thermal(folders / 'out/labels' / f'{name}.png'), expected.labels
        )


def test_overlay_says_that_it_is_classical(folders):
    fuse(folders)
    fused = read_visible(folders / 'out/fused/1.png')
    picture = read_visible(folders / 'out/overlay/1.png')
    assert not np.array_equal(fused[:8], picture[:8])
    assert np.array_equal(fused[40:], picture[40 : len(fused)])
    assert len(picture) > len(fused)  # the legend


def test_single_files_options_and_output_size(folders):
    (folders / 'h.yaml').write_text('homography: [[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1]]')
    code = main(
        [
            'fuse',
            '--rgb',
            str(folders / 'vi/1.png'),
            '--thermal',
            str(folders / 'ir/2.tiff'),
            '--out',
            str(folders / 'one'),
            '--weights',
            'classical',
            '--size',
            '64x48',
            '--output-size',
            '160x120',
            '--homography',
            str(folders / 'h.yaml'),
            '--thermal-scaling',
            'range',
            '--thermal-range',
            '5',
            '40',
            '--thermal-unit',
            'celsius',
            '--opacity',
            '0.3',
            '--classes',
            'fmb',
            '--device',
            'cpu',
        ]
    )
    assert code == 0
    assert read_visible(folders / 'one/fused/1.png').shape == (120, 160, 3)


@pytest.mark.parametrize('option', ['--rgb', '--thermal'])
def test_one_camera_alone(folders, option):
    folder = 'vi' if option == '--rgb' else 'ir'
    assert (
        main(
            [
                'fuse',
                option,
                str(folders / folder),
                '--out',
                str(folders / 'alone'),
                '--weights',
                'classical',
                '--device',
                'cpu',
            ]
        )
        == 0
    )
    assert len(list((folders / 'alone/fused').iterdir())) == 3


def test_bad_files_are_listed_and_the_rest_is_done(folders, capsys):
    (folders / 'vi/2.png').write_bytes((folders / 'vi/2.png').read_bytes()[:-100])
    (folders / 'ir/1.tiff').unlink()
    assert fuse(folders) == 1
    captured = capsys.readouterr()
    assert '1 fused' in captured.out
    assert '2 left out:' in captured.err
    assert '2.png' in captured.err
    assert 'truncated' in captured.err
    assert '1.png' in captured.err
    assert 'no thermal file of the same name' in captured.err
    assert [p.name for p in (folders / 'out/fused').iterdir()] == ['10.png']


def test_empty_folders(tmp_path, capsys):
    (tmp_path / 'vi').mkdir()
    (tmp_path / 'ir').mkdir()
    assert fuse(tmp_path) == 1
    assert 'no image files found' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([], 'the following arguments are required: COMMAND'),
        (['fly'], "invalid choice: 'fly'"),
        (['fuse'], 'no --out: expected a folder, a picture or a video, or --show'),
        (['fuse', '--out', 'o'], 'no input: expected a visible or a thermal file or folder'),
        (
            ['fuse', '--out', 'o', '--rgb', '/nowhere'],
            "visible '/nowhere': no such file or folder",
        ),
        (
            ['fuse', '--out', 'o', '--rgb', '.', '--size', '640'],
            "size '640': expected WIDTHxHEIGHT",
        ),
        (['fuse', '--out', 'o', '--rgb', '.', '--size', '8x8'], 'size 8x8: expected whole sides'),
        (['fuse', '--out', 'o', '--rgb', '.', '--device', 'tpu'], "device 'tpu': expected auto"),
        (['fuse', '--out', 'o', '--rgb', '.', '--backend', 'x'], "invalid choice: 'x'"),
        (['fuse', '--out', 'o', '--rgb', '.', '--opacity', '2'], '--opacity 2: expected 0 to 1'),
        (['fuse', '--out', 'o', '--rgb', '.', '--weights', '/no.pt'], "weights '/no.pt': no such"),
        (['fuse', '--out', 'o', '--rgb', '.', '--homography', '/no'], "homography file '/no'"),
        (['fuse', '--out', 'o', '--rgb', '.', '--thermal-scaling', 'range'], "'range': low None"),
        (['fuse', '--out', 'o', '--rgb', '.', '--threads', 'x'], "invalid int value: 'x'"),
        (['classes', 'cityscapes'], "classes 'cityscapes': neither a known data set"),
        (['convert', '/no.ckpt', 'x.safetensors'], "checkpoint '/no.ckpt': no such file"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments, message, capsys):
    try:
        code = main(arguments)
    except SystemExit as end:
        code = end.code
    captured = capsys.readouterr()
    errors = [x for x in captured.err.splitlines() if not x.startswith('WARNING')]
    assert code == 2
    assert len(errors) == 1
    assert message in errors[0]
    assert errors[0].startswith('mafs')


def test_classes(capsys):
    assert main(['classes']) == 0
    assert 'mfnet' in capsys.readouterr().out
    assert main(['classes', 'mfnet']) == 0
    assert '#400080  car' in capsys.readouterr().out
    assert main(['classes', 'pst900', '--json']) == 0
    assert len(json.loads(capsys.readouterr().out)['classes']) == 5


def test_info(capsys):
    assert main(['info', '--json']) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {r['name'] for r in rows} >= {'mafs_t', 'mafs_s', 'mafs_b'}
    assert main(['info']) == 0
    assert 'mafs_t' in capsys.readouterr().out


@pytest.mark.parametrize(
    'arguments',
    [
        ['--help'],
        ['fuse', '--help'],
        ['classes', '--help'],
        ['info', '--help'],
        ['convert', '--help'],
    ],
)
def test_help(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 0
    assert 'usage: mafs' in capsys.readouterr().out


def test_version_and_no_heavy_import_as_a_process():
    code = (
        'import sys; from mafs_model.cli import main\n'
        "try: main(['--version'])\nexcept SystemExit: pass\n"
        "assert 'torch' not in sys.modules"
    )
    result = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout.strip() == f'mafs {__version__}'
