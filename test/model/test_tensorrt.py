"""
Plans of TensorRT: what is asked of the library, and what is done with the addresses it is given.

The library is replaced by a double that runs the ONNX graph on the CPU; the device is the CPU.
"""

from __future__ import annotations

import ctypes
import json
from pathlib import Path
import sys
from types import SimpleNamespace

import cv2
from mafs_model.cli import main
from mafs_model.errors import CheckpointError, ConfigError, ImageError, OutOfMemoryError
from mafs_model.images.registration import Registration
from mafs_model.predictor import Outputs, Predictor
from mafs_model.runtime import tensorrt_engine, tensorrt_plan
from mafs_model.runtime.agreement import TOLERANCES
from mafs_model.runtime.cache import CACHE_VARIABLE
from mafs_model.runtime.export import check_format
from mafs_model.runtime.factory import build_engine
from mafs_model.runtime.graph_file import graph_path, read_graph_metadata
import numpy as np
import pytest

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')

OUTPUTS = {'fused': (3,), 'labels': (), 'confidence': ()}


class Double:
    """The parts of tensorrt that are used; a plan is the ONNX graph behind its input shapes."""

    __version__ = '10.99'
    Logger = type('Logger', (), {'WARNING': 2, '__init__': lambda self, level: None})
    NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=1)
    MemoryPoolType = SimpleNamespace(WORKSPACE='workspace')

    def __init__(self):
        self.built, self.flags, self.readable, self.fits = [], [], True, True
        self.Builder = lambda logger: Builder(self)
        self.OnnxParser = lambda network, logger: Parser(self, network)
        self.Runtime = lambda logger: SimpleNamespace(deserialize_cuda_engine=Plan)


class Builder:
    def __init__(self, library):
        self.library = library

    def create_network(self, flags):
        self.library.flags.append(flags)
        network = SimpleNamespace(inputs=[], path=None)
        network.get_input = lambda index: network.inputs[index]
        return network

    def create_builder_config(self):
        config = SimpleNamespace(profiles=[])
        config.set_memory_pool_limit = lambda kind, size: None
        config.add_optimization_profile = config.profiles.append
        return config

    def create_optimization_profile(self):
        profile = SimpleNamespace(shapes={})
        profile.set_shape = lambda name, *shapes: profile.shapes.update({name: shapes})
        return profile

    def build_serialized_network(self, network, config):
        (profile,) = config.profiles
        assert all(len(set(shapes)) == 1 for shapes in profile.shapes.values())
        shapes = {name: given[0] for name, given in profile.shapes.items()}
        self.library.built.append(shapes)
        plan = json.dumps(shapes).encode() + b'\n' + network.path.read_bytes()
        return plan if self.library.fits else None


class Parser:
    num_errors = 1

    def __init__(self, library, network):
        self.library, self.network = library, network

    def parse_from_file(self, path):
        import onnx

        if not self.library.readable:
            return False
        self.network.path = Path(path)
        for node in onnx.load(path).graph.input:
            dims = [d.dim_value or -1 for d in node.type.tensor_type.shape.dim]
            self.network.inputs.append(SimpleNamespace(name=node.name, shape=dims))
        self.network.num_inputs = len(self.network.inputs)
        return True

    def get_error(self, index):
        return SimpleNamespace(desc=lambda: 'no such operation')


class Plan:
    def __init__(self, plan):
        import onnxruntime

        header, _, graph = plan.partition(b'\n')
        self.shapes = {name: tuple(shape) for name, shape in json.loads(header).items()}
        height, width = next(iter(self.shapes.values()))[1:3]
        for name, rest in OUTPUTS.items():
            side = (height, width) if name == 'fused' else (height // 2, width // 2)
            self.shapes[name] = (1, *side, *rest)
        self.session = onnxruntime.InferenceSession(graph, providers=['CPUExecutionProvider'])
        self.addresses = {}

    def get_tensor_shape(self, name):
        return self.shapes[name]

    def create_execution_context(self):
        return self

    def set_tensor_address(self, name, address):
        self.addresses[name] = address

    def array(self, name):
        shape = self.shapes[name]
        buffer = (ctypes.c_uint8 * int(np.prod(shape))).from_address(self.addresses[name])
        return np.frombuffer(buffer, np.uint8).reshape(shape)

    def execute_async_v3(self, stream):
        assert stream == 7
        given = {node.name: self.array(node.name) for node in self.session.get_inputs()}
        for name, result in zip(OUTPUTS, self.session.run(list(OUTPUTS), given), strict=True):
            self.array(name)[...] = result
        return True


@pytest.fixture
def library(monkeypatch, tmp_path):
    double = Double()
    monkeypatch.setitem(sys.modules, 'tensorrt', double)
    monkeypatch.setattr(tensorrt_plan, 'building_device', lambda: 'cpu')
    for module in (tensorrt_plan, tensorrt_engine):
        monkeypatch.setattr(
            module, 'fingerprint', lambda lib, device: {'gpu': 'X 1', 'tensorrt': lib.__version__}
        )
    monkeypatch.setattr(tensorrt_engine, '_check_device', lambda device: None)
    monkeypatch.setattr(tensorrt_engine, '_stream_handle', lambda device: 7)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / 'cache'))
    return double


def image(shape, seed=0):
    generator = np.random.default_rng(seed)
    return cv2.GaussianBlur(generator.integers(0, 256, shape, dtype=np.uint8), (0, 0), 2.0)


def agrees(result, expected, tolerance):
    difference = np.abs(result.fused.astype(int) - expected.fused)
    assert difference.max() <= tolerance.fused_max
    assert difference.mean() <= tolerance.fused
    assert (result.labels == expected.labels).mean() >= tolerance.labels


def export(weights, out, *arguments):
    return main(
        ['export', '--format', 'tensorrt', '--weights', str(weights), '--out', str(out)]
        + ['--size', '96x64', '--modes', 'fusion', *arguments]
    )


def test_export_writes_a_plan_for_this_machine(library, small_weights, tmp_path, capsys):
    assert export(small_weights, tmp_path) == 0, capsys.readouterr().err
    assert 'ok: fused mean' in capsys.readouterr().out
    plan = graph_path(tmp_path / 'small.safetensors', 'tensorrt', 'fp16', 'fusion')
    assert plan.name == 'small.fp16.engine'
    assert library.built == [{'visible': (1, 64, 96, 3), 'thermal': (1, 64, 96)}]
    assert library.flags == [2], 'a strongly typed network'
    export_of = read_graph_metadata(plan)['export']
    assert (export_of['format'], export_of['precision']) == ('tensorrt', 'fp16')
    assert export_of['size'] == [64, 96]
    assert export_of['built_for'] == {'gpu': 'X 1', 'tensorrt': '10.99'}


@pytest.mark.parametrize('precision', ['fp32', 'fp16'])
def test_engine_gives_what_torch_gives(library, small_weights, precision):
    engine = build_engine(small_weights, backend='tensorrt', precision=precision, device='cpu')
    torch = build_engine(small_weights, backend='torch', precision='fp32', device='cpu')
    for size in ((64, 96), (97, 131)):
        images = image((*size, 3)), image(size, 1)
        results = [e.infer(*images, Outputs()) for e in (engine, torch)]
        agrees(*results, TOLERANCES[precision])
    assert library.built[-1]['visible'] == (1, 128, 160, 3), 'padded to whole strides'
    # A homography is applied on the device; fp16 and steps of a grey level come together.
    registration = Registration([[1.6, 0.05, 2.0], [0.02, 1.5, 1.0], [0, 0, 1]])
    both = [Predictor(e, registration=registration) for e in (engine, torch)]
    results = [p.predict(image((64, 96, 3)), image((40, 60), 1)) for p in both]
    assert np.abs(results[0].fused.astype(int) - results[1].fused).max() <= 12
    engine.close()
    torch.close()


def test_plans_are_kept_in_the_cache_and_taken_from_beside_the_weights(
    library, small_weights, tmp_path, monkeypatch
):
    images = image((64, 96, 3)), image((64, 96), 1)
    for _ in range(2):
        engine = build_engine(small_weights, backend='tensorrt', precision='fp16', device='cpu')
        engine.infer(*images, Outputs())
        engine.close()
    assert len(library.built) == 1
    weights = tmp_path / 'small.safetensors'
    weights.write_bytes(small_weights.read_bytes())
    export(weights, tmp_path)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / 'other'))
    library.built.clear()
    engine = build_engine(weights, backend='tensorrt', precision='fp16', device='cpu')
    engine.infer(*images, Outputs())
    assert not library.built
    engine.infer(image((32, 96, 3)), image((32, 96)), Outputs())
    assert len(library.built) == 1, 'another size is another plan'
    engine.close()


def test_plan_alone_is_enough_on_its_own_machine_only(library, small_weights, tmp_path):
    export(small_weights, tmp_path)
    plan = tmp_path / 'small.fp16.engine'
    library.built.clear()
    engine = build_engine(plan, backend='tensorrt', precision='fp16', device='cpu')
    assert engine.infer(image((60, 90, 3)), image((60, 90)), Outputs()).fused.shape == (60, 90, 3)
    assert not library.built
    with pytest.raises(ImageError, match='image is 128x64, expected at most 96x64'):
        engine.infer(image((64, 128, 3)), image((64, 128)), Outputs())
    engine.close()
    library.__version__ = '11.2'
    with pytest.raises(CheckpointError, match=r'built for TensorRT 10.99 on X 1, here is .* 11.2'):
        build_engine(plan, backend='tensorrt', precision='fp16', device='cpu')


@pytest.mark.parametrize(
    ('change', 'kind', 'message'),
    [
        ({'readable': False}, CheckpointError, 'TensorRT cannot read it: no such operation'),
        ({'fits': False}, OutOfMemoryError, 'could not build a plan for 96x64'),
    ],
)
def test_failures_of_the_library(library, small_weights, change, kind, message):
    vars(library).update(change)
    engine = build_engine(small_weights, backend='tensorrt', precision='fp16', device='cpu')
    with pytest.raises(kind, match=message):
        engine.infer(image((64, 96, 3)), image((64, 96)), Outputs())
    engine.close()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--int8', '--calib', '.'], "precision 'int8' with format 'tensorrt': expected fp32 or"),
        (['--int8', '--calib', '.', '--precision', 'fp16'], 'expected one of them'),
    ],
)
def test_wrong_export(library, small_weights, tmp_path, capsys, arguments, message):
    assert export(small_weights, tmp_path, *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_export_without_the_package_or_a_gpu(small_weights, tmp_path, capsys, monkeypatch):
    from mafs_model.runtime import device

    monkeypatch.setitem(sys.modules, 'tensorrt', None)
    assert export(small_weights, tmp_path) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "package 'tensorrt' is not installed, install mafs_ros[tensorrt]" in line
    monkeypatch.setitem(sys.modules, 'tensorrt', Double())
    monkeypatch.setattr(device, '_count_gpus', lambda: 0)
    assert export(small_weights, tmp_path) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert 'a plan is built on the GPU that will run it, no CUDA device found' in line
    assert not list(tmp_path.iterdir())


def test_formats_know_their_precisions():
    check_format('onnx', 'fp16', None)
    with pytest.raises(ConfigError, match="'fp16' with format 'openvino': expected fp32 or int8"):
        check_format('openvino', 'fp16', None)
    with pytest.raises(ConfigError, match='a plan holds for one image size'):
        check_format('tensorrt', 'fp16', None)
