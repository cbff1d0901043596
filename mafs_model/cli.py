"""The command ``mafs``: fuse files, list classes and variants, convert and export weights."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import json
import logging
import os
from pathlib import Path
import sys
from typing import NoReturn

from mafs_model.errors import ConfigError, MafsError
from mafs_model.version import __version__

EXIT_OK, EXIT_PARTIAL, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130
_DEVICE_HELP = 'auto, cpu, cuda or cuda:N (default: auto)'


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line on stderr and exit code 2."""

    def error(self, message: str) -> NoReturn:
        """End with the message."""
        self.exit(EXIT_USAGE, f'{self.prog}: {message} (see {self.prog} --help)\n')


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command line.

    Args:
        argv: arguments without the program name; None for those of the process.

    Returns:
        0 success, 1 some inputs failed, 2 wrong usage or settings, 130 interrupted.

    """
    arguments = build_parser().parse_args(argv)
    logging.basicConfig(
        level=logging.INFO if arguments.verbose else logging.WARNING,
        format='%(levelname)s: %(message)s',
        stream=sys.stderr,
    )
    try:
        return int(arguments.run(arguments))
    except MafsError as error:
        print(f'mafs {arguments.command}: {error}', file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        print(f'mafs {arguments.command}: interrupted', file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has seen enough; keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all subcommands."""
    parser = OneLineParser(
        prog='mafs', description='Fusion of thermal and visible images with semantic labels.'
    )
    parser.add_argument('--version', action='version', version=f'mafs {__version__}')
    parser.add_argument('-v', '--verbose', action='store_true', help='log what is chosen and why')
    commands = parser.add_subparsers(
        dest='command', required=True, metavar='COMMAND', parser_class=OneLineParser
    )
    _add_fuse(commands)
    _add_info(commands)
    _add_classes(commands)
    _add_convert(commands)
    _add_export(commands)
    return parser


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose weights and what computes."""
    from mafs_model.runtime import BACKENDS, PRECISIONS

    parser.add_argument(
        '--weights',
        metavar='FILE',
        help="weights file, 'default' for the shipped ones, 'classical' for "
        'fusion without a network (default: default)',
    )
    parser.add_argument(
        '--classes',
        metavar='NAME|FILE',
        help='class table instead of that of the weights: mfnet, msrs, fmb, pst900 or a YAML file',
    )
    parser.add_argument('--device', default='auto', help=_DEVICE_HELP)
    parser.add_argument(
        '--backend',
        default='auto',
        choices=BACKENDS,
        metavar='NAME',
        help=f'{", ".join(BACKENDS)} (default: auto)',
    )
    parser.add_argument(
        '--precision',
        default='auto',
        choices=PRECISIONS,
        metavar='NAME',
        help=f'{", ".join(PRECISIONS)} (default: auto)',
    )
    parser.add_argument('--threads', type=int, metavar='N', help='CPU threads')


def _add_fuse(commands: argparse._SubParsersAction[OneLineParser]) -> None:
    """Add ``mafs fuse``."""
    from mafs_model.images.thermal import METHODS, UNITS

    parser = commands.add_parser(
        'fuse',
        help='fuse image files or folders',
        description='Fuse two files, or all files of two folders that have the same name. '
        'Writes fused, label and overlay PNGs into folders of these names. One camera alone '
        'works, too.',
    )
    parser.add_argument('--rgb', metavar='FILE|DIR', help='visible image or folder')
    parser.add_argument(
        '--thermal',
        metavar='FILE|DIR',
        help='thermal image or folder; 8 or 16 bit PNG, TIFF, JPEG',
    )
    parser.add_argument('--out', metavar='DIR', required=True, help='folder for the results')
    parser.add_argument(
        '--size',
        metavar='WxH',
        help='size at which the network computes (default: that of the result)',
    )
    parser.add_argument(
        '--output-size',
        metavar='WxH',
        help='size of the results (default: that of the visible image)',
    )
    parser.add_argument(
        '--homography',
        metavar='FILE',
        help='YAML file with the 3x3 map of thermal to visible pixels',
    )
    parser.add_argument(
        '--thermal-scaling',
        default='percentile',
        choices=METHODS,
        metavar='NAME',
        help=f'{", ".join(METHODS)} (default: percentile)',
    )
    parser.add_argument(
        '--thermal-range',
        nargs=2,
        type=float,
        metavar=('LOW', 'HIGH'),
        help='limits of range, or percentiles',
    )
    parser.add_argument(
        '--thermal-unit',
        default='raw',
        choices=UNITS,
        help='unit of --thermal-range for range (default: raw)',
    )
    parser.add_argument(
        '--sequence',
        action='store_true',
        help='the files are frames of one video: smooth the thermal scaling',
    )
    parser.add_argument(
        '--opacity',
        type=float,
        default=0.5,
        help='opacity of the class colours in the overlay (default: 0.5)',
    )
    add_model_options(parser)
    parser.set_defaults(run=_run_fuse)


def _add_info(commands: argparse._SubParsersAction[OneLineParser]) -> None:
    """Add ``mafs info``."""
    parser = commands.add_parser(
        'info',
        help='list the network variants',
        description='Parameters and operations of each variant.',
    )
    parser.add_argument('--json', action='store_true', help='machine-readable')
    parser.set_defaults(run=_run_info)


def _add_classes(commands: argparse._SubParsersAction[OneLineParser]) -> None:
    """Add ``mafs classes``."""
    parser = commands.add_parser(
        'classes',
        help='show a class table or check a YAML file',
        description='Show ids, names and colours of a class table.',
    )
    parser.add_argument(
        'table',
        nargs='?',
        metavar='NAME|FILE',
        help='data set or YAML file (default: the names of all)',
    )
    parser.add_argument('--json', action='store_true', help='machine-readable')
    parser.set_defaults(run=_run_classes)


def _add_convert(commands: argparse._SubParsersAction[OneLineParser]) -> None:
    """Add ``mafs convert``."""
    parser = commands.add_parser(
        'convert',
        help='convert a Lightning checkpoint to a weights file',
        description='Write the network of a Lightning .ckpt as .safetensors with its metadata.',
    )
    parser.add_argument('source', metavar='CKPT', help='Lightning checkpoint')
    parser.add_argument('target', metavar='FILE', help='.safetensors file to write')
    parser.add_argument(
        '--prefix',
        default='network.',
        help="begin of the network's tensor names (default: network.)",
    )
    parser.set_defaults(run=_run_convert)


def _add_export(commands: argparse._SubParsersAction[OneLineParser]) -> None:
    """Add ``mafs export``."""
    parser = commands.add_parser(
        'export',
        help='export weights for onnxruntime, OpenVINO or TensorRT',
        description='Write graphs that take and give bytes, one per set of cameras, beside the '
        'weights, where node and commands find them. Each is compared with torch at once; exit '
        'code 1 if one is outside the tolerance.',
    )
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
    parser.set_defaults(run=_run_export)


def _run_fuse(arguments: argparse.Namespace) -> int:
    """Fuse files; returns 1 if some failed."""
    from mafs_model.fuse_files import fuse_files

    report = fuse_files(arguments)
    print(report.summary)
    if report.problems:
        print(f'{len(report.problems)} left out:', file=sys.stderr)
        for line in report.problems:
            print(f'  {line}', file=sys.stderr)
    elif not report.done:
        print('no image files found', file=sys.stderr)
    return EXIT_PARTIAL if report.problems or not report.done else EXIT_OK


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


if __name__ == '__main__':
    sys.exit(main())
