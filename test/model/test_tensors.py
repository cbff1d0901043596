"""Tensors in, tensors out: as the arrays of the same predictor, pair by pair."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from mafs_model.checkpoint import load_checkpoint
from mafs_model.errors import ConfigError, DeviceError, ImageError
from mafs_model.images.registration import Registration
from mafs_model.predictor import Outputs, Predictor
from mafs_model.runtime.fallback import FallbackEngine
from mafs_model.runtime.torch_engine import TorchEngine
import numpy as np
import pytest
import torch

SIZE = (65, 96)
RNG = np.random.default_rng(4)
VISIBLE = RNG.integers(0, 256, (2, *SIZE, 3), dtype=np.uint8)
THERMAL = RNG.integers(0, 256, (2, *SIZE), dtype=np.uint8)
RESULTS = ('fused', 'labels', 'confidence')


@pytest.fixture(scope='module', params=[(), ((1, 0.9), (4, 0.9))], ids=['plain', 'peaks'])
def predictor(small_weights: Path, request: pytest.FixtureRequest) -> Any:
    engine = TorchEngine(load_checkpoint(small_weights), threads=1)
    engine._decision = replace(engine._decision, peaks=request.param)
    with Predictor(engine) as made:
        yield made


@pytest.mark.parametrize('mode', ['fusion', 'visible_only', 'thermal_only'])
@pytest.mark.parametrize('channels', ['last', 'first'])
def test_a_batch_is_what_its_pairs_are(predictor: Any, mode: str, channels: str) -> None:
    visible, thermal = torch.from_numpy(VISIBLE), torch.from_numpy(THERMAL)
    if channels == 'first':
        visible, thermal = visible.permute(0, 3, 1, 2), thermal.unsqueeze(1)
    batch = predictor.predict_tensors(
        None if mode == 'thermal_only' else visible, None if mode == 'visible_only' else thermal
    )
    assert batch.mode == mode
    for index in range(2):
        expected = predictor.engine.infer(
            None if mode == 'thermal_only' else VISIBLE[index],
            None if mode == 'visible_only' else THERMAL[index],
            Outputs(),
        )
        for name in RESULTS:
            found = getattr(batch, name)[index].numpy()
            wanted = getattr(expected, name)
            assert found.shape == wanted.shape
            # Sums of a batch may be taken in another order.
            assert np.mean(found != wanted) < 0.01, name


def test_one_pair_has_no_axis_of_a_batch(predictor: Any) -> None:
    visible, thermal = torch.from_numpy(VISIBLE[0]), torch.from_numpy(THERMAL[0])
    for pair in (
        (visible, thermal),
        (visible.permute(2, 0, 1), thermal[None]),
        (None, thermal[None]),
        (None, thermal),
        (visible, None),
    ):
        result = predictor.predict_tensors(*pair)
        assert result.fused.shape == (*SIZE, 3)
        assert result.labels.shape == result.confidence.shape == SIZE
        assert not result.fused.is_inference(), 'programs may go on computing with it'


def test_groups_of_classes_count(predictor: Any) -> None:
    visible, thermal = torch.from_numpy(VISIBLE), torch.from_numpy(THERMAL)
    before = predictor.predict_tensors(visible, thermal).labels
    predictor.regroup(merge={'thing': ['backpack', 'survivor']})
    after = predictor.predict_tensors(visible, thermal).labels
    table = predictor._regrouping.new_labels
    predictor.regroup()
    assert np.array_equal(after.numpy(), table[before.numpy()])


@pytest.mark.parametrize(
    ('visible', 'thermal', 'message'),
    [
        (None, None, 'expected a visible or a thermal image'),
        (VISIBLE[0], None, 'visible image is ndarray, expected a tensor'),
        (torch.zeros(*SIZE, 3), None, 'visible image is torch.float32, expected a tensor, uint8'),
        (torch.zeros(*SIZE, 2, dtype=torch.uint8), None, r'has shape \(65, 96, 2\)'),
        (None, torch.zeros(2, 2, *SIZE, dtype=torch.uint8), r'has shape \(2, 2, 65, 96\)'),
        (torch.zeros(0, *SIZE, 3, dtype=torch.uint8), None, r'has shape \(0, 65, 96, 3\)'),
        (torch.zeros(8, 8, 3, dtype=torch.uint8), None, 'tensor 8x8: expected whole sides'),
        (
            torch.zeros(2, *SIZE, 3, dtype=torch.uint8),
            torch.zeros(*SIZE, dtype=torch.uint8),
            'expected one grid and one number of images',
        ),
        (
            torch.zeros(*SIZE, 3, dtype=torch.uint8),
            torch.zeros(48, 64, dtype=torch.uint8),
            r'\(65, 96, 3\) and thermal tensor \(48, 64\), expected one grid',
        ),
    ],
)
def test_what_is_no_such_tensor_is_said_in_one_line(
    predictor: Any, visible: Any, thermal: Any, message: str
) -> None:
    with pytest.raises(ImageError, match=message) as caught:
        predictor.predict_tensors(visible, thermal)
    assert '\n' not in str(caught.value)


def test_settings_that_cannot_be_followed_are_refused(
    small_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = torch.zeros(*SIZE, 3, dtype=torch.uint8)
    engine = TorchEngine(load_checkpoint(small_weights), threads=1)
    for options in (
        {'inference_size': (64, 96)},
        {'output_size': (64, 96)},
        {'registration': Registration(np.diag([1.0, 1.0, 2.0]))},
    ):
        with pytest.raises(ConfigError, match=f'{next(iter(options))} with tensors'):
            Predictor(engine, **options).predict_tensors(image)
    with pytest.raises(ConfigError, match="backend 'opencv': expected backend 'torch'"):
        Predictor.create('classical').predict_tensors(image)
    around = Predictor(FallbackEngine(engine, lambda: engine))
    assert around.predict_tensors(image).labels.shape == SIZE
    monkeypatch.setattr('mafs_model.extras.is_installed', lambda package: False)
    with pytest.raises(DeviceError, match="package 'torch' is not installed"):
        around.predict_tensors(image)


@pytest.mark.gpu
def test_nothing_leaves_the_gpu(small_weights: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip('no CUDA device')
    with Predictor.create(small_weights, device='cuda', backend='torch') as predictor:
        visible = torch.from_numpy(VISIBLE).cuda()
        result = predictor.predict_tensors(visible, torch.from_numpy(THERMAL).cuda())
        assert all(getattr(result, name).is_cuda for name in RESULTS)
