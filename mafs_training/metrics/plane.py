"""One 8-bit luminance image together with the intermediate results that several metrics share."""

from __future__ import annotations

from functools import cached_property
from typing import Any, TypeAlias

import cv2
from mafs_model.errors import ImageError
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Float = NDArray[np.float64]

# Smallest side for which every metric is defined: the 7x7 SSIM window and, for VIF, the
# 17x17 window at full size and three halvings each followed by a smaller window.
MIN_SIDE = 41


def luminance(image: Array) -> NDArray[np.uint8]:
    """
    Luminance of an 8-bit image, as the reference suite reads it.

    Colour is weighted 0.299 R + 0.587 G + 0.114 B and rounded half to even. The sum is formed
    in integers (thousandths), so the result depends on no floating-point unit.

    Args:
        image: uint8 [H, W] grey, returned as it is, or uint8 [H, W, 3] RGB, 0..255.

    Returns:
        uint8 [H, W].

    Raises:
        ImageError: another dtype or number of channels, or an empty image.

    Source: ITU-R BT.601 luma weights, the ones OpenCV and MATLAB's rgb2gray use.

    """
    image = np.asarray(image)
    if image.dtype != np.uint8:
        raise ImageError('encoding', f'metrics need 8-bit images, got {image.dtype}')
    if image.size == 0:
        raise ImageError('size', f'metrics need a non-empty image, got shape {image.shape}')
    if image.ndim == 2:
        return np.ascontiguousarray(image)
    if image.ndim != 3 or image.shape[2] != 3:
        raise ImageError(
            'size', f'metrics need [H, W] or [H, W, 3] images, got shape {image.shape}'
        )
    if np.array_equal(image[..., 0], image[..., 1]) and np.array_equal(
        image[..., 1], image[..., 2]
    ):
        return np.ascontiguousarray(image[..., 0])
    wide = image.astype(np.int32)
    thousandths = 299 * wide[..., 0] + 587 * wide[..., 1] + 114 * wide[..., 2]
    whole, rest = np.divmod(thousandths, 1000)
    whole += (rest > 500) | ((rest == 500) & (whole % 2 == 1))
    return whole.astype(np.uint8)


class Plane:
    """
    An 8-bit luminance image; what metrics need of it is computed at first use and kept.

    Sources that are compared with several fused images are wrapped once, so that their
    gradients, window sums and VIF pyramid are computed once.

    Args:
        image: uint8 [H, W] or [H, W, 3] RGB; see :func:`luminance`.

    """

    def __init__(self, image: Array) -> None:
        self.image = luminance(image)
        self.shape: tuple[int, int] = (self.image.shape[0], self.image.shape[1])

    @cached_property
    def values(self) -> Float:
        """Grey values 0..255 as float64 [H, W]."""
        return self.image.astype(np.float64)

    @cached_property
    def sum(self) -> int:
        """Sum of all grey values, exact."""
        return int(self.image.sum(dtype=np.int64))

    @cached_property
    def square_sum(self) -> int:
        """Sum of all squared grey values, exact."""
        return self.dot(self)

    @cached_property
    def histogram(self) -> NDArray[np.int64]:
        """Pixels per grey level, int64 [256]."""
        return np.bincount(self.image.ravel(), minlength=256).astype(np.int64)

    @cached_property
    def sobel(self) -> tuple[Float, Float]:
        """Sobel strength and orientation in (-pi/2, pi/2], float64 [H, W]; outside is zero."""
        # OpenCV correlates; the reference convolves with its kernels, which turns the sign of
        # gx against gy. It matters next to vertical orientation, which is +pi/2 by definition.
        gx = cv2.Sobel(
            self.values, cv2.CV_64F, 1, 0, ksize=3, scale=-1, borderType=cv2.BORDER_CONSTANT
        )
        gy = cv2.Sobel(self.values, cv2.CV_64F, 0, 1, ksize=3, borderType=cv2.BORDER_CONSTANT)
        flat = gx == 0
        gx[flat] = 1.0
        angle = np.arctan(gy / gx)
        angle[flat] = np.pi / 2
        gx[flat] = 0.0
        return np.sqrt(gx * gx + gy * gy), angle

    @cached_property
    def smooth(self) -> Float:
        """Gaussian of 4 px, what an area is as bright as, float64 [H, W]."""
        return np.asarray(cv2.GaussianBlur(self.values, (0, 0), 4))

    @cached_property
    def detail(self) -> Float:
        """Fine structure: the image minus its Gaussian of 1.5 px, float64 [H, W]."""
        return self.values - cv2.GaussianBlur(self.values, (0, 0), 1.5)

    @cached_property
    def window_sums(self) -> tuple[Float, Float]:
        """Sums of values and squares over every full 7x7 window, exact, float64 [H-6, W-6]."""
        return box_sum(self.values), box_sum(self.values * self.values)

    @cached_property
    def vif_levels(self) -> list[tuple[Float, Float, Float]]:
        """Image, local mean and local variance at the four scales of VIF."""
        levels = []
        image = self.values
        for scale in range(len(VIF_WINDOWS)):
            if scale > 0:
                image = np.ascontiguousarray(gaussian_valid(image, scale)[::2, ::2])
            mean = gaussian_valid(image, scale)
            variance = gaussian_valid(image * image, scale) - mean * mean
            levels.append((image, mean, np.maximum(variance, 0.0)))
        return levels

    def dot(self, other: Plane) -> int:
        """Sum of products of grey values, exact: every partial sum is an integer below 2**53."""
        return int(np.dot(self.values.ravel(), other.values.ravel()))


ImageLike: TypeAlias = 'Array | Plane'

VIF_WINDOWS = (17, 9, 5, 3)
SSIM_WINDOW = 7


def as_plane(image: ImageLike) -> Plane:
    """Wrap an array in a :class:`Plane`; a plane is returned as it is."""
    return image if isinstance(image, Plane) else Plane(image)


def as_planes(*images: ImageLike) -> list[Plane]:
    """
    Wrap images that must have the same size.

    Raises:
        ImageError: when the sizes (height, width) differ.

    """
    planes = [as_plane(image) for image in images]
    sizes = {plane.shape for plane in planes}
    if len(sizes) > 1:
        listed = ', '.join(f'{plane.shape[1]}x{plane.shape[0]}' for plane in planes)
        raise ImageError('size', f'images of one pair must have the same size, got {listed}')
    return planes


def require_side(plane: Plane, minimum: int, metric: str) -> None:
    """
    Check that both sides reach a metric's window.

    Raises:
        ImageError: when the image is smaller than `minimum` pixels in a direction.

    """
    height, width = plane.shape
    if min(height, width) < minimum:
        raise ImageError(
            'size', f'{metric} needs at least {minimum}x{minimum} pixels, got {width}x{height}'
        )


def box_sum(values: Float) -> Float:
    """Sum over every 7x7 window that lies inside the image, float64 [H-6, W-6]."""
    half = SSIM_WINDOW // 2
    sums = cv2.boxFilter(values, cv2.CV_64F, (SSIM_WINDOW, SSIM_WINDOW), normalize=False)
    return np.asarray(sums[half:-half, half:-half])


def gaussian_valid(values: Float, scale: int) -> Float:
    """Gaussian window of VIF's scale (side N, sigma N/5) where it lies inside the image."""
    side = VIF_WINDOWS[scale]
    offsets = np.arange(side) - (side - 1) / 2
    kernel = np.exp(-offsets * offsets / (2 * (side / 5) ** 2))
    kernel /= kernel.sum()
    half = side // 2
    smooth = cv2.sepFilter2D(values, cv2.CV_64F, kernel, kernel)
    return np.asarray(smooth[half:-half, half:-half])
