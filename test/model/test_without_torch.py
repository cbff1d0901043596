"""What a robot has: inference, and the commands, where PyTorch is not installed."""

from __future__ import annotations

import json
import os
from pathlib import Path
import subprocess
import sys

import cv2
import numpy as np
import pytest

HIDE = Path(__file__).parents[1] / 'without_packages.py'
SIZE = (96, 128)
PREDICT = """
import json, sys
import numpy as np
from mafs_model.predictor import Predictor

weights, backend = sys.argv[1:]
generator = np.random.default_rng(0)
visible = generator.integers(0, 256, (96, 128, 3), dtype=np.uint8)
thermal = generator.integers(0, 256, (96, 128), dtype=np.uint8)
results = []
with Predictor.create(weights, backend=backend, device='cpu') as predictor:
    for pair in ((visible, thermal), (visible, None), (None, thermal)):
        result = predictor.predict(*pair)
        results.append([result.mode, int(result.fused.sum()), result.labels.shape])
assert 'torch' not in sys.modules
print(json.dumps(results))
"""


def run_without(packages: str, *words: object, **options: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, HIDE, packages, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        # What another run has kept would do for what is missing.
        env={k: v for k, v in os.environ.items() if k != 'MAFS_CACHE_DIR'},
        **options,
    )


def predict_without(tmp_path, packages, weights, backend='auto'):
    program = tmp_path / 'predict.py'
    program.write_text(PREDICT, encoding='utf-8')
    return run_without(packages, program, weights, backend)


def one_line(done: subprocess.CompletedProcess) -> str:
    assert 'Traceback' not in done.stderr
    (line,) = done.stderr.splitlines()
    return line


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    """Return a folder with vi/ and ir/ of two generated pairs."""
    folder = tmp_path_factory.mktemp('pairs')
    generator = np.random.default_rng(1)
    for kind, shape in (('vi', (*SIZE, 3)), ('ir', SIZE)):
        (folder / kind).mkdir()
        for name in 'ab':
            image = generator.integers(0, 256, shape, dtype=np.uint8)
            cv2.imwrite(str(folder / kind / f'{name}.png'), image)
    return folder


def check_modes(done: subprocess.CompletedProcess) -> None:
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert [mode for mode, _, _ in results] == ['fusion', 'visible_only', 'thermal_only']
    assert all(shape == list(SIZE) for _, _, shape in results)
    assert len({total for _, total, _ in results}) == 3, 'three inputs, three pictures'


def test_shipped_graphs_serve_any_camera(tmp_path):
    pytest.importorskip('openvino', reason='openvino is not installed')
    check_modes(predict_without(tmp_path, 'torch,onnx', 'default'))


def test_exported_onnx_graphs_serve_any_camera(tmp_path, small_weights):
    pytest.importorskip('onnx', reason='onnx is not installed')
    pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')
    from mafs_model.cli import main

    command = ['export', '--format', 'onnx', '--weights', str(small_weights)]
    assert main([*command, '--out', str(tmp_path)]) == 0
    weights = tmp_path / small_weights.name
    weights.write_bytes(small_weights.read_bytes())
    for given, backend in ((weights, 'onnxruntime'), (weights.with_suffix('.onnx'), 'auto')):
        check_modes(predict_without(tmp_path, 'torch,onnx', given, backend))


def test_info_and_help_need_none_of_the_libraries():
    libraries = 'torch,numpy,cv2,openvino,onnxruntime,safetensors,yaml,lz4,tqdm'
    for words in (['info'], ['info', '--json'], ['--help'], ['--version']):
        done = run_without(libraries, 'mafs_model.cli', *words)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()


@pytest.mark.parametrize('cameras', ['both', 'thermal'])
def test_fuse(tmp_path, folders, cameras):
    pytest.importorskip('openvino', reason='openvino is not installed')
    words = {
        'both': ['--rgb', folders / 'vi', '--thermal', folders / 'ir'],
        'thermal': ['--thermal', folders / 'ir'],
    }[cameras]
    out = tmp_path / 'out'
    done = run_without('torch,onnx', 'mafs_model.cli', 'fuse', *words, '--out', out, '--json')
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)['pairs'] == 2
    assert sorted(path.name for path in (out / 'fused').iterdir()) == ['a.png', 'b.png']


@pytest.mark.parametrize(
    ('options', 'begin'),
    [
        (['--backend', 'torch'], "backend 'torch'"),
        (['--backend', 'torch-compile'], "backend 'torch-compile'"),
        (['--backend', 'cuda-graph'], "backend 'cuda-graph'"),
        (['--device', 'cuda'], "device 'cuda'"),
        (['--device', 'cuda:1'], "device 'cuda:1'"),
    ],
)
def test_what_needs_torch_names_the_extra(tmp_path, folders, options, begin):
    images = ['--rgb', folders / 'vi', '--thermal', folders / 'ir', '--out', tmp_path / 'out']
    done = run_without('torch', 'mafs_model.cli', 'fuse', *images, *options)
    assert done.returncode == 2
    expected = f"mafs fuse: {begin}: package 'torch' is not installed, install mafs_ros[torch]"
    assert one_line(done) == expected


def test_precision_without_a_graph_names_the_extra(tmp_path, folders):
    images = ['--rgb', folders / 'vi', '--thermal', folders / 'ir', '--out', tmp_path / 'out']
    done = run_without('torch', 'mafs_model.cli', 'fuse', *images, '--precision', 'fp32')
    assert done.returncode == 2
    line = one_line(done)
    assert line.startswith("mafs fuse: precision 'fp32' on device 'cpu': ")
    assert line.endswith('install mafs_ros[torch]')


@pytest.mark.parametrize(
    'words',
    [
        ['export', '--format', 'onnx'],
        ['export', '--format', 'openvino'],
        ['export', '--format', 'tensorrt'],
        ['convert', 'last.ckpt', 'mafs.safetensors'],
    ],
)
def test_commands_that_need_torch_name_the_extra(tmp_path, words):
    done = run_without('torch', 'mafs_model.cli', *words, cwd=tmp_path)
    assert done.returncode == 2
    line = one_line(done)
    assert line.startswith(f'mafs {words[0]}: ')
    assert line.endswith("package 'torch' is not installed, install mafs_ros[torch]")
    assert list(tmp_path.iterdir()) == []


def test_nothing_that_computes_names_both_extras(tmp_path):
    done = predict_without(tmp_path, 'torch,openvino', 'default')
    assert done.stderr.splitlines()[-1].endswith(
        'install mafs_ros[torch], or mafs_ros[openvino] for their int8 graph'
    )


def test_extras_are_those_of_pip(monkeypatch):
    import runpy

    from mafs_model.extras import EXTRAS

    asked = {}
    monkeypatch.setattr('setuptools.setup', lambda **options: asked.update(options))
    runpy.run_path(str(Path(__file__).parents[2] / 'setup.py'))
    distributions = {'PIL': 'pillow'}
    for package, extra in EXTRAS.items():
        names = ' '.join(asked['extras_require'][extra]).lower()
        assert distributions.get(package, package) in names, f'{extra} does not bring {package}'
