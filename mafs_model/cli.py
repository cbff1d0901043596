"""The command ``mafs``: fuse files, list classes and variants, convert and export weights."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
import json
from pathlib import Path
import sys

from mafs_model.command_line import (
    add_common_options,
    complete,
    completing,
    EXIT_OK,
    EXIT_PARTIAL,
    OneLineParser,
    parse,
    quiet_start,
    run,
)
from mafs_model.errors import ConfigError
from mafs_model.version import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command line.

    Args:
        argv: arguments without the program name; None for those of the process.

    Returns:
        0 success, 1 some inputs failed, 2 wrong usage or settings, 130 interrupted.

    """
    with quiet_start('mafs'):
        words = sys.argv[1:] if argv is None else argv
        parser = build_parser(None if completing() else words)
        complete(parser)
        arguments = parse(parser, argv)
    return run(
        f'mafs {arguments.command}', lambda: arguments.run(arguments), verbose=arguments.verbose
    )


def build_parser(words: Collection[str] | None = None) -> argparse.ArgumentParser:
    """
    Return the parser of all subcommands.

    Args:
        words: the command line; only subcommands among them get their options, as the libraries
            that some options name take longer to import than others need to run. None: all.

    """
    parser = OneLineParser(
        prog='mafs', description='Fusion of thermal and visible images with semantic labels.'
    )
    parser.add_argument('--version', action='version', version=f'mafs {__version__}')
    add_common_options(parser)
    commands = parser.add_subparsers(
        dest='command', required=True, metavar='COMMAND', parser_class=OneLineParser
    )
    for name, command in COMMANDS.items():
        sub = commands.add_parser(name, help=command.help, description=command.description)
        if words is None or name in words:
            command.add_options(sub)
            add_common_options(sub)
            sub.set_defaults(run=command.run)
    return parser


def _fuse_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``mafs fuse``."""
    from mafs_model.pair_options import add_pair_options
    from mafs_model.types import PICTURES

    results = parser.add_argument_group('results')
    results.add_argument(
        '--out',
        metavar='DIR|FILE',
        help='folder, picture (result.png) or video (result.mp4)',
    )
    results.add_argument(
        '--show',
        action='store_true',
        help='show the results in a window, with or without --out; q ends it',
    )
    results.add_argument(
        '--picture',
        choices=PICTURES,
        metavar='NAME',
        help=f'what a picture, video or window shows: {", ".join(PICTURES)} (default: fused, in '
        'a window panels)',
    )
    results.add_argument('--rate', type=float, metavar='HZ', help='pictures per second of a video')
    results.add_argument('--overwrite', action='store_true', help='replace results that are there')
    add_pair_options(parser)


def _view_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``mafs view``."""
    from mafs_model.defaults import VIEW_HOST, VIEW_PORT
    from mafs_model.pair_options import add_pair_options

    page = parser.add_argument_group('page')
    page.add_argument(
        '--host',
        default=VIEW_HOST,
        metavar='ADDRESS',
        help=f'address to listen on (default: {VIEW_HOST}, this computer only; others see what '
        'the cameras see)',
    )
    page.add_argument(
        '--port',
        type=int,
        default=VIEW_PORT,
        metavar='N',
        help=f'port (default: {VIEW_PORT}; 0: any)',
    )
    page.add_argument('--open', action='store_true', help='open the page in the browser')
    add_pair_options(parser)


def _info_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``mafs info``."""


def _classes_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``mafs classes``."""
    parser.add_argument(
        'table',
        nargs='?',
        metavar='NAME|FILE',
        help='data set or YAML file (default: the names of all)',
    )


def _convert_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``mafs convert``."""
    parser.add_argument('source', metavar='CKPT', help='Lightning checkpoint')
    parser.add_argument('target', metavar='FILE', help='.safetensors file to write')
    parser.add_argument(
        '--prefix',
        default='network.',
        help="begin of the network's tensor names (default: network.)",
    )


def _export_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``mafs export``."""
    parser.add_argument(
        '--format', required=True, choices=('onnx', 'openvino', 'tensorrt'), help='kind of files'
    )
    parser.add_argument(
        '--weights',
        metavar='FILE',
        default='default',
        help='.safetensors file (default: the shipped one)',
    )
    parser.add_argument('--out', metavar='DIR', help='folder (default: that of the weights)')
    parser.add_argument(
        '--size',
        metavar='WxH',
        help='graphs for one image size only (default: any size; tensorrt: 640x480); with '
        '--int8 also the size of calibration (default: 640x480)',
    )
    parser.add_argument(
        '--modes',
        nargs='+',
        default=['fusion', 'visible_only', 'thermal_only'],
        choices=('fusion', 'visible_only', 'thermal_only'),
        metavar='MODE',
        help='fusion, visible_only, thermal_only (default: all)',
    )
    parser.add_argument(
        '--precision',
        choices=('fp32', 'fp16'),
        help='number format without --int8 (default: fp32; tensorrt: fp16)',
    )
    parser.add_argument('--int8', action='store_true', help='quantise; needs --calib')
    parser.add_argument('--calib', metavar='DIR', help='folder with vi/ and ir/ of real pairs')


def _run_fuse(arguments: argparse.Namespace) -> int:
    """Fuse; returns 1 if some pairs were left out."""
    with quiet_start('mafs fuse'):
        from mafs_model.fuse import fuse

    report = fuse(arguments)
    if arguments.json:
        print(json.dumps(report.to_dict(), indent=2))
    elif not arguments.quiet:
        print(report.summary())
    for line in report.notices:
        print(line, file=sys.stderr)
    if report.left_out:
        print(f'{len(report.left_out)} left out:', file=sys.stderr)
        for line in report.left_out:
            print(f'  {line}', file=sys.stderr)
    elif not report.pairs:
        print('no image files found', file=sys.stderr)
    return EXIT_PARTIAL if report.left_out or not report.pairs else EXIT_OK


def _run_view(arguments: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    with quiet_start('mafs view'):
        from mafs_model.view.command import view

    view(arguments, say=lambda text: print(text, flush=True))
    return EXIT_OK


def _run_info(arguments: argparse.Namespace) -> int:
    """Print the variants."""
    from mafs_model.info import model_info

    rows = model_info()
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return EXIT_OK
    print(f'{"variant":10} {"parameters":>12} {"GFLOPs":>8} {"GMACs":>8}   at 640x480')
    for row in rows:
        print(
            f'{row["name"]:10} {row["params_m"]:10.2f} M {row["gflops"]:8.2f} {row["gmacs"]:8.2f}'
        )
    return EXIT_OK


def _run_classes(arguments: argparse.Namespace) -> int:
    """Print a class table or the names of all."""
    from mafs_model.classes import available, ClassTable

    if arguments.table is None:
        tables = {name: ClassTable.load(name) for name in available()}
        if arguments.json:
            print(json.dumps({name: t.to_dict() for name, t in tables.items()}, indent=2))
        else:
            for name, t in tables.items():
                print(f'{name:8} {len(t):3} classes: {", ".join(t.names)}')
        return EXIT_OK
    table = ClassTable.load(arguments.table)
    if arguments.json:
        print(json.dumps(table.to_dict(), indent=2))
        return EXIT_OK
    print(f'{table.dataset}: {len(table)} classes, ignored label {table.ignore_index}')
    for entry in table.classes:
        print(
            f'{entry.id:4}  #{entry.color[0]:02x}{entry.color[1]:02x}{entry.color[2]:02x}  '
            f'{entry.name}'
        )
    return EXIT_OK


def _run_export(arguments: argparse.Namespace) -> int:
    """Export graphs and report how they compare with torch."""
    from mafs_model.checkpoint import load_checkpoint
    from mafs_model.images.preprocessing import parse_size
    from mafs_model.runtime.export import check_format
    from mafs_model.runtime.export_files import export_files, load_calibration
    from mafs_model.runtime.factory import find_weights

    if arguments.int8 != (arguments.calib is not None):
        raise ConfigError('--int8 and --calib: expected both or neither')
    if arguments.int8 and arguments.precision:
        raise ConfigError(f'--int8 and --precision {arguments.precision}: expected one of them')
    size = parse_size(arguments.size) if arguments.size else None
    if arguments.format == 'tensorrt':
        from mafs_model.runtime import tensorrt_plan

        tensorrt_plan.import_tensorrt()
        tensorrt_plan.building_device()
        size = size or (480, 640)
    default = 'fp16' if arguments.format == 'tensorrt' else 'fp32'
    precision = 'int8' if arguments.int8 else arguments.precision or default
    check_format(arguments.format, precision, size)
    weights = find_weights(arguments.weights)
    checkpoint = load_checkpoint(weights)
    pairs = None
    if arguments.int8:
        pairs = load_calibration(Path(arguments.calib).expanduser(), size or (480, 640))
    target = weights if arguments.out is None else Path(arguments.out) / weights.name
    files = export_files(
        checkpoint,
        target,
        arguments.format,
        modes=arguments.modes,
        size=size,
        calibration=pairs,
        precision=precision,
        progress=lambda text: print(text, file=sys.stderr),
    )
    for file in files:
        verdict = 'ok' if file.passed else 'OUTSIDE THE TOLERANCE'
        print(f'{file.path}  {file.size_mb:.1f} MB  {verdict}: {file.agreement}')
    return EXIT_OK if all(file.passed for file in files) else EXIT_PARTIAL


def _run_convert(arguments: argparse.Namespace) -> int:
    """Convert a checkpoint."""
    from mafs_model.checkpoint import convert_lightning

    checksum = convert_lightning(arguments.source, arguments.target, prefix=arguments.prefix)
    print(f'{arguments.target}  sha256 {checksum}')
    return EXIT_OK


@dataclass(frozen=True)
class Command:
    """
    One subcommand.

    Attributes:
        help: a few words for the list of commands.
        description: what it does, for its own help.
        add_options: adds its options to its parser.
        run: does its work and returns the exit code.

    """

    help: str
    description: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def _cache_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``mafs cache``."""
    parser.add_argument('--clear', action='store_true', help='remove what is in it')


def _run_cache(arguments: argparse.Namespace) -> int:
    """Show or clear the cache."""
    from mafs_model.runtime import cache

    folder = cache.cache_folder()
    if folder is None:
        raise ConfigError(
            f'{cache.CACHE_VARIABLE} names no folder that can be used: nothing is kept'
        )
    found = cache.clear(folder) if arguments.clear else cache.state(folder)
    what = 'removed' if arguments.clear else f'of at most {cache.limit_bytes() / 1e6:.0f} MB'
    print(f'{folder}: {found.files} files, {found.size_mb:.1f} MB {what}')
    return EXIT_OK


COMMANDS = {
    'fuse': Command(
        'fuse images, folders, videos, webcams and streams',
        'Fuse pairs of a visible and a thermal camera; one camera alone works, too. '
        'docs/fuse.md lists what can be given. A folder as --out gets fused, label, colour and '
        'overlay PNGs; the name of a picture or a video gets one picture of each pair.',
        _fuse_options,
        _run_fuse,
    ),
    'view': Command(
        'look at thermal, visible, fused image and labels in a browser',
        'Serve a page on this computer that shows the pairs of files, videos, webcams or streams, '
        'with sliders for what can be changed while they run. Ctrl-C ends it.',
        _view_options,
        _run_view,
    ),
    'info': Command(
        'list the network variants',
        'Parameters and operations of each variant.',
        _info_options,
        _run_info,
    ),
    'classes': Command(
        'show a class table or check a YAML file',
        'Show ids, names and colours of a class table.',
        _classes_options,
        _run_classes,
    ),
    'convert': Command(
        'convert a Lightning checkpoint to a weights file',
        'Write the network of a Lightning .ckpt as .safetensors with its metadata.',
        _convert_options,
        _run_convert,
    ),
    'cache': Command(
        'show or clear the cache of compiled networks',
        'Show what lies in the folder that MAFS_CACHE_DIR names: graphs and compiled networks, '
        'made again when they are needed. MAFS_CACHE_LIMIT_MB bounds it.',
        _cache_options,
        _run_cache,
    ),
    'export': Command(
        'export weights for onnxruntime, OpenVINO or TensorRT',
        'Write graphs that take and give bytes, one per set of cameras, beside the '
        'weights, where node and commands find them. Each is compared with torch at once; exit '
        'code 1 if one is outside the tolerance.',
        _export_options,
        _run_export,
    ),
}


if __name__ == '__main__':
    sys.exit(main())
