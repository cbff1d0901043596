"""Choice of the fastest of several backends by measuring them once."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
import json
import logging
from pathlib import Path
import platform
import statistics
import time

from mafs_model.checkpoint import check_fits, load_checkpoint
from mafs_model.errors import DeviceError, MafsError
from mafs_model.extras import is_installed
from mafs_model.files import write_text
from mafs_model.prediction import Outputs
from mafs_model.runtime.cache import cache_folder
from mafs_model.runtime.engine import Engine
from mafs_model.runtime.source_hash import network_source_hash
from mafs_model.types import Size
from mafs_model.version import __version__
import numpy as np

_LOGGER = logging.getLogger('mafs_model.runtime')

MEASURED_SIZE: Size = (480, 640)
_RUNS = 5
_BUDGET_S = 2.0  # per candidate: on a busy machine fewer runs have to do
_FILE_NAME = 'backends.json'
_MAX_ENTRIES = 100

Candidate = tuple[str, str]  # backend, precision
Builder = Callable[..., Engine]  # takes what build_engine of the factory takes

# Choices of this process: a second configure does not measure again.
_chosen: dict[str, Candidate] = {}


def choose(
    weights: Path,
    checksum: str,
    candidates: list[Candidate],
    device: str,
    threads: int | None,
    build: Builder,
) -> Candidate:
    """
    Return the fastest candidate.

    The choice is remembered in this process and, if ``MAFS_CACHE_DIR`` names a folder, there.

    Args:
        weights: weights file.
        checksum: of its tensors.
        candidates: (backend, precision) pairs, at least one.
        device: resolved device.
        threads: CPU threads.
        build: builds the engine of a candidate.

    Raises:
        CheckpointError: the tensors do not fit the architecture.
        DeviceError: no candidate works.

    """
    key = _key(checksum, candidates, device, threads)
    known = _chosen.get(key) or _read_choice(key, candidates)
    if known is None:
        # Unusable weights fail on every backend; only this names the file and what is wrong.
        # Without torch, only graphs run that were made of weights that fit.
        if is_installed('torch'):
            check_fits(load_checkpoint(weights))
        known = _measure_all(weights, candidates, device, threads, build)
        _write_choice(key, known)
    else:
        _LOGGER.info('backend %s (%s): fastest when measured before', *known)
    _chosen[key] = known
    return known


def measure(engine: Engine, size: Size = MEASURED_SIZE, runs: int = _RUNS) -> float:
    """Return the median wall time of one pair in ms, after one run to warm up."""
    generator = np.random.default_rng(0)
    visible = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
    thermal = generator.integers(0, 256, size, dtype=np.uint8)
    engine.infer(visible, thermal, Outputs())
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < runs and (not times or time.perf_counter() - start < _BUDGET_S):
        before = time.perf_counter()
        engine.infer(visible, thermal, Outputs())
        times.append(1e3 * (time.perf_counter() - before))
    return statistics.median(times)


def _measure_all(
    weights: Path,
    candidates: list[Candidate],
    device: str,
    threads: int | None,
    build: Builder,
) -> Candidate:
    """Build and time every candidate."""
    results: dict[Candidate, float] = {}
    for backend, precision in candidates:
        try:
            engine = build(
                weights, backend=backend, precision=precision, device=device, threads=threads
            )
        except MafsError as error:
            _LOGGER.warning('backend %s left out: %s', backend, error)
            continue
        try:
            results[backend, precision] = measure(engine)
        except MafsError as error:
            _LOGGER.warning('backend %s left out: %s', backend, error)
        finally:
            engine.close()
    if not results:
        raise DeviceError(
            f"device '{device}': none of the backends {', '.join(b for b, _ in candidates)} works"
        )
    best = min(results, key=lambda candidate: results[candidate])
    figures = ', '.join(f'{b} {p} {ms:.1f} ms' for (b, p), ms in results.items())
    _LOGGER.info(
        'backend %s (%s) chosen: %s at %dx%d', *best, figures, MEASURED_SIZE[1], MEASURED_SIZE[0]
    )
    return best


def _key(checksum: str, candidates: list[Candidate], device: str, threads: int | None) -> str:
    """Return what a measured choice depends on, as text."""
    versions = []
    for package in ('torch', 'openvino', 'onnxruntime', 'tensorrt'):
        try:
            versions.append(f'{package} {version(package)}')
        except PackageNotFoundError:
            continue
    return json.dumps(
        [
            checksum,
            __version__,
            network_source_hash(),
            candidates,
            device,
            threads,
            versions,
            platform.node(),
            platform.machine(),
        ]
    )


def _read_choice(key: str, candidates: list[Candidate]) -> Candidate | None:
    """Return the choice that an earlier process wrote down."""
    entry = _read_file().get(key)
    found = tuple(entry) if isinstance(entry, list) else None
    return next((c for c in candidates if c == found), None)


def _read_file() -> dict[str, object]:
    """Return the written choices; an unreadable file counts as empty."""
    folder = cache_folder()
    if folder is None:
        return {}
    try:
        content = json.loads((folder / _FILE_NAME).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write_choice(key: str, choice: Candidate) -> None:
    """Write a choice down if there is a folder for it."""
    folder = cache_folder()
    if folder is None:
        return
    entries = {**_read_file(), key: list(choice)}
    newest = dict(list(entries.items())[-_MAX_ENTRIES:])
    try:
        write_text(folder / _FILE_NAME, json.dumps(newest, indent=1))
    except MafsError as error:
        _LOGGER.warning('%s', error)
