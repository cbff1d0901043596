"""Exported graphs compute what torch computes, at a fixed size and at any size."""

from __future__ import annotations

import functools
from pathlib import Path
import warnings

from mafs_model.network.config import create_config
from mafs_model.network.mafs import MAFS
import numpy as np
import pytest
import torch
from torch import nn

onnxruntime = pytest.importorskip('onnxruntime')

SIZE = (64, 96)
MODES = {
    'fusion': ('visible', 'thermal'),
    'visible_only': ('visible',),
    'thermal_only': ('thermal',),
}


class Traced(nn.Module):
    """The network with positional inputs and a tuple as result, one modality set per trace."""

    def __init__(self, mode: str, decoder: str = 'pyramid') -> None:
        super().__init__()
        self.mode = mode
        self.network = network(decoder)

    def forward(self, *images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        given = dict(zip(MODES[self.mode], images, strict=True))
        output = self.network(given.get('visible'), given.get('thermal'), full_logits=False)
        return output.fused_rgb, output.logits


@functools.cache
def network(decoder: str) -> MAFS:
    torch.manual_seed(0)
    norm = 'instance' if decoder == 'direct' else 'batch'
    model = MAFS(create_config('mafs_t', fusion_decoder=decoder, modulation_norm=norm)).eval()
    with torch.no_grad():
        for name, values in model.state_dict().items():
            if name.endswith(('bias', 'running_mean')):
                values.add_(0.1 * torch.randn_like(values))
    return model


def images(mode: str, size: tuple[int, int]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(sum(size))
    shapes = {'visible': (1, 3, *size), 'thermal': (1, 1, *size)}
    return [torch.rand(shapes[name], generator=generator) for name in MODES[mode]]


def export(path: Path, mode: str, *, dynamic: bool, decoder: str = 'pyramid') -> Traced:
    graph = Traced(mode, decoder).eval()
    axes = {name: {2: 'height', 3: 'width'} for name in MODES[mode]}
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter('ignore')  # the tracer remarks on every shape check
        torch.onnx.export(
            graph,
            tuple(images(mode, SIZE)),
            str(path),
            dynamo=False,
            input_names=list(MODES[mode]),
            output_names=['fused', 'logits'],
            dynamic_axes=axes if dynamic else None,
            opset_version=17,
        )
    return graph


def assert_equal_results(graph: Traced, run, size: tuple[int, int]) -> None:
    pair = images(graph.mode, size)
    with torch.inference_mode():
        expected = graph(*pair)
    results = run([image.numpy() for image in pair])
    for result, reference in zip(results, expected, strict=True):
        assert result.shape == tuple(reference.shape)
        np.testing.assert_allclose(result, reference.numpy(), rtol=1e-3, atol=1e-3)


def onnxruntime_run(path: Path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
    names = [value.name for value in session.get_inputs()]
    return lambda arrays: session.run(None, dict(zip(names, arrays, strict=True)))


def openvino_run(path: Path):
    openvino = pytest.importorskip('openvino')
    core = openvino.Core()
    request = core.compile_model(
        core.read_model(str(path)),
        'CPU',
        {'INFERENCE_PRECISION_HINT': 'f32', 'INFERENCE_NUM_THREADS': 1},
    ).create_infer_request()

    def run(arrays):
        request.infer(arrays)
        return [request.get_output_tensor(index).data.copy() for index in range(2)]

    return run


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('start', [onnxruntime_run, openvino_run])
def test_graph_of_a_fixed_size(tmp_path, mode, start):
    graph = export(tmp_path / 'graph.onnx', mode, dynamic=False)
    assert_equal_results(graph, start(tmp_path / 'graph.onnx'), SIZE)


@pytest.mark.parametrize('start', [onnxruntime_run, openvino_run])
def test_graph_of_any_size(tmp_path, start):
    graph = export(tmp_path / 'graph.onnx', 'fusion', dynamic=True)
    run = start(tmp_path / 'graph.onnx')
    for size in (SIZE, (33, 47), (120, 160), (97, 64)):
        assert_equal_results(graph, run, size)


def test_graph_with_direct_decoder_and_instance_normalisation(tmp_path):
    graph = export(tmp_path / 'graph.onnx', 'fusion', dynamic=True, decoder='direct')
    assert_equal_results(graph, onnxruntime_run(tmp_path / 'graph.onnx'), (45, 64))


def test_program_of_torch_export():
    graph = Traced('fusion').eval()
    pair = tuple(images('fusion', SIZE))
    program = torch.export.export(graph, pair, strict=False).module()
    with torch.inference_mode():
        expected, result = graph(*pair), program(*pair)
    torch.testing.assert_close(result[0], expected[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(result[1], expected[1], rtol=1e-4, atol=1e-3)
