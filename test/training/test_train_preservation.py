"""Preservation losses against the float64 metrics of the evaluation, which know no torch."""

from __future__ import annotations

import cv2
from mafs_training.losses.preservation import complement_loss, edge_loss, information_loss
from mafs_training.metrics.intensity import correlation_of_differences
from mafs_training.metrics.qabf import edge_transfer
from mafs_training.metrics.vif import visual_information
import numpy as np
import pytest
from scipy import ndimage
import torch


@pytest.fixture(name='triple')
def _triple():
    """Return (fused, thermal, visible), smooth uint8 images with edges and texture."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[0:96, 0:128].astype(np.float64)
    visible = 90 + 60 * np.sin(x / 7) * np.cos(y / 11) + rng.normal(0, 6, x.shape)
    thermal = 60 + 120 * ((x - 70) ** 2 + (y - 40) ** 2 < 400) + y / 3 + rng.normal(0, 3, x.shape)
    fused = 0.6 * np.maximum(visible, thermal) + 0.4 * visible + rng.normal(0, 2, x.shape)
    return tuple(np.clip(np.round(i), 0, 255).astype(np.uint8) for i in (fused, thermal, visible))


def _batch(image: np.ndarray, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.from_numpy(image.astype(np.float64) / 255)[None, None].to(dtype)


def _edges(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return strength and angle of the edges by SciPy's Sobel filters, border replicated."""
    dx, dy = (ndimage.sobel(image, axis=axis, mode='nearest') for axis in (1, 0))
    return np.hypot(dx, dy), np.arctan2(dy, dx)


def _losses(triple, loss, dtype=torch.float64):
    fused, thermal, visible = (_batch(image, dtype) for image in triple)
    return loss(fused, visible, thermal).item()


class TestValues:
    """The losses are the metrics, up to the constants that keep gradients finite."""

    def test_information(self, triple):
        """2 minus the summed VIF."""
        expected = 2 - visual_information(*triple)
        assert _losses(triple, information_loss) == pytest.approx(expected, abs=2e-3)

    def test_edges(self, triple):
        """1 minus Qabf, where angles that differ by half a turn are the same edge."""
        fused, *sources = (image.astype(np.float64) for image in triple)
        kept = weight = 0.0
        strength_f, angle_f = _edges(fused)
        for source in sources:
            strength_s, angle_s = _edges(source)
            turn = np.abs(angle_s - angle_f) % np.pi
            likeness = 1 - np.minimum(turn, np.pi - turn) / (np.pi / 2)
            high = np.maximum(strength_s, strength_f)
            ratio = np.where(high > 0, np.minimum(strength_s, strength_f) / np.maximum(high, 1), 1)
            preserved = (
                0.9994
                / (1 + np.exp(-15 * (ratio - 0.5)))
                * 0.9879
                / (1 + np.exp(-22 * (likeness - 0.8)))
            )
            kept += (preserved * strength_s).sum()
            weight += strength_s.sum()
        assert _losses(triple, edge_loss) == pytest.approx(1 - kept / weight, abs=2e-3)

    def test_edges_follow_the_metric(self, triple):
        """A fused image with more of the edges has the better metric and the lower loss."""
        fused, thermal, visible = triple
        blurred = cv2.GaussianBlur(fused, (0, 0), 2)
        worse = edge_transfer(blurred, thermal, visible) < edge_transfer(*triple)
        assert worse
        assert _losses((blurred, thermal, visible), edge_loss) > _losses(triple, edge_loss)

    def test_complement(self, triple):
        """2 minus SCD."""
        expected = 2 - correlation_of_differences(*triple)
        assert _losses(triple, complement_loss) == pytest.approx(expected, abs=1e-4)

    @pytest.mark.parametrize('loss', [information_loss, edge_loss, complement_loss])
    def test_float32_agrees(self, triple, loss):
        """Training runs in float32."""
        assert _losses(triple, loss, torch.float32) == pytest.approx(
            _losses(triple, loss), abs=2e-3
        )

    def test_edges_of_a_source_with_itself(self, triple):
        """All edges of two equal sources are kept by that source."""
        image = _batch(triple[1])
        assert edge_loss(image, image, image).item() == pytest.approx(0.0, abs=0.03)

    def test_batch_is_mean_of_images(self, triple):
        """Every image of a batch counts alone."""
        fused, thermal, visible = (_batch(image) for image in triple)
        other = fused.flip(-1)
        pair = [
            torch.cat([a, b]) for a, b in ((fused, other), (visible, visible), (thermal, thermal))
        ]
        for loss in (information_loss, edge_loss, complement_loss):
            mean = (loss(fused, visible, thermal) + loss(other, visible, thermal)) / 2
            assert loss(*pair).item() == pytest.approx(mean.item(), abs=1e-9)


class TestGradients:
    """Gradients are right, and finite where the image is flat."""

    @pytest.mark.parametrize('loss', [edge_loss, complement_loss, information_loss])
    def test_gradcheck(self, loss):
        """Against finite differences, away from ties."""
        generator = torch.Generator().manual_seed(0)
        fused, visible, thermal = (
            torch.rand(1, 1, 18, 19, generator=generator, dtype=torch.float64) for _ in range(3)
        )
        assert torch.autograd.gradcheck(
            lambda f: loss(f, visible, thermal),
            fused.requires_grad_(),
            eps=1e-7,
            atol=1e-3,
            rtol=1e-3,
        )

    @pytest.mark.parametrize('loss', [edge_loss, complement_loss, information_loss])
    def test_flat_images(self, loss):
        """Black frames happen at night and with a covered lens."""
        fused = torch.zeros(2, 1, 32, 32, requires_grad=True)
        value = loss(fused, torch.zeros(2, 1, 32, 32), torch.zeros(2, 1, 32, 32))
        value.backward()
        assert torch.isfinite(value)
        assert torch.isfinite(fused.grad).all()


class TestExceptions:
    """Wrong shapes are named."""

    @pytest.mark.parametrize('loss', [edge_loss, complement_loss, information_loss])
    def test_shapes(self, loss):
        """One source of another size."""
        image = torch.rand(1, 1, 32, 32)
        with pytest.raises(ValueError, match='expected one shape'):
            loss(image, image, torch.rand(1, 1, 32, 30))

    def test_too_small_for_the_window(self):
        """The largest window has 17 pixels."""
        image = torch.rand(1, 1, 16, 40)
        with pytest.raises(ValueError, match='at least 17 pixels'):
            information_loss(image, image, image)
