"""
Measures training from a pack on disk: memory, time to the first step, crops per second.

Each run is a process of its own that trains stage I for some steps: from packs of two sizes, whose
memory must be alike, and, in turns, from a small pack and the same pairs in memory. Pairs are
textures drawn at random, 640x480 with labels, 1.5 MB each; with ``--distinct N`` only so many are
on disk, and shards are links to theirs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import json
import os
from pathlib import Path
import resource
import subprocess
import sys
import tempfile
import time
from typing import Any

from mafs_training.datasets.packed import INDEX, write_pack
from mafs_training.datasets.reading import RawPair
import numpy as np

SIZE = (480, 640)
FEW = 200


def draw_pairs(count: int) -> Iterator[RawPair]:
    """Draw pairs: windows of one noise texture, as cheap as they are different."""
    rng = np.random.default_rng(0)
    height, width = SIZE
    texture = rng.integers(0, 255, (2 * height, 2 * width, 3), dtype=np.uint8)
    for index in range(count):
        top, left = rng.integers(0, height), rng.integers(0, width)
        visible = texture[top : top + height, left : left + width]
        yield RawPair(f'{index:06d}', visible, visible[..., 0], visible[..., 1] % np.uint8(9))


def make_pack(folder: Path, count: int, distinct: int) -> Path:
    """Write a pack of ``distinct`` pairs, and link its shards until there are ``count``."""
    write_pack(folder, draw_pairs(min(count, distinct)))
    index = json.loads((folder / INDEX).read_text())
    shards, found = list(index['shards']), min(count, distinct)
    while found < count:
        source = shards[len(index['shards']) % len(shards)]
        file = f'pairs-{len(index["shards"]):05d}.safetensors'
        os.link(folder / source['file'], folder / file)
        rows = source['pairs'][: count - found]
        index['shards'].append({'file': file, 'pairs': rows})
        found += len(rows)
    (folder / INDEX).write_text(json.dumps(index))
    return folder


def train(source: str, steps: int, workers: int, in_memory: bool) -> dict[str, Any]:
    """Train in this process; return what it took."""
    began = time.perf_counter()
    from mafs_training import trainer
    from mafs_training.cli import parse_stage
    from mafs_training.datasets import store
    from mafs_training.lightning_module import TrainingModule

    if in_memory:
        read = store.read_pack
        store.read_pack = lambda *given: [pair.window() for pair in read(*given)]  # type: ignore[assignment,return-value]
    marks: list[tuple[float, float]] = []
    real = TrainingModule.on_train_batch_end

    def mark(self: TrainingModule, *given: Any, **named: Any) -> None:
        real(self, *given, **named)
        marks.append((time.perf_counter(), time.process_time()))

    TrainingModule.on_train_batch_end = mark  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as out:
        trainer.run(
            parse_stage(
                'mae',
                [
                    f'--data.train=["pack:{source}"]', f'--data.workers={workers}',
                    f'--trainer.out={out}', f'--trainer.steps={steps}', '--trainer.threads=1',
                    f'--trainer.steps_per_epoch={steps}', '--trainer.panels_every=0',
                    '--trainer.accelerator=cpu', '--optim.warmup_steps=1',
                ],
            )
        )  # fmt: skip
    (first, first_cpu), (last, last_cpu) = marks[0], marks[-1]
    crops = 8 * (len(marks) - 1)
    return {
        'first_step_s': first - began,
        'first_step_cpu_s': first_cpu,
        'crops_per_s': crops / (last - first),
        'crops_per_cpu_s': crops / (last_cpu - first_cpu),
        'rss_mb': max(
            resource.getrusage(who).ru_maxrss
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        / 1024,
    }


def measure(source: Path, options: argparse.Namespace, in_memory: bool = False) -> dict[str, Any]:
    """Train in a fresh process."""
    command = [sys.executable, __file__, '--child', str(source), '--steps', str(options.steps)]
    command += ['--workers', str(options.workers)] + ['--in-memory'] * in_memory
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    """Run the benchmark, or one training of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--pairs', type=int, default=20_000)
    parser.add_argument('--distinct', type=int, default=0, help='pairs on disk (0: all)')
    parser.add_argument('--steps', type=int, default=30)
    parser.add_argument('--rounds', type=int, default=3, help='of the comparison in turns')
    parser.add_argument('--workers', type=int, default=0, help='loader processes')
    parser.add_argument('--folder', type=Path, help='where packs are written for the while')
    parser.add_argument('--child', help=argparse.SUPPRESS)
    parser.add_argument('--in-memory', action='store_true', help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(train(options.child, options.steps, options.workers, options.in_memory)))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as text:
        folder, distinct = Path(text), options.distinct or options.pairs
        few = make_pack(folder / 'few', FEW, FEW)
        many = make_pack(folder / 'many', options.pairs, distinct)
        for count, pack in ((FEW, few), (options.pairs, many)):
            found = measure(pack, options)
            print(
                f'{count} pairs: first step after {found["first_step_s"]:.1f} s '
                f'({found["first_step_cpu_s"]:.1f} s of processor time), '
                f'{found["rss_mb"]:.0f} MB'
            )
        ratios: dict[str, list[float]] = {'crops_per_s': [], 'crops_per_cpu_s': []}
        for _ in range(options.rounds):
            disk, memory = measure(few, options), measure(few, options, in_memory=True)
            for key, values in ratios.items():
                values.append(disk[key] / memory[key])
            print(
                f'from disk {disk["crops_per_s"]:.2f} crops/s, {disk["rss_mb"]:.0f} MB; from ',
                end='',
            )
            print(f'memory {memory["crops_per_s"]:.2f} crops/s, {memory["rss_mb"]:.0f} MB')
        for key, values in ratios.items() if options.rounds else ():
            print(f'{key}, from disk relative to memory: {np.median(values):.3f}')


if __name__ == '__main__':
    main()
