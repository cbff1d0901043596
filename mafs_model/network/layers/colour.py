"""BT.601 luminance and its replacement in a colour image."""

from __future__ import annotations

import torch
from torch import Tensor

LUMA_RED, LUMA_GREEN, LUMA_BLUE = 0.299, 0.587, 0.114


def luminance(rgb: Tensor) -> Tensor:
    """Return Y of YCbCr (ITU-R BT.601, full range): ``[B, 3, H, W] -> [B, 1, H, W]``."""
    red, green, blue = rgb[:, 0:1], rgb[:, 1:2], rgb[:, 2:3]
    partial = torch.add(LUMA_RED * red, green, alpha=LUMA_GREEN)
    return torch.add(partial, blue, alpha=LUMA_BLUE)


def replace_luminance(rgb: Tensor, old: Tensor, new: Tensor) -> Tensor:
    """
    Give a colour image a new luminance and keep its chroma.

    The inverse of YCbCr is ``R = Y + 1.402 Cr``, ``B = Y + 1.772 Cb`` and G likewise with weight
    one on Y. With Cb and Cr kept, every colour channel therefore moves by the same ``new - old``:
    one addition instead of two colour conversions.

    Args:
        rgb: image ``[B, 3, H, W]`` in 0..1.
        old: its luminance ``[B, 1, H, W]``.
        new: the wanted luminance ``[B, 1, H, W]``.

    Returns:
        Image ``[B, 3, H, W]``, clipped to 0..1.

    """
    return (rgb + (new - old)).clamp(0.0, 1.0)
