"""Renderings of other cameras: what each promises, and that an augmented batch stays one."""

from __future__ import annotations

from mafs_training import renderings
from mafs_training.augment import augment, AugmentOptions
from mafs_training.renderings import render, RenderingOptions
import pytest
import torch

EVERY = RenderingOptions(1.0, 1.0, 1.0, 0.3, 0.3)


def scene(channels: int = 1, size: int = 64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(channels, size // 4, size // 4, generator=generator)
    image = torch.nn.functional.interpolate(image[None], size=(size, size), mode='bicubic')[0]
    return (0.2 + 0.5 * image).clamp(0, 1)


@pytest.mark.parametrize(
    'name',
    [
        function.__name__
        for function in dict.fromkeys(
            (
                *renderings.THERMAL_SCALINGS,
                *renderings.THERMAL_FAULTS,
                *renderings.VISIBLE_WEATHER,
                renderings.dead_image,
            )
        )
    ],
)
def test_every_rendering_changes_an_image_and_keeps_shape_and_range(name):
    channels = 3 if name in ('add_glare', 'add_haze', 'drop_colour') else 1
    image = scene(channels)
    for seed in range(12):
        torch.manual_seed(seed)
        result = getattr(renderings, name)(image.clone())
        assert result.shape == image.shape
        assert bool(torch.isfinite(result).all())
        assert float(result.min()) >= 0
        assert float(result.max()) <= 1
        assert not torch.equal(result, image)


def test_cut_percentiles_contains_the_scaling_of_the_node():
    """Between the cuts the rendering is linear, outside it is black and white."""
    torch.manual_seed(0)
    image = scene()
    result = renderings.cut_percentiles(image)
    assert float((result == 0).float().mean()) < 0.05
    assert float(result.max()) == 1.0
    between = (result > 0.02) & (result < 0.98)
    pair = torch.stack([image[between], result[between]])
    assert float(torch.corrcoef(pair)[0, 1]) > 0.999


def test_a_flat_image_is_not_stretched_to_noise():
    torch.manual_seed(0)
    noise = 0.5 + 0.5 / 255 * torch.randn(1, 64, 64)
    assert float(renderings.cut_percentiles(noise).std()) < 0.1


def test_squeezed_range_is_narrow_and_in_whole_levels():
    for seed in range(20):
        torch.manual_seed(seed)
        result = renderings.squeeze_range(torch.linspace(0, 1, 4096).view(1, 64, 64))
        span = float(result.max() - result.min()) * 255
        assert 19 <= span <= 151
        torch.testing.assert_close(result * 255, (result * 255).round(), rtol=0, atol=1e-3)


def test_hot_spot_leaves_the_scene_less_of_the_range():
    torch.manual_seed(0)
    image = scene()
    result = renderings.add_hot_spot(image)
    assert float(result.max()) > 0.95
    assert float(result.median()) < 0.85 * float(image.median())


def test_overwritten_rows_are_at_the_top_or_the_bottom_and_few():
    image = scene()
    for seed in range(20):
        torch.manual_seed(seed)
        changed = (renderings.overwrite_rows(image) != image).any(dim=(0, 2))
        assert 1 <= int(changed.sum()) <= 16
        assert bool(changed[0]) != bool(changed[-1])


def test_never_are_both_cameras_dead():
    options = RenderingOptions(dead_visible=0.5, dead_thermal=0.5)
    torch.manual_seed(0)
    visible, thermal = scene(3).expand(64, -1, -1, -1), scene().expand(64, -1, -1, -1)
    changed = [
        (a != b).flatten(1).any(1)
        for a, b in zip(render(visible, thermal, options), (visible, thermal), strict=True)
    ]
    assert bool((changed[0] ^ changed[1]).all())
    assert 10 < int(changed[0].sum()) < 54


def test_without_probabilities_nothing_changes():
    visible, thermal = scene(3)[None], scene()[None]
    result = render(visible, thermal, RenderingOptions())
    assert torch.equal(result[0], visible)
    assert torch.equal(result[1], thermal)


def test_augmented_labels_are_those_of_the_scene_whatever_the_camera():
    batch = {
        'visible': scene(3).expand(4, -1, -1, -1),
        'thermal': scene().expand(4, -1, -1, -1),
        'label': torch.arange(64).expand(4, 64, 64) % 9,
    }
    torch.manual_seed(0)
    options = AugmentOptions(flip=0, affine=0, rendering=EVERY)
    result = augment(batch, options)
    assert torch.equal(result['label'], batch['label'])
    assert not torch.equal(result['thermal'], batch['thermal'])
    torch.manual_seed(0)
    again = augment(batch, options)
    assert torch.equal(result['thermal'], again['thermal'])
    assert torch.equal(result['visible'], again['visible'])
