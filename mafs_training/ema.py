"""Exponential moving average of a network's weights."""

from __future__ import annotations

import copy

import torch
from torch import nn, Tensor


class AveragedNetwork(nn.Module):
    """
    A copy of a network whose weights and running statistics follow it slowly.

    The decay grows with the number of updates, min(decay, (1 + n) / (10 + n)), so that the first
    random weights are soon forgotten.

    Args:
        network: what is followed; copied.
        decay: largest share of the past, 0 <= decay < 1.

    Raises:
        ValueError: decay out of range.

    """

    updates: Tensor

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f'ema: expected 0 <= decay < 1, got {decay}')
        self.module = copy.deepcopy(network).requires_grad_(False).eval()
        self.decay = decay
        self.register_buffer('updates', torch.zeros((), dtype=torch.int64))

    def train(self, mode: bool = True) -> AveragedNetwork:
        """Stay in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take one step towards ``network``."""
        self.updates += 1
        count = int(self.updates)
        decay = min(self.decay, (1 + count) / (10 + count))
        own = self.module.state_dict()
        averaged, current = [], []
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                averaged.append(own[name])
                current.append(value.detach())
            else:
                own[name].copy_(value)
        torch._foreach_lerp_(averaged, current, 1 - decay)
