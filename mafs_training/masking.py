"""Random grid masks that hide parts of a thermal-visible pair for the masked autoencoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
import torch.nn.functional as F


@dataclass(frozen=True)
class MaskOptions:
    """
    How a pair is masked.

    Attributes:
        patch_px: smallest and largest side of a masked cell, pixels; drawn once per batch.
        ratio: smallest and largest share of cells hidden per modality; drawn once per image.
        complementary: share (0..1) of the cells hidden in one modality that must be seen in the
            other, as far as the ratios permit.
        noise_std: standard deviation of the noise that replaces hidden cells, around mid grey.

    """

    patch_px: tuple[int, int] = (8, 32)
    ratio: tuple[float, float] = (0.3, 0.6)
    complementary: float = 1.0
    noise_std: float = 0.25

    def __post_init__(self) -> None:
        low, high = self.patch_px
        if not 1 <= low <= high:
            raise ValueError(f'patch_px: expected 1 <= low <= high, got {self.patch_px}')
        if not 0 < self.ratio[0] <= self.ratio[1] < 1:
            raise ValueError(f'ratio: expected 0 < low <= high < 1, got {self.ratio}')
        if not 0 <= self.complementary <= 1:
            raise ValueError(f'complementary: expected 0..1, got {self.complementary}')
        if self.noise_std < 0:
            raise ValueError(f'noise_std: expected >= 0, got {self.noise_std}')


def hidden_cells(
    cells: int,
    ratio: float,
    first: Tensor | None,
    complementary: float,
    generator: torch.Generator | None = None,
) -> Tensor:
    """
    Choose which cells of one image are hidden.

    Args:
        cells: number of cells N.
        ratio: share to hide; round(ratio * N) cells, at least 1 and at most N - 1.
        first: cells hidden in the other modality, bool [N], or None.
        complementary: share of ``first`` that is kept visible here where the ratio permits.
        generator: source of randomness on the CPU.

    Returns:
        Bool [N], exactly that many True.

    """
    count = min(max(1, round(ratio * cells)), cells - 1)
    order = torch.rand(cells, generator=generator)
    if first is not None:
        protected = first & (torch.rand(cells, generator=generator) < complementary)
        order = order + protected  # protected cells come last
    hidden = torch.zeros(cells, dtype=torch.bool)
    hidden[order.argsort()[:count]] = True
    return hidden


def complementary_masks(
    batch: int,
    size: tuple[int, int],
    options: MaskOptions,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """
    Draw a mask per modality and image; what one modality lacks the other shows.

    Two modalities with ratios that sum to at most 1 and ``complementary`` 1 never hide the same
    cell; beyond that only the excess is hidden in both.

    Args:
        batch: number of images B.
        size: (height, width) in pixels; cells at the border may be cut.
        options: see `MaskOptions`.
        generator: source of randomness on the CPU; the default one if None.

    Returns:
        Masks of the visible and of the thermal images, float [B,1,H,W], 1 = hidden.

    Source: MAFS, stage I; complementary drawing and ranges are ours.

    """
    low, high = options.patch_px
    patch = int(torch.randint(low, high + 1, (), generator=generator))
    height, width = size
    rows, columns = -(-height // patch), -(-width // patch)
    if rows * columns < 2:
        raise ValueError(
            f'patch_px: expected at least two cells in {height} x {width} pixels, got side {patch}'
        )
    masks: tuple[list[Tensor], list[Tensor]] = ([], [])
    for index in range(batch):
        ratios = torch.empty(2).uniform_(*options.ratio, generator=generator).tolist()
        first = hidden_cells(rows * columns, ratios[0], None, 0.0, generator)
        second = hidden_cells(rows * columns, ratios[1], first, options.complementary, generator)
        # alternate which modality is drawn first, so that neither is favoured
        for target, cells in zip(
            masks if index % 2 else masks[::-1], (first, second), strict=True
        ):
            target.append(cells.view(1, rows, columns).float())
    visible, thermal = (
        F.interpolate(torch.stack(part), scale_factor=patch, mode='nearest')[..., :height, :width]
        for part in masks
    )
    return visible, thermal


def apply_mask(
    image: Tensor, mask: Tensor, noise_std: float, generator: torch.Generator | None = None
) -> Tensor:
    """
    Replace the hidden pixels by noise around mid grey, clipped to 0..1.

    Args:
        image: [B,C,H,W], 0..1.
        mask: [B,1,H,W], 1 = hidden.
        noise_std: standard deviation of the noise.
        generator: source of randomness on the CPU.

    Returns:
        Masked image [B,C,H,W].

    """
    noise = torch.randn(image.shape, generator=generator, dtype=torch.float32)
    noise = (0.5 + noise_std * noise).clamp(0, 1).to(image)
    return torch.where(mask.to(image.device).bool(), noise, image)
