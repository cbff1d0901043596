"""Fusion and segmentation decoders against plain loops and their promised properties."""

from __future__ import annotations

import math

import cv2
from mafs_model.network.config import create_config
from mafs_model.network.fusion_decoder import BlendDecoder, create_fusion_decoder, DirectDecoder
from mafs_model.network.mafs import MAFS
from mafs_model.network.segmentation_decoder import (
    MultiStageDecoder,
    PixelDecoder,
    SegmentationDecoder,
)
import numpy as np
import pytest
import torch
from torch import nn
import torch.nn.functional as F


def sigmoid(x):
    return 1.0 / (1.0 + math.exp(-x)) if x > -500 else 0.0


def randomise(module: nn.Module, seed: int = 0, scale: float = 0.3) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
    return module.eval()


def smooth_scene(seed: int, size: tuple[int, int] = (96, 128)) -> np.ndarray:
    """Random blobs with texture, float32 [H, W] in 0..1."""
    generator = np.random.default_rng(seed)
    coarse = cv2.resize(
        generator.random((6, 8), dtype=np.float32), size[::-1], interpolation=cv2.INTER_CUBIC
    )
    fine = cv2.resize(
        generator.random((size[0] // 2, size[1] // 2), dtype=np.float32),
        size[::-1],
        interpolation=cv2.INTER_LINEAR,
    )
    return np.clip(0.2 + 0.5 * coarse + 0.2 * (fine - 0.5), 0.02, 0.98)


def as_batch(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))[None, None]


def mean_gradient(image: torch.Tensor) -> float:
    plane = image[0, 0].numpy()
    return float(
        np.hypot(cv2.Sobel(plane, cv2.CV_32F, 1, 0), cv2.Sobel(plane, cv2.CV_32F, 0, 1)).mean()
    )


def base_by_means(image: np.ndarray, block: int) -> np.ndarray:
    """Block means enlarged bilinearly by OpenCV."""
    height, width = image.shape
    means = image.reshape(height // block, block, width // block, block).mean((1, 3))
    return cv2.resize(means, (width, height), interpolation=cv2.INTER_LINEAR)


def blend_by_loops(
    maps: dict[str, np.ndarray], sharpness: float, visible: np.ndarray, thermal: np.ndarray
) -> np.ndarray:
    """Return the equations of the blend, pixel by pixel."""
    base_v, base_t = base_by_means(visible, 4), base_by_means(thermal, 4)
    stronger = sharpness * base_by_means(np.abs(visible - base_v) - np.abs(thermal - base_t), 4)
    fused = np.empty_like(visible)
    for y in range(visible.shape[0]):
        for x in range(visible.shape[1]):
            detail_v = visible[y, x] - base_v[y, x]
            detail_t = thermal[y, x] - base_t[y, x]
            logit = maps['blend'][y, x] + 64.0 * maps['guidance'][y, x] * (
                visible[y, x] - thermal[y, x]
            )
            w = sigmoid(logit)
            m = sigmoid(logit + maps['detail'][y, x] + stronger[y, x])
            detail = maps['detail_gain'][y, x] * (m * detail_v + (1.0 - m) * detail_t)
            base = w * base_v[y, x] + (1.0 - w) * base_t[y, x]
            fused[y, x] = maps['gain'][y, x] * base + maps['shift'][y, x] + detail
    return fused


class TestBlendDecoder:
    def test_agrees_with_loops(self):
        decoder = randomise(BlendDecoder(6, 5, 4), scale=0.2)
        visible, thermal = smooth_scene(0, (24, 32)), smooth_scene(1, (24, 32))
        features = torch.randn(1, 6, 6, 8, generator=torch.Generator().manual_seed(2))
        with torch.inference_mode():
            result = decoder(features, as_batch(visible), as_batch(thermal))[0, 0].numpy()
            hidden = decoder.hidden(features)
            cells = {
                name: getattr(decoder, name)(hidden)[0, 0].numpy()
                for name in ('blend', 'guidance', 'detail', 'detail_gain', 'gain', 'shift')
            }
        cells['detail_gain'] = 1.0 + np.tanh(cells['detail_gain'])
        cells['gain'] = 1.0 + 0.75 * np.tanh(cells['gain'])
        cells['shift'] = 0.75 * np.tanh(cells['shift'])
        maps = {
            name: cv2.resize(plane, (32, 24), interpolation=cv2.INTER_LINEAR)
            for name, plane in cells.items()
        }
        expected = blend_by_loops(maps, decoder.sharpness.item(), visible, thermal)
        np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-4)

    @pytest.mark.parametrize('stride', [2, 4])
    def test_base_holds_most_of_the_image(self, stride):
        decoder = BlendDecoder(4, 4, stride)
        cells = F.pixel_unshuffle(as_batch(smooth_scene(3)), stride)
        (base,) = decoder.enlarge(cells.mean(dim=1, keepdim=True))
        assert (cells - base).abs().mean() < 0.3 * (cells - cells.mean()).abs().mean()

    def test_one_convolution_predicts_what_each_head_does(self):
        decoder = randomise(BlendDecoder(6, 5, 4))
        features = torch.randn(2, 6, 6, 8, generator=torch.Generator().manual_seed(2))
        with torch.inference_mode():
            hidden = decoder.hidden(features)
            maps = dict(zip(decoder.HEADS, decoder.predict(features), strict=True))
            for name, values in maps.items():
                torch.testing.assert_close(values, getattr(decoder, name)(hidden))

    def test_maps_of_a_batch_are_enlarged_each_for_itself(self):
        decoder = BlendDecoder(4, 4, 4)
        maps = torch.rand(3, 2, 1, 6, 8, generator=torch.Generator().manual_seed(5))
        for enlarged, alone in zip(decoder.enlarge(*maps), maps, strict=True):
            torch.testing.assert_close(enlarged, decoder.smooth(alone))

    @pytest.mark.parametrize(('logit', 'chosen'), [(80.0, 0), (-80.0, 1)])
    def test_choosing_one_source_returns_it_unaltered(self, logit, chosen):
        decoder = BlendDecoder(4, 4, 4).eval()
        with torch.no_grad():
            for layer in (
                decoder.blend,
                decoder.guidance,
                decoder.detail,
                decoder.detail_gain,
                decoder.gain,
                decoder.shift,
            ):
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)
            decoder.blend.bias.fill_(logit)
        sources = (as_batch(smooth_scene(4)), as_batch(smooth_scene(5)))
        with torch.inference_mode():
            result = decoder(torch.randn(1, 4, 24, 32), *sources)
        torch.testing.assert_close(result, sources[chosen], rtol=0, atol=1e-5)

    def test_high_guidance_is_the_brighter_source_at_every_pixel(self):
        decoder = BlendDecoder(4, 4, 4).eval()
        with torch.no_grad():
            for layer in (
                decoder.blend,
                decoder.guidance,
                decoder.detail,
                decoder.detail_gain,
                decoder.gain,
                decoder.shift,
            ):
                nn.init.zeros_(layer.weight)
            decoder.guidance.bias.fill_(1e8)
        visible, thermal = as_batch(smooth_scene(6)), as_batch(smooth_scene(7))
        assert (visible - thermal).abs().min() > 1e-6
        with torch.inference_mode():
            fused = decoder(torch.randn(1, 4, 24, 32), visible, thermal)
        torch.testing.assert_close(fused, torch.maximum(visible, thermal), rtol=0, atol=1e-5)

    def test_pixels_need_more_than_a_convex_blend(self):
        """Gain and detail gain can leave the range between both sources."""
        decoder = BlendDecoder(4, 4, 4).eval()
        with torch.no_grad():
            decoder.gain.bias.fill_(0.5)
            decoder.detail_gain.bias.fill_(1.0)
        visible, thermal = as_batch(smooth_scene(8)), as_batch(smooth_scene(9))
        with torch.inference_mode():
            fused = decoder(torch.zeros(1, 4, 24, 32), visible, thermal)
        assert mean_gradient(fused) > 1.3 * max(mean_gradient(visible), mean_gradient(thermal))


@pytest.mark.parametrize('variant', ['mafs_t', 'mafs_s'])
@pytest.mark.parametrize('blurred', ['visible', 'thermal'])
def test_untrained_fusion_is_about_as_sharp_as_the_sharper_source(variant, blurred):
    torch.manual_seed(0)
    model = MAFS(create_config(variant)).train()
    images = {'visible': smooth_scene(10), 'thermal': smooth_scene(11)}
    images[blurred] = cv2.GaussianBlur(images[blurred], (0, 0), 4)
    visible, thermal = as_batch(images['visible']), as_batch(images['thermal'])
    with torch.no_grad():
        for _ in range(20):  # statistics of the normalisations, as after the first steps
            model(visible.expand(-1, 3, -1, -1), thermal)
        fused = model.eval()(visible.expand(-1, 3, -1, -1), thermal).fused_luminance
    sharper = max(mean_gradient(visible), mean_gradient(thermal))
    # The scenes differ in brightness without relation, far more than two cameras do.
    assert mean_gradient(fused) > 0.85 * sharper
    average = 0.5 * (visible + thermal)
    assert mean_gradient(fused) > 1.3 * mean_gradient(average)


class TestDirectDecoder:
    def test_is_chosen_by_the_configuration(self):
        assert isinstance(create_fusion_decoder(create_config('mafs_b')), DirectDecoder)
        assert isinstance(create_fusion_decoder(create_config('mafs_t')), BlendDecoder)
        direct = create_config('mafs_t', fusion_decoder='direct')
        assert isinstance(create_fusion_decoder(direct), DirectDecoder)

    @pytest.mark.parametrize('stride', [2, 4])
    def test_stays_in_range_at_full_size(self, stride):
        decoder = randomise(DirectDecoder(4, 4, stride), scale=2.0)
        image = torch.rand(1, 1, 32, 48)
        with torch.inference_mode():
            result = decoder(torch.randn(1, 4, 32 // stride, 48 // stride), image, 1.0 - image)
        assert result.shape == (1, 1, 32, 48)
        assert result.min() >= 0.0
        assert result.max() <= 1.0


class TestSegmentationDecoder:
    def test_pixel_decoder_mixes_top_down(self):
        decoder = PixelDecoder([4, 6], 5).eval()
        fine, coarse = torch.randn(1, 4, 4, 4), torch.randn(1, 6, 2, 2)
        with torch.inference_mode():
            mixed = decoder([fine, coarse])
            torch.testing.assert_close(mixed[1], decoder.lateral[1](coarse))
            torch.testing.assert_close(
                mixed[0],
                decoder.lateral[0](fine)
                + F.interpolate(mixed[1], scale_factor=2, mode='bilinear', align_corners=False),
            )

    def test_stages_run_coarse_to_fine(self):
        decoder = MultiStageDecoder(3, 8, 2, 1).eval()
        levels = [torch.randn(1, 8, 16, 16), torch.randn(1, 8, 8, 8), torch.randn(1, 8, 4, 4)]
        with torch.inference_mode():
            outputs = decoder(levels)
            assert [output.shape[2] for output in outputs] == [4, 8, 16]
            moved = decoder([levels[0], levels[1], levels[2] + 1.0])
            assert all(not torch.allclose(a, b) for a, b in zip(outputs, moved, strict=True))
            finer = decoder([levels[0] + 1.0, levels[1], levels[2]])
            assert torch.equal(outputs[0], finer[0])
            assert torch.equal(outputs[1], finer[1])

    def test_outputs_of_all_stages_are_summed_at_the_finest(self):
        config = create_config('mafs_t')
        decoder = SegmentationDecoder(config).eval()
        outputs = [torch.randn(1, 64, 2, 2), torch.randn(1, 64, 4, 4), torch.randn(1, 64, 8, 8)]
        seen = []
        decoder.transformer.forward = lambda levels: outputs
        decoder.from_stages.register_forward_hook(lambda _, args, __: seen.append(args[0]))
        fused = [
            torch.randn(1, width, 64 // stride, 64 // stride)
            for width, stride in zip(config.widths, config.strides, strict=True)
        ]
        with torch.inference_mode():
            decoder(fused, torch.randn(1, config.widths[0], 16, 16))

        def up(x):
            return F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False)

        expected = up(up(outputs[0]) + outputs[1]) + outputs[2]
        torch.testing.assert_close(seen[0], expected)

    def test_logits_depend_on_the_modulated_feature(self):
        config = create_config('mafs_t')
        decoder = SegmentationDecoder(config).eval()
        fused = [
            torch.randn(1, width, 64 // stride, 64 // stride)
            for width, stride in zip(config.widths, config.strides, strict=True)
        ]
        modulated = torch.randn(1, config.widths[0], 16, 16)
        with torch.inference_mode():
            first, aux = decoder(fused, modulated)
            second, _ = decoder(fused, modulated + 1.0)
        assert aux is None
        assert first.shape == (1, 9, 32, 32)
        assert not torch.allclose(first, second)
