"""Losses for detail and objects: zero where kept, the sign that matters, gradients that help."""

from __future__ import annotations

from mafs_training.losses import detail_loss, fusion_loss, FusionOptions
from mafs_training.losses import object_loss as loss_of_objects
import numpy as np
import pytest
import torch

SIZE = 96


def object_loss(*images: torch.Tensor, classes: tuple[int, ...] = (1, 2, 3)) -> torch.Tensor:
    return loss_of_objects(*images, classes)


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """Draw a dark textured visible image, and a bright flat thermal one with its own texture."""
    generator = torch.Generator().manual_seed(0)
    texture = torch.rand(1, 1, SIZE, SIZE, generator=generator) - 0.5
    visible = torch.full((1, 1, SIZE, SIZE), 0.3)
    thermal = torch.full((1, 1, SIZE, SIZE), 0.7)
    visible[..., :48] += 0.3 * texture[..., :48]
    thermal[..., 48:] += 0.3 * texture[..., 48:]
    return visible, thermal


class TestDetail:
    def test_is_0_where_both_are_kept_and_1_where_nothing_is(self):
        visible, thermal = pair()
        both = visible + thermal - 0.3
        assert float(detail_loss(both, visible, thermal)) < 0.02
        assert float(detail_loss(torch.full_like(both, 0.5), visible, thermal)) == pytest.approx(1)

    def test_the_maximum_loses_one_half(self):
        """Thermal is brighter everywhere, so the maximum shows its detail alone."""
        visible, thermal = pair()
        loss = float(detail_loss(torch.maximum(visible, thermal), visible, thermal))
        assert 0.45 < loss < 0.55

    def test_an_inverted_detail_is_worse_than_none(self):
        visible, thermal = pair()
        both = visible + thermal - 0.3
        assert float(detail_loss(1 - both, visible, thermal)) > 1.9

    def test_more_detail_than_in_the_source_gains_nothing(self):
        visible, thermal = pair()
        both = visible + thermal - 0.3
        twice = (both - both.mean()) * 2 + both.mean()
        assert float(detail_loss(twice, visible, thermal)) < 0.02

    def test_two_flat_images_have_nothing_to_lose(self):
        flat = torch.full((1, 1, SIZE, SIZE), 0.5, requires_grad=True)
        loss = detail_loss(flat, flat.detach(), flat.detach())
        loss.backward()
        assert float(loss.detach()) == 0
        assert bool(torch.isfinite(flat.grad).all())

    def test_small_images_are_refused(self):
        small = torch.zeros(1, 1, 20, 20)
        with pytest.raises(ValueError, match='at least 25 pixels'):
            detail_loss(small, small, small)


def man(visible_level: float, thermal_level: float, ground: float = 0.5):
    """Draw a person of 16x40 pixels on a ground: visible, thermal, labels."""
    labels = torch.zeros(1, SIZE, SIZE, dtype=torch.int64)
    labels[:, 28:68, 40:56] = 2
    mask = (labels == 2)[:, None]
    images = [
        torch.where(mask, torch.tensor(level), torch.tensor(ground))
        for level in (visible_level, thermal_level)
    ]
    return images[0], images[1], labels


class TestObjects:
    def test_a_person_as_clear_as_in_the_better_camera_costs_nothing(self):
        visible, thermal, labels = man(0.48, 0.7)
        assert float(object_loss(thermal, visible, thermal, labels)) < 0.01
        assert float(object_loss(visible, visible, thermal, labels)) > 0.9

    def test_a_person_that_drowns_costs_the_most(self):
        """Dark in one, bright in the other: the mean of both is the ground."""
        visible, thermal, labels = man(0.3, 0.7)
        drowned = (visible + thermal) / 2
        assert float(object_loss(drowned, visible, thermal, labels)) == pytest.approx(1, abs=0.01)

    def test_the_sign_is_that_of_the_stronger_source(self):
        visible, thermal, labels = man(0.2, 0.6)
        assert float(object_loss(visible, visible, thermal, labels)) < 0.01
        assert float(object_loss(thermal, visible, thermal, labels)) > 1

    def test_forty_levels_are_enough(self):
        visible, thermal, labels = man(0.5, 1.0)
        fused = thermal.clamp(max=0.5 + 41 / 255)
        assert float(object_loss(fused, visible, thermal, labels)) < 0.01

    @pytest.mark.parametrize('classes', [(1,), ()])
    def test_other_classes_do_not_count(self, classes):
        visible, thermal, labels = man(0.3, 0.7)
        fused = torch.full_like(visible, 0.5, requires_grad=True)
        loss = object_loss(fused, visible, thermal, labels, classes=classes)
        assert float(loss) == 0

    def test_ignored_pixels_are_no_surroundings(self):
        visible, thermal, labels = man(0.5, 0.7)
        labels[labels == 0] = 255
        assert float(object_loss(visible, visible, thermal, labels)) == 0

    def test_large_and_small_objects_count_alike(self):
        visible, thermal, labels = man(0.5, 0.7)
        wide = [torch.cat([image, image], -1) for image in (visible, thermal)]
        both = torch.cat([labels, torch.zeros_like(labels)], -1)
        both[:, 40:64, 130:142] = 2
        wide[1][0, 0, 40:64, 130:142] = 0.7
        wide[1][0, 0, 28:68, 136:152] = torch.where(
            both[0, 28:68, 136:152] == 2, torch.tensor(0.7), torch.tensor(0.5)
        )
        only_large = wide[1].clone()
        only_large[..., 96:] = 0.5
        loss = float(object_loss(only_large, wide[0], wide[1], both))
        assert 0.3 < loss < 0.7

    def test_descending_makes_the_person_stand_out(self):
        visible, thermal, labels = man(0.3, 0.68)
        fused = ((visible + thermal) / 2).requires_grad_()
        optimiser = torch.optim.Adam([fused], 0.02)
        for _ in range(40):
            optimiser.zero_grad()
            object_loss(fused, visible, thermal, labels).backward()
            optimiser.step()
        inside = (labels == 2)[:, None]
        contrast = fused.detach()[inside].mean() - fused.detach()[..., :20].mean()
        assert float(contrast) < -0.1  # 0.2 darker in visible, 0.18 brighter in thermal


def test_fusion_loss_adds_both_with_their_weights():
    visible, thermal, labels = man(0.3, 0.68)
    fused = (visible + thermal) / 2
    plain, _ = fusion_loss(fused, visible, thermal, FusionOptions())
    options = FusionOptions(detail=2.0, objects=3.0)
    total, terms = fusion_loss(fused, visible, thermal, options, labels)
    added = 2 * terms['detail'] + 3 * terms['objects']
    np.testing.assert_allclose(float(total), float(plain + added), rtol=1e-5)
    unlabelled, terms = fusion_loss(fused, visible, thermal, FusionOptions(objects=3.0))
    assert 'objects' not in terms
    assert float(unlabelled) == float(plain)
