"""The commands of ``mafs-data``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import asdict
import json
import os
from pathlib import Path
import sys
from typing import TYPE_CHECKING

from mafs_model.command_line import add_common_options, add_thermal_camera, OneLineParser
from mafs_model.version import __version__
from mafs_training.datasets.splits import SPLITS

if TYPE_CHECKING:
    from mafs_training.datasets.reading import RawPair


def build_parser() -> argparse.ArgumentParser:
    """Build the parser; each command carries the function that runs it."""
    parser = OneLineParser(prog='mafs-data', description='Prepare and check data for training.')
    parser.add_argument('--version', action='version', version=f'mafs-data {__version__}')
    add_common_options(parser)
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')

    check = commands.add_parser('check', help='report what is wrong with a data set')
    check.add_argument('root', help='folder, or KIND:PATH?labels=...&split=...')
    check.add_argument(
        '--split', default='all', choices=SPLITS, help='split to examine (default: all)'
    )
    check.add_argument('--classes', default='', help="class table (default: the layout's)")
    check.set_defaults(run=_check)

    bag = commands.add_parser('from-bag', help='write the pairs of a rosbag to folders')
    bag.add_argument('bag', type=Path)
    bag.add_argument('--out', type=Path, required=True)
    bag.add_argument('--visible', default='', help='topic (default: guessed)')
    bag.add_argument('--thermal', default='', help='topic (default: guessed)')
    bag.add_argument(
        '--slop-ms',
        type=float,
        default=20.0,
        help='largest distance of the stamps of a pair (default: %(default)g)',
    )
    bag.add_argument(
        '--thermal-offset-ms', type=float, default=0.0, help='added to thermal stamps (default: 0)'
    )
    add_thermal_camera(bag)
    bag.add_argument('--every', type=int, default=1, help='keep every n-th pair')
    bag.set_defaults(run=_from_bag)

    synthetic = commands.add_parser('synthetic', help='render scenes with exact labels')
    synthetic.add_argument('--out', type=Path, required=True)
    synthetic.add_argument('--count', type=int, default=64, help='pairs (default: 64)')
    synthetic.add_argument('--size', default='640x480', help='WIDTHxHEIGHT (default: 640x480)')
    synthetic.add_argument('--seed', type=int, default=0)
    synthetic.set_defaults(run=_synthetic)

    fuse = commands.add_parser(
        'fuse-labels', help='make training targets from class maps, boxes and heat'
    )
    fuse.add_argument('root', type=Path, help='folder with vi/, ir/, boxes and maps')
    fuse.add_argument('--out', type=Path, required=True, help='folder of the targets')
    fuse.add_argument(
        '--map',
        action='append',
        default=[],
        metavar='FOLDER[=WEIGHT]',
        help='folder of class maps below ROOT and the weight of their votes, the most trusted '
        'first; may be repeated (default weight: 1)',
    )
    fuse.add_argument('--boxes', default='boxes', help='human boxes (default: boxes)')
    fuse.add_argument(
        '--detections', default='teacher_boxes', help="detector's boxes (default: teacher_boxes)"
    )
    fuse.add_argument(
        '--cityscapes',
        default='teacher_cityscapes',
        help='Cityscapes train ids of the visible image (default: teacher_cityscapes)',
    )
    fuse.set_defaults(run=_fuse_labels)

    pack = commands.add_parser(
        'pack', help='put sources on disk as training reads them, for more than memory holds'
    )
    pack.add_argument('sources', nargs='+', help='KIND:PATH?...')
    pack.add_argument('--out', type=Path, required=True, help='folder to make')
    pack.set_defaults(run=_pack)
    for command in (check, bag, synthetic, fuse, pack):
        add_common_options(command)
    return parser


def _tell(arguments: argparse.Namespace, values: Mapping[str, object], text: str) -> None:
    """Print what a command did: its values as JSON, or in words, or not at all."""
    if arguments.json:
        print(json.dumps(values, indent=2, default=str))
    elif not arguments.quiet:
        print(text)


def _check(arguments: argparse.Namespace) -> int:
    from dataclasses import replace

    from mafs_model.classes import ClassTable
    from mafs_model.errors import DatasetError
    from mafs_training.datasets.check import check_source, guess_kind
    from mafs_training.datasets.layouts import LAYOUTS, OTHER_KINDS
    from mafs_training.datasets.spec import parse_source

    text = arguments.root
    if ':' not in text.partition('?')[0]:
        text = f'{guess_kind(Path(text.partition("?")[0]))}:{text}'
    spec = parse_source(text)
    if 'split=' not in text:
        spec = replace(spec, split=arguments.split)
    if spec.kind in OTHER_KINDS:
        raise DatasetError(
            f'{spec.kind}:{spec.path}: expected a folder or KIND:FOLDER; {spec.kind} pairs are '
            'checked when they are read'
        )
    layout = LAYOUTS.get(spec.kind, LAYOUTS['generic'])
    table = ClassTable.load(arguments.classes or layout.classes)
    silent = arguments.quiet or not sys.stderr.isatty()
    report = check_source(spec, tuple(table.names), table.ignore_index, silent)
    if arguments.json or not (arguments.quiet and report.ok):
        print(report.to_json() if arguments.json else report.to_text())
    return 0 if report.ok else 1


def _from_bag(arguments: argparse.Namespace) -> int:
    from mafs_training.datasets.bags import extract_pairs

    result = extract_pairs(
        arguments.bag,
        arguments.out,
        visible=arguments.visible,
        thermal=arguments.thermal,
        slop_ms=arguments.slop_ms,
        thermal_offset_ms=arguments.thermal_offset_ms,
        every=arguments.every,
        camera=arguments.thermal_camera,
    )
    _tell(
        arguments,
        asdict(result),
        f'{result.visible} and {result.thermal}: {result.pairs} pairs, {result.written} '
        f'written, {result.unpaired} images without partner, {result.unusable} unusable',
    )
    return 0


def _synthetic(arguments: argparse.Namespace) -> int:
    from mafs_model.images.image_files import write_png
    from mafs_training.datasets.spec import parse_source
    from mafs_training.datasets.synthetic import render_pairs
    from tqdm import tqdm

    spec = parse_source(f'synthetic:{arguments.count}?size={arguments.size}&seed={arguments.seed}')
    folders = [arguments.out / name for name in ('vi', 'ir', 'label')]
    silent = arguments.quiet or not sys.stderr.isatty()
    for pair in tqdm(render_pairs(spec), disable=silent, unit='pair'):
        for folder, image in zip(folders, (pair.visible, pair.thermal, pair.label), strict=True):
            write_png(folder / f'{pair.name}.png', image)
    _tell(
        arguments,
        {'pairs': arguments.count, 'out': arguments.out},
        f'{arguments.count} pairs in {arguments.out}',
    )
    return 0


def _fuse_labels(arguments: argparse.Namespace) -> int:
    from mafs_model.images.image_files import write_png
    from mafs_training.datasets.fuse_labels import fuse_folder, IGNORE, parse_maps
    import numpy as np

    counts, pairs = np.zeros(256, np.int64), 0
    for name, target in fuse_folder(
        arguments.root,
        parse_maps(arguments.map),
        arguments.boxes,
        arguments.detections,
        arguments.cityscapes,
    ):
        write_png(arguments.out / f'{name}.png', target)
        counts += np.bincount(target.ravel(), minlength=256)
        pairs += 1
    shares = counts / max(1, counts.sum())
    found = ', '.join(f'{i} {100 * shares[i]:.2f} %' for i in range(IGNORE) if counts[i])
    _tell(
        arguments,
        {
            'targets': pairs,
            'out': arguments.out,
            'shares': {str(i): float(shares[i]) for i in range(IGNORE) if counts[i]},
            'ignored': float(shares[IGNORE]),
        },
        f'{pairs} targets in {arguments.out}; pixels of class {found}; ignored '
        f'{100 * shares[IGNORE]:.2f} %',
    )
    return 0


def _pack(arguments: argparse.Namespace) -> int:
    from mafs_training.datasets.packed import write_pack
    from mafs_training.datasets.spec import parse_source
    from mafs_training.datasets.store import iterate_source
    from tqdm import tqdm

    specs = [parse_source(text) for text in arguments.sources]
    labelled = pairs = 0

    def read() -> Iterator[RawPair]:
        nonlocal labelled, pairs
        silent = arguments.quiet or not sys.stderr.isatty()
        for spec in specs:
            with tqdm(desc=spec.path, disable=silent, unit='pair') as bar:
                for pair, bar.total in iterate_source(spec, threads=os.cpu_count() or 1):
                    pairs += 1
                    labelled += pair.labelled
                    bar.update()
                    yield pair

    size_mb = write_pack(arguments.out, read()) / 1e6
    _tell(
        arguments,
        {'pairs': pairs, 'labelled': labelled, 'size_mb': size_mb, 'out': arguments.out},
        f'{pairs} pairs, {labelled} labelled, {size_mb:.1f} MB in {arguments.out}',
    )
    return 0
