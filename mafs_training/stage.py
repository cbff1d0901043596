"""What every training stage offers to the training loop, and the parts they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from mafs_model.network.layers.colour import luminance
from mafs_model.network.mafs import MAFS
from mafs_training.options import DropoutOptions
import torch
from torch import nn, Tensor

Batch = dict[str, Tensor]


@dataclass
class StepResult:
    """
    Outcome of one training step.

    Attributes:
        loss: scalar with gradient.
        logs: detached scalars by name.
        tasks: detached loss per task, None where the batch had no sample for it; what the
            task weighting learns from.

    """

    loss: Tensor
    logs: dict[str, Tensor] = field(default_factory=dict)
    tasks: dict[str, Tensor | None] = field(default_factory=dict)


class Stage(nn.Module, ABC):
    """
    A way to train a network: losses, and the modules that exist in training only.

    The network is passed in, not owned, so that its weights have the same names in every stage.
    """

    name = ''
    monitor = 'val/loss'
    monitor_mode = 'min'

    def frozen(self, network: MAFS) -> list[nn.Module]:
        """Parts of the network that this stage has no gradient for."""
        return []

    def compile(self, network: MAFS) -> None:  # type: ignore[override]
        """Compile what the stage calls of the network."""
        network.compile()

    @abstractmethod
    def training_step(self, network: MAFS, batch: Batch, step: int) -> StepResult:
        """Loss of an augmented batch; draws from torch's global random state."""

    def after_step(self, tasks: Mapping[str, Tensor | None]) -> dict[str, float]:
        """Learn from the losses of a step, averaged over processes; return numbers to log."""
        return {}

    @abstractmethod
    def validate(self, network: MAFS, batch: Batch, index: int) -> dict[str, Tensor]:
        """Losses of a validation batch, scalars by name."""

    def logits(self, network: MAFS, batch: Batch) -> Tensor | None:
        """Class logits of a validation batch, or None if the stage has none."""
        return None

    @abstractmethod
    def panel(self, network: MAFS, batch: Batch) -> Tensor:
        """RGB picture [3,H,W] of the first sample, in 0..1; columns differ by stage."""


def draw_presence(
    batch: int, options: DropoutOptions, device: torch.device
) -> tuple[Tensor, Tensor]:
    """
    Draw which samples lack a modality.

    Args:
        batch: number of samples B.
        options: probabilities.
        device: of the result.

    Returns:
        Bool [B] twice: the visible image is present, the thermal one is.

    """
    u = torch.rand(batch)
    visible = u >= options.visible
    thermal = ~((u >= options.visible) & (u < options.visible + options.thermal))
    return visible.to(device), thermal.to(device)


def fusion_sources(
    batch: Batch, visible_present: Tensor | None = None, thermal_present: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """
    Return the sources that the fused luminance is compared with.

    Where a modality is absent the other one takes its place: the network can only show what it
    has, and the right answer is then that image.

    Args:
        batch: 'visible', and 'thermal_aligned' or, without it, 'thermal'.
        visible_present: bool [B], None for all.
        thermal_present: bool [B], None for all.

    Returns:
        Visible luminance and thermal image, each [B,1,H,W].

    """
    visible = luminance(batch['visible'])
    thermal = batch.get('thermal_aligned', batch['thermal'])
    first, second = visible, thermal
    if visible_present is not None:
        first = torch.where(visible_present.view(-1, 1, 1, 1), visible, thermal)
    if thermal_present is not None:
        second = torch.where(thermal_present.view(-1, 1, 1, 1), thermal, visible)
    return first, second


def columns(*images: Tensor) -> Tensor:
    """Join images [C,H,W], C 1 or 3, side by side to [3,H,sum of W]."""
    return torch.cat(
        [image.detach().float().clamp(0, 1).expand(3, -1, -1).cpu() for image in images], dim=2
    )
