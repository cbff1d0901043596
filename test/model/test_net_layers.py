"""Building blocks: attention, sub-pixel and smooth cells, colour, padding, folding."""

from __future__ import annotations

import copy
import math

import cv2
from mafs_model.network.config import create_config, VARIANTS
from mafs_model.network.folding import fold_into, fold_normalisation
from mafs_model.network.layers.attention import ChannelAttention, TransformerBlock
from mafs_model.network.layers.colour import luminance, replace_luminance
from mafs_model.network.layers.convolution import ConvNormAct, ResidualBlock
from mafs_model.network.layers.padding import pad_to_multiple
from mafs_model.network.layers.resampling import CellConv, SmoothCells, upsample
from mafs_model.network.mafs import MAFS
import numpy as np
import pytest
import torch
from torch import nn
import torch.nn.functional as F


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, values in module.state_dict().items():
            if values.is_floating_point():
                values.add_(0.3 * torch.randn(values.shape, generator=generator))
                if name.endswith('running_var'):
                    values.copy_(values.abs() + 0.5)
    return module.eval()


def attention_by_loops(module: ChannelAttention, x: np.ndarray) -> np.ndarray:
    """Attention between channels before the projection, head by head, in float64."""
    channels, height, width = x.shape
    pixels = x.reshape(channels, -1)
    query, key, value = (
        layer.weight.detach().double().numpy()[:, :, 0, 0] @ pixels
        for layer in (module.query, module.key, module.value)
    )
    size = channels // module.heads
    out = np.empty_like(pixels)
    for head in range(module.heads):
        rows = range(head * size, (head + 1) * size)
        temperature = module.temperature[head].item()
        for i in rows:
            scores = []
            for j in rows:
                cosine = sum(query[i] * key[j]) / (
                    math.sqrt(sum(query[i] ** 2)) * math.sqrt(sum(key[j] ** 2))
                )
                scores.append(math.exp(temperature * cosine))
            out[i] = sum(s / sum(scores) * value[j] for s, j in zip(scores, rows, strict=True))
    return out.reshape(channels, height, width)


class TestChannelAttention:
    @pytest.mark.parametrize('heads', [1, 2, 4])
    def test_agrees_with_loops(self, heads):
        module = randomise(ChannelAttention(8, heads), heads)
        module.project = nn.Identity()
        x = torch.randn(1, 8, 3, 5, generator=torch.Generator().manual_seed(1))
        with torch.inference_mode():
            result = module(x)[0].numpy()
        np.testing.assert_allclose(
            result, attention_by_loops(module, x[0].double().numpy()), rtol=1e-4, atol=1e-5
        )

    def test_equal_scores_average_the_values(self):
        # Temperature 0: every channel of a head becomes the mean of the head's values.
        module = randomise(ChannelAttention(4, 2))
        module.project = nn.Identity()
        with torch.no_grad():
            module.temperature.zero_()
        x = torch.randn(1, 4, 2, 2)
        with torch.inference_mode():
            result = module(x)
            value = module.value(x)
        expected = torch.cat(
            [
                value[:, :2].mean(1, keepdim=True).expand(-1, 2, -1, -1),
                value[:, 2:].mean(1, keepdim=True).expand(-1, 2, -1, -1),
            ],
            dim=1,
        )
        torch.testing.assert_close(result, expected)

    def test_a_head_ignores_the_channels_of_the_other(self):
        module = randomise(ChannelAttention(4, 2))
        module.project = nn.Identity()
        with torch.no_grad():
            for layer in (module.query, module.key, module.value):
                layer.weight.copy_(torch.eye(4).view(4, 4, 1, 1))
        x = torch.randn(1, 4, 3, 3)
        changed = torch.cat([x[:, :2], torch.randn(1, 2, 3, 3)], dim=1)
        with torch.inference_mode():
            torch.testing.assert_close(module(x)[:, :2], module(changed)[:, :2])

    def test_transformer_block_is_residual(self):
        block = TransformerBlock(8, 2, 2).eval()
        for layer in (block.attention.project, block.reduce):
            nn.init.zeros_(layer.norm.weight)
        x = torch.randn(1, 8, 4, 4)
        with torch.inference_mode():
            assert torch.equal(block(x), x)


class TestResampling:
    def test_smooth_cells_are_bilinear_enlargement(self):
        x = torch.rand(2, 1, 5, 7)
        cells = SmoothCells(4, 4)(x)
        expected = F.interpolate(x, scale_factor=4, mode='bilinear', align_corners=False)
        torch.testing.assert_close(F.pixel_shuffle(cells, 4), expected)

    @pytest.mark.parametrize('factor', [2, 4])
    def test_smooth_cells_agree_with_loops(self, factor):
        radius = 4
        x = torch.rand(1, 1, 6, 6)
        result = F.pixel_shuffle(SmoothCells(factor, radius)(x), factor)[0, 0].numpy()
        means = x[0, 0].double().numpy()
        for row in range(2 * factor, 4 * factor):  # away from the border
            for column in range(2 * factor, 4 * factor):
                total, weights = 0.0, 0.0
                for y in range(6):
                    for z in range(6):
                        dy = abs(row + 0.5 - (y + 0.5) * factor)
                        dz = abs(column + 0.5 - (z + 0.5) * factor)
                        weight = max(0.0, 1 - dy / radius) * max(0.0, 1 - dz / radius)
                        total, weights = total + weight * means[y, z], weights + weight
                assert result[row, column] == pytest.approx(total / weights, abs=1e-5)

    @pytest.mark.parametrize('factor', [2, 4])
    def test_smooth_cells_keep_a_constant(self, factor):
        cells = SmoothCells(factor, 4)(torch.full((1, 1, 3, 3), 0.7))
        torch.testing.assert_close(cells, torch.full((1, factor**2, 3, 3), 0.7))

    def test_untrained_cell_convolution_has_no_checkerboard(self):
        torch.manual_seed(0)
        image = F.pixel_shuffle(CellConv(8, 3, 4)(torch.randn(1, 8, 2, 2)), 4)
        assert image.shape == (1, 3, 8, 8)
        for y in range(0, 8, 4):
            for x in range(0, 8, 4):
                block = image[..., y : y + 4, x : x + 4]
                assert torch.equal(block, block[..., :1, :1].expand_as(block))

    def test_cell_convolution_decides_each_pixel(self):
        layer = CellConv(1, 1, 2)
        with torch.no_grad():
            layer.weight.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]).view(4, 1, 1, 1))
        image = F.pixel_shuffle(layer(torch.ones(1, 1, 1, 1)), 2)
        assert image.tolist() == [[[[1.0, 2.0], [3.0, 4.0]]]]

    def test_upsample_aligns_pixel_centres(self):
        x = torch.tensor([[0.0, 4.0]]).view(1, 1, 1, 2)
        assert upsample(x, 2)[0, 0, 0].tolist() == [0.0, 1.0, 3.0, 4.0]


class TestColour:
    def test_luminance_agrees_with_opencv(self):
        image = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
        expected = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)[..., 0]
        tensor = torch.from_numpy(image).permute(2, 0, 1)[None] / 255.0
        result = (luminance(tensor)[0, 0] * 255.0).round().numpy()
        assert np.abs(result - expected).max() <= 1

    def test_replacing_agrees_with_a_conversion_there_and_back(self):
        generator = torch.Generator().manual_seed(0)
        rgb = 0.3 + 0.4 * torch.rand(1, 3, 6, 6, generator=generator)
        new = 0.4 + 0.2 * torch.rand(1, 1, 6, 6, generator=generator)
        r, g, b = (rgb[0, c].double() for c in range(3))
        y = 0.299 * r + 0.587 * g + 0.114 * b
        cb, cr = (b - y) / 1.772, (r - y) / 1.402
        y = new[0, 0].double()
        expected = torch.stack(
            [y + 1.402 * cr, y - (0.114 * 1.772 * cb + 0.299 * 1.402 * cr) / 0.587, y + 1.772 * cb]
        )
        result = replace_luminance(rgb, luminance(rgb), new)[0]
        torch.testing.assert_close(result, expected.clamp(0, 1).float())

    def test_result_is_clipped(self):
        rgb = torch.tensor([1.0, 0.5, 0.0]).view(1, 3, 1, 1)
        brighter = replace_luminance(rgb, luminance(rgb), torch.ones(1, 1, 1, 1))
        assert brighter.max() == 1.0
        darker = replace_luminance(rgb, luminance(rgb), torch.zeros(1, 1, 1, 1))
        assert darker.min() == 0.0


class TestPadding:
    @pytest.mark.parametrize(
        ('size', 'expected'), [((32, 64), (32, 64)), ((33, 64), (64, 64)), ((40, 31), (64, 32))]
    )
    def test_pads_bottom_and_right_with_the_last_line(self, size, expected):
        image = torch.rand(1, 2, *size)
        padded = pad_to_multiple(image, 32)
        assert padded.shape[2:] == expected
        assert torch.equal(padded[..., : size[0], : size[1]], image)
        assert torch.equal(padded[..., -1, : size[1]], image[..., -1, :])
        assert torch.equal(padded[..., : size[0], -1], image[..., -1])

    def test_fitting_image_is_not_copied(self):
        image = torch.rand(1, 1, 64, 32)
        assert pad_to_multiple(image, 32) is image


class TestConvolution:
    def test_odd_sizes_round_up_when_halved(self):
        layer = ConvNormAct(2, 3, stride=2).eval()
        assert layer(torch.rand(1, 2, 5, 7)).shape == (1, 3, 3, 4)

    def test_residual_block_adds_its_input(self):
        block = ResidualBlock(3).eval()
        nn.init.zeros_(block.outer.norm.weight)
        x = torch.rand(1, 3, 4, 4)
        with torch.inference_mode():
            assert torch.equal(block(x), x)


class TestFolding:
    @pytest.mark.parametrize('variant', VARIANTS)
    def test_folded_network_computes_the_same(self, variant):
        torch.manual_seed(0)
        model = MAFS(create_config(variant)).train()
        visible, thermal = torch.rand(2, 3, 64, 64), torch.rand(2, 1, 64, 64)
        with torch.no_grad():
            for _ in range(3):
                model(visible, thermal)  # statistics of their own
        model.eval()
        before = copy.deepcopy(model.state_dict())
        folded = fold_normalisation(model)
        with torch.inference_mode():
            expected, result = model(visible, thermal), folded(visible, thermal)
        torch.testing.assert_close(result.fused_rgb, expected.fused_rgb, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(result.logits, expected.logits, rtol=1e-3, atol=1e-3)
        assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
        left = [m for m in folded.modules() if isinstance(m, nn.BatchNorm2d) and m.affine]
        assert left == []

    def test_training_mode_is_refused(self):
        with pytest.raises(ValueError, match=r'expected evaluation mode: call eval\(\)'):
            fold_normalisation(MAFS(create_config('mafs_t')).train())

    def test_case_by_hand(self):
        # y = 3 x, then (y - 5) / sqrt(4) * 10 + 1 = 15 x - 24.
        convolution = nn.Conv2d(1, 1, 1, bias=False)
        norm = nn.BatchNorm2d(1, eps=0.0).eval()
        with torch.no_grad():
            convolution.weight.fill_(3.0)
            norm.running_mean.fill_(5.0)
            norm.running_var.fill_(4.0)
            norm.weight.fill_(10.0)
            norm.bias.fill_(1.0)
        fold_into([convolution], norm)
        assert convolution.weight.item() == pytest.approx(15.0)
        assert convolution.bias.item() == pytest.approx(-24.0)
