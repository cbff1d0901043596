"""Padding of images to a multiple of the network's stride."""

from __future__ import annotations

import torch
from torch import Tensor
import torch.nn.functional as F


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """
    Repeat the last row and column until both sizes are multiples.

    Padding goes to the bottom and the right only, so ``[..., :H, :W]`` undoes it exactly.

    Args:
        image: ``[B, C, H, W]``.
        multiple: wanted divisor of height and width in pixels.

    Returns:
        ``[B, C, H', W']`` with ``H' = ceil(H / multiple) * multiple`` and W' likewise.

    """
    height, width = image.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    # An exported graph has to pad whatever size it is given later; eager code need not copy.
    exporting = torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export()
    if not exporting and bottom == 0 and right == 0:
        return image
    return F.pad(image, (0, right, 0, bottom), mode='replicate')
