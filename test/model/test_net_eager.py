"""The network prepared for torch on a CPU computes what the trained one does."""

from __future__ import annotations

from mafs_model.network.config import create_config, VARIANTS
from mafs_model.network.folding import fold_batch_norm
from mafs_model.network.mafs import MAFS
from mafs_model.runtime.eager import prepare_eager, stride_convolution, StridedCells
import pytest
import torch
from torch import nn
import torch.nn.functional as F


def trained(variant: str) -> MAFS:
    """Return a network whose statistics, scales and biases are not those it started with."""
    torch.manual_seed(3)
    network = MAFS(create_config(variant)).eval()
    with torch.no_grad():
        for name, values in network.state_dict().items():
            if name.endswith(('bias', 'running_mean')):
                values.add_(0.1 * torch.randn_like(values))
            elif name.endswith('running_var'):
                values.mul_(0.5 + torch.rand_like(values))
    return network


@pytest.mark.parametrize('variant', VARIANTS)
def test_prepared_network_computes_the_same(variant):
    network = trained(variant)
    before = {name: values.clone() for name, values in network.state_dict().items()}
    prepared = prepare_eager(fold_batch_norm(network))
    generator = torch.Generator().manual_seed(4)
    visible = torch.rand(2, 3, 65, 99, generator=generator)
    thermal = torch.rand(2, 1, 65, 99, generator=generator)
    for pair in ((visible, thermal), (visible, None), (None, thermal)):
        with torch.inference_mode():
            expected = network(*pair, full_logits=False)
            result = prepared(*pair, full_logits=False)
        torch.testing.assert_close(result.fused_rgb, expected.fused_rgb, rtol=0, atol=3e-4)
        torch.testing.assert_close(result.logits, expected.logits, rtol=1e-4, atol=5e-4)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_prepared_network_may_be_called_again_and_leaves_its_inputs():
    prepared = prepare_eager(fold_batch_norm(trained('mafs_t')))
    visible, thermal = torch.rand(1, 3, 64, 64), torch.rand(1, 1, 64, 64)
    given = visible.clone(), thermal.clone()
    with torch.inference_mode():
        first, second = (prepared(visible, thermal) for _ in range(2))
    assert torch.equal(first.fused_rgb, second.fused_rgb)
    assert torch.equal(first.logits, second.logits)
    assert torch.equal(visible, given[0])
    assert torch.equal(thermal, given[1])


@pytest.mark.parametrize('channels', [1, 3])
def test_strided_convolution_of_pixels_is_that_of_cells(channels):
    torch.manual_seed(0)
    unshuffle, convolution = nn.PixelUnshuffle(4), nn.Conv2d(16 * channels, 5, 3, padding=1)
    strided = stride_convolution(convolution, unshuffle)
    image = torch.rand(2, channels, 24, 32)
    with torch.inference_mode():
        torch.testing.assert_close(strided(image), convolution(unshuffle(image)))


@pytest.mark.parametrize('stride', [2, 4])
def test_strided_cells_are_the_pixels_channels_last(stride):
    plane = torch.rand(2, 1, 16, 24)
    cells = StridedCells(stride)(plane)
    assert torch.equal(cells, F.pixel_unshuffle(plane, stride))
    assert cells.is_contiguous(memory_format=torch.channels_last)
