"""Structural similarity of image batches."""

from __future__ import annotations

from mafs_training.losses.check import check_image, check_same_shape
import torch
from torch import Tensor

_K1 = 0.01
_K2 = 0.03


def gaussian_band(size: int, window_size: int, sigma: float, like: Tensor) -> Tensor:
    """
    Matrix that blurs a row of pixels over the valid region.

    On a CPU the product with this matrix is several times faster than a convolution of one
    channel, which no library vectorises well.

    Args:
        size: pixels of the row N.
        window_size: taps of the Gaussian K, odd.
        sigma: standard deviation, pixels.
        like: gives dtype and device.

    Returns:
        [N,N-K+1]; each column holds the normalised Gaussian.

    """
    row = torch.arange(size, device=like.device).unsqueeze(1)
    column = torch.arange(size - window_size + 1, device=like.device).unsqueeze(0)
    distance = (row - column - window_size // 2).to(like.dtype)
    weights = torch.exp(-distance.square() / (2 * sigma**2))
    weights = weights * (distance.abs() <= window_size // 2)
    return weights / weights.sum(0, keepdim=True)


class GaussianBlur:
    """Separable Gaussian of images of one size, over the valid region."""

    def __init__(self, image: Tensor, window_size: int, sigma: float) -> None:
        height, width = image.shape[-2:]
        if min(height, width) < window_size:
            raise ValueError(
                f'images: expected at least {window_size} pixels a side, '
                f'got height {height}, width {width}'
            )
        self.columns = gaussian_band(width, window_size, sigma, image)
        self.rows = gaussian_band(height, window_size, sigma, image).T.contiguous()

    def __call__(self, image: Tensor) -> Tensor:
        """Blur [...,H,W] to [...,H-K+1,W-K+1]."""
        return self.rows @ (image @ self.columns)


def _similarity(
    mu_a: Tensor, mu_b: Tensor, var_a: Tensor, var_b: Tensor, cov: Tensor, data_range: float
) -> Tensor:
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    product = mu_a * mu_b
    numerator = (2 * product + c1) * (2 * cov + c2)
    return numerator / ((mu_a * mu_a + mu_b * mu_b + c1) * (var_a + var_b + c2))


def ssim_loss(
    a: Tensor,
    *others: Tensor,
    window_size: int = 11,
    sigma: float = 1.5,
    data_range: float = 1.0,
) -> Tensor:
    r"""
    One minus the mean structural similarity of an image to one or several others.

    .. math::
        \mathrm{SSIM} = \frac{(2\mu_a\mu_b + C_1)(2\sigma_{ab} + C_2)}
                             {(\mu_a^2 + \mu_b^2 + C_1)(\sigma_a^2 + \sigma_b^2 + C_2)}

    Pixels count whose whole window lies inside the image.

    Args:
        a: images [B,C,H,W], 0..1; its statistics are computed once for all others.
        others: images of the same shape.
        window_size: side of the Gaussian window, pixels, odd.
        sigma: standard deviation of the window, pixels.
        data_range: what the two constants are shares of: contrast far below it does not count.
            The tables of fusion papers are made with 2 / 255, with which it all counts.

    Returns:
        Scalar, 0 for equal images, at most 2.

    Raises:
        ValueError: shapes differ, no other image, or an image smaller than the window.

    Source: Wang et al., Image quality assessment (2004), eq. 13, with the usual 11x11, 1.5 window.

    """
    check_image('a', a)
    if not others:
        raise ValueError('others: expected at least one image to compare with')
    blur = GaussianBlur(a, window_size, sigma)
    mu_a = blur(a)
    var_a = blur(a * a) - mu_a * mu_a
    means = []
    for b in others:
        check_same_shape('a', a, 'other', b)
        mu_b = blur(b)
        means.append(
            _similarity(
                mu_a,
                mu_b,
                var_a,
                blur(b * b) - mu_b * mu_b,
                blur(a * b) - mu_a * mu_b,
                data_range,
            ).mean()
        )
    return 1 - torch.stack(means).mean()
