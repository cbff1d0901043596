"""Choice of the backend by measurement, and going on after a GPU ran out of memory."""

from __future__ import annotations

import json
import logging

from mafs_model.checkpoint import load_checkpoint, save_checkpoint
from mafs_model.classes import ClassTable
from mafs_model.errors import CheckpointError, ConfigError, DeviceError, OutOfMemoryError
from mafs_model.images.registration import Registration
from mafs_model.prediction import Outputs
from mafs_model.runtime import factory, selection, source_hash
from mafs_model.runtime.cache import CACHE_VARIABLE
from mafs_model.runtime.engine import Prediction
from mafs_model.runtime.fallback import FallbackEngine
import numpy as np
import pytest

CANDIDATES = [('slow', 'fp32'), ('fast', 'fp32'), ('broken', 'fp32')]
COST_MS = {'slow': 30, 'fast': 3}


class FakeEngine:
    """Takes a fixed time on the fake clock."""

    is_classical, notices, weights_id, device = False, ('made',), 'test', 'cuda:0'

    def __init__(self, backend, clock=None, failures=0):
        self.backend, self.clock, self.failures = backend, clock, failures
        self.classes = ClassTable.load('mfnet')
        self.sizes, self.closed = [], 0

    def infer(self, visible, thermal, outputs):
        image = visible if visible is not None else thermal
        self.sizes.append(image.shape[:2])
        if self.clock is not None:
            self.clock[0] += COST_MS[self.backend] / 1e3
        if self.failures:
            self.failures -= 1
            raise OutOfMemoryError("device 'cuda:0': out of memory")
        size = image.shape[:2]
        return Prediction(
            np.zeros((*size, 3), np.uint8) if outputs.fused else None,
            np.ones(size, np.uint8) if outputs.labels else None,
            np.full(size, 9, np.uint8) if outputs.confidence else None,
        )

    def why_not(self, mode):
        return ''

    def close(self):
        self.closed += 1


@pytest.fixture
def laboratory(monkeypatch):
    """Replace clock and engines; return the list of backends that were built."""
    clock, built = [0.0], []

    def build(weights, *, backend, **unused):
        built.append(backend)
        if backend == 'broken':
            raise DeviceError("backend 'broken': is broken")
        return FakeEngine(backend, clock)

    monkeypatch.setattr(selection.time, 'perf_counter', lambda: clock[0])
    monkeypatch.setattr(factory, 'build_engine', build)
    monkeypatch.setattr(selection, 'load_checkpoint', lambda path: path)
    monkeypatch.setattr(selection, 'check_fits', lambda checkpoint: None)
    monkeypatch.setattr(selection, '_chosen', {})
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    return built


def choose(checksum='abc', candidates=None, threads=2):
    return selection.choose(
        'w.safetensors', checksum, candidates or CANDIDATES, 'cpu', threads, factory.build_engine
    )


def test_the_fastest_is_chosen_and_the_log_says_why(laboratory, caplog):
    with caplog.at_level(logging.INFO, 'mafs_model'):
        assert choose() == ('fast', 'fp32')
    assert 'backend fast (fp32) chosen: slow fp32 30.0 ms, fast fp32 3.0 ms' in caplog.text
    assert "backend broken left out: backend 'broken': is broken" in caplog.text


def test_a_second_configure_does_not_measure_again(laboratory):
    choose()
    laboratory.clear()
    assert choose() == ('fast', 'fp32')
    assert not laboratory


@pytest.mark.parametrize(
    'change', [{'checksum': 'other'}, {'threads': 1}, {'candidates': CANDIDATES[:2]}]
)
def test_anything_that_matters_measures_again(laboratory, change):
    choose()
    laboratory.clear()
    choose(**change)
    assert laboratory


def test_choice_outlives_the_process_in_the_cache_folder(laboratory, monkeypatch, tmp_path):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / 'new'))
    choose()
    monkeypatch.setattr(selection, '_chosen', {})
    laboratory.clear()
    assert choose() == ('fast', 'fp32')
    assert not laboratory


@pytest.mark.parametrize('text', ['', '[1]', '{', '{"x": 1}'])
def test_damaged_cache_file_is_overwritten(laboratory, monkeypatch, tmp_path, text):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    (tmp_path / 'backends.json').write_text(text)
    assert choose() == ('fast', 'fp32')
    assert ['fast', 'fp32'] in json.loads((tmp_path / 'backends.json').read_text()).values()


def test_cached_choice_that_is_no_candidate_any_more(laboratory, monkeypatch, tmp_path):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    choose()
    content = json.loads((tmp_path / 'backends.json').read_text())
    (tmp_path / 'backends.json').write_text(json.dumps({k: ['gone', 'fp32'] for k in content}))
    monkeypatch.setattr(selection, '_chosen', {})
    assert choose() == ('fast', 'fp32')


def test_unusable_cache_folder_is_only_a_warning(laboratory, monkeypatch, tmp_path, caplog):
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / 'file' / 'folder'))
    assert choose() == ('fast', 'fp32')
    assert 'cannot be used' in caplog.text


def test_nothing_works(laboratory):
    with pytest.raises(DeviceError, match=r"device 'cpu': none of the backends broken works"):
        choose(candidates=[('broken', 'fp32')])


def test_weights_of_another_architecture_are_told_before_any_backend_is_tried(
    small_weights, tmp_path, monkeypatch, caplog
):
    checkpoint = load_checkpoint(small_weights)
    other = {**checkpoint.architecture, 'head_width': 32}
    path = tmp_path / 'other.safetensors'
    save_checkpoint(path, checkpoint.state_dict, {**checkpoint.metadata, 'architecture': other})
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    monkeypatch.setattr(factory, '_CPU_CANDIDATES', ('torch', 'torch-compile'))
    with pytest.raises(CheckpointError, match=r'keys of another shape: .* expected') as caught:
        factory.create_engine(path, device='cpu')
    assert str(path) in str(caught.value)
    assert '\n' not in str(caught.value)
    assert 'left out' not in caplog.text


def test_budget_ends_slow_measurements(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(selection.time, 'perf_counter', lambda: clock[0])
    monkeypatch.setitem(COST_MS, 'slow', 1500)
    engine = FakeEngine('slow', clock)
    assert selection.measure(engine) == pytest.approx(1500)
    assert len(engine.sizes) == 3  # one to warm up, two until the budget is spent


class FakeStore:
    """Knows which int8 graphs lie beside the weights."""

    is_export = False
    weights = 'w.safetensors'

    def __init__(self, *int8, fp32=()):
        self.graphs = {'int8': int8, 'fp32': fp32}

    def has(self, file_format, precision):
        return file_format in self.graphs.get(precision, ())


@pytest.fixture
def installed(monkeypatch):
    present = {'openvino', 'onnxruntime', 'onnx', 'torch'}
    monkeypatch.setattr(factory, 'is_installed', present.__contains__)
    return present


@pytest.mark.parametrize(
    ('int8', 'device', 'backend', 'precision', 'expected'),
    [
        (
            (),
            'cpu',
            'auto',
            'auto',
            [('openvino', 'fp32'), ('onnxruntime', 'fp32'), ('torch', 'fp32')],
        ),
        (('openvino',), 'cpu', 'auto', 'auto', [('openvino', 'int8')]),
        (
            ('openvino', 'onnx'),
            'cpu',
            'auto',
            'auto',
            [('openvino', 'int8'), ('onnxruntime', 'int8')],
        ),
        (
            ('openvino',),
            'cpu',
            'auto',
            'fp32',
            [('openvino', 'fp32'), ('onnxruntime', 'fp32'), ('torch', 'fp32')],
        ),
        (('openvino',), 'cpu', 'torch', 'auto', [('torch', 'fp32')]),
        ((), 'cpu', 'auto', 'bf16', [('openvino', 'bf16'), ('torch', 'bf16')]),
        ((), 'cpu', 'openvino', 'int8', [('openvino', 'int8')]),
        ((), 'cuda:0', 'auto', 'auto', [('cuda-graph', 'fp16'), ('torch', 'fp16')]),
    ],
)
def test_candidates(installed, int8, device, backend, precision, expected):
    assert factory._candidates(FakeStore(*int8), device, backend, precision) == expected


def test_candidates_follow_what_is_installed(installed):
    installed.discard('onnx')
    assert factory._candidates(FakeStore(), 'cpu', 'auto', 'auto') == [
        ('openvino', 'fp32'),
        ('torch', 'fp32'),
    ]
    installed.add('tensorrt')
    installed.add('onnx')
    assert ('tensorrt', 'fp16') in factory._candidates(FakeStore(), 'cuda:0', 'auto', 'auto')


def test_candidates_without_torch_have_their_graphs(installed):
    installed.discard('torch')
    installed.discard('onnx')
    store = FakeStore('openvino', 'onnx')
    assert factory._candidates(store, 'cpu', 'auto', 'auto') == [
        ('openvino', 'int8'),
        ('onnxruntime', 'int8'),
    ]
    store = FakeStore('openvino', fp32=('onnx',))
    assert factory._candidates(store, 'cpu', 'auto', 'auto') == [('openvino', 'int8')]
    assert factory._candidates(store, 'cpu', 'auto', 'fp32') == [('onnxruntime', 'fp32')]
    # OpenVINO computes bf16 from fp32.
    store = FakeStore(fp32=('openvino',))
    assert factory._candidates(store, 'cpu', 'auto', 'bf16') == [('openvino', 'bf16')]


@pytest.mark.parametrize(
    ('store', 'precision', 'end'),
    [
        (FakeStore(), 'auto', r'install mafs_ros\[torch\]$'),
        (
            FakeStore('openvino'),
            'auto',
            r'\[torch\], or mafs_ros\[openvino\] for their int8 graph$',
        ),
        (FakeStore('openvino'), 'fp32', r'install mafs_ros\[torch\]$'),
    ],
)
def test_nothing_that_computes_names_the_extras(installed, store, precision, end):
    installed.clear()
    with pytest.raises(DeviceError, match=rf"precision '{precision}' on device 'cpu': .*{end}"):
        factory._candidates(store, 'cpu', 'auto', precision)


def test_precision_that_nothing_computes(installed):
    with pytest.raises(ConfigError, match=r"precision 'int8' on device 'cpu': no installed back"):
        factory._candidates(FakeStore(), 'cpu', 'auto', 'int8')


def test_find_weights_without_shipped_ones(monkeypatch, tmp_path):
    monkeypatch.setattr(factory, 'DEFAULT_WEIGHTS', tmp_path / 'none.safetensors')
    with pytest.raises(CheckpointError, match='no network weights are shipped'):
        factory.find_weights('default')
    with pytest.raises(CheckpointError, match='that is the fusion without a network'):
        factory.find_weights('classical')


IMAGES = np.zeros((96, 128, 3), np.uint8), np.zeros((96, 128), np.uint8)


def test_out_of_memory_halves_then_moves_to_the_cpu(caplog):
    gpu, cpu = FakeEngine('gpu', failures=1), FakeEngine('cpu')
    cpu.device = 'cpu'
    engine = FallbackEngine(gpu, lambda: cpu)
    result = engine.infer(*IMAGES, Outputs())
    assert gpu.sizes == [(96, 128), (48, 64)]
    assert result.fused.shape == (96, 128, 3)
    assert result.labels.shape == result.confidence.shape == (96, 128)
    assert engine.device == 'cuda:0'
    assert engine.notices == ('made', "device 'cuda:0': out of memory: computing at half size")

    gpu.failures = 1
    result = engine.infer(*IMAGES, Outputs(labels=False))
    assert gpu.closed == 1
    assert cpu.sizes == [(96, 128)]
    assert result.labels is None
    assert (engine.device, engine.backend) == ('cpu', 'cpu')
    assert 'computing on the CPU' in engine.notices[-1]
    assert 'computing on the CPU' in caplog.text
    engine.close()
    assert cpu.closed == 1


class FakeGpu(FakeEngine):
    """Registers thermal images itself."""

    registers = True

    def infer_unregistered(self, visible, thermal, outputs):
        self.unregistered = getattr(self, 'unregistered', 0) + 1
        return self.infer(visible, np.zeros(thermal.size, np.uint8), outputs)


def test_out_of_memory_while_registering_on_the_gpu():
    gpu, cpu = FakeGpu('gpu'), FakeEngine('cpu')
    engine = FallbackEngine(gpu, lambda: cpu)
    thermal = Registration(np.eye(3)).unregistered(IMAGES[1], (96, 128))
    assert engine.registers
    engine.infer_unregistered(IMAGES[0], thermal, Outputs())
    gpu.failures = 2
    result = engine.infer_unregistered(IMAGES[0], thermal, Outputs())
    assert result.fused.shape == (96, 128, 3)
    assert (gpu.unregistered, gpu.sizes) == (2, [(96, 128), (96, 128), (48, 64)])
    assert cpu.sizes == [(96, 128)]
    assert not engine.registers
    assert 'computing on the CPU' in engine.notices[-1]


def test_it_stays_at_half_size():
    gpu = FakeEngine('gpu', failures=1)
    engine = FallbackEngine(gpu, lambda: FakeEngine('cpu'))
    for _ in range(3):
        engine.infer(None, IMAGES[1], Outputs())
    assert gpu.sizes == [(96, 128), (48, 64), (48, 64), (48, 64)]


def test_out_of_memory_on_the_cpu_and_other_failures_pass_through():
    engine = FallbackEngine(FakeEngine('gpu', failures=9), lambda: FakeEngine('cpu', failures=9))
    with pytest.raises(OutOfMemoryError):
        engine.infer(*IMAGES, Outputs())

    class Lost(FakeEngine):
        def infer(self, *unused):
            raise DeviceError("device 'cuda:0': lost")

    with pytest.raises(DeviceError, match='lost'):
        FallbackEngine(Lost('gpu'), lambda: FakeEngine('cpu')).infer(*IMAGES, Outputs())


@pytest.mark.parametrize(
    ('loaded', 'before', 'after', 'holds'),
    [
        (False, None, 'PASSIVE', True),
        (False, 'active', 'active', False),
        (True, None, None, False),
        (True, 'passive', 'passive', True),
    ],
)
def test_openmp_threads_wait_asleep_unless_told_otherwise(
    monkeypatch, loaded, before, after, holds
):
    import os
    import sys

    from mafs_model.runtime import environment

    monkeypatch.delenv(environment.OMP_VARIABLE, raising=False)
    if before is not None:
        monkeypatch.setenv(environment.OMP_VARIABLE, before)
    modules = {k: v for k, v in sys.modules.items() if k != 'torch'}
    modules |= {'torch': None} if loaded else {}
    monkeypatch.setattr(environment.sys, 'modules', modules)
    assert environment.wait_passively() is holds
    assert os.environ.get(environment.OMP_VARIABLE) == after
    os.environ.pop(environment.OMP_VARIABLE, None)


@pytest.mark.parametrize('pattern', source_hash._SOURCES)
def test_what_the_source_hash_covers_is_there(pattern):
    # A moved file would silently leave the key of the cache.
    assert [p for p in source_hash._PACKAGE.glob(pattern) if p.stat().st_size > 100]


def test_changed_network_code_changes_the_revision(monkeypatch, tmp_path):
    package = tmp_path / 'mafs_model'
    (package / 'network' / 'layers').mkdir(parents=True)
    (package / 'network' / 'mafs.py').write_text('x = 1\n')
    monkeypatch.setattr(source_hash, '_PACKAGE', package)

    def current():
        source_hash.network_source_hash.cache_clear()
        return source_hash.network_source_hash()

    first = current()
    assert first == current()
    (package / 'unrelated.py').write_text('y = 2\n')
    assert current() == first
    (package / 'network' / 'layers' / 'attention.py').write_text('z = 3\n')
    second = current()
    (package / 'network' / 'mafs.py').write_text('x = 2\n')
    assert len({first, second, current()}) == 3
    source_hash.network_source_hash.cache_clear()
