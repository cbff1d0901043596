"""Memory that work takes: growth of the resident set to its peak, or of a GPU's used memory."""

from __future__ import annotations

import contextlib
from pathlib import Path
import resource
from typing import Any

_MB = 1e6


class Memory:
    """
    Measures from its creation on.

    Args:
        device: ``cpu`` or ``cuda:N``.

    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._used = 0
        if device.startswith('cuda'):
            import torch

            torch.zeros(1, device=device)  # The context itself is not what the work takes.
            self._used = self._gpu_used()
            return
        # Makes the kernel forget the earlier peak of this process; where it cannot, the peak is
        # that of the whole life, which here has only begun.
        with contextlib.suppress(OSError):
            Path('/proc/self/clear_refs').write_text('5')
        self._used = _resident_bytes()

    def growth(self) -> dict[str, Any]:
        """Return the growth so far in MB, under the name of its kind."""
        if self._device.startswith('cuda'):
            return {'gpu_memory_mb': round((self._gpu_used() - self._used) / _MB, 1)}
        return {'rss_growth_mb': round((_peak_bytes() - self._used) / _MB, 1)}

    def _gpu_used(self) -> int:
        import torch

        free, total = torch.cuda.mem_get_info(self._device)
        return total - free


def _resident_bytes() -> int:
    """Return the resident memory of this process now."""
    return _status('VmRSS') or 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _peak_bytes() -> int:
    """Return the largest resident memory of this process."""
    return _status('VmHWM') or 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _status(field: str) -> int:
    """Return a field of /proc/self/status in bytes, 0 where there is none."""
    try:
        lines = Path('/proc/self/status').read_text(encoding='utf-8').splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(field)), 0)
