"""Clipping to the range of an image through which a network can be trained."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor


class _Saturation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor) -> Tensor:
        ctx.save_for_backward(image)
        return image.clamp(0.0, 1.0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (image,) = ctx.saved_tensors
        (gradient,) = gradients
        outwards = ((image > 1.0) & (gradient < 0)) | ((image < 0.0) & (gradient > 0))
        return gradient.masked_fill(outwards, 0.0)


def saturate(image: Tensor) -> Tensor:
    """
    Clip to 0..1; gradients pass except where they ask a saturated pixel to go further.

    With no gradient there a saturated pixel could never return. With all of it, a loss that
    rewards contrast would push it ever deeper, to no effect on the image.

    Args:
        image: any shape.

    Returns:
        The same shape, 0..1.

    """
    return cast(Tensor, _Saturation.apply(image))
