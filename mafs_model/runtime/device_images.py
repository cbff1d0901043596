"""
Image operations before and after the network, as tensor operations for a GPU.

They give what their NumPy and OpenCV counterparts give (registration.py, overlay.py), up to
one grey level of rounding, and work on tensors of any device.
"""

from __future__ import annotations

from mafs_model.classes import ClassTable
from mafs_model.decision import Peaks
from mafs_model.images.overlay import OverlayStyle
from mafs_model.images.preprocessing import LUMA_WEIGHTS
from mafs_model.images.registration import Maps
from mafs_model.images.visualization import visible_ids
from mafs_model.runtime.regions import least_byte
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


class RegionFilter:
    """
    Hysteresis of labels: :func:`mafs_model.runtime.regions.reject_regions`.

    What is sure grows through its region by one pixel a step. The number of steps is fixed, so
    that it can be captured in a graph: of a region, what is farther than `REACH` label pixels from
    anything sure in it is lost.

    Args:
        peaks: see :class:`mafs_model.decision.Decision`, at least one.
        device: where to compute.

    """

    REACH = 96

    def __init__(self, peaks: Peaks, device: str) -> None:
        ids, least = zip(*((i, least_byte(peak)) for i, peak in peaks), strict=True)
        self._ids = torch.tensor(ids, dtype=torch.uint8, device=device).view(1, -1, 1, 1)
        self._least = torch.tensor(least, dtype=torch.uint8, device=device).view(1, -1, 1, 1)
        # Maxima of bytes do not exist on a GPU; halves are exact and half as wide as floats.
        self._dtype = torch.float16 if device.startswith('cuda') else torch.float32

    def __call__(self, labels: Tensor, confidence: Tensor) -> tuple[Tensor, Tensor]:
        """
        Take away the regions that reach the least peak of their class nowhere.

        Args:
            labels: uint8 [1,h,w] class ids.
            confidence: uint8 [1,h,w].

        Returns:
            Both without them.

        """
        there = labels.unsqueeze(1) == self._ids  # [1,K,h,w]
        grown = (there & (confidence.unsqueeze(1) >= self._least)).to(self._dtype)
        mask = there.to(self._dtype)
        for _ in range(self.REACH):
            grown = F.max_pool2d(grown, 3, 1, 1) * mask
        rejected = (there & (grown == 0)).any(dim=1)
        return labels.masked_fill(rejected, 0), torch.where(rejected, 255 - confidence, confidence)


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
