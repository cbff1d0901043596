"""How much memory a process may still take."""

from __future__ import annotations

from pathlib import Path

_MEMINFO = Path('/proc/meminfo')
_GROUP = Path('/sys/fs/cgroup')  # of a container


def available_bytes() -> int | None:
    """Return the memory that is free for this process, None where the system does not say."""
    known = [value for value in (_machine(), _container()) if value is not None]
    return min(known) if known else None


def _machine() -> int | None:
    try:
        for line in _MEMINFO.read_text().splitlines():
            if line.startswith('MemAvailable:'):
                return 1024 * int(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass
    return None


def _container() -> int | None:
    try:
        limit = int((_GROUP / 'memory.max').read_text())
        return max(0, limit - int((_GROUP / 'memory.current').read_text()))
    except (OSError, ValueError):  # no limit is 'max'
        return None
