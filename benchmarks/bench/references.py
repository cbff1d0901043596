"""Fixed workloads that are timed beside everything else, so that results compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

# The unit of the project: one float32 product of two square matrices of this side.
MATMUL_SIDE = 1536
# Like the bulk of the network: dense 3x3 convolutions at a quarter of 640x480.
CONV_CHANNELS, CONV_LAYERS, CONV_SIZE = 64, 4, (120, 160)
COPY_BYTES = 64 << 20


@dataclass(frozen=True)
class Workload:
    """
    Something of known cost.

    Attributes:
        run: does it once; on a GPU it returns before it is done.
        flops: floating-point operations.
        bytes: bytes read and written, 0 if they do not bound it.

    """

    run: Callable[[], object]
    flops: float = 0.0
    bytes: float = 0.0


def matmul(device: str, dtype: torch.dtype = torch.float32, side: int = MATMUL_SIDE) -> Workload:
    """Return a product of two square matrices."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.rand(side, side, generator=generator).to(device, dtype) for _ in range(2))
    out = torch.empty_like(a)
    return Workload(lambda: torch.matmul(a, b, out=out), flops=2.0 * side**3)


def convolutions(
    device: str,
    dtype: torch.dtype = torch.float32,
    size: tuple[int, int] = CONV_SIZE,
    batch: int = 1,
) -> Workload:
    """Return a stack of 3x3 convolutions with ReLU, channels last."""
    torch.manual_seed(0)
    layers: list[torch.nn.Module] = []
    for _ in range(CONV_LAYERS):
        layers += [torch.nn.Conv2d(CONV_CHANNELS, CONV_CHANNELS, 3, padding=1), torch.nn.ReLU()]
    stack = torch.nn.Sequential(*layers).eval().requires_grad_(False)
    stack = stack.to(device, dtype, memory_format=torch.channels_last)
    x = torch.rand(batch, CONV_CHANNELS, *size).to(
        device, dtype, memory_format=torch.channels_last
    )
    macs = batch * CONV_LAYERS * 9 * CONV_CHANNELS**2 * size[0] * size[1]
    return Workload(lambda: stack(x), flops=2.0 * macs)


def copy(source: str, target: str, count: int = COPY_BYTES) -> Workload:
    """Return a copy of bytes between devices, host memory pinned if a GPU takes part."""
    pinned = source != target
    a = torch.zeros(count, dtype=torch.uint8, device=source)
    b = torch.empty(count, dtype=torch.uint8, device=target)
    a = a.pin_memory() if pinned and source == 'cpu' else a
    b = b.pin_memory() if pinned and target == 'cpu' else b
    # Within one memory a byte is read and written; over a bus it passes once.
    passes = 1 if pinned else 2
    return Workload(lambda: b.copy_(a, non_blocking=True), bytes=float(passes * count))
