"""The arguments of `mafs-eval`; importing this imports nothing heavy."""

from __future__ import annotations

import argparse
from pathlib import Path

from mafs_model.version import __version__

DESCRIPTION = 'Measure fused images, label images, models and bags the way the field does.'
EPILOG = """\
exit codes: 0 all was measured; 2 bad input (one line on stderr each; what could be read is
measured and written all the same); 130 interrupted.
Metrics: docs/metrics.md. Commands, JSON schema and reports: docs/evaluation.md.
"""


def build_parser() -> argparse.ArgumentParser:
    """Describe the whole command line."""
    parser = argparse.ArgumentParser(
        prog='mafs-eval',
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--version', action='version', version=f'mafs-eval {__version__}')
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    _add_fusion(commands)
    _add_seg(commands)
    _add_model(commands)
    _add_bag(commands)
    _add_compare(commands)
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    *,
    jobs: bool = True,
) -> argparse.ArgumentParser:
    """Add a command with the options that all have."""
    parser = commands.add_parser(name, help=text, description=text)
    parser.add_argument('--json', type=Path, metavar='FILE', help='write all values as JSON')
    parser.add_argument(
        '--html',
        type=Path,
        metavar='FILE',
        help='write a report: one file that opens without a network',
    )
    parser.add_argument('--quiet', action='store_true', help='no progress bar')
    if jobs:
        parser.add_argument(
            '--jobs', type=_positive, metavar='N', help='processes (default: one per usable core)'
        )
    return parser


def _add_groups(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--group',
        action='append',
        default=[],
        metavar='NAME=PATTERN',
        help="also show means of the names that match, e.g. --group 'night=*N' (default: day "
        'and night where all names are MSRS frames such as 00123D)',
    )


def _add_fusion(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(commands, 'fusion', 'Measure folders of fused images and the baselines.')
    parser.add_argument(
        '--ir', type=Path, required=True, metavar='DIR', help='thermal images, 8-bit grey'
    )
    parser.add_argument(
        '--vi', type=Path, required=True, metavar='DIR', help='visible images, 8-bit'
    )
    parser.add_argument(
        '--fused',
        nargs='+',
        action='extend',
        default=[],
        metavar='[NAME=]DIR',
        help='fused images of one or more methods (default: baselines only)',
    )
    parser.add_argument(
        '--labels',
        type=Path,
        metavar='DIR',
        help='label images, shown beside best and worst pairs of the report',
    )
    parser.add_argument(
        '--classes',
        default='msrs',
        metavar='NAME|FILE',
        help='class table of --labels (default: %(default)s)',
    )
    parser.add_argument(
        '--common',
        action='store_true',
        help='measure only pairs for which every method has an image',
    )
    parser.add_argument(
        '--variants',
        action='store_true',
        help="add Qabf_XP and MI_bits, the papers' own conventions",
    )
    parser.add_argument(
        '--rank',
        default='Qabf',
        metavar='METRIC',
        help='metric that picks best and worst pairs (default: %(default)s)',
    )
    _add_groups(parser)


def _add_seg(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(commands, 'seg', 'Measure label images against reference labels.')
    parser.add_argument(
        '--pred', type=Path, required=True, metavar='DIR', help='predicted class ids'
    )
    parser.add_argument(
        '--label', type=Path, required=True, metavar='DIR', help='reference class ids'
    )
    parser.add_argument(
        '--classes',
        required=True,
        metavar='NAME|FILE',
        help='class table: mfnet, msrs, fmb, pst900 or a YAML file',
    )
    parser.add_argument(
        '--confidence',
        type=Path,
        metavar='DIR',
        help='8-bit confidence images, for the calibration error',
    )
    parser.add_argument(
        '--vi', type=Path, metavar='DIR', help='visible images, shown in the report'
    )
    parser.add_argument(
        '--ir', type=Path, metavar='DIR', help='thermal images, shown in the report'
    )
    _add_groups(parser)


def _add_model(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(
        commands, 'model', 'Measure weights on a data set: fusion, labels, speed and robustness.'
    )
    parser.add_argument(
        '--weights',
        default='default',
        metavar='FILE',
        help="weights file, 'default' (shipped) or 'classical' (default: %(default)s)",
    )
    parser.add_argument(
        '--data',
        type=Path,
        required=True,
        metavar='ROOT',
        help='root of the data set: folders ir/ and vi/, or one for each split',
    )
    parser.add_argument(
        '--dataset',
        default='msrs',
        metavar='NAME|FILE',
        help='class table of its labels (default: %(default)s)',
    )
    parser.add_argument('--split', default='val', help='folder below ROOT (default: %(default)s)')
    parser.add_argument(
        '--label-dir',
        metavar='NAME',
        help='folder of label images below the '
        'split (default: the first of label, Segmentation_labels, labels, '
        'label_silver that is there)',
    )
    parser.add_argument('--limit', type=_positive, metavar='N', help='use N pairs, evenly spread')
    parser.add_argument(
        '--robustness',
        choices=('full', 'quick', 'off'),
        default='full',
        help='curves over disturbances: all steps, three steps, none (default: %(default)s)',
    )
    parser.add_argument(
        '--save',
        type=Path,
        metavar='DIR',
        help='write fused/, labels/ and confidence/ images here',
    )
    _add_runtime(parser)
    _add_groups(parser)


def _add_bag(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(commands, 'bag', 'Fuse a rosbag2 recording offline and measure the result.')
    parser.add_argument('bag', type=Path, metavar='BAG', help='folder, .mcap or .db3 file')
    parser.add_argument(
        '--rgb-topic', metavar='TOPIC', help='visible images (default: the only topic that fits)'
    )
    parser.add_argument(
        '--thermal-topic',
        metavar='TOPIC',
        help='thermal images (default: the only topic that fits)',
    )
    parser.add_argument(
        '--labels',
        type=Path,
        metavar='DIR',
        help='reference class ids, named by the stamp of the visible image in nanoseconds',
    )
    parser.add_argument(
        '--out-bag', type=Path, metavar='OUT.mcap', help='write fused, label and overlay images'
    )
    parser.add_argument(
        '--weights',
        default='default',
        metavar='FILE',
        help="weights file, 'default' or 'classical' (default: %(default)s)",
    )
    parser.add_argument(
        '--slop',
        type=_seconds,
        default=0.03,
        metavar='S',
        help='largest stamp difference of a pair in seconds (default: %(default)s)',
    )
    parser.add_argument(
        '--queue-size',
        type=_positive,
        default=30,
        metavar='N',
        help='frames a stream may wait for partners (default: %(default)s)',
    )
    parser.add_argument(
        '--time-offset',
        type=_offset,
        default=0.0,
        metavar='S|auto',
        help='seconds added to thermal stamps, or auto (default: %(default)s)',
    )
    parser.add_argument(
        '--thermal-scaling',
        default='percentile',
        choices=('percentile', 'minmax', 'clahe'),
        help='of 16- and 32-bit thermal images (default: %(default)s)',
    )
    parser.add_argument(
        '--thermal-smoothing',
        type=_share,
        default=0.9,
        metavar='P',
        help='weight of the past in the scaling limits (default: %(default)s)',
    )
    parser.add_argument(
        '--homography',
        type=Path,
        metavar='FILE',
        help='YAML file with the map from thermal to visible pixels',
    )
    parser.add_argument(
        '--metrics-every',
        type=_positive,
        default=30,
        metavar='N',
        help='measure every Nth pair (default: %(default)s)',
    )
    parser.add_argument('--limit', type=_positive, metavar='N', help='stop after N pairs')
    parser.add_argument(
        '--live',
        action='store_true',
        help='also play the bag to the node over DDS and compare its outputs '
        'with the offline ones (needs a ROS 2 environment)',
    )
    _add_runtime(parser)


def _add_runtime(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--device', default='auto', help='auto, cpu, cuda, cuda:N (default: %(default)s)'
    )
    parser.add_argument('--backend', default='auto', help='runtime (default: %(default)s)')
    parser.add_argument('--precision', default='auto', help='default: %(default)s')
    parser.add_argument(
        '--threads',
        type=_positive,
        metavar='N',
        help="CPU threads (default: the libraries' choice)",
    )


def _add_compare(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(
        commands,
        'compare',
        jobs=False,
        text=(
            'Compare two JSON results over the images they share: differences B - A with paired '
            'bootstrap intervals.'
        ),
    )
    parser.add_argument('first', type=Path, metavar='A.json')
    parser.add_argument('second', type=Path, metavar='B.json')
    parser.add_argument(
        '--method',
        action='append',
        default=[],
        metavar='NAME|A=B',
        help='method to compare; A=B compares A of the first file with B of the '
        'second (default: all of the same name)',
    )
    parser.add_argument(
        '--level',
        type=_level,
        default=0.95,
        metavar='P',
        help='coverage of the intervals (default: %(default)s)',
    )


def _positive(text: str) -> int:
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f'expected a whole number from 1, got {text!r}')
    return value


def _seconds(text: str) -> float:
    return _number(text, 0.0, 10.0, 'a number of seconds from 0 to 10')


def _share(text: str) -> float:
    return _number(text, 0.0, 0.999, 'a number from 0 to 0.999')


def _offset(text: str) -> float | str:
    return (
        text
        if text == 'auto'
        else _number(text, -10.0, 10.0, 'auto or a number of seconds from -10 to 10')
    )


def _level(text: str) -> float:
    return _number(text, 0.5, 0.9999, 'a number from 0.5 to 0.9999')


def _number(text: str, low: float, high: float, expected: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float('nan')
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f'expected {expected}, got {text!r}')
    return value
