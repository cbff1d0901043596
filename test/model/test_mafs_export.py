"""``mafs export``: files, comparison with torch, calibration and errors."""

from __future__ import annotations

import shutil

import cv2
from mafs_model.cli import main
from mafs_model.errors import ConfigError, DeviceError
from mafs_model.images.image_files import write_png
from mafs_model.predictor import Predictor
from mafs_model.runtime import agreement, export_files
from mafs_model.runtime.export_files import load_calibration
from mafs_model.runtime.graph_file import read_graph_metadata
from mafs_model.runtime.quantisation import quantise
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def own_cache(monkeypatch):
    """Leave the cache folder of the environment alone."""
    monkeypatch.delenv('MAFS_CACHE_DIR', raising=False)


@pytest.fixture
def weights(small_weights, tmp_path):
    path = tmp_path / 'net.safetensors'
    shutil.copy(small_weights, path)
    return path


@pytest.fixture(scope='module')
def calibration(tmp_path_factory):
    folder = tmp_path_factory.mktemp('calibration')
    generator = np.random.default_rng(0)
    for index in range(10):
        for kind, shape in (('vi', (64, 96, 3)), ('ir', (64, 96))):
            image = generator.integers(0, 256, shape, dtype=np.uint8)
            write_png(folder / kind / f'{index}.png', cv2.GaussianBlur(image, (0, 0), 2))
    return folder


def test_onnx_export_of_two_modes(weights, capsys):
    pytest.importorskip('onnx')
    pytest.importorskip('onnxruntime')
    code = main(
        [
            'export',
            '--format',
            'onnx',
            '--weights',
            str(weights),
            '--modes',
            'fusion',
            'thermal_only',
        ]
    )
    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert sorted(p.name for p in weights.parent.iterdir()) == [
        'net.onnx',
        'net.onnx.sha256',
        'net.safetensors',
        'net.thermal_only.onnx',
        'net.thermal_only.onnx.sha256',
    ]
    assert all('ok: fused mean' in line and 'labels equal' in line for line in lines)
    assert (
        read_graph_metadata(weights.with_name('net.thermal_only.onnx'))['export']['mode']
        == 'thermal_only'
    )


def test_int8_with_openvino(weights, calibration, capsys, monkeypatch, caplog):
    pytest.importorskip('openvino')
    pytest.importorskip('nncf')
    # Untrained logits lie closer together than those of a trained network.
    loose = agreement.Tolerance(3.0, 128, 0.85)
    monkeypatch.setitem(agreement.TOLERANCES, 'int8', loose)
    out = weights.parent / 'out'
    code = main(
        [
            'export',
            '--format',
            'openvino',
            '--weights',
            str(weights),
            '--int8',
            '--calib',
            str(calibration),
            '--size',
            '96x64',
            '--modes',
            'fusion',
            '--out',
            str(out),
        ]
    )
    assert code == 0, capsys.readouterr()
    assert sorted(p.name for p in out.iterdir()) == [
        'net.int8.bin',
        'net.int8.xml',
        'net.int8.xml.sha256',
    ]
    metadata = read_graph_metadata(out / 'net.int8.xml')['export']
    assert (metadata['precision'], metadata['size']) == ('int8', [64, 96])

    # Beside its weights it is what auto takes.
    shutil.copy(weights, out / weights.name)
    with Predictor.create(out / weights.name, device='cpu', threads=1) as predictor:
        assert predictor.backend == 'openvino'
        assert predictor.engine.precision == 'int8'
        # No calibrated graph of one camera alone is there: fp32 goes on when the other fails.
        alone = predictor.predict(np.zeros((64, 96, 3), np.uint8), None)
    assert alone.mode == 'visible_only'
    assert 'no int8 graph for visible_only' in caplog.text


def test_graph_outside_the_tolerance_is_told(weights, capsys, monkeypatch):
    pytest.importorskip('onnx')
    pytest.importorskip('onnxruntime')
    wrong = agreement.Agreement(9.0, 200, 0.5, 1.0, 1)
    monkeypatch.setattr(export_files, 'verify', lambda *unused: wrong)
    assert (
        main(['export', '--format', 'onnx', '--weights', str(weights), '--modes', 'fusion']) == 1
    )
    assert 'OUTSIDE THE TOLERANCE' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--weights', '/no.safetensors'], "weights '/no.safetensors': no such file"),
        (['--int8'], '--int8 and --calib: expected both or neither'),
        (['--calib', '.'], '--int8 and --calib: expected both or neither'),
        (['--modes', 'night'], "invalid choice: 'night'"),
        (['--size', '8x8'], 'size 8x8: expected whole sides'),
        (['--int8', '--calib', '/nowhere'], "visible '/nowhere/vi': no such file or folder"),
    ],
)
def test_wrong_usage(weights, arguments, message, capsys):
    try:
        code = main(['export', '--format', 'onnx', '--weights', str(weights), *arguments])
    except SystemExit as end:
        code = end.code
    errors = capsys.readouterr().err.splitlines()
    assert code == 2
    assert len(errors) == 1
    assert message in errors[0]


def test_calibration_is_spread_sized_and_skips_broken_files(calibration, tmp_path):
    folder = tmp_path / 'copy'
    shutil.copytree(calibration, folder)
    (folder / 'vi' / '5.png').write_bytes(b'broken')
    pairs = load_calibration(folder, (32, 48), count=100)
    assert len(pairs) == 9
    assert all(v.shape == (32, 48, 3) and t.shape == (32, 48) for v, t in pairs)
    assert len(load_calibration(folder, (32, 48), count=3)) == 3


def test_empty_calibration(tmp_path):
    (tmp_path / 'vi').mkdir()
    (tmp_path / 'ir').mkdir()
    with pytest.raises(ConfigError, match='no usable pairs in vi/ and ir/'):
        load_calibration(tmp_path, (32, 48))


def test_too_few_pairs():
    pytest.importorskip('nncf')
    with pytest.raises(ConfigError, match='2 calibration pairs, expected at least 8'):
        quantise(None, [(None, None)] * 2, ('visible', 'thermal'))


def test_without_nncf(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, 'nncf', None)
    with pytest.raises(DeviceError, match=r"int8: package 'nncf' is not installed"):
        quantise(None, [], ('visible',))
