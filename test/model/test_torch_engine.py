"""The network in torch: bytes in and out against the network's own floats."""

from __future__ import annotations

from mafs_model.checkpoint import build_metadata, load_checkpoint, load_model, save_checkpoint
from mafs_model.classes import ClassTable
from mafs_model.errors import ConfigError, DeviceError
from mafs_model.images.overlay import DEFAULT_STYLE, paint
from mafs_model.network.config import create_config
from mafs_model.network.mafs import MAFS
from mafs_model.predictor import Outputs, Predictor
from mafs_model.runtime.graph import decide, DeploymentGraph, to_bytes
from mafs_model.runtime.torch_engine import TorchEngine
import numpy as np
import pytest
import torch

RNG = np.random.default_rng(17)


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    torch.manual_seed(1)
    model = MAFS(create_config('mafs_t', num_classes=9))
    # Random biases: untouched ones give nearly equal logits, whose order rounding decides.
    for name, parameter in model.named_parameters():
        if 'classify' in name:
            torch.nn.init.normal_(parameter, std=0.5)
    path = tmp_path_factory.mktemp('weights') / 'w.safetensors'
    save_checkpoint(
        path,
        model.eval().state_dict(),
        build_metadata(model.config.to_dict(), ClassTable.load('mfnet')),
    )
    return path


@pytest.fixture(scope='module')
def predictor(weights):
    with Predictor.create(weights, device='cpu', backend='torch', threads=1) as made:
        yield made


def pair(height=64, width=96):
    return (
        RNG.integers(0, 256, (height, width, 3), dtype=np.uint8),
        RNG.integers(0, 256, (height, width), dtype=np.uint8),
    )


def tensors(visible, thermal):
    return (
        None if visible is None else torch.from_numpy(visible).permute(2, 0, 1)[None] / 255,
        None if thermal is None else torch.from_numpy(thermal)[None, None] / 255,
    )


@pytest.mark.parametrize('size', [(64, 96), (97, 131), (32, 32), (120, 160)])
@pytest.mark.parametrize('mode', ['fusion', 'visible_only', 'thermal_only'])
def test_bytes_are_the_rounded_floats_of_the_network(predictor, weights, size, mode):
    visible, thermal = pair(*size)
    visible = None if mode == 'thermal_only' else visible
    thermal = None if mode == 'visible_only' else thermal
    predictor.reset()  # a thermal image alone takes the size of the last visible one
    result = predictor.predict(visible, thermal)
    model, _ = load_model(weights)
    with torch.inference_mode():
        output = model(*tensors(visible, thermal), full_logits=False)
    fused = (output.fused_rgb[0].permute(1, 2, 0) * 255).numpy()
    probability, labels = (a[0].numpy() for a in output.logits.softmax(1).max(1))
    assert result.mode == mode
    assert np.abs(result.fused - fused).max() <= 0.51
    repeat = np.s_[: size[0], : size[1]]
    assert np.array_equal(result.labels, np.kron(labels, np.ones((2, 2), int))[repeat])
    expected = np.kron(probability, np.ones((2, 2)))[repeat] * 255
    assert np.abs(result.confidence - expected).max() <= 0.51


def test_predictor_knows_what_it_runs(predictor):
    assert not predictor.is_classical
    assert predictor.backend == 'torch'
    assert predictor.device == 'cpu'
    assert predictor.weights_id.startswith('mafs_t-')
    assert len(predictor.classes) == 9


def test_deterministic_and_results_are_not_overwritten(predictor):
    images = pair()
    first = predictor.predict(*images)
    kept = [a.copy() for a in (first.fused, first.labels, first.confidence)]
    predictor.predict(*pair())
    second = predictor.predict(*images)
    for name, old in zip(('fused', 'labels', 'confidence'), kept, strict=True):
        assert np.array_equal(getattr(first, name), old)
        assert np.array_equal(getattr(second, name), old)


def test_node_path_and_script_path_give_identical_tensors(weights):
    """The node keeps one predictor for a stream, a script makes one per run."""
    images = pair()
    with Predictor.create(weights, device='cpu', backend='torch') as node:
        node.warm_up((64, 96), (64, 96))
        node.predict(*pair(80, 64))
        streamed = node.predict(*images)
    with Predictor.create(str(weights), device='cpu', backend='torch') as script:
        single = script.predict(*images)
    for name in ('fused', 'labels', 'confidence'):
        assert np.array_equal(getattr(streamed, name), getattr(single, name))


def test_only_wanted_outputs(predictor):
    result = predictor.predict(*pair(), Outputs(fused=False, labels=True, confidence=False))
    assert result.fused is None
    assert result.confidence is None
    assert result.labels.shape == (64, 96)


def test_read_only_and_strided_inputs(predictor):
    visible, thermal = pair()
    expected = predictor.predict(visible, thermal).fused
    wide = np.zeros((64, 200, 3), np.uint8)
    wide[:, :96] = visible
    view = wide[:, :96]
    view.flags.writeable = False
    assert np.array_equal(predictor.predict(view, thermal).fused, expected)


def test_buffers_are_reused_and_bounded(weights):
    engine = TorchEngine(load_checkpoint(weights))
    for width in range(32, 72, 4):
        engine.infer(*pair(32, width), Outputs())
    assert len(engine._buffers) <= 6
    address = engine._buffers['fusion', (32, 68)][0].data_ptr()
    engine.infer(*pair(32, 68), Outputs())
    assert engine._buffers['fusion', (32, 68)][0].data_ptr() == address
    engine.close()


def test_bf16_stays_close(weights, predictor):
    images = pair()
    with Predictor.create(weights, device='cpu', backend='torch', precision='bf16') as rough:
        difference = rough.predict(*images).fused.astype(int) - predictor.predict(*images).fused
    assert np.abs(difference).mean() < 2


def test_classes_can_be_renamed_but_not_recounted(weights):
    own = ClassTable.from_dict(
        {
            'dataset': 'own',
            'classes': [{'id': i, 'name': f'c{i}', 'color': [i, i, i]} for i in range(9)],
        }
    )
    with Predictor.create(weights, device='cpu', backend='torch', classes=own) as predictor:
        assert predictor.classes.names[1] == 'c1'
    with pytest.raises(ConfigError, match="classes 'fmb': 15 classes, expected 9 as in weights"):
        Predictor.create(weights, device='cpu', classes='fmb')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'precision': 'int8'}, "precision 'int8' with torch: expected fp32, fp16 or bf16"),
        ({'precision': 'fp16'}, "precision 'fp16' on the CPU: expected fp32 or bf16"),
        (
            {'backend': 'cuda-graph'},
            "backend 'cuda-graph' on device 'cpu': expected a CUDA device",
        ),
    ],
)
def test_refused_combinations(weights, arguments, message):
    with pytest.raises(ConfigError, match=message):
        Predictor.create(weights, **{'device': 'cpu', 'backend': 'torch', **arguments})


def test_cuda_without_gpu_is_refused(weights, monkeypatch):
    from mafs_model.runtime import device

    monkeypatch.setattr(device, '_count_gpus', lambda: 0)
    with pytest.raises(DeviceError, match="device 'cuda:1': no CUDA device found"):
        Predictor.create(weights, device='cuda:1')


def test_decision_is_argmax_and_softmax():
    logits = torch.from_numpy(RNG.normal(0, 3, (2, 9, 20, 30)).astype(np.float32))
    labels, confidence = decide(logits)
    assert torch.equal(labels.long(), logits.argmax(1))
    assert (confidence - logits.softmax(1).amax(1) * 255).abs().max() <= 0.51


def test_first_of_equal_classes_wins_and_one_class_is_certain():
    labels, confidence = decide(torch.zeros(1, 4, 2, 2))
    assert not labels.any()
    assert (confidence == 64).all()
    labels, confidence = decide(torch.randn(1, 1, 2, 2))
    assert (confidence == 255).all()


def test_temperature_softens_the_confidence_only():
    logits = torch.tensor([[[[2.0]], [[0.0]]]])
    plain, soft = decide(logits), decide(logits, 2.0)
    assert torch.equal(plain[0], soft[0])
    assert plain[1].item() == round(255 / (1 + np.exp(-2)))
    assert soft[1].item() == round(255 / (1 + np.exp(-1)))


def test_rounding_and_saturation_to_bytes():
    values = torch.tensor([-1.0, 0.0, 0.49 / 255, 0.51 / 255, 0.5, 1.0, 2.0])
    assert to_bytes(values).tolist() == [0, 0, 0, 1, 128, 255, 255]


def test_unknown_mode():
    with pytest.raises(ValueError, match="mode 'night', expected one of fusion"):
        DeploymentGraph(torch.nn.Identity(), 'night')


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
@pytest.mark.parametrize('backend', ['torch', 'torch-compile', 'cuda-graph'])
def test_gpu_agrees_with_the_cpu(weights, predictor, backend):
    images = pair(128, 160)
    expected = predictor.predict(*images)
    with Predictor.create(weights, device='cuda', backend=backend) as gpu:
        for _ in range(2):
            result = gpu.predict(*images, Outputs(overlay=DEFAULT_STYLE))
        assert np.abs(result.fused.astype(int) - expected.fused).max() <= 3
        assert (result.labels == expected.labels).mean() >= 0.99
        painted = paint(result.fused, result.labels, gpu.classes).astype(int)
        assert np.abs(result.overlay - painted).max() <= 1
        kept = result.fused.copy()
        gpu.predict(*pair(128, 160))
        assert np.array_equal(kept, result.fused)
