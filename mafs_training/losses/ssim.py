"""Structural similarity of image batches."""

from __future__ import annotations

from mafs_training.losses.check import check_image, check_same_shape
import torch
from torch import Tensor
import torch.nn.functional as F

_C1 = 0.01 ** 2
_C2 = 0.03 ** 2


def gaussian_window(size: int, sigma: float, like: Tensor) -> Tensor:
    """Normalised 1-D Gaussian ``[size]`` with the dtype and device of ``like``."""
    x = torch.arange(size, dtype=like.dtype, device=like.device) - (size - 1) / 2
    window = torch.exp(-x.square() / (2 * sigma ** 2))
    return window / window.sum()


def _blur(images: Tensor, window: Tensor) -> Tensor:
    """Separable Gaussian over the valid region: [N,1,H,W] -> [N,1,H-k+1,W-k+1]."""
    images = F.conv2d(images, window.view(1, 1, -1, 1))
    return F.conv2d(images, window.view(1, 1, 1, -1))


def ssim_map(a: Tensor, b: Tensor, window_size: int = 11, sigma: float = 1.5) -> Tensor:
    r"""
    Structural similarity of each pixel whose whole window lies inside the image.

    .. math::
        \mathrm{SSIM} = \frac{(2\mu_a\mu_b + C_1)(2\sigma_{ab} + C_2)}
                             {(\mu_a^2 + \mu_b^2 + C_1)(\sigma_a^2 + \sigma_b^2 + C_2)}

    Args:
        a: images [B,C,H,W], 0..1.
        b: images of the same shape.
        window_size: side of the Gaussian window, pixels, odd.
        sigma: standard deviation of the window, pixels.

    Returns:
        Similarity [B,C,H-window_size+1,W-window_size+1], -1..1.

    Raises:
        ValueError: shapes differ or the image is smaller than the window.

    Source: Wang et al., Image quality assessment (2004), eq. 13, with the usual 11x11, 1.5 window.

    """
    check_image('a', a)
    check_same_shape('a', a, 'b', b)
    batch, channels, height, width = a.shape
    if min(height, width) < window_size:
        raise ValueError(
            f'a: expected at least {window_size} pixels a side, got {height}, {width}')
    stack = torch.stack([a, b, a * a, b * b, a * b])  # [5,B,C,H,W]
    window = gaussian_window(window_size, sigma, a)
    blurred = _blur(stack.reshape(-1, 1, height, width), window)  # [5*B*C,1,h,w]
    mu_a, mu_b, aa, bb, ab = blurred.reshape(5, batch, channels, *blurred.shape[-2:])
    var_a, var_b, cov = aa - mu_a * mu_a, bb - mu_b * mu_b, ab - mu_a * mu_b
    similarity = (2 * mu_a * mu_b + _C1) * (2 * cov + _C2)
    return similarity / ((mu_a * mu_a + mu_b * mu_b + _C1) * (var_a + var_b + _C2))


def ssim_loss(a: Tensor, b: Tensor, window_size: int = 11, sigma: float = 1.5) -> Tensor:
    """
    One minus the mean structural similarity; arguments as `ssim_map`.

    Returns:
        Scalar, 0 for equal images, at most 2.

    """
    return 1 - ssim_map(a, b, window_size, sigma).mean()
