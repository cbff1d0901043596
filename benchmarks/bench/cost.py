"""What a network asks of a machine: arithmetic and bytes of one pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mafs_model.network.config import create_config
from mafs_model.network.cost import count_macs, count_parameters, FLOPS_PER_MAC
from mafs_model.network.mafs import MAFS
from mafs_model.types import Size
import torch
from torch.utils._python_dispatch import TorchDispatchMode

# uint8: visible 3 and thermal 1 in, fused 3 out, labels and confidence 1 each.
_BYTES_UP, _BYTES_DOWN = 4, 5
NUMBER_BYTES = {'fp32': 4, 'fp16': 2, 'bf16': 2, 'int8': 1}


@dataclass(frozen=True)
class Cost:
    """
    One pair.

    Attributes:
        flops: floating-point operations of convolutions and matrix products.
        weights: numbers that have to be read once.
        map_numbers: numbers that convolutions read and write; each layer's input and output once,
            everything between two of them in passing.
        bytes_up: of the images that go in.
        bytes_down: of the images that come out.

    """

    flops: float
    weights: int
    map_numbers: int
    bytes_up: int
    bytes_down: int


@dataclass(frozen=True)
class Rates:
    """
    What a machine was measured to do, per second.

    Attributes:
        flops: of the faster of matrix product and convolutions.
        memory: bytes, reading and writing together.
        upload: bytes to the device; infinite where there is no bus between.
        download: bytes back.

    """

    flops: float
    memory: float
    upload: float = float('inf')
    download: float = float('inf')


class _MapNumbers(TorchDispatchMode):
    """Counts the numbers that convolutions read and write, their weights left out."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket in (torch.ops.aten.conv2d, torch.ops.aten.convolution):
            self.total += args[0].numel() + result.numel()
        return result


def network_cost(variant: str, size: Size, num_classes: int = 9) -> Cost:
    """Return the cost of a variant at (height, width); nothing is computed."""
    config = create_config(variant, num_classes)
    pixels = size[0] * size[1]
    with torch.device('meta'):
        network = MAFS(config).eval()
        visible, thermal = torch.empty(1, 3, *size), torch.empty(1, 1, *size)
    with torch.inference_mode(), _MapNumbers() as numbers:
        network(visible, thermal, full_logits=False)
    return Cost(
        float(FLOPS_PER_MAC * count_macs(config, size)),
        count_parameters(network),
        numbers.total,
        _BYTES_UP * pixels,
        _BYTES_DOWN * pixels,
    )


def floor_ms(cost: Cost, rates: Rates, precision: str) -> dict[str, float]:
    """
    Return the shortest time that a machine allows, and its parts, in ms.

    Arithmetic and memory traffic overlap, the slower one counts; transfers of a single pair come
    before and after. Memory traffic counts what cannot stay in a cache: weights and images.

    Args:
        cost: of the network.
        rates: of the machine.
        precision: number format of weights and maps.

    """
    number = NUMBER_BYTES[precision]
    compute = cost.flops / rates.flops
    memory = (cost.weights * number + cost.bytes_up + cost.bytes_down) / rates.memory
    transfer = cost.bytes_up / rates.upload + cost.bytes_down / rates.download
    maps = cost.map_numbers * number / rates.memory
    parts = {
        'compute_ms': compute,
        'memory_ms': memory,
        'transfer_ms': transfer,
        'floor_ms': max(compute, memory) + transfer,
        'maps_through_memory_ms': maps,
    }
    return {name: 1e3 * seconds for name, seconds in parts.items()}
