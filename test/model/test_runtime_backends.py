"""The same bytes in give the same bytes out, whatever computes."""

from __future__ import annotations

import os
from pathlib import Path
import runpy
import shutil
import threading

import cv2
from mafs_model.errors import (
    CheckpointError,
    ConfigError,
    DeviceError,
    ImageError,
    ModeError,
)
from mafs_model.predictor import Outputs, Predictor
from mafs_model.runtime.agreement import Agreement, Tolerance, TOLERANCES
from mafs_model.runtime.cache import CACHE_VARIABLE
from mafs_model.runtime.export import deployment_graph, export_graph
from mafs_model.runtime.factory import build_engine
from mafs_model.runtime.graph_file import graph_path, read_graph_metadata
from mafs_model.runtime.graph_store import GraphStore
import numpy as np
import pytest

NEEDS = {'onnxruntime': ('onnx', 'onnxruntime'), 'openvino': ('openvino',)}
FORMATS = {'onnxruntime': 'onnx', 'openvino': 'openvino'}
SIZES = [(64, 96), (97, 131)]
MODES = ['fusion', 'visible_only', 'thermal_only']


def pair(size, seed=0):
    generator = np.random.default_rng(seed)
    visible, thermal = (
        cv2.GaussianBlur(generator.integers(0, 256, shape, dtype=np.uint8), (0, 0), 1.5)
        for shape in ((*size, 3), size)
    )
    return visible, thermal


@pytest.fixture(scope='module', autouse=True)
def cache(tmp_path_factory):
    """Export every graph once for the whole module."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp('cache')
        patch.setenv(CACHE_VARIABLE, str(folder))
        yield folder


@pytest.fixture(params=['onnxruntime', 'openvino'])
def backend(request):
    for package in NEEDS[request.param]:
        pytest.importorskip(package)
    return request.param


@pytest.fixture(scope='module')
def reference(small_weights):
    engine = build_engine(
        small_weights, backend='torch', precision='fp32', device='cpu', threads=1
    )
    yield engine
    engine.close()


@pytest.fixture
def engine(backend, small_weights):
    made = build_engine(small_weights, backend=backend, precision='fp32', device='cpu', threads=1)
    yield made
    made.close()


def given(mode, size, seed=0):
    visible, thermal = pair(size, seed)
    return (
        None if mode == 'thermal_only' else visible,
        None if mode == 'visible_only' else thermal,
    )


@pytest.mark.parametrize('mode', MODES)
def test_equivalent_to_torch(engine, reference, mode):
    tolerance = TOLERANCES['fp32']
    for size in SIZES:
        images = given(mode, size)
        result, expected = (e.infer(*images, Outputs()) for e in (engine, reference))
        difference = np.abs(result.fused.astype(int) - expected.fused)
        assert difference.max() <= tolerance.fused_max, size
        assert difference.mean() <= tolerance.fused, size
        assert (result.labels == expected.labels).mean() >= tolerance.labels, size
        assert np.abs(result.confidence.astype(int) - expected.confidence).max() <= 2, size
        assert len(np.unique(expected.labels)) > 1, 'the comparison of labels says something'


@pytest.mark.parametrize('mode', MODES)
def test_every_call_is_as_good_as_the_first(engine, reference, mode):
    """A runtime may fold an absent image into a constant, but not write into that."""
    for seed in range(4):
        images = given(mode, (64, 96), seed)
        result, expected = (e.infer(*images, Outputs()) for e in (engine, reference))
        assert np.abs(result.fused.astype(int) - expected.fused).max() <= 1, seed
        assert np.abs(result.confidence.astype(int) - expected.confidence).max() <= 2, seed


def test_engine_says_what_it_is(engine, backend, reference):
    assert (engine.backend, engine.device, engine.is_classical) == (backend, 'cpu', False)
    assert engine.weights_id == reference.weights_id
    assert engine.classes == reference.classes


def test_results_belong_to_the_caller(engine):
    images = given('fusion', (64, 96))
    first = engine.infer(*images, Outputs())
    kept = [a.copy() for a in (first.fused, first.labels, first.confidence)]
    engine.infer(*given('fusion', (64, 96), seed=1), Outputs())
    for now, before in zip((first.fused, first.labels, first.confidence), kept, strict=True):
        assert np.array_equal(now, before)
        assert now.flags.writeable
        assert now.flags.c_contiguous


def test_only_wanted_outputs(engine):
    result = engine.infer(*given('fusion', (64, 96)), Outputs(False, True, False))
    assert result.fused is None
    assert result.confidence is None
    assert result.labels.shape == (64, 96)


def test_strided_read_only_input(engine):
    visible, thermal = pair((64, 96))
    wide = np.zeros((64, 120, 3), np.uint8)
    wide[:, :96] = visible
    view = wide[:, :96]
    view.flags.writeable = False
    expected = engine.infer(visible, thermal, Outputs()).fused
    assert np.array_equal(engine.infer(view, thermal, Outputs()).fused, expected)


def test_predictor_runs_it(backend, small_weights):
    arguments = {'device': 'cpu', 'threads': 1}
    visible, thermal = pair((97, 131))
    with (
        Predictor.create(small_weights, backend=backend, **arguments) as first,
        Predictor.create(small_weights, backend='torch', **arguments) as second,
    ):
        assert first.backend == backend
        results = [p.predict(visible, thermal[:40, :60].copy()) for p in (first, second)]
    assert np.abs(results[0].fused.astype(int) - results[1].fused).max() <= 2


@pytest.fixture
def exported(backend, small_weights, tmp_path):
    """Return a folder with the fusion graph and nothing else."""
    made = GraphStore(small_weights).get(FORMATS[backend], 'fp32', 'fusion').path
    path = graph_path(tmp_path / 'small.safetensors', FORMATS[backend], 'fp32', 'fusion')
    for suffix in {made.suffix, '.bin'} if backend == 'openvino' else {made.suffix}:
        shutil.copy(made.with_suffix(suffix), path.with_suffix(suffix))
    return path


def test_exported_file_works_alone(exported, backend, reference):
    with Predictor.create(exported, device='cpu', threads=1) as predictor:
        assert predictor.backend == backend
        assert predictor.weights_id == reference.weights_id
        result = predictor.predict(*pair((64, 96)))
    expected = reference.infer(*pair((64, 96)), Outputs())
    assert np.abs(result.fused.astype(int) - expected.fused).max() <= 2


def test_example_without_this_package_runs_as_it_is_printed(
    exported, backend, monkeypatch, tmp_path, capsys
):
    if backend != 'onnxruntime':
        pytest.skip('the example is of ONNX Runtime')
    document = (Path(__file__).parents[2] / 'docs' / 'runtime.md').read_text('utf-8')
    (block,) = [b for b in document.split('```python\n')[1:] if 'InferenceSession' in b]
    shutil.copy(exported, tmp_path / 'mafs_t.onnx')
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'example.py').write_text(block.partition('```')[0], 'utf-8')
    runpy.run_path('example.py')
    assert "{0: 'background', 1: 'fire_extinguisher'" in capsys.readouterr().out


def test_metadata_is_kept(exported, small_weights):
    from mafs_model.checkpoint import read_metadata

    metadata = read_graph_metadata(exported)
    export = metadata.pop('export')
    assert metadata == read_metadata(small_weights)
    assert export['precision'] == 'fp32'
    assert export['mode'] == 'fusion'
    assert export['size'] is None
    assert export['multiple'] == 32


def test_missing_mode_is_an_error_that_says_what_to_do(exported, monkeypatch):
    monkeypatch.delenv(CACHE_VARIABLE)
    with Predictor.create(exported, device='cpu') as predictor:
        with pytest.raises(CheckpointError, match='mafs export writes it with --modes visible_on'):
            predictor.predict(pair((64, 96))[0], None)
        assert predictor.predict(*pair((64, 96))).mode == 'fusion'


def test_graph_for_both_cameras_goes_on_where_one_would_be_left_out(exported, monkeypatch):
    monkeypatch.delenv(CACHE_VARIABLE)
    visible, _ = pair((64, 96))
    with Predictor.create(exported, device='cpu') as predictor:
        predictor.warm_up((64, 96), (64, 96), alone=True)
        why = predictor.why_not('visible_only')
        assert 'small' in why
        assert 'for the visible camera alone' in why
        assert '--modes visible_only' in why
        assert predictor.why_not('fusion') == ''
        result = predictor.predict(visible, np.full((64, 96), 7, np.uint8))
        assert result.mode == 'fusion'
        (notice,) = result.notices
        assert notice.startswith('thermal image is constant')
        assert notice.endswith(f'it is used all the same: {why}')
        with pytest.raises(ModeError, match='for the visible camera alone'):
            predictor.prepare('visible_only', (64, 96))


@pytest.mark.parametrize('alone', ['visible', 'thermal'])
def test_graph_for_one_camera_serves_that_one_and_refuses_pairs(
    alone, backend, small_weights, tmp_path, monkeypatch
):
    mode = f'{alone}_only'
    made = GraphStore(small_weights).get(FORMATS[backend], 'fp32', mode).path
    path = graph_path(tmp_path / 'small.safetensors', FORMATS[backend], 'fp32', mode)
    for suffix in {made.suffix, '.bin'} if backend == 'openvino' else {made.suffix}:
        shutil.copy(made.with_suffix(suffix), path.with_suffix(suffix))
    monkeypatch.delenv(CACHE_VARIABLE)
    with Predictor.create(path, device='cpu', threads=1) as predictor:
        assert predictor.predict(*given(mode, (64, 96))).mode == mode
        with pytest.raises(ModeError, match=r'for both cameras: .*--modes fusion'):
            predictor.predict(*pair((64, 96)))


def test_graph_that_cannot_be_compiled_is_tried_once(
    exported, backend, monkeypatch, small_weights
):
    shutil.copy(small_weights, exported.with_name('small.safetensors'))
    predictor = Predictor.create(exported.with_name('small.safetensors'), backend=backend)
    with predictor:
        compile_graph, tried = predictor.engine._compile, []

        def fail(graph, size):
            if graph.metadata['export']['mode'] == 'fusion':
                return compile_graph(graph, size)
            tried.append(graph.path)
            raise CheckpointError('graph: cannot be compiled')

        monkeypatch.setattr(predictor.engine, '_compile', fail)
        predictor.warm_up((64, 96), (64, 96), alone=True)
        assert len(tried) == 2, 'each camera once'
        assert predictor.predict(pair((64, 96))[0], np.zeros((64, 96), np.uint8)).notices
        assert len(tried) == 2


def test_what_is_prepared_costs_no_load_and_holds_up_nobody(engine, monkeypatch):
    visible, thermal = pair((64, 96))
    engine.infer(visible, thermal, Outputs())
    begun, go_on = threading.Event(), threading.Event()
    compile_graph, compiled = engine._compile, []

    def slow(graph, size):
        begun.set()
        assert go_on.wait(60)
        compiled.append(graph.metadata['export']['mode'])
        return compile_graph(graph, size)

    monkeypatch.setattr(engine, '_compile', slow)
    thread = threading.Thread(target=engine.prepare, args=('visible_only', (64, 96)))
    thread.start()
    assert begun.wait(60)
    engine.infer(visible, thermal, Outputs())
    assert compiled == [], 'the pair did not wait'
    go_on.set()
    thread.join()
    engine.infer(visible, None, Outputs())
    assert compiled == ['visible_only'], 'the single image found it ready'
    engine.close()
    with pytest.raises(ConfigError, match='closed'):
        engine.prepare('thermal_only', (64, 96))


def test_closing_waits_for_what_is_being_prepared(engine, monkeypatch):
    begun, go_on, done = threading.Event(), threading.Event(), []

    def slow(graph, size):
        begun.set()
        assert go_on.wait(60)
        done.append(graph)
        return lambda images: []

    monkeypatch.setattr(engine, '_compile', slow)
    preparing = threading.Thread(target=engine.prepare, args=('visible_only', (64, 96)))
    closing = threading.Thread(target=lambda: (engine.close(), done.append('closed')))
    preparing.start()
    assert begun.wait(60)
    closing.start()
    go_on.set()
    closing.join()
    preparing.join()
    assert done[-1] == 'closed'
    assert len(done) == 2


def test_truncated_export(exported, backend):
    data = exported.read_bytes()
    damaged = [data[: len(data) // 2]]
    if backend == 'openvino':  # of which only the end is read for the metadata
        damaged += [data[:-8], data + b'x', data.replace(b'<rt_info>', b'<rt_info><')]
    for content in damaged:
        exported.write_bytes(content)
        with pytest.raises(CheckpointError, match='truncated or damaged') as caught:
            Predictor.create(exported, device='cpu')
        assert str(exported) in str(caught.value)
        assert '\n' not in str(caught.value)


def test_wrong_backend_or_precision_for_an_export(exported, backend):
    other = {'onnxruntime': 'openvino', 'openvino': 'onnxruntime'}[backend]
    with pytest.raises(ConfigError, match=rf"backend '{other}' with weights .*: expected"):
        Predictor.create(exported, device='cpu', backend=other)
    with pytest.raises(ConfigError, match=r"'int8' with weights .*: the file holds fp32"):
        Predictor.create(exported, device='cpu', precision='int8')


def test_fixed_size_pads_smaller_images_and_refuses_larger(backend, small_weights, tmp_path):
    from mafs_model.checkpoint import load_checkpoint

    path = graph_path(tmp_path / 'w.safetensors', FORMATS[backend], 'fp32', 'fusion')
    export_graph(load_checkpoint(small_weights), path, FORMATS[backend], size=(64, 96))
    with Predictor.create(path, device='cpu') as predictor:
        assert predictor.predict(*pair((64, 96))).fused.shape == (64, 96, 3)
        assert predictor.predict(*pair((50, 90))).fused.shape == (50, 90, 3)
        with pytest.raises(ImageError, match='image is 131x97, expected at most 96x64'):
            predictor.predict(*pair((97, 131)))


def test_graph_beside_the_weights_is_used(exported, backend, small_weights, monkeypatch):
    weights = exported.with_name('small.safetensors')
    shutil.copy(small_weights, weights)
    monkeypatch.delenv(CACHE_VARIABLE)
    monkeypatch.setattr(GraphStore, '_make', None)  # exporting would fail
    with Predictor.create(weights, device='cpu', backend=backend) as predictor:
        assert predictor.predict(*pair((64, 96))).mode == 'fusion'


def test_graph_of_other_weights_is_ignored(exported, backend, small_weights, caplog):
    from mafs_model.checkpoint import load_checkpoint, save_checkpoint

    checkpoint = load_checkpoint(small_weights)
    state = {k: v * 1.01 if v.is_floating_point() else v for k, v in checkpoint.state_dict.items()}
    weights = exported.with_name('small.safetensors')
    save_checkpoint(weights, state, checkpoint.metadata)
    assert not GraphStore(weights).has(FORMATS[backend], 'fp32')
    assert 'made from other weights' in caplog.text


def test_without_a_cache_folder_nothing_is_left_behind(
    backend, small_weights, monkeypatch, tmp_path
):
    import tempfile

    monkeypatch.delenv(CACHE_VARIABLE)
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    engine = build_engine(small_weights, backend=backend, precision='fp32', device='cpu')
    assert list(tmp_path.iterdir())
    engine.close()
    assert not list(tmp_path.iterdir())


def test_int8_needs_a_calibrated_graph(backend, small_weights):
    with pytest.raises(ConfigError, match=r"'int8': no calibrated graph beside .*--calib"):
        Predictor.create(small_weights, device='cpu', backend=backend, precision='int8')


@pytest.mark.parametrize('backend', ['onnxruntime', 'openvino', 'tensorrt'])
def test_missing_package(backend, small_weights, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, backend, None)
    with pytest.raises(DeviceError, match=f"backend '{backend}': package '{backend}' is not inst"):
        Predictor.create(small_weights, device='cpu', backend=backend)


def test_openvino_computes_in_fp32_unless_told_otherwise(small_weights, reference):
    pytest.importorskip('openvino')
    engine = build_engine(small_weights, backend='openvino', precision='bf16', device='cpu')
    images = pair((64, 96))
    rough = engine.infer(*images, Outputs())
    engine.close()
    expected = reference.infer(*images, Outputs())
    difference = np.abs(rough.fused.astype(int) - expected.fused)
    assert difference.mean() <= TOLERANCES['bf16'].fused


def test_openvino_runs_exported_weights_without_torch(exported, backend):
    import subprocess
    import sys

    code = (
        'import sys, numpy as np\n'
        'from mafs_model.predictor import Predictor\n'
        f'p = Predictor.create({str(exported)!r})\n'
        # Of a black thermal image the visible one alone is taken, and its graph is not here.
        'draw = np.random.default_rng(0).integers\n'
        'r = p.predict(draw(0, 256, (64, 96, 3), np.uint8), draw(0, 256, (64, 96), np.uint8))\n'
        "assert r.mode == 'fusion'\n"
        'assert r.fused.shape == (64, 96, 3)\n'
        "assert 'torch' not in sys.modules, 'torch was loaded'\n"
    )
    subprocess.run([sys.executable, '-c', code], check=True, timeout=120)


def test_agreement_is_within_its_tolerance_only_if_every_figure_is():
    good = Agreement(0.01, 1, 0.999, 0.0, 1)
    assert good.within(TOLERANCES['fp32'])
    for bad in (
        Agreement(0.1, 1, 0.999, 0.0, 1),
        Agreement(0.01, 9, 0.999, 0.0, 1),
        Agreement(0.01, 1, 0.99, 0.0, 1),
        Agreement(float('nan'), 1, 0.999, 0.0, 1),
    ):
        assert not bad.within(TOLERANCES['fp32'])
    assert Tolerance(1, 2, 0.5) != TOLERANCES['fp32']


def test_folding_changes_nothing_but_rounding(small_weights):
    from mafs_model.checkpoint import load_checkpoint, load_model
    import torch

    checkpoint = load_checkpoint(small_weights)
    folded = deployment_graph(checkpoint, 'fusion').network
    plain, _ = load_model(small_weights)
    assert not [m for m in folded.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    visible, thermal = torch.rand(1, 3, 64, 96), torch.rand(1, 1, 64, 96)
    with torch.inference_mode():
        first, second = folded(visible, thermal), plain(visible, thermal)
    assert torch.allclose(first.fused_rgb, second.fused_rgb, atol=1e-4)
    assert torch.allclose(first.logits, second.logits, atol=1e-3)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(
    not os.environ.get('MAFS_TEST_COMPILE'),
    reason='torch.compile takes minutes of two cores: set MAFS_TEST_COMPILE=1',
)
def test_torch_compile_is_equivalent_to_torch(small_weights, reference):
    engine = build_engine(
        small_weights, backend='torch-compile', precision='fp32', device='cpu', threads=1
    )
    images = pair((64, 96))
    result, expected = (e.infer(*images, Outputs()) for e in (engine, reference))
    engine.close()
    assert np.abs(result.fused.astype(int) - expected.fused).max() <= TOLERANCES['fp32'].fused_max
    assert (result.labels == expected.labels).mean() >= TOLERANCES['fp32'].labels
