"""Energy counters of processors (RAPL) and NVIDIA GPUs (NVML), where they can be read."""

from __future__ import annotations

import ctypes
from pathlib import Path

_RAPL = Path('/sys/class/powercap')
_NVML = 'libnvidia-ml.so.1'


class CpuEnergy:
    """
    The package counters of all sockets: everything that runs on them counts.

    Args:
        folder: where the kernel shows the counters.

    """

    def __init__(self, folder: Path = _RAPL) -> None:
        self._zones = []
        for zone in sorted(folder.glob('intel-rapl:?')):
            try:
                int((zone / 'energy_uj').read_text())
                self._zones.append((zone, int((zone / 'max_energy_range_uj').read_text())))
            except (OSError, ValueError):
                continue  # Not readable without rights: then there is no figure.

    @property
    def available(self) -> bool:
        """Return whether any counter can be read."""
        return bool(self._zones)

    def read(self) -> list[int]:
        """Return the counters in microjoules."""
        return [int((zone / 'energy_uj').read_text()) for zone, _ in self._zones]

    def joules_since(self, before: list[int]) -> float:
        """Return the energy used since an earlier reading; counters start over at their end."""
        total = 0
        for (_, limit), old, new in zip(self._zones, before, self.read(), strict=True):
            total += new - old if new >= old else new - old + limit
        return total / 1e6


class GpuEnergy:
    """
    The total energy counter of one GPU.

    Args:
        index: number of the GPU as NVML counts.

    """

    def __init__(self, index: int = 0) -> None:
        self._library: ctypes.CDLL | None = None
        self._handle = ctypes.c_void_p()
        try:
            library = ctypes.CDLL(_NVML)
        except OSError:
            return
        if library.nvmlInit_v2() or library.nvmlDeviceGetHandleByIndex_v2(
            ctypes.c_uint(index), ctypes.byref(self._handle)
        ):
            return
        self._library = library
        if self._millijoules() is None:
            self._library = None  # Counted since the Volta generation.

    @property
    def available(self) -> bool:
        """Return whether the counter can be read."""
        return self._library is not None

    def read(self) -> list[int]:
        """Return the counter in millijoules."""
        return [self._millijoules() or 0]

    def joules_since(self, before: list[int]) -> float:
        """Return the energy used since an earlier reading."""
        return (self.read()[0] - before[0]) / 1e3

    def _millijoules(self) -> int | None:
        value = ctypes.c_ulonglong()
        assert self._library is not None
        failed = self._library.nvmlDeviceGetTotalEnergyConsumption(
            self._handle, ctypes.byref(value)
        )
        return None if failed else value.value


def counter_for(device: str) -> CpuEnergy | GpuEnergy | None:
    """Return the counter of a device, None if it cannot be read."""
    counter: CpuEnergy | GpuEnergy = CpuEnergy()
    if device.startswith('cuda'):
        counter = GpuEnergy(int(device.partition(':')[2] or 0))
    return counter if counter.available else None
