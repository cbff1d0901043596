"""Peers have the size of what they stand for, and a stranger's file is timed or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.peers import __main__ as peers
from benchmarks.peers.files import fill_shape
from benchmarks.peers.networks import PEERS
from mafs_model.errors import ConfigError
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

# Millions of parameters and GMACs at 640x480. MFNet: 0.74 and 8.4 (Ha et al.); SeAFusion: 0.17
# (Tang et al.); SegFormer-B0: 3.8 with the classes of ADE20K, 8.4 at 512x512 with them.
SIZES = {
    'MFNet (labels)': (0.736, 8.3),
    'SeAFusion (fusion)': (0.167, 51.0),
    'SegFormer-B0 (labels, one image)': (3.717, 7.9),
}


@pytest.mark.parametrize('name', list(PEERS))
def test_stand_ins_have_the_size_of_the_originals(name: str) -> None:
    build, channels = PEERS[name]
    network = build().eval()
    parameters, gmacs = SIZES[name]
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(
        parameters, abs=1e-3
    )
    small = [torch.rand(1, depth, 96, 128) for depth in channels]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        output = network(*small)
    assert output.shape[0] == 1
    # Attention grows faster than the image; a small one has less of it.
    assert counter.get_total_flops() / 2e9 * 25 == pytest.approx(gmacs, rel=0.12)


@pytest.mark.parametrize(
    ('shape', 'filled'),
    [
        ([1, 3, 'h', 'w'], (1, 3, 48, 64)),
        (['n', 1, 48, 64], (1, 1, 48, 64)),
        ([None, None, None, 3], (1, 48, 64, 3)),
        ([1, -1, -1], (1, 48, 64)),
    ],
)
def test_open_shapes_are_filled(shape: list[Any], filled: tuple[int, ...]) -> None:
    assert fill_shape(shape, (48, 64), 'x') == filled


@pytest.mark.parametrize('shape', [[1, 3, 32, 64], [2, 3, 48, 64], [1, 'c', 48, 64], [7], []])
def test_other_shapes_are_refused(shape: list[Any]) -> None:
    with pytest.raises(ConfigError, match='x: shape'):
        fill_shape(shape, (48, 64), 'x')


def test_file_is_timed_in_turns_with_ours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip('openvino')
    pytest.importorskip('onnxruntime')
    onnx = pytest.importorskip('onnx')
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    ports = [helper.make_tensor_value_info(n, kind, [1, 3, 'h', 'w']) for n in 'xy']
    node = helper.make_node('Relu', ['x'], ['y'])
    graph = helper.make_graph([node], 'theirs', ports[:1], ports[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)])
    model.ir_version = 9
    onnx.save(model, tmp_path / 'theirs.onnx')
    code = peers.main(
        ['--against', str(tmp_path / 'theirs.onnx'), '--size', '64', '96', '--rounds', '1']
        + ['--block', '1', '--threads', '1', '--json', str(tmp_path / 'rows.json')]
    )
    assert code == 0
    rows = {
        row['backend']: row for row in json.loads((tmp_path / 'rows.json').read_text())['rows']
    }
    assert set(rows) == {'matmul', *peers.OURS, str(tmp_path / 'theirs.onnx')}
    assert rows['openvino']['times_ours'] == 1.0
    assert 'x ours' in capsys.readouterr().out


def test_what_is_no_network_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip('onnxruntime')
    file = tmp_path / 'not.onnx'
    file.write_bytes(b'no network')
    assert peers.main(['--against', str(file)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f'peers: {file}: not an ONNX file')
