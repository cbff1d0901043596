"""
Parameters and arithmetic of the network variants, counted on the networks themselves.

``python -m mafs_model.network.cost`` prints the table that ``mafs info`` shows without importing
torch, ``mafs_model/data/variants.json``; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence
import json
import sys

from mafs_model.info import ModelInfo
from mafs_model.network.config import create_config, MAFSConfig, VARIANTS
from mafs_model.network.mafs import MAFS
import torch
from torch.utils.flop_counter import FlopCounterMode

REPORT_SIZE = (480, 640)
FLOPS_PER_MAC = 2


def count_parameters(model: torch.nn.Module) -> int:
    """Return the number of parameters, each counted once."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_macs(config: MAFSConfig, size: tuple[int, int] = REPORT_SIZE) -> int:
    """
    Count the multiply-accumulates of one pair with fused image and logits.

    Convolutions and matrix products are counted, as is usual; additions of bias and skip,
    activations, normalisation (folded at inference) and interpolation are not. One
    multiply-accumulate is two floating-point operations. Nothing is computed: the network runs
    on torch's ``meta`` device, which knows shapes only.

    Args:
        config: architecture.
        size: (height, width) of both images in pixels.

    """
    with torch.device('meta'):
        model = MAFS(config).eval()
        visible, thermal = torch.empty(1, 3, *size), torch.empty(1, 1, *size)
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), counter:
        model(visible, thermal, full_logits=False)
    return counter.get_total_flops() // FLOPS_PER_MAC


def model_info(
    variants: Sequence[str] = VARIANTS, num_classes: int = 9, size: tuple[int, int] = REPORT_SIZE
) -> list[ModelInfo]:
    """
    Return the figures of each variant.

    Args:
        variants: names, see :data:`mafs_model.network.config.VARIANTS`.
        num_classes: number of semantic classes.
        size: (height, width) of both images in pixels.

    Raises:
        ConfigError: if a variant is unknown.

    """
    rows = []
    for name in variants:
        config = create_config(name, num_classes)
        with torch.device('meta'):
            parameters = count_parameters(MAFS(config))
        macs = count_macs(config, size)
        rows.append(
            ModelInfo(
                name=name,
                params_m=round(parameters / 1e6, 3),
                gflops=round(FLOPS_PER_MAC * macs / 1e9, 2),
                gmacs=round(macs / 1e9, 2),
            )
        )
    return rows


if __name__ == '__main__':
    sys.stdout.write(json.dumps(model_info(), indent=2) + '\n')
