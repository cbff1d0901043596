"""A teacher that was trained before: from our files, TorchScript and ONNX, and hostile ones."""

from __future__ import annotations

from mafs_model.checkpoint import build_metadata, save_checkpoint
from mafs_model.classes import ClassTable
from mafs_model.errors import CheckpointError, ConfigError
from mafs_model.network.mafs import MAFS
from mafs_training.cli import main_train, parse_stage
from mafs_training.option_checks import check_config
from mafs_training.options import JointConfig, SegmenterOptions
from mafs_training.teacher import create_segmenter, FrozenSegmenter
from mafs_training.teacher_weights import apply_teacher_weights
import numpy as np
import pytest
import torch

onnx = pytest.importorskip('onnx')


def write_onnx(path, channels=4, size=('h', 'w')):
    """Write a graph that gives each class the sum of the colours times its number."""
    from onnx import helper, numpy_helper, TensorProto

    weight = np.arange(channels, dtype=np.float32).reshape(channels, 1, 1, 1).repeat(3, axis=1)
    graph = helper.make_graph(
        [helper.make_node('Conv', ['x', 'w'], ['y'])],
        'g',
        [helper.make_tensor_value_info('x', TensorProto.FLOAT, ['n', 3, *size])],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, ['n', channels, *size])],
        [numpy_helper.from_array(weight, 'w')],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    onnx.save(model, str(path))


def write_script(path, channels=4):
    network = torch.nn.Conv2d(3, channels, 1)
    torch.jit.save(torch.jit.trace(network, torch.zeros(1, 3, 8, 8)), str(path))
    return network


def joint(**teacher):
    config = JointConfig()
    for name, value in teacher.items():
        setattr(config.teacher, name, value)
    return config


def test_our_weights_and_checkpoints_are_the_same_teacher(tmp_path, tiny_architecture):
    network = MAFS(tiny_architecture)
    table = ClassTable.load('pst900')
    metadata = build_metadata({**tiny_architecture.to_dict(), 'num_classes': 4}, table)
    metadata['classes']['classes'] = metadata['classes']['classes'][:4]
    save_checkpoint(tmp_path / 'w.safetensors', network.state_dict(), metadata)
    state = {f'ema.module.{name}': value for name, value in network.state_dict().items()}
    torch.save({'state_dict': state, 'mafs': metadata}, tmp_path / 'w.ckpt')
    rgb = torch.rand(1, 3, 32, 64)
    logits = []
    for name in ('w.safetensors', 'w.ckpt'):
        config = joint(weights=str(tmp_path / name))
        apply_teacher_weights(config)
        segmenter = create_segmenter(config.segmenter, 4)
        assert isinstance(segmenter, FrozenSegmenter)
        logits.append(segmenter(rgb).logits)
    assert torch.equal(*logits)


@pytest.mark.filterwarnings('ignore::DeprecationWarning', 'ignore::FutureWarning')
def test_torchscript_gives_its_logits_and_a_gradient(tmp_path):
    network = write_script(tmp_path / 't.pt')
    options = SegmenterOptions(
        'torchscript', str(tmp_path / 't.pt'), mean=(0, 0, 0), std=(1, 1, 1)
    )
    segmenter = create_segmenter(options, 4)
    rgb = torch.rand(2, 3, 16, 24, requires_grad=True)
    logits = segmenter(rgb).logits
    assert torch.allclose(logits, network(rgb))
    logits.sum().backward()
    assert rgb.grad is not None
    assert not any(parameter.requires_grad for parameter in segmenter.parameters())


def test_onnx_gives_its_logits(tmp_path):
    write_onnx(tmp_path / 't.onnx')
    options = SegmenterOptions(
        'onnx', str(tmp_path / 't.onnx'), class_map=[0, -1, 1, 2], mean=(0, 0, 0), std=(1, 1, 1)
    )
    rgb = torch.rand(2, 3, 16, 24)
    logits = create_segmenter(options, 3)(rgb).logits
    assert torch.allclose(logits[:, 2], 3 * rgb.sum(1), atol=1e-5)


@pytest.mark.parametrize('number', [4, 9])
def test_a_run_with_onnx(tmp_path, tiny_arguments, capsys, number):
    """With the classes of the labels it trains; with others it is one line."""
    write_onnx(tmp_path / 't.onnx', number)
    extra = ['--teacher.weights', str(tmp_path / 't.onnx'), '--trainer.steps', '2']
    arguments = [*tiny_arguments, *extra, '--trainer.out', str(tmp_path / 'o')]
    code = main_train(['joint', *arguments, '--teacher.shape_fusion', '0'])
    said = capsys.readouterr()
    if number == 9:
        assert code == 0, said.err
        assert '2 steps; weights' in said.out
        assert main_train(['joint', *arguments]) == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.endswith('expected mafs-train joint with --teacher.shape_fusion 0')
    else:
        assert code == 2
        assert said.err.splitlines()[-1].endswith('gives 4 classes, expected 9 or a class_map')


@pytest.mark.filterwarnings('ignore::DeprecationWarning', 'ignore::FutureWarning')
def test_torchscript_needs_trust(tmp_path, tiny_arguments, capsys):
    (tmp_path / 't.pt').write_bytes(b'not even looked at')
    arguments = ['joint', *tiny_arguments, '--trainer.out', str(tmp_path / 'o')]
    arguments += ['--teacher.weights', str(tmp_path / 't.pt')]
    assert main_train(arguments) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert 'TorchScript is a program, which would be run: expected --trust-config' in last
    assert main_train([*arguments, '--trust-config']) == 2
    assert 'no TorchScript file' in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('none.onnx', None, r'none\.onnx.*expected a file for kind onnx'),
        ('bad.onnx', b'x' * 100, r'bad\.onnx: no ONNX graph'),
        ('bad.ckpt', b'x' * 100, r'bad\.ckpt.*cannot be read as plain tensors'),
        ('bad.safetensors', b'x' * 100, r'bad\.safetensors'),
    ],
)
def test_what_is_no_teacher_is_one_line(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    config = joint(weights=str(tmp_path / name))
    apply_teacher_weights(config)
    with pytest.raises((CheckpointError, ConfigError), match=message):
        create_segmenter(config.segmenter, 4)


def test_a_graph_of_one_size_is_refused(tmp_path):
    write_onnx(tmp_path / 't.onnx', size=(100, 100))
    options = SegmenterOptions('onnx', str(tmp_path / 't.onnx'))
    with pytest.raises(
        CheckpointError, match=r'expected a segmenter of RGB images \[1,3,H,W\] of'
    ):
        create_segmenter(options, 4)


def test_options_that_contradict_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"'x\.txt', expected a file \.safetensors, \.ckpt"):
        apply_teacher_weights(joint(weights='x.txt'))
    with pytest.raises(ConfigError, match=r'but teacher\.enabled false'):
        apply_teacher_weights(joint(weights='x.onnx', enabled=False))
    config = joint(weights='x.onnx')
    config.segmenter.kind = 'mafs'
    with pytest.raises(ConfigError, match=r'expected one of them'):
        apply_teacher_weights(config)
    config = joint(weights='x.onnx')
    for _ in range(2):  # as a resumed run reads what the first one wrote
        apply_teacher_weights(config)
    assert config.segmenter.kind == 'onnx'
    ssvif = parse_stage('ssvif', ['--segmenter.kind', 'onnx', '--segmenter.weights', 'x.onnx'])
    with pytest.raises(ConfigError, match='a graph of ONNX has no gradient'):
        check_config(ssvif)
