"""
Time other networks in turns with ours, on the same machine, threads and image size.

    python -m benchmarks.peers --threads 2
    python -m benchmarks.peers --against theirs.onnx --threads 1 --clock cpu

Ours is timed from bytes to bytes: two uint8 images in, fused image, labels and confidence out. The
others start from prepared float32 tensors and stop at scores or luminance, which favours them. The
stand-ins (`benchmarks/peers/networks.py`) have the layers of the published networks and random
weights, and run in the same engine as ours, in fp32. ONNX files run in ONNX Runtime.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import ExitStack
import json
from pathlib import Path
import sys
from typing import Any

from benchmarks.bench import references
from benchmarks.network_speed import build_runners, CLOCKS, measure, summarise
from benchmarks.peers.files import load_onnx
from benchmarks.peers.networks import PEERS
from mafs_model.errors import MafsError
import numpy as np
import torch

OURS = ('openvino', 'openvino-int8')


def stand_in(name: str, size: tuple[int, int], threads: int) -> Callable[[], Any]:
    """Return a call of one of ``PEERS`` on random images, by OpenVINO in fp32."""
    import openvino

    build, channels = PEERS[name]
    torch.manual_seed(0)
    images = [torch.rand(1, depth, *size) for depth in channels]
    model = openvino.convert_model(build().eval(), example_input=tuple(images))
    model.reshape(dict(zip(model.inputs, [list(image.shape) for image in images], strict=True)))
    settings = {'INFERENCE_NUM_THREADS': threads, 'INFERENCE_PRECISION_HINT': 'f32'}
    request = openvino.Core().compile_model(model, 'CPU', settings).create_infer_request()
    arrays = [image.numpy() for image in images]
    return lambda: request.infer(arrays)


def compare(rows: list[dict[str, Any]], ours: str) -> list[dict[str, Any]]:
    """Add to every row how many times as long as ours it takes."""
    own = next(row['median_ms'] for row in rows if row['backend'] == ours)
    return [{**row, 'times_ours': round(row['median_ms'] / own, 2)} for row in rows]


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.peers', description=__doc__.split('\n\n')[0].strip()
    )
    parser.add_argument(
        '--against',
        type=Path,
        nargs='+',
        default=[],
        metavar='FILE.onnx',
        help='time these, and not the stand-ins',
    )
    parser.add_argument('--variant', default='mafs_t', help='ours (default mafs_t)')
    parser.add_argument(
        '--size', type=int, nargs=2, default=(480, 640), metavar=('HEIGHT', 'WIDTH')
    )
    parser.add_argument('--threads', type=int, default=2, help='CPU threads (default 2)')
    parser.add_argument('--rounds', type=int, default=6, help='turns (default 6)')
    parser.add_argument('--block', type=int, default=3, help='counted calls a turn (default 3)')
    parser.add_argument('--clock', choices=tuple(CLOCKS), default='wall')
    parser.add_argument('--json', type=Path, default=None, help='file for the results')
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Time, print a table and, if asked, write JSON."""
    options = parse_arguments(arguments)
    size, threads = (options.size[0], options.size[1]), options.threads
    torch.set_num_threads(threads)
    random = np.random.default_rng(0)
    images = (
        random.integers(0, 256, (1, *size, 3), dtype=np.uint8),
        random.integers(0, 256, (1, *size), dtype=np.uint8),
    )
    try:
        with torch.inference_mode(), ExitStack() as stack:
            # Files first: what is wrong with one should not wait for our own compilation.
            others = {str(path): load_onnx(path, size, threads) for path in options.against}
            if not others:
                others = {name: stand_in(name, size, threads) for name in PEERS}
            runners = {
                'matmul': references.matmul('cpu').run,
                **build_runners(OURS, options.variant, images, threads, stack),
                **others,
            }
            times = measure(runners, options.rounds, options.block, options.clock)
            rows = compare(summarise(times), OURS[0])
    except MafsError as error:
        print(f'peers: {error}', file=sys.stderr)
        return 2
    print(
        f'{options.variant} and others, {size[1]}x{size[0]}, {threads} threads, '
        f'{options.clock} time; unit: fp32 matmul {references.MATMUL_SIDE}^3'
    )
    print(f'{"network":34} {"median ms":>10} {"p99 ms":>9} {"units":>7} {"x ours":>7}')
    for row in rows:
        print(
            f'{row["backend"][-34:]:34} {row["median_ms"]:10.1f} {row["p99_ms"]:9.1f} '
            f'{row["units"]:7.2f} {row["times_ours"]:7.2f}'
        )
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({'rows': rows}, indent=2) + '\n', encoding='utf-8')
    return 0


if __name__ == '__main__':
    sys.exit(main())
