"""AFM, PHFM and exchange against hand-computed cases and plain loops."""

from __future__ import annotations

import math

from mafs_model.network.config import create_config
from mafs_model.network.encoder import CrossModalExchange, JointDescription
from mafs_model.network.fusion import (
    AdaptiveFusionModule,
    HeterogeneousFusionModule,
    ProgressiveFusion,
)
import numpy as np
import pytest
import torch
from torch import nn


def sigmoid(x):
    return 1.0 / (1.0 + math.exp(-x))


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Give every parameter and statistic a value of its own."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, values in module.state_dict().items():
            if values.is_floating_point():
                values.copy_(0.3 * torch.randn(values.shape, generator=generator))
                if name.endswith('running_var'):
                    values.copy_(values.abs() + 0.5)
    return module.eval()


def matrix(convolution: nn.Conv2d) -> np.ndarray:
    """Return the matrix of a 1x1 convolution in float64."""
    return convolution.weight.detach().double().numpy()[:, :, 0, 0]


def bias(convolution: nn.Conv2d) -> np.ndarray:
    if convolution.bias is None:
        return np.zeros(convolution.out_channels)
    return convolution.bias.detach().double().numpy()


def joint_at(joint: JointDescription, v: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Joint description of one position, from the definition."""
    norm = joint.norm
    x = matrix(joint.visible) @ v + matrix(joint.thermal) @ t
    x = (x - norm.running_mean.double().numpy()) / np.sqrt(
        norm.running_var.double().numpy() + norm.eps
    )
    x = x * norm.weight.detach().double().numpy() + norm.bias.detach().double().numpy()
    return np.maximum(x, 0.0)


def adaptive_fusion_by_loops(module, visible, thermal):
    """Return the adaptive fusion module, position by position, in float64."""
    channels, height, width = visible.shape
    mean_v, mean_t = visible.mean((1, 2)), thermal.mean((1, 2))
    summary = np.maximum(
        matrix(module.squeeze_visible) @ mean_v
        + bias(module.squeeze_visible)
        + matrix(module.squeeze_thermal) @ mean_t,
        0.0,
    )
    gate_v = matrix(module.excite_visible) @ summary + bias(module.excite_visible)
    gate_t = matrix(module.excite_thermal) @ summary + bias(module.excite_thermal)
    v, t = np.empty_like(visible), np.empty_like(thermal)
    for c in range(channels):
        v[c] = visible[c] * (1.0 + sigmoid(gate_v[c]))
        t[c] = thermal[c] * (1.0 + sigmoid(gate_t[c]))
    joint = np.stack(
        [
            [joint_at(module.joint, v[:, y, x], t[:, y, x]) for x in range(width)]
            for y in range(height)
        ]
    )  # [H, W, hidden]
    reduced = np.maximum(
        matrix(module.global_reduce) @ joint.mean((0, 1)) + bias(module.global_reduce), 0.0
    )
    overall = matrix(module.global_attention) @ reduced
    fused = np.empty_like(visible)
    for y in range(height):
        for x in range(width):
            local = matrix(module.local_attention) @ joint[y, x] + bias(module.local_attention)
            for c in range(channels):
                w = sigmoid(local[c] + overall[c])
                fused[c, y, x] = w * v[c, y, x] + (1.0 - w) * t[c, y, x]
    return fused


class TestAdaptiveFusionModule:
    @pytest.mark.parametrize('seed', [0, 1])
    def test_agrees_with_loops(self, seed):
        module = randomise(AdaptiveFusionModule(6, 3), seed)
        generator = torch.Generator().manual_seed(seed + 10)
        visible = torch.randn(1, 6, 3, 4, generator=generator)
        thermal = torch.randn(1, 6, 3, 4, generator=generator)
        with torch.inference_mode():
            fused = module(visible, thermal)[0].numpy()
        expected = adaptive_fusion_by_loops(
            module, visible[0].double().numpy(), thermal[0].double().numpy()
        )
        np.testing.assert_allclose(fused, expected, rtol=1e-4, atol=1e-5)

    def test_case_by_hand(self):
        # One channel, one position, V = 2, T = 4, all maps 1, biases 0, norm the identity:
        # z = relu(2 + 4) = 6; both gates 1 + sigmoid(6); V' = 2 g, T' = 4 g, J = 6 g;
        # w = sigmoid(J + relu(J)) = sigmoid(12 g); F = w 2 g + (1 - w) 4 g.
        module = AdaptiveFusionModule(1, 1).eval()
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                parameter.fill_(1.0 if name.endswith('weight') else 0.0)
        with torch.inference_mode():
            fused = module(torch.full((1, 1, 1, 1), 2.0), torch.full((1, 1, 1, 1), 4.0))
        g = 1.0 + sigmoid(6.0)
        w = sigmoid(12.0 * g / math.sqrt(1.0 + 1e-5))
        assert fused.item() == pytest.approx(2.0 * g * w + 4.0 * g * (1.0 - w), rel=1e-5)

    def test_weight_one_is_visible_and_zero_is_thermal(self):
        module = randomise(AdaptiveFusionModule(4, 2))
        visible, thermal = torch.randn(1, 4, 3, 3), torch.randn(1, 4, 3, 3)
        with torch.inference_mode():
            for value, index in ((50.0, 0), (-50.0, 1)):
                module.local_attention.bias.fill_(value)
                expected = module.recalibrate(visible, thermal)[index]
                torch.testing.assert_close(module(visible, thermal), expected)

    def test_untrained_weight_is_about_one_half(self):
        torch.manual_seed(0)
        module = AdaptiveFusionModule(32, 16).eval()
        with torch.inference_mode():
            weight = module.weight(torch.randn(1, 32, 8, 8).relu(), torch.randn(1, 32, 8, 8))
        assert (weight - 0.5).abs().max() < 0.1

    def test_weight_varies_with_position_and_channel(self):
        module = randomise(AdaptiveFusionModule(4, 4), seed=3)
        with torch.inference_mode():
            weight = module.weight(torch.randn(1, 4, 5, 5), torch.randn(1, 4, 5, 5))
        assert weight.std(dim=(2, 3)).min() > 0
        assert weight.std(dim=1).min() > 0


def enlarge_by_loops(x: np.ndarray) -> np.ndarray:
    """Bilinear enlargement by two, pixel centres aligned, one channel after the other."""
    channels, height, width = x.shape
    out = np.empty((channels, 2 * height, 2 * width))
    for row in range(2 * height):
        for column in range(2 * width):
            y, z = (row + 0.5) / 2 - 0.5, (column + 0.5) / 2 - 0.5
            y, z = min(max(y, 0.0), height - 1.0), min(max(z, 0.0), width - 1.0)
            top, left = int(y), int(z)
            low, right = min(top + 1, height - 1), min(left + 1, width - 1)
            a, b = y - top, z - left
            out[:, row, column] = (
                (1 - a) * (1 - b) * x[:, top, left]
                + (1 - a) * b * x[:, top, right]
                + a * (1 - b) * x[:, low, left]
                + a * b * x[:, low, right]
            )
    return out


def conv3_by_loops(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    _, height, width = x.shape
    out = np.zeros((weight.shape[0], height, width))
    for y in range(height):
        for z in range(width):
            for dy in (-1, 0, 1):
                for dz in (-1, 0, 1):
                    if 0 <= y + dy < height and 0 <= z + dz < width:
                        out[:, y, z] += weight[:, :, dy + 1, dz + 1] @ x[:, y + dy, z + dz]
    return out


def apply_norm(x: np.ndarray, norm: nn.BatchNorm2d) -> np.ndarray:
    mean = norm.running_mean.double().numpy()[:, None, None]
    deviation = np.sqrt(norm.running_var.double().numpy() + norm.eps)[:, None, None]
    x = (x - mean) / deviation
    if norm.affine:
        x = (
            x * norm.weight.detach().double().numpy()[:, None, None]
            + norm.bias.detach().double().numpy()[:, None, None]
        )
    return x


class TestHeterogeneousFusionModule:
    @pytest.mark.parametrize('norm', ['batch', 'instance'])
    def test_modulation_agrees_with_loops(self, norm):
        module = randomise(HeterogeneousFusionModule(4, 6, 5, norm))
        generator = torch.Generator().manual_seed(5)
        features = torch.randn(1, 4, 6, 8, generator=generator)
        guide = torch.randn(1, 6, 3, 4, generator=generator)
        with torch.inference_mode():
            result = module.modulate(features, guide)[0].numpy()

        shared = conv3_by_loops(
            guide[0].double().numpy(), module.shared.conv.weight.detach().double().numpy()
        )
        code = enlarge_by_loops(np.maximum(apply_norm(shared, module.shared.norm), 0.0))
        x = features[0].double().numpy()
        if norm == 'batch':
            x = apply_norm(x, module.normalise)
        else:
            x = (x - x.mean((1, 2), keepdims=True)) / np.sqrt(x.var((1, 2), keepdims=True) + 1e-5)
        scale = (
            np.einsum('oc,cyx->oyx', matrix(module.scale), code)
            + bias(module.scale)[:, None, None]
        )
        shift = (
            np.einsum('oc,cyx->oyx', matrix(module.shift), code)
            + bias(module.shift)[:, None, None]
        )
        np.testing.assert_allclose(result, x * scale + shift, rtol=1e-4, atol=1e-4)

    def test_constant_guide_by_hand(self):
        # Code c = relu(guide) = 3 everywhere inside; scale 1 + 0.5 * 3, shift -1 * 3.
        module = HeterogeneousFusionModule(1, 1, 1, 'batch').eval()
        with torch.no_grad():
            module.shared.conv.weight.zero_()
            module.shared.conv.weight[0, 0, 1, 1] = math.sqrt(1.0 + 1e-5)
            module.scale.weight.fill_(0.5)
            module.shift.weight.fill_(-1.0)
            module.shift.bias.zero_()
        features = torch.tensor([[1.0, -2.0], [0.0, 4.0]]).view(1, 1, 2, 2)
        with torch.inference_mode():
            result = module.modulate(features, torch.full((1, 1, 1, 1), 3.0))
        torch.testing.assert_close(result, features * 2.5 - 3.0, rtol=1e-4, atol=1e-4)

    def test_normalisation_has_no_parameters(self):
        for norm in ('batch', 'instance'):
            module = HeterogeneousFusionModule(4, 4, 4, norm)
            assert list(module.normalise.parameters()) == []

    def test_modulation_differs_between_positions(self):
        module = randomise(HeterogeneousFusionModule(4, 4, 4, 'batch'), seed=2)
        features = torch.ones(1, 4, 8, 8)
        with torch.inference_mode():
            result = module.modulate(features, torch.randn(1, 4, 4, 4))
        assert result.std(dim=(2, 3)).min() > 0


class TestProgressiveFusion:
    def test_deepest_level_passes_and_each_step_uses_the_one_below(self):
        config = create_config('mafs_t')
        chain = ProgressiveFusion(config).eval()
        fused = [
            torch.randn(1, c, 64 // s, 64 // s)
            for c, s in zip(config.widths, config.strides, strict=True)
        ]
        with torch.inference_mode():
            shaped = chain(fused)
            assert torch.equal(shaped[-1], fused[-1])
            for level, step in enumerate(chain.steps):
                torch.testing.assert_close(shaped[level], step(fused[level], shaped[level + 1]))

    def test_deepest_features_reach_the_finest_level(self):
        config = create_config('mafs_t')
        chain = ProgressiveFusion(config).eval()
        fused = [
            torch.randn(1, c, 64 // s, 64 // s)
            for c, s in zip(config.widths, config.strides, strict=True)
        ]
        with torch.inference_mode():
            before = chain(fused)[0]
            after = chain([*fused[:-1], fused[-1] + 1.0])[0]
        assert (before - after).abs().max() > 1e-4


class TestCrossModalExchange:
    def test_agrees_with_loops(self):
        module = randomise(CrossModalExchange(4, 2))
        visible, thermal = torch.randn(1, 4, 2, 3), torch.randn(1, 4, 2, 3)
        with torch.inference_mode():
            result = module(visible, thermal)
        v, t = visible[0].double().numpy(), thermal[0].double().numpy()
        for y in range(2):
            for x in range(3):
                joint = joint_at(module.joint, v[:, y, x], t[:, y, x])
                for stream, source, gate in (
                    (result.visible, v, module.visible_gate),
                    (result.thermal, t, module.thermal_gate),
                ):
                    logits = matrix(gate) @ joint + bias(gate)
                    expected = [
                        2.0 * sigmoid(g) * s for g, s in zip(logits, source[:, y, x], strict=True)
                    ]
                    np.testing.assert_allclose(
                        stream[0, :, y, x].numpy(), expected, rtol=1e-4, atol=1e-5
                    )

    def test_untrained_exchange_changes_little(self):
        torch.manual_seed(0)
        module = CrossModalExchange(32, 16).eval()
        visible, thermal = torch.rand(1, 32, 8, 8), torch.rand(1, 32, 8, 8)
        with torch.inference_mode():
            result = module(visible, thermal)
        torch.testing.assert_close(result.visible, visible, rtol=0.1, atol=0)
        torch.testing.assert_close(result.thermal, thermal, rtol=0.1, atol=0)

    def test_each_stream_depends_on_the_other(self):
        module = randomise(CrossModalExchange(4, 4), seed=1)
        visible, thermal = torch.randn(1, 4, 4, 4), torch.randn(1, 4, 4, 4)
        with torch.inference_mode():
            first, second = module(visible, thermal), module(visible, thermal + 1.0)
            third = module(visible + 1.0, thermal)
        assert not torch.allclose(first.visible, second.visible)
        assert not torch.allclose(first.thermal, third.thermal)
