"""
Image operations before and after the network, as tensor operations for a GPU.

They give what their NumPy and OpenCV counterparts give (registration.py, overlay.py), up to
one grey level of rounding, and work on tensors of any device.
"""

from __future__ import annotations

from mafs_model.classes import ClassTable
from mafs_model.images.overlay import OverlayStyle
from mafs_model.images.preprocessing import LUMA_WEIGHTS
from mafs_model.images.registration import Maps
from mafs_model.images.visualization import visible_ids
from mafs_model.types import Size
import torch
from torch import Tensor
import torch.nn.functional as F


class Warp:
    """
    Registration of the thermal image, as ``Unregistered.registered`` of `images.registration`.

    Args:
        maps: look-up coordinates.
        device: where to compute.

    """

    def __init__(self, maps: Maps, device: str) -> None:
        height, width = maps.thermal_size
        points = torch.from_numpy(maps.points()).to(device)  # [H,W,2], x before y
        # grid_sample counts from -1 at the outer edge of the first pixel to 1 at that of the last.
        scale = torch.tensor([2.0 / width, 2.0 / height], device=device)
        self._grid = ((points + 0.5) * scale - 1.0).unsqueeze(0)  # [1,H,W,2]
        self._luma = torch.tensor(LUMA_WEIGHTS, device=device)
        self._outside = (
            None
            if maps.outside is None
            else torch.from_numpy(maps.outside).to(device).bool().unsqueeze(0)
        )

    def __call__(self, thermal: Tensor, visible: Tensor | None) -> Tensor:
        """
        Return the thermal image on the visible grid.

        Args:
            thermal: uint8 [1,h,w].
            visible: uint8 [1,H,W,3], or None: the border is repeated.

        Returns:
            uint8 [1,H,W].

        """
        warped = F.grid_sample(
            thermal.unsqueeze(1).float(),
            self._grid,
            mode='bilinear',
            padding_mode='border',
            align_corners=False,
        ).squeeze(1)
        if self._outside is not None and visible is not None:
            warped = torch.where(self._outside, visible.float() @ self._luma, warped)
        return (warped + 0.5).to(torch.uint8)


class Painter:
    """
    Class colours over the fused image: :func:`mafs_model.images.overlay.paint`.

    Args:
        classes: class table.
        device: where to compute.

    """

    def __init__(self, classes: ClassTable, device: str) -> None:
        self._palette = torch.from_numpy(classes.palette).to(device)  # [256,3]
        self._shown = torch.from_numpy(visible_ids(classes)).to(device).bool()  # [256]
        # Tensors: a captured graph reads their values at every replay.
        self._opacity = torch.zeros((), device=device)
        self._least_confidence = torch.zeros((), dtype=torch.int32, device=device)
        self._style: OverlayStyle | None = None

    def set_style(self, style: OverlayStyle) -> None:
        """Set how the images to come are painted; a legend is left to the caller."""
        if style != self._style:
            self._opacity.fill_(style.opacity)
            self._least_confidence.fill_(style.least_confidence)
            self._style = style

    def __call__(self, fused: Tensor, labels: Tensor, confidence: Tensor) -> Tensor:
        """
        Return the overlay.

        Args:
            fused: uint8 [1,H,W,3].
            labels: uint8 [1,H,W].
            confidence: uint8 [1,H,W].

        Returns:
            uint8 [1,H,W,3].

        """
        ids = labels.long()
        base = fused.float()
        blended = base + self._opacity * (self._palette[ids].float() - base)
        shown = self._shown[ids] & (confidence >= self._least_confidence)
        return torch.where(shown.unsqueeze(-1), blended, base).round().to(torch.uint8)


def repeat_to(image: Tensor, size: Size) -> Tensor:
    """Return uint8 [1,h,w] with every pixel repeated 2x2, cropped to size, as [1,H,W]."""
    batch, height, width = image.shape
    doubled = image[:, :, None, :, None].expand(batch, height, 2, width, 2)
    return doubled.reshape(batch, 2 * height, 2 * width)[:, : size[0], : size[1]]


def pad_to(image: Tensor, size: Size) -> Tensor:
    """Return uint8 [1,h,w] or [1,h,w,3] with its last row and column repeated up to size."""
    for axis, side in ((1, size[0]), (2, size[1])):
        length = image.shape[axis]
        if length < side:
            last = torch.arange(side, device=image.device).clamp(max=length - 1)
            image = image.index_select(axis, last)
    return image
