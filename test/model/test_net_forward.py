"""The whole network: sizes, missing modalities, padding, determinism, refused inputs."""

from __future__ import annotations

import functools

from mafs_model.network.config import create_config, VARIANTS
from mafs_model.network.mafs import MAFS
import pytest
import torch

# (height, width): multiples, odd, portrait, smallest, thermal core, cameras, 1080p.
SIZES = [
    (32, 32),
    (64, 96),
    (33, 47),
    (63, 65),
    (97, 64),
    (120, 160),
    (160, 120),
    (200, 31 + 1),
    (240, 321),
    (256, 320),
    (480, 640),
    (1080, 1920),
]


@functools.cache
def network(variant: str) -> MAFS:
    """Return an untrained network with random statistics, shared between tests."""
    torch.manual_seed(0)
    model = MAFS(create_config(variant)).eval()
    with torch.no_grad():
        for name, values in model.state_dict().items():
            if name.endswith(('bias', 'running_mean')):
                values.add_(0.1 * torch.randn_like(values))
    return model


def images(height: int, width: int, batch: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(height * 10000 + width)
    return (
        torch.rand(batch, 3, height, width, generator=generator),
        torch.rand(batch, 1, height, width, generator=generator),
    )


@pytest.mark.parametrize(('height', 'width'), SIZES)
def test_every_size_gives_outputs_of_that_size(height, width):
    visible, thermal = images(height, width)
    with torch.inference_mode():
        output = network('mafs_t')(visible, thermal, full_logits=height * width < 480 * 640)
    assert output.fused_luminance.shape == (1, 1, height, width)
    assert output.fused_rgb.shape == (1, 3, height, width)
    if height * width < 480 * 640:
        assert output.logits.shape == (1, 9, height, width)
    else:
        assert output.logits.shape == (1, 9, (height + 1) // 2, (width + 1) // 2)
    for image in (output.fused_luminance, output.fused_rgb):
        assert image.min() >= 0.0
        assert image.max() <= 1.0
    assert output.logits.isfinite().all()
    assert output.modalities == ('visible', 'thermal')


@pytest.mark.parametrize('variant', ['mafs_s', 'mafs_b'])
@pytest.mark.parametrize(('height', 'width'), [(32, 32), (57, 43)])
def test_larger_variants_keep_odd_sizes(variant, height, width):
    visible, thermal = images(height, width)
    with torch.inference_mode():
        for pair in ((visible, thermal), (visible, None), (None, thermal)):
            output = network(variant)(*pair)
            assert output.fused_rgb.shape == (1, 3, height, width)
            assert output.logits.shape == (1, 9, height, width)


def test_half_resolution_logits_round_sizes_up():
    with torch.inference_mode():
        output = network('mafs_t')(*images(45, 64), full_logits=False)
    assert output.logits.shape == (1, 9, 23, 32)


def test_full_logits_are_the_half_resolution_ones_enlarged():
    with torch.inference_mode():
        half = network('mafs_t')(*images(64, 64), full_logits=False).logits
        full = network('mafs_t')(*images(64, 64)).logits
    enlarged = torch.nn.functional.interpolate(half, size=(64, 64), mode='bilinear')
    torch.testing.assert_close(full, enlarged)


@pytest.mark.parametrize(('height', 'width'), [(50, 70), (33, 64)])
def test_inner_padding_equals_padding_outside(height, width):
    visible, thermal = images(height, width)
    bottom, right = -height % 32, -width % 32
    rows = torch.arange(height + bottom).clamp(max=height - 1)
    columns = torch.arange(width + right).clamp(max=width - 1)
    with torch.inference_mode():
        inside = network('mafs_t')(visible, thermal)
        outside = network('mafs_t')(
            visible[..., rows, :][..., columns], thermal[..., rows, :][..., columns]
        )
    for name in ('fused_luminance', 'fused_rgb', 'logits'):
        torch.testing.assert_close(
            getattr(inside, name), getattr(outside, name)[..., :height, :width], rtol=0, atol=0
        )


def test_images_of_a_batch_do_not_influence_each_other():
    visible, thermal = images(64, 64, batch=3)
    with torch.inference_mode():
        together = network('mafs_t')(visible, thermal)
        alone = network('mafs_t')(visible[1:2], thermal[1:2])
    torch.testing.assert_close(together.fused_rgb[1:2], alone.fused_rgb, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together.logits[1:2], alone.logits, rtol=1e-4, atol=1e-4)


def test_same_seed_gives_the_same_network_and_output():
    outputs = []
    for _ in range(2):
        torch.manual_seed(7)
        model = MAFS(create_config('mafs_t')).eval()
        with torch.inference_mode():
            outputs.append(model(*images(64, 64)))
    assert torch.equal(outputs[0].fused_rgb, outputs[1].fused_rgb)
    assert torch.equal(outputs[0].logits, outputs[1].logits)


def test_fused_colour_keeps_the_chroma_of_the_visible_image():
    visible, thermal = images(64, 64)
    visible, thermal = 0.4 + 0.2 * visible, 0.4 + 0.2 * thermal  # far from clipping
    with torch.inference_mode():
        output = network('mafs_t')(visible, thermal)
    kept = (output.fused_rgb > 0).all(1) & (output.fused_rgb < 1).all(1)
    assert kept.float().mean() > 0.9
    for image, expected in ((output.fused_rgb, visible),):
        y_new = (image * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1)
        y_old = (expected * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1)
        cb_new, cb_old = (image[:, 2] - y_new) / 1.772, (expected[:, 2] - y_old) / 1.772
        cr_new, cr_old = (image[:, 0] - y_new) / 1.402, (expected[:, 0] - y_old) / 1.402
        torch.testing.assert_close(cb_new[kept], cb_old[kept], rtol=0, atol=1e-5)
        torch.testing.assert_close(cr_new[kept], cr_old[kept], rtol=0, atol=1e-5)
        torch.testing.assert_close(
            y_new[kept], output.fused_luminance[:, 0][kept], rtol=0, atol=1e-5
        )


def test_visible_alone_is_used_and_reported():
    visible, thermal = images(64, 96)
    with torch.inference_mode():
        output = network('mafs_t')(visible, None)
        both = network('mafs_t')(visible, thermal)
    assert output.modalities == ('visible',)
    assert not torch.equal(output.logits, both.logits)
    assert output.fused_rgb.std(dim=1).mean() > 0.05  # still a colour image


def test_thermal_alone_is_used_reported_and_grey():
    _, thermal = images(64, 96)
    with torch.inference_mode():
        output = network('mafs_t')(None, thermal)
    assert output.modalities == ('thermal',)
    assert torch.equal(output.fused_rgb[:, 0], output.fused_rgb[:, 1])
    # T + (F - T): F but for rounding
    torch.testing.assert_close(output.fused_rgb[:, 0:1], output.fused_luminance, rtol=0, atol=1e-6)


def test_presence_per_sample_equals_a_missing_image():
    visible, thermal = images(64, 64, batch=3)
    seen = torch.tensor([True, False, True])
    felt = torch.tensor([True, True, False])
    with torch.inference_mode():
        mixed = network('mafs_t')(visible, thermal, visible_present=seen, thermal_present=felt)
        for index, pair in enumerate(
            [(visible[:1], thermal[:1]), (None, thermal[1:2]), (visible[2:3], None)]
        ):
            alone = network('mafs_t')(*pair)
            for name in ('fused_luminance', 'fused_rgb', 'logits'):
                torch.testing.assert_close(
                    getattr(mixed, name)[index : index + 1],
                    getattr(alone, name),
                    rtol=1e-4,
                    atol=1e-4,
                )


def test_an_absent_image_does_not_leak():
    visible, thermal = images(64, 64)
    absent = torch.tensor([False])
    with torch.inference_mode():
        first = network('mafs_t')(visible, thermal, visible_present=absent)
        second = network('mafs_t')(1.0 - visible, thermal, visible_present=absent)
    assert torch.equal(first.fused_rgb, second.fused_rgb)
    assert torch.equal(first.logits, second.logits)


@pytest.mark.parametrize('variant', VARIANTS)
def test_auxiliary_outputs_exist_in_training_only(variant):
    model = MAFS(create_config(variant))
    visible, thermal = images(40, 70, batch=2)
    assert model.eval()(visible, thermal).aux is None
    output = model.train()(visible, thermal)
    assert output.aux.stage_logits[0].shape[:2] == (2, 9)
    sizes = [tuple(logits.shape[2:]) for logits in output.aux.stage_logits]
    assert sizes == [(64 // s, 96 // s) for s in reversed(model.config.strides[-len(sizes) :])]
    assert output.aux.binary_logits.shape == (2, 1, 16, 24)
    assert output.aux.boundary_logits.shape == (2, 1, 16, 24)


def test_encoder_reports_its_strides_and_channels():
    model = network('mafs_s')
    encoder = model.encoder
    with torch.inference_mode():
        levels = encoder(*images(64, 96))
        codes = model.fuse(levels)
    assert [tuple(code.shape[1:]) for code in codes] == [
        (channels, 64 // stride, 96 // stride)
        for channels, stride in zip(model.config.widths, model.config.strides, strict=True)
    ]
    assert len(levels) == len(encoder.strides) == len(encoder.channels)
    for level, stride, channels in zip(levels, encoder.strides, encoder.channels, strict=True):
        assert level.visible.shape == level.thermal.shape
        assert level.visible.shape == (1, channels, 64 // stride, 96 // stride)


@pytest.mark.parametrize(
    ('visible', 'thermal', 'message'),
    [
        (None, None, 'both None'),
        ((1, 1, 64, 64), None, r'visible has shape \(1, 1, 64, 64\), expected \[B, 3, H, W\]'),
        (None, (1, 3, 64, 64), r'thermal has shape .* expected \[B, 1, H, W\]'),
        (None, (1, 64, 64), 'thermal has shape'),
        ((1, 3, 31, 64), None, 'visible is 64x31 pixels, expected at least 32x32'),
        ((1, 3, 64, 64), (1, 1, 64, 32), 'expected the same batch and size'),
        ((2, 3, 64, 64), (1, 1, 64, 64), 'expected the same batch and size'),
    ],
)
def test_bad_inputs_are_refused(visible, thermal, message):
    pair = [None if shape is None else torch.rand(shape) for shape in (visible, thermal)]
    with pytest.raises(ValueError, match=message):
        network('mafs_t')(*pair)
