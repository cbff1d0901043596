"""What a result needs to be read elsewhere: processor, cores, GPU, versions; never a host name."""

from __future__ import annotations

import datetime as dt
from importlib.metadata import PackageNotFoundError, version
import os
from pathlib import Path
import platform
import re
import subprocess
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ('numpy', 'opencv-python-headless', 'torch', 'onnxruntime', 'openvino', 'nncf')
_GPU_PACKAGES = ('onnxruntime-gpu', 'tensorrt')
# Instruction sets that decide how fast the network can be.
_FLAGS = (
    'avx2',
    'avx512f',
    'avx512_vnni',
    'avx_vnni',
    'avx512_bf16',
    'amx_int8',
    'amx_bf16',
    'asimddp',
)


def cpu_count() -> int:
    """Return how many cores this process may use."""
    return (
        len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    )


def gpu_names() -> list[str]:
    """Return the names of the CUDA devices, in order."""
    from mafs_model.errors import DeviceError
    from mafs_model.runtime.device import resolve_device

    try:
        resolve_device('cuda')
    except DeviceError:
        return []
    import torch

    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def describe_machine() -> dict[str, Any]:
    """Return processor, cores, instruction sets, memory, system and GPUs."""
    info = _cpu_info()
    pages, page_bytes = os.sysconf('SC_PHYS_PAGES'), os.sysconf('SC_PAGE_SIZE')
    flags = set(info.get('flags', info.get('Features', '')).split())
    return {
        'cpu': info.get('model name') or platform.processor() or platform.machine(),
        'cores': cpu_count(),
        'instructions': [flag for flag in _FLAGS if flag in flags],
        'memory_gb': round(pages * page_bytes / 1e9, 1),
        'system': f'{platform.system()} {platform.machine()}',
        'gpus': gpu_names(),
    }


def machine_name(machine: dict[str, Any]) -> str:
    """Return a file name for the results of a machine, e.g. ``amd-epyc-2-cores``."""
    text = ' '.join([machine['cpu'], f'{machine["cores"]} cores', *machine['gpus'][:1]])
    text = re.sub(r'\((r|tm)\)', '', text.lower())
    return re.sub(r'[^a-z0-9]+', '-', text).strip('-')


def describe_run(command: str) -> dict[str, Any]:
    """Return when, from what source, by which command and in what company a run was made."""
    return {
        'date': dt.datetime.now(dt.timezone.utc).date().isoformat(),
        'commit': _commit(),
        'command': command,
        'load_before': round(os.getloadavg()[0], 2),
        'versions': {'python': platform.python_version(), **_versions()},
    }


def _cpu_info() -> dict[str, str]:
    """Return the fields of the first core in /proc/cpuinfo; empty where there is none."""
    try:
        text = Path('/proc/cpuinfo').read_text(encoding='utf-8')
    except OSError:
        return {}
    pairs = (line.partition(':') for line in text.split('\n\n')[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _versions() -> dict[str, str]:
    """Return the versions of the packages that compute."""
    found = {}
    for package in (*_PACKAGES, *_GPU_PACKAGES):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _commit() -> str:
    """Return the short name of the commit, with a + if the sources were changed since."""
    try:
        done = subprocess.run(
            ['git', 'describe', '--always', '--dirty=+', '--exclude=*'],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return 'unknown'
    return done.stdout.strip() or 'unknown'
