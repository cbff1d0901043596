"""Choice and check of the compute device."""

from __future__ import annotations

import logging
from pathlib import Path
import re

from mafs_model.errors import ConfigError, DeviceError

_LOGGER = logging.getLogger('mafs_model.runtime')
# Desktop and server, WSL, Jetson.
_DRIVER_FILES = ('/dev/nvidiactl', '/dev/dxg', '/dev/nvhost-gpu', '/dev/nvgpu', '/dev/nvmap')
_PATTERN = re.compile(r'auto|cpu|cuda(:\d+)?')


def check_device_name(device: str) -> str:
    """Return device if it is ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; raises ConfigError."""
    if not isinstance(device, str) or not _PATTERN.fullmatch(device):
        raise ConfigError(f"device '{device}': expected auto, cpu, cuda or cuda:N")
    return device


def resolve_device(device: str) -> tuple[str, tuple[str, ...]]:
    """
    Return the device to use and notices for the user.

    Args:
        device: ``auto`` takes the first GPU or else, with a warning, the CPU.

    Raises:
        ConfigError: not a device name.
        DeviceError: the GPU asked for is not there.

    """
    check_device_name(device)
    if device == 'cpu':
        return 'cpu', ()
    count = _count_gpus()
    if device == 'auto':
        if count:
            return 'cuda:0', ()
        notice = 'device auto: no CUDA device found, using the CPU'
        _LOGGER.warning(notice)
        return 'cpu', (notice,)
    index = int(device.partition(':')[2] or 0)
    if index >= count:
        present = f'{count} CUDA device(s) found' if count else 'no CUDA device found'
        raise DeviceError(f"device '{device}': {present}; use device auto or cpu")
    return f'cuda:{index}', ()


def _count_gpus() -> int:
    """Return the number of CUDA devices; torch is asked only where a driver's files are."""
    if not any(Path(name).exists() for name in _DRIVER_FILES):
        return 0  # Without the import a node on the CPU starts seconds earlier.
    import torch

    return int(torch.cuda.device_count()) if torch.cuda.is_available() else 0
