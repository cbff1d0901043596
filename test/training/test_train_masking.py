"""Masks of the masked autoencoder, and the balanced assignment of the label-free stage."""

from __future__ import annotations

import itertools

from mafs_training.assignment import (
    balanced_targets,
    prototype_usage,
    Prototypes,
    sinkhorn,
    swapped_prediction_loss,
)
from mafs_training.masking import apply_mask, complementary_masks, hidden_cells, MaskOptions
from mafs_training.schedule import cosine_with_warmup, dynamic_weight, sigmoid_ramp
import numpy as np
import pytest
import torch


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(3)


class TestMasks:
    def test_ratio_is_exact_in_cells(self, rng):
        for ratio in (0.25, 0.5, 0.75):
            assert int(hidden_cells(64, ratio, None, 0, rng).sum()) == 64 * ratio
        assert int(hidden_cells(4, 0.01, None, 0, rng).sum()) == 1
        assert int(hidden_cells(4, 0.99, None, 0, rng).sum()) == 3

    def test_complementary_never_hides_twice(self, rng):
        options = MaskOptions(patch_px=(8, 8), ratio=(0.5, 0.5))
        visible, thermal = complementary_masks(6, (64, 48), options, rng)
        assert visible.shape == thermal.shape == (6, 1, 64, 48)
        assert torch.equal(visible + thermal, torch.ones_like(visible))

    def test_only_the_excess_is_hidden_in_both(self, rng):
        options = MaskOptions(patch_px=(8, 8), ratio=(0.75, 0.75))
        visible, thermal = complementary_masks(4, (64, 64), options, rng)
        both = (visible * thermal).mean((1, 2, 3))
        assert both.tolist() == pytest.approx([0.5] * 4)

    def test_independent_masks_overlap(self, rng):
        options = MaskOptions(patch_px=(4, 4), ratio=(0.5, 0.5), complementary=0.0)
        visible, thermal = complementary_masks(8, (64, 64), options, rng)
        assert (visible * thermal).mean().item() == pytest.approx(0.25, abs=0.05)

    def test_cells_are_squares_of_the_drawn_size(self, rng):
        mask, _ = complementary_masks(2, (40, 40), MaskOptions(patch_px=(10, 10)), rng)
        cells = mask.view(2, 4, 10, 4, 10)
        assert torch.equal(cells.amin((2, 4)), cells.amax((2, 4)))

    def test_odd_size_is_cut(self, rng):
        visible, thermal = complementary_masks(1, (37, 53), MaskOptions(patch_px=(16, 16)), rng)
        assert visible.shape == thermal.shape == (1, 1, 37, 53)

    def test_deterministic(self):
        options = MaskOptions()
        first = complementary_masks(3, (64, 64), options, torch.Generator().manual_seed(5))
        second = complementary_masks(3, (64, 64), options, torch.Generator().manual_seed(5))
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))

    def test_neither_modality_is_favoured(self, rng):
        options = MaskOptions(patch_px=(8, 8), ratio=(0.3, 0.6))
        visible, thermal = complementary_masks(200, (64, 64), options, rng)
        assert visible.mean().item() == pytest.approx(thermal.mean().item(), abs=0.02)

    def test_noise_fills_only_hidden_pixels(self, rng):
        image = torch.full((2, 3, 32, 32), 0.9)
        mask, _ = complementary_masks(2, (32, 32), MaskOptions(patch_px=(8, 8)), rng)
        masked = apply_mask(image, mask, 0.25, rng)
        hidden = mask.bool().expand_as(image)
        assert torch.equal(masked[~hidden], image[~hidden])
        assert masked[hidden].mean().item() == pytest.approx(0.5, abs=0.03)
        assert masked[hidden].std().item() == pytest.approx(0.24, abs=0.03)
        assert 0 <= masked.min() <= masked.max() <= 1

    @pytest.mark.parametrize(
        ('kwargs', 'message'),
        [
            ({'patch_px': (9, 8)}, 'patch_px'),
            ({'ratio': (0.0, 0.5)}, 'ratio'),
            ({'complementary': 1.5}, 'complementary'),
            ({'noise_std': -1}, 'noise_std'),
        ],
    )
    def test_ranges(self, kwargs, message):
        with pytest.raises(ValueError, match=message):
            MaskOptions(**kwargs)

    def test_one_cell(self, rng):
        with pytest.raises(ValueError, match='at least two cells'):
            complementary_masks(1, (32, 32), MaskOptions(patch_px=(64, 64)), rng)


class TestSinkhorn:
    def test_marginals(self, rng):
        q = sinkhorn(torch.randn(240, 6, generator=rng), epsilon=0.5, iterations=50)
        assert q.sum(1).tolist() == pytest.approx([1.0] * 240, abs=1e-5)
        assert q.sum(0).tolist() == pytest.approx([40.0] * 6, rel=1e-3)

    def test_naive_scaling(self, rng):
        scores = torch.randn(10, 3, generator=rng, dtype=torch.float64)
        prior = np.array([0.5, 0.3, 0.2])
        q = np.exp(scores.numpy() / 0.7)
        for _ in range(4):
            q = q / q.sum(0) * prior
            q = q / q.sum(1, keepdims=True)
        actual = sinkhorn(scores, 0.7, 4, torch.tensor(prior))
        np.testing.assert_allclose(actual.numpy(), q, rtol=1e-4)

    def test_collapsed_scores_are_spread(self):
        """All samples prefer prototype 0; the targets still use each one equally."""
        scores = torch.zeros(90, 3)
        scores[:, 0] = 5.0
        scores[:, 1] += torch.linspace(0, 1, 90)
        assert sinkhorn(scores, 0.05, 50).sum(0).tolist() == pytest.approx([30.0] * 3, rel=1e-2)

    def test_arguments(self):
        with pytest.raises(ValueError, match=r'scores: expected shape \[N,K\]'):
            sinkhorn(torch.zeros(3), 0.1)
        with pytest.raises(ValueError, match='epsilon'):
            sinkhorn(torch.zeros(3, 2), epsilon=0)


class TestCollapse:
    def test_balanced_targets_prevent_collapse(self, rng):
        """Two branches learn from each other: collapse without balance, none with it."""
        points = torch.randn(4, 8, 12, 12, generator=rng)

        def train(balanced):
            torch.manual_seed(0)
            branches = [torch.nn.Conv2d(8, 8, 1) for _ in range(2)]
            prototypes = Prototypes(8, 6)
            parameters = [p for m in (*branches, prototypes) for p in m.parameters()]
            optimiser = torch.optim.Adam(parameters, lr=0.02)
            for _ in range(150):
                cosine = [prototypes.cosine(branch(points)) for branch in branches]
                logits = [value / prototypes.temperature for value in cosine]
                if balanced:
                    targets = [balanced_targets(value, 0.05) for value in cosine]
                else:
                    targets = [value.detach().softmax(1) for value in logits]
                    # a nudge towards one prototype, as noise gives sooner or later
                    targets = [
                        t * torch.tensor([2.0, 1, 1, 1, 1, 1]).view(1, 6, 1, 1) for t in targets
                    ]
                    targets = [t / t.sum(1, keepdim=True) for t in targets]
                loss = swapped_prediction_loss(logits[0], targets[1]) + swapped_prediction_loss(
                    logits[1], targets[0]
                )
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            final = [prototypes(branch(points)) for branch in branches]
            agreement = (final[0].argmax(1) == final[1].argmax(1)).float().mean().item()
            return prototype_usage(final[0]).item(), agreement

        usage, agreement = train(balanced=True)
        assert usage > 0.9
        assert agreement > 0.8
        collapsed, _ = train(balanced=False)
        assert collapsed < 0.3

    def test_usage_bounds(self):
        one_hot = torch.zeros(1, 4, 2, 2)
        one_hot[:, 0] = 100.0
        assert prototype_usage(one_hot).item() == pytest.approx(0.25, abs=1e-3)
        assert prototype_usage(torch.zeros(1, 4, 2, 2)).item() == pytest.approx(1.0)

    def test_swapped_loss_by_hand(self):
        logits = torch.tensor([[[[0.0, 0.0]], [[0.0, 0.0]]]])
        targets = torch.tensor([[[[0.3, 1.0]], [[0.7, 0.0]]]])
        assert swapped_prediction_loss(logits, targets).item() == pytest.approx(np.log(2))
        weight = torch.tensor([[[0.0, 0.0]]])
        assert swapped_prediction_loss(logits, targets, weight).item() == 0


class TestSchedules:
    def test_cosine(self):
        values = [cosine_with_warmup(step, 100, 10, 0.1) for step in range(101)]
        assert values[0] == pytest.approx(0.1)
        assert values[9] == pytest.approx(1.0)
        assert values[55] == pytest.approx(0.55)
        assert values[100] == pytest.approx(0.1)
        assert all(a >= b for a, b in itertools.pairwise(values[10:]))

    def test_ramp(self):
        assert sigmoid_ramp(0, 10) == pytest.approx(np.exp(-5))
        assert sigmoid_ramp(10, 10) == sigmoid_ramp(99, 10) == sigmoid_ramp(0, 0) == 1.0

    def test_dynamic_weight_holds_the_share(self):
        weight = dynamic_weight(100, 10, fusion=4.0, consistency=0.5, ratio=0.25, maximum=10.0)
        assert weight * 0.5 == pytest.approx(0.25 * 4.0)
        assert dynamic_weight(100, 10, 4.0, 1e-9, 0.25, 10.0) == 10.0
        assert dynamic_weight(100, 10, 4.0, 0.0, 0.25, 10.0) == 10.0
        assert dynamic_weight(0, 10, 4.0, 0.5, 0.25, 10.0) == pytest.approx(2 * np.exp(-5))
