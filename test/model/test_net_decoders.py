"""Fusion and segmentation decoders against plain loops and their promised properties."""

from __future__ import annotations

import math

import cv2
from mafs_model.network.config import create_config
from mafs_model.network.fusion_decoder import create_fusion_decoder, DirectDecoder, PyramidDecoder
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


def enlarge(cells: np.ndarray, factor: int) -> np.ndarray:
    """Enlarge bilinearly by OpenCV."""
    size = (cells.shape[1] * factor, cells.shape[0] * factor)
    return cv2.resize(cells, size, interpolation=cv2.INTER_LINEAR)


def means(image: np.ndarray, block: int) -> np.ndarray:
    height, width = image.shape
    return image.reshape(height // block, block, width // block, block).mean((1, 3))


def choose(visible: float, thermal: float, logit: float) -> float:
    weight = sigmoid(logit)
    return weight * visible + (1.0 - weight) * thermal


def pyramid_by_loops(
    maps: list[np.ndarray], sharpness: list[float], visible: np.ndarray, thermal: np.ndarray
) -> np.ndarray:
    """Return the equations of the decoder, cell by cell and pixel by pixel; stride 4."""
    steps = [4 * 2**level for level in range(len(maps))]
    low_v, low_t = means(visible, steps[-1]), means(thermal, steps[-1])
    fused = np.empty_like(low_v)
    for y, x in np.ndindex(*fused.shape):
        blend, guidance, gain, shift = maps[-1][-4:, y, x]
        v, t = low_v[y, x], low_t[y, x]
        base = choose(v, t, blend + 64.0 * guidance * (v - t))
        fused[y, x] = (1 + 0.75 * np.tanh(gain)) * base + 0.75 * np.tanh(shift)
    for level in range(len(maps) - 2, -1, -1):
        band_v, band_t = (
            means(image, steps[level]) - enlarge(means(image, steps[level + 1]), 2)
            for image in (visible, thermal)
        )
        fused = enlarge(fused, 2)
        for y, x in np.ndindex(*fused.shape):
            around = (slice(max(0, y - 1), y + 2), slice(max(0, x - 1), x + 2))
            activity = np.abs(band_v[around]).mean() - np.abs(band_t[around]).mean()
            logit, gain = maps[level][-2:, y, x]
            chosen = choose(band_v[y, x], band_t[y, x], logit + sharpness[level + 1] * activity)
            fused[y, x] += (1 + np.tanh(gain)) * chosen
    detail_v = visible - enlarge(means(visible, 4), 4)
    detail_t = thermal - enlarge(means(thermal, 4), 4)
    activity = means(np.abs(detail_v) - np.abs(detail_t), 4)
    logit = enlarge(maps[0][0] + sharpness[0] * activity, 4)
    gain = enlarge(1 + np.tanh(maps[0][1]), 4)
    fused = enlarge(fused, 4)
    for y, x in np.ndindex(*fused.shape):
        fused[y, x] += gain[y, x] * choose(detail_v[y, x], detail_t[y, x], logit[y, x])
    return fused


WIDTHS = (6, 5, 4)


def level_features(size: tuple[int, int] = (96, 128), stride: int = 4) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [
        torch.randn(1, width, size[0] // step, size[1] // step, generator=generator)
        for width, step in zip(WIDTHS, (stride, 2 * stride, 4 * stride), strict=True)
    ]


def constant_maps(decoder: PyramidDecoder, values: dict[tuple[int, int], float]) -> None:
    """Let the maps be the same everywhere: (level, map) -> value, 0 where none is given."""
    with torch.no_grad():
        for level, head in enumerate(decoder.heads):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
            for (wanted, index), value in values.items():
                if wanted == level:
                    head.bias[index] = value


class TestPyramidDecoder:
    def test_agrees_with_loops(self):
        decoder = randomise(PyramidDecoder(WIDTHS, 5, 4), scale=0.2)
        size = (48, 64)
        visible, thermal = smooth_scene(0, size), smooth_scene(1, size)
        features = level_features(size)
        with torch.inference_mode():
            result = decoder(features, as_batch(visible), as_batch(thermal))[0, 0].numpy()
            maps = [
                head(hidden(level))[0].numpy()
                for head, hidden, level in zip(
                    decoder.heads, decoder.hidden, features, strict=True
                )
            ]
        assert [len(part) for part in maps] == [4, 2, 4]
        expected = pyramid_by_loops(maps, decoder.sharpness.tolist(), visible, thermal)
        np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-4)

    def test_base_holds_most_of_the_image(self):
        decoder = PyramidDecoder(WIDTHS, 4, 4)
        cells = F.pixel_unshuffle(as_batch(smooth_scene(3)), 4)
        (base,) = decoder.enlarge(cells.mean(dim=1, keepdim=True))
        assert (cells - base).abs().mean() < 0.3 * (cells - cells.mean()).abs().mean()

    def test_maps_of_a_batch_are_enlarged_each_for_itself(self):
        decoder = PyramidDecoder(WIDTHS, 4, 4)
        maps = torch.rand(3, 2, 1, 6, 8, generator=torch.Generator().manual_seed(5))
        for enlarged, alone in zip(decoder.enlarge(*maps), maps, strict=True):
            torch.testing.assert_close(enlarged, decoder.smooth(alone))

    @pytest.mark.parametrize('stride', [2, 4])
    @pytest.mark.parametrize(('logit', 'chosen'), [(80.0, 0), (-80.0, 1)])
    def test_choosing_one_source_at_all_scales_returns_it_unaltered(self, stride, logit, chosen):
        decoder = PyramidDecoder(WIDTHS, 4, stride).eval()
        constant_maps(decoder, {(0, 0): logit, (0, 2): logit, (1, 0): logit, (2, 0): logit})
        with torch.no_grad():
            decoder.log_sharpness.zero_()
        sources = (as_batch(smooth_scene(4)), as_batch(smooth_scene(5)))
        with torch.inference_mode():
            result = decoder(level_features(stride=stride), *sources)
        torch.testing.assert_close(result, sources[chosen], rtol=0, atol=1e-5)

    def test_a_pattern_survives_on_the_ground_of_a_brighter_source(self):
        """A sign in the visible image, uniform heat: a fusion by brightness loses the sign."""
        decoder = PyramidDecoder(WIDTHS, 4, 4).eval()
        rows, columns = np.mgrid[:96, :128]
        pattern = 0.15 * np.sign(np.sin(rows / 2) * np.sin(columns / 3))
        visible, thermal = as_batch(0.3 + pattern), as_batch(np.full_like(pattern, 0.8))
        with torch.inference_mode():
            fused = decoder(
                [torch.zeros_like(level) for level in level_features()], visible, thermal
            )
        assert abs(float(fused.mean()) - 0.8) < 0.01
        assert torch.corrcoef(torch.stack([fused.flatten(), visible.flatten()]))[0, 1] > 0.99
        assert fused.std() > 0.95 * visible.std()

    def test_an_object_can_be_taken_from_one_source_over_all_scales(self):
        """Dark in one image, bright in the other: the brighter base alone would drown it."""
        visible, thermal = np.full((96, 128), 0.6), np.full((96, 128), 0.5)
        visible[32:64, 48:80], thermal[32:64, 48:80] = 0.2, 0.7
        decoder = PyramidDecoder(WIDTHS, 4, 4).eval()

        def contrast() -> float:
            features = [torch.zeros_like(level) for level in level_features()]
            with torch.inference_mode():
                fused = decoder(features, as_batch(visible), as_batch(thermal))[0, 0]
            return float(fused[40:56, 56:72].mean() - fused[:16].mean())

        constant_maps(decoder, {(0, 2): 80.0, (1, 0): 80.0, (2, 0): 80.0})
        assert contrast() < -0.38
        constant_maps(decoder, {(0, 2): -80.0, (1, 0): -80.0, (2, 0): -80.0})
        assert contrast() > 0.19

    def test_pixels_need_more_than_a_convex_blend(self):
        """The gains can leave the range between both sources."""
        decoder = PyramidDecoder(WIDTHS, 4, 4).eval()
        constant_maps(decoder, {(0, 1): 1.0, (0, 3): 1.0, (1, 1): 1.0})
        visible, thermal = as_batch(smooth_scene(8)), as_batch(smooth_scene(9))
        with torch.inference_mode():
            fused = decoder(level_features(), visible, thermal)
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
        assert isinstance(create_fusion_decoder(create_config('mafs_t')), PyramidDecoder)
        direct = create_config('mafs_t', fusion_decoder='direct')
        assert isinstance(create_fusion_decoder(direct), DirectDecoder)

    @pytest.mark.parametrize('stride', [2, 4])
    def test_stays_in_range_at_full_size(self, stride):
        decoder = randomise(DirectDecoder(4, 4, stride), scale=2.0)
        image = torch.rand(1, 1, 32, 48)
        with torch.inference_mode():
            features = [torch.randn(1, 4, 32 // stride, 48 // stride)]
            result = decoder(features, image, 1.0 - image)
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
