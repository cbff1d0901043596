"""Losses against hand-computed cases and independent references, and their gradients."""

from __future__ import annotations

import math

from mafs_training.losses import (
    confidence_weight,
    consistency_loss,
    deep_supervision_loss,
    dice_loss,
    fusion_loss,
    FusionOptions,
    lovasz_softmax,
    ohem_cross_entropy,
    psnr,
    reconstruction_loss,
)
from mafs_training.losses.deep_supervision import (
    balanced_binary_cross_entropy,
    boundary_target,
    foreground_target,
    resize_labels,
)
from mafs_training.losses.fusion import gradient_loss, intensity_loss, structure_loss
from mafs_training.losses.lovasz import jaccard_weights
from mafs_training.losses.sobel import sobel
from mafs_training.losses.ssim import ssim_loss
import numpy as np
import pytest
import torch
import torch.nn.functional as F


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(7)


def images(rng, *shape, dtype=torch.float32):
    return torch.rand(*shape, generator=rng, dtype=dtype)


class TestSobel:
    def test_ramp_has_unit_derivative(self):
        ramp = torch.arange(6.0).view(1, 1, 1, 6).expand(1, 1, 5, 6)
        dx, dy = sobel(ramp)
        assert torch.equal(dx[..., 1:-1], torch.ones(1, 1, 5, 4))
        assert torch.count_nonzero(dy) == 0
        dx, dy = sobel(ramp.transpose(2, 3))
        assert torch.equal(dy[..., 1:-1, :], torch.ones(1, 1, 4, 5))

    def test_scipy(self, rng):
        ndimage = pytest.importorskip('scipy.ndimage')
        image = images(rng, 2, 3, 9, 12, dtype=torch.float64)
        for axis, ours in zip((3, 2), sobel(image), strict=True):
            reference = ndimage.sobel(image.numpy(), axis=axis, mode='nearest')
            # scipy smooths along every other axis: undo by slicing images one by one
            reference = np.stack(
                [
                    [ndimage.sobel(plane, axis=axis - 2, mode='nearest') for plane in item]
                    for item in image.numpy()
                ]
            )
            np.testing.assert_allclose(ours.numpy(), reference / 8, atol=1e-12)

    def test_rank(self):
        with pytest.raises(ValueError, match=r'image: expected shape \[B,C,H,W\], got \[4, 4\]'):
            sobel(torch.rand(4, 4))


class TestSsim:
    def test_skimage(self, rng):
        metrics = pytest.importorskip('skimage.metrics')
        a = images(rng, 1, 1, 24, 31, dtype=torch.float64)
        b = (a + 0.2 * images(rng, 1, 1, 24, 31, dtype=torch.float64)).clamp(0, 1)
        reference = metrics.structural_similarity(
            a[0, 0].numpy(),
            b[0, 0].numpy(),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1.0,
        )
        assert ssim_loss(a, b).item() == pytest.approx(1 - reference, abs=1e-9)

    def test_data_range_scales_the_constants(self, rng):
        a, b = images(rng, 2, 1, 1, 16, 16, dtype=torch.float64)
        scaled = ssim_loss(a / 255, b / 255, data_range=1 / 255)
        assert scaled.item() == pytest.approx(ssim_loss(a, b).item(), rel=1e-9)
        faint = 0.5 + 0.002 * (a - 0.5), 0.5 + 0.002 * (b - 0.5)
        assert ssim_loss(*faint).item() < 0.1 * ssim_loss(*faint, data_range=2 / 255).item()

    def test_constant_images(self):
        # no variance: only the luminance term is left
        a, b = torch.full((1, 1, 11, 11), 0.2), torch.full((1, 1, 11, 11), 0.6)
        expected = (2 * 0.12 + 1e-4) / (0.04 + 0.36 + 1e-4)
        assert 1 - ssim_loss(a, b).item() == pytest.approx(expected, rel=1e-4)

    def test_too_small(self):
        with pytest.raises(ValueError, match='at least 11 pixels'):
            ssim_loss(torch.rand(1, 1, 8, 20), torch.rand(1, 1, 8, 20))


class TestFusion:
    def test_intensity_by_hand(self):
        visible = torch.tensor([[[[0.2, 0.8]]]])
        thermal = torch.tensor([[[[0.6, 0.1]]]])
        fused = torch.tensor([[[[0.5, 0.5]]]])
        assert intensity_loss(fused, visible, thermal).item() == pytest.approx((0.1 + 0.3) / 2)

    def test_gradient_by_naive_loop(self, rng):
        f, v, t = (images(rng, 1, 1, 6, 7, dtype=torch.float64) for _ in range(3))

        def derivative(image, y, x, axis):
            value = 0.0
            for i in (-1, 0, 1):
                for j in (-1, 0, 1):
                    kernel = (j * (2 - abs(i))) if axis == 1 else (i * (2 - abs(j)))
                    yy, xx = min(max(y + i, 0), 5), min(max(x + j, 0), 6)
                    value += kernel * image[0, 0, yy, xx].item() / 8
            return value

        for signed in (True, False):
            total = 0.0
            for axis in (0, 1):
                for y in range(6):
                    for x in range(7):
                        df, dv, dt = (derivative(i, y, x, axis) for i in (f, v, t))
                        target = dv if abs(dv) >= abs(dt) else dt
                        total += abs(df - target) if signed else abs(abs(df) - abs(target))
            assert gradient_loss(f, v, t, signed, 1.0).item() == pytest.approx(
                total / 42, abs=1e-12
            )

    def test_inverted_edge_costs_only_when_signed(self):
        ramp = torch.linspace(0, 1, 8).view(1, 1, 1, 8).expand(1, 1, 8, 8)
        flat = torch.zeros(1, 1, 8, 8)
        magnitude = gradient_loss(1 - ramp, ramp, flat, signed=False, emphasis=1)
        assert magnitude.item() == pytest.approx(0, abs=1e-7)
        assert gradient_loss(1 - ramp, ramp, flat, signed=True, emphasis=1).item() > 0.1

    def test_emphasis_asks_for_stronger_edges(self, rng):
        f, v, t = images(rng, 3, 1, 1, 16, 16, dtype=torch.float64)
        expected = gradient_loss(f / 1.25, v, t, True, 1).item() * 1.25
        assert gradient_loss(f, v, t, True, 1.25).item() == pytest.approx(expected, rel=1e-9)

    def test_zero_at_the_ideal(self, rng):
        image = images(rng, 2, 1, 16, 16)
        loss, terms = fusion_loss(image, image, image, FusionOptions())
        assert loss.item() == pytest.approx(0, abs=1e-5)
        assert set(terms) == {'intensity', 'gradient', 'structure'}

    def test_weights_and_module(self, rng):
        f, v, t = (images(rng, 2, 1, 16, 20) for _ in range(3))
        loss, terms = fusion_loss(f, v, t, FusionOptions(intensity=2, gradient=3, structure=5))
        expected = (
            2 * intensity_loss(f, v, t)
            + 3 * gradient_loss(f, v, t, True, 1)
            + 5 * structure_loss(f, v, t, 1.0)
        )
        assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
        assert all(not term.requires_grad for term in terms.values())
        assert 'structure' not in fusion_loss(f, v, t, FusionOptions(structure=0))[1]

    def test_preservation_terms(self, rng):
        f, v, t = (images(rng, 1, 1, 40, 40) for _ in range(3))
        plain, _ = fusion_loss(f, v, t, FusionOptions())
        more, terms = fusion_loss(f, v, t, FusionOptions(information=2, edges=3, complement=4))
        extra = 2 * terms['information'] + 3 * terms['edges'] + 4 * terms['complement']
        expected = plain + extra
        assert more.item() == pytest.approx(expected.item(), rel=1e-6)

    def test_gradcheck(self, rng):
        f, v, t = (images(rng, 1, 1, 12, 12, dtype=torch.float64) for _ in range(3))
        f.requires_grad_()
        assert torch.autograd.gradcheck(lambda x: fusion_loss(x, v, t, FusionOptions())[0], (f,))

    def test_exceptions(self, rng):
        f = images(rng, 1, 1, 16, 16)
        with pytest.raises(ValueError, match='fused and thermal: expected one shape'):
            intensity_loss(f, f, images(rng, 1, 1, 16, 15))
        with pytest.raises(TypeError, match='floating point'):
            intensity_loss(f.to(torch.uint8), f, f)


def naive_ohem(logits, labels, threshold, min_kept, ignore):
    losses = []
    for b in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            for x in range(labels.shape[2]):
                if labels[b, y, x] != ignore:
                    z = logits[b, :, y, x].tolist()
                    top = max(z)
                    log_sum = top + math.log(sum(math.exp(v - top) for v in z))
                    losses.append(log_sum - z[labels[b, y, x]])
    losses.sort(reverse=True)
    hard = [value for value in losses if value > -math.log(threshold)]
    kept = max(1, math.ceil(min_kept * len(losses)))
    chosen = hard if len(hard) >= kept else losses[:kept]
    return sum(chosen) / len(chosen)


class TestOhem:
    @pytest.mark.parametrize(
        ('threshold', 'min_kept', 'scale'),
        [(0.7, 0.1, 1.0), (0.7, 0.5, 30.0), (0.05, 0.2, 1.0), (1.0, 1.0, 1.0)],
    )
    def test_naive(self, rng, threshold, min_kept, scale):
        logits = scale * torch.randn(2, 4, 5, 6, generator=rng, dtype=torch.float64)
        labels = torch.randint(0, 4, (2, 5, 6), generator=rng)
        labels[0, :2] = 255
        expected = naive_ohem(logits, labels, threshold, min_kept, 255)
        assert ohem_cross_entropy(logits, labels, threshold, min_kept).item() == pytest.approx(
            expected, abs=1e-10
        )

    def test_all_pixels_is_cross_entropy(self, rng):
        logits = torch.randn(2, 4, 5, 6, generator=rng)
        labels = torch.randint(0, 4, (2, 5, 6), generator=rng)
        weights = torch.tensor([1.0, 2.0, 0.5, 3.0])
        expected = F.cross_entropy(logits, labels, weight=weights)
        # threshold 1 keeps every pixel
        actual = ohem_cross_entropy(logits, labels, 1.0, 1.0, class_weights=weights)
        assert actual.item() == pytest.approx(expected.item(), rel=1e-5)

    def test_nothing_labelled(self):
        logits = torch.randn(1, 3, 4, 4, requires_grad=True)
        loss = ohem_cross_entropy(logits, torch.full((1, 4, 4), 255), 0.7, 0.1)
        loss.backward()
        assert loss.item() == 0
        assert torch.count_nonzero(logits.grad) == 0

    def test_gradcheck(self, rng):
        logits = torch.randn(1, 3, 3, 3, generator=rng, dtype=torch.float64, requires_grad=True)
        labels = torch.randint(0, 3, (1, 3, 3), generator=rng)
        assert torch.autograd.gradcheck(
            lambda z: ohem_cross_entropy(z, labels, 0.9, 0.1), (logits,)
        )

    @pytest.mark.parametrize(
        ('kwargs', 'message'),
        [
            ({'threshold': 0.0}, 'threshold: expected 0 < threshold <= 1, got 0.0'),
            ({'min_kept': 2.0}, 'min_kept: expected 0 < min_kept <= 1, got 2.0'),
        ],
    )
    def test_ranges(self, kwargs, message):
        with pytest.raises(ValueError, match=message):
            ohem_cross_entropy(
                torch.zeros(1, 2, 2, 2),
                torch.zeros(1, 2, 2, dtype=torch.long),
                **{'threshold': 0.7, 'min_kept': 0.1, **kwargs},
            )

    def test_shapes(self):
        with pytest.raises(ValueError, match=r'expected shape \[1, 2, 2\], got \[1, 2, 3\]'):
            ohem_cross_entropy(
                torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 3, dtype=torch.long), 1, 1
            )
        with pytest.raises(TypeError, match='int64'):
            ohem_cross_entropy(torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2), 1, 1)


class TestLovasz:
    def test_jaccard_weights_by_hand(self):
        # foreground 2 of 4; after each of the sorted pixels: 1-1/2, 1-1/3, 1-0/3, 1-0/4
        weights = jaccard_weights(torch.tensor([1.0, 0.0, 1.0, 0.0]))
        assert torch.allclose(weights, torch.tensor([1 / 2, 1 / 6, 1 / 3, 0.0]), atol=1e-6)

    def test_hard_predictions_give_the_jaccard_loss(self, rng):
        """On one-hot predictions the extension equals the set function it extends."""
        truth = torch.randint(0, 3, (2, 8, 8), generator=rng)
        guess = torch.randint(0, 3, (2, 8, 8), generator=rng)
        logits = 100.0 * F.one_hot(guess, 3).permute(0, 3, 1, 2).double()
        iou = []
        for index in range(3):
            a, b = (truth == index).numpy(), (guess == index).numpy()
            iou.append((a & b).sum() / (a | b).sum())
        assert lovasz_softmax(logits, truth).item() == pytest.approx(1 - np.mean(iou), abs=1e-6)

    def test_absent_and_ignored(self, rng):
        logits = torch.randn(1, 3, 4, 4, generator=rng)
        labels = torch.zeros(1, 4, 4, dtype=torch.long)
        labels[0, 0] = 255
        changed = logits.clone()
        changed[:, :, 0] += torch.randn(3, 4, generator=rng)
        assert lovasz_softmax(logits, labels).item() == pytest.approx(
            lovasz_softmax(changed, labels).item()
        )
        assert lovasz_softmax(logits, torch.full((1, 4, 4), 255)).item() == 0

    def test_gradcheck(self, rng):
        logits = torch.randn(1, 2, 2, 3, generator=rng, dtype=torch.float64, requires_grad=True)
        labels = torch.tensor([[[0, 1, 1], [0, 0, 1]]])
        # the loss works in single precision inside: use wider steps and tolerance
        assert torch.autograd.gradcheck(
            lambda z: lovasz_softmax(z, labels).double(), (logits,), eps=1e-2, atol=2e-2, rtol=2e-2
        )


class TestDice:
    def test_by_hand(self):
        # two pixels, classes 0 and 1, probabilities of the true class 0.75 and 0.5
        logits = torch.tensor([[[[math.log(3.0), 0.0]], [[0.0, 0.0]]]])
        labels = torch.tensor([[[0, 1]]])
        class_0 = (2 * 0.75 + 1) / ((0.75 + 0.5) + 1 + 1)
        class_1 = (2 * 0.5 + 1) / ((0.25 + 0.5) + 1 + 1)
        expected = 1 - (class_0 + class_1) / 2
        assert dice_loss(logits, labels).item() == pytest.approx(expected, abs=1e-6)

    def test_perfect_and_empty(self):
        labels = torch.tensor([[[0, 1], [2, 2]]])
        logits = 50.0 * F.one_hot(labels, 4).permute(0, 3, 1, 2).float()
        assert dice_loss(logits, labels).item() == pytest.approx(0, abs=1e-5)
        assert dice_loss(logits, torch.full_like(labels, 255)).item() == 0


class TestDeepSupervision:
    def test_targets_by_hand(self):
        labels = torch.tensor([[[0, 0, 2, 2], [0, 0, 2, 2], [0, 0, 255, 2]]])
        assert foreground_target(labels)[0, 0].tolist() == [
            [0, 0, 1, 1],
            [0, 0, 1, 1],
            [0, 0, -1, 1],
        ]
        assert boundary_target(labels)[0, 0].tolist() == [
            [0, 1, 1, 0],
            [0, 1, 1, 0],
            [0, 1, -1, 0],
        ]

    def test_border_to_unlabelled_is_no_boundary(self):
        labels = torch.tensor([[[1, 1, 255, 255]]])
        assert boundary_target(labels)[0, 0].tolist() == [[0, 0, -1, -1]]

    def test_balanced_bce_by_hand(self):
        logits = torch.tensor([[[[0.0, 2.0, -1.0, 0.5, 9.0]]]])
        target = torch.tensor([[[[0.0, 1.0, 0.0, 0.0, -1.0]]]])
        softplus = [math.log1p(math.exp(v)) for v in (0.0, -2.0, -1.0, 0.5)]
        expected = (softplus[0] + 3 * softplus[1] + softplus[2] + softplus[3]) / 4
        assert balanced_binary_cross_entropy(logits, target).item() == pytest.approx(
            expected, rel=1e-6
        )

    def test_sum_and_module(self, rng):
        labels = torch.randint(0, 3, (2, 16, 16), generator=rng)
        labels[0, :4] = 255
        stages = [torch.randn(2, 3, 4, 4, generator=rng), torch.randn(2, 3, 8, 8, generator=rng)]
        binary = torch.randn(2, 1, 8, 8, generator=rng)
        boundary = torch.randn(2, 1, 16, 16, generator=rng)
        total, terms = deep_supervision_loss(
            stages, binary, boundary, labels, stage=1, binary=2, boundary=3
        )
        assert total.item() == pytest.approx(
            (terms['stages'] + 2 * terms['binary'] + 3 * terms['boundary']).item(), rel=1e-6
        )
        coarse = [
            F.cross_entropy(z, resize_labels(labels, z.shape[-2:]), ignore_index=255)
            for z in stages
        ]
        assert terms['stages'].item() == pytest.approx((sum(coarse) / 2).item(), rel=1e-5)

    def test_nothing_labelled(self):
        labels = torch.full((1, 8, 8), 255)
        total, terms = deep_supervision_loss(
            [torch.randn(1, 3, 4, 4)],
            torch.randn(1, 1, 4, 4),
            None,
            labels,
            stage=1,
            binary=1,
            boundary=1,
        )
        assert total.item() == 0
        assert terms == {}


class TestConsistency:
    def test_by_hand(self):
        student = torch.tensor([[[[0.0]], [[0.0]]]])
        teacher = torch.tensor([[[[2 * math.log(3.0)]], [[0.0]]]])  # p = 3/4, 1/4 at temperature 2
        expected = 4 * (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5))
        assert consistency_loss(student, teacher, 2.0).item() == pytest.approx(expected, rel=1e-5)

    def test_scipy(self, rng):
        special = pytest.importorskip('scipy.special')
        a, b = (torch.randn(2, 5, 3, 4, generator=rng) for _ in range(2))
        p, q = (special.softmax(z.double().numpy() / 3, axis=1) for z in (b, a))
        expected = 9 * special.rel_entr(p, q).sum(1).mean()
        assert consistency_loss(a, b, 3.0).item() == pytest.approx(expected, rel=1e-5)

    def test_teacher_gets_no_gradient(self, rng):
        a, b = (torch.randn(1, 3, 4, 4, generator=rng, requires_grad=True) for _ in range(2))
        consistency_loss(a, b, 2.0).backward()
        assert a.grad is not None
        assert b.grad is None

    def test_weight(self, rng):
        a, b = (torch.randn(1, 3, 2, 2, generator=rng) for _ in range(2))
        weight = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
        assert consistency_loss(a, b, 1.0, weight).item() == pytest.approx(
            consistency_loss(a[..., :1, :1], b[..., :1, :1], 1.0).item(), rel=1e-5
        )
        assert consistency_loss(a, b, 1.0, torch.zeros(1, 2, 2)).item() == 0

    def test_gradcheck(self, rng):
        a, b = (torch.randn(1, 3, 2, 2, generator=rng, dtype=torch.float64) for _ in range(2))
        a.requires_grad_()
        assert torch.autograd.gradcheck(
            lambda z: consistency_loss(z, b, 2.0).double(), (a,), eps=1e-2, atol=1e-2, rtol=1e-2
        )

    def test_confidence(self):
        logits = torch.tensor([[[[0.0, 50.0]], [[0.0, 0.0]]]])
        assert confidence_weight(logits, 0.0)[0, 0].tolist() == pytest.approx([0.0, 1.0], abs=1e-5)
        assert confidence_weight(torch.tensor([[[[1.0]], [[0.0]]]]), 0.9).item() == 0

    def test_temperature(self):
        with pytest.raises(ValueError, match='temperature: expected > 0, got 0'):
            consistency_loss(torch.zeros(1, 2, 1, 1), torch.zeros(1, 2, 1, 1), 0)


class TestReconstruction:
    def test_by_hand(self):
        target = torch.zeros(1, 1, 3, 4)
        prediction = torch.full((1, 1, 3, 4), 0.5)
        mask = torch.zeros(1, 1, 3, 4)
        mask[..., 0] = 1
        loss, terms = reconstruction_loss(
            prediction, target, mask, intensity=2, gradient=7, visible_weight=0.0
        )
        assert terms['intensity'].item() == pytest.approx(0.5)
        assert terms['gradient'].item() == 0
        assert loss.item() == pytest.approx(1.0)

    def test_mask_weights(self, rng):
        target, prediction = (images(rng, 2, 3, 6, 6) for _ in range(2))
        mask = (images(rng, 2, 1, 6, 6) > 0.5).float()
        _, terms = reconstruction_loss(
            prediction, target, mask, intensity=1, gradient=1, visible_weight=0.25
        )
        weight = np.where(mask.numpy() > 0, 1.0, 0.25).repeat(3, axis=1)
        expected = np.average(np.abs((prediction - target).numpy()), weights=weight)
        assert terms['intensity'].item() == pytest.approx(expected, rel=1e-5)

    def test_module_and_gradcheck(self, rng):
        target, prediction = (images(rng, 1, 1, 5, 5, dtype=torch.float64) for _ in range(2))
        prediction.requires_grad_()
        weights = {'intensity': 5, 'gradient': 5, 'visible_weight': 0.1}
        assert torch.autograd.gradcheck(
            lambda x: reconstruction_loss(x, target, None, **weights)[0], (prediction,)
        )

    def test_psnr(self):
        assert psnr(
            torch.full((1, 1, 2, 2), 0.1), torch.zeros(1, 1, 2, 2)
        ).item() == pytest.approx(20.0, abs=1e-4)

    def test_mask_shape(self):
        with pytest.raises(ValueError, match=r'mask: expected shape \[1, 1, 4, 4\]'):
            reconstruction_loss(
                torch.zeros(1, 1, 4, 4),
                torch.zeros(1, 1, 4, 4),
                torch.zeros(1, 4, 4),
                intensity=1,
                gradient=1,
                visible_weight=0,
            )
