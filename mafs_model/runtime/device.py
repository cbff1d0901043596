"""Choice and check of the compute device."""

from __future__ import annotations

import logging
from pathlib import Path
import re

from mafs_model.errors import ConfigError, DeviceError
from mafs_model.extras import how_to_install, is_installed, missing

_LOGGER = logging.getLogger('mafs_model.runtime')
# Desktop and server, WSL, Jetson.
_DRIVER_FILES = ('/dev/nvidiactl', '/dev/dxg', '/dev/nvhost-gpu', '/dev/nvgpu', '/dev/nvmap')
_NO_GPU = 'no CUDA device found'
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
        device: ``auto`` takes the first GPU or else the CPU, with a warning where a GPU seems to
            be there.

    Raises:
        ConfigError: not a device name.
        DeviceError: the GPU asked for is not there, or torch, which is needed to use one.

    """
    check_device_name(device)
    if device == 'cpu':
        return 'cpu', ()
    lacks_torch = not is_installed('torch')
    if lacks_torch and device != 'auto':
        raise missing(f"device '{device}'", 'torch')
    count = 0 if lacks_torch else _count_gpus()
    if device == 'auto':
        if count:
            return 'cuda:0', ()
        if not _has_driver():  # then nobody expects another one
            _LOGGER.info('device auto: %s, using the CPU', _NO_GPU)
            return 'cpu', ()
        reason = how_to_install('torch') if lacks_torch else _NO_GPU
        notice = f'device auto: {reason}, using the CPU'
        _LOGGER.warning(notice)
        return 'cpu', (notice,)
    index = int(device.partition(':')[2] or 0)
    if index >= count:
        present = f'{count} CUDA device(s) found' if count else _NO_GPU
        raise DeviceError(f"device '{device}': {present}; use device auto or cpu")
    return f'cuda:{index}', ()


def _has_driver() -> bool:
    """Return whether a driver of NVIDIA is there."""
    return any(Path(name).exists() for name in _DRIVER_FILES)


def _count_gpus() -> int:
    """Return the number of CUDA devices; torch is asked only where a driver's files are."""
    if not _has_driver():
        return 0  # Without the import a node on the CPU starts seconds earlier.
    import torch

    return int(torch.cuda.device_count()) if torch.cuda.is_available() else 0
