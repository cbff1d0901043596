"""Gradients reach every parameter in each stage of the training."""

from __future__ import annotations

from mafs_model.network.config import create_config, VARIANTS
from mafs_model.network.layers.saturation import saturate
from mafs_model.network.mafs import MAFS
import pytest
import torch

ABSENT = {'encoder.visible_absent.embedding', 'encoder.thermal_absent.embedding'}


def without_gradient(model: torch.nn.Module) -> set[str]:
    return {
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().sum() > 0
    }


def images(batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return (
        torch.rand(batch, 3, 64, 96, generator=generator),
        torch.rand(batch, 1, 64, 96, generator=generator),
    )


@pytest.mark.parametrize('variant', VARIANTS)
def test_second_stage_reaches_every_parameter(variant):
    torch.manual_seed(0)
    model = MAFS(create_config(variant)).train()
    visible, thermal = images(3)
    seen = torch.tensor([True, True, False])
    felt = torch.tensor([True, False, True])
    output = model(visible, thermal, visible_present=seen, thermal_present=felt)
    weights = torch.Generator().manual_seed(1)
    targets = [
        output.fused_rgb,
        output.logits,
        *output.aux.stage_logits,
        output.aux.binary_logits,
        output.aux.boundary_logits,
    ]
    # Random weights: a plain mean can cancel exactly behind a normalisation.
    sum(
        (target * torch.rand(target.shape, generator=weights)).mean() for target in targets
    ).backward()
    assert without_gradient(model) == set()


def test_first_stage_reaches_encoder_and_adaptive_fusion():
    torch.manual_seed(0)
    model = MAFS(create_config('mafs_t')).train()
    weights = torch.Generator().manual_seed(1)
    code = model.fuse(model.encoder(*images(2)))
    sum((level * torch.rand(level.shape, generator=weights)).mean() for level in code).backward()
    trained = {
        name
        for name, _ in model.named_parameters()
        if name.startswith(('encoder.', 'level_fusion.'))
    }
    assert without_gradient(model) & trained == ABSENT


@pytest.mark.parametrize(
    ('given', 'expected'),
    [
        ('visible', 'encoder.thermal_absent.embedding'),
        ('thermal', 'encoder.visible_absent.embedding'),
    ],
)
def test_a_missing_modality_trains_its_embedding(given, expected):
    torch.manual_seed(0)
    model = MAFS(create_config('mafs_t')).train()
    visible, thermal = images(2)
    output = model(visible, None) if given == 'visible' else model(None, thermal)
    (output.logits.square().mean() + output.fused_luminance.square().mean()).backward()
    assert expected not in without_gradient(model)


def test_fusion_loss_shapes_the_semantic_levels():
    """The fused image depends on the deepest level, through the progressive fusion."""
    torch.manual_seed(0)
    model = MAFS(create_config('mafs_t')).train()
    model(*images(2)).fused_luminance.square().mean().backward()
    assert not any(name.startswith('encoder.stages.2') for name in without_gradient(model))


def test_segmentation_loss_shapes_the_finest_level():
    """The logits depend on the feature that was modulated for the fused image."""
    torch.manual_seed(0)
    model = MAFS(create_config('mafs_t')).train()
    model(*images(2)).logits.square().mean().backward()
    assert not any(name.startswith('progressive_fusion.') for name in without_gradient(model))


def test_saturated_pixels_still_receive_gradients():
    torch.manual_seed(0)
    model = MAFS(create_config('mafs_t')).train()
    with torch.no_grad():
        model.fusion_decoder.heads[-1].bias[-1] = 5.0  # far above white everywhere
    output = model(*images(2))
    assert output.fused_luminance.max() <= 1.0 + 1e-6
    assert (output.fused_luminance > 1.0 - 1e-6).float().mean() > 0.5
    output.fused_luminance.mean().backward()
    assert model.fusion_decoder.heads[-1].bias.grad[-1].abs() > 0


def test_saturated_pixels_are_not_pushed_further():
    image = torch.tensor([-0.2, 0.5, 1.2, -0.2, 0.5, 1.2], requires_grad=True)
    brighter, darker = torch.tensor([-1.0]).expand(3), torch.tensor([1.0]).expand(3)
    clipped = saturate(image)
    assert clipped.tolist() == pytest.approx([0.0, 0.5, 1.0] * 2)
    clipped.backward(torch.cat([brighter, darker]))
    assert image.grad.tolist() == [-1.0, -1.0, 0.0, 0.0, 1.0, 1.0]
