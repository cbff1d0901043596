"""Parts of the command line that several commands of `mafs-eval` share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TypeAlias

from mafs_model.command_line import add_talk_options

QUIET = 'no progress bar'
Commands: TypeAlias = 'argparse._SubParsersAction[argparse.ArgumentParser]'


def add_command(
    commands: Commands,
    name: str,
    text: str,
    *,
    jobs: bool = True,
    html: bool = True,
    json: bool = True,
) -> argparse.ArgumentParser:
    """Add a command with the options that all have."""
    parser = commands.add_parser(name, help=text, description=text)
    if json:
        parser.add_argument('--json', type=Path, metavar='FILE', help='write all values as JSON')
    if html:
        parser.add_argument(
            '--html',
            type=Path,
            metavar='FILE',
            help='write a report: one file that opens without a network',
        )
    add_talk_options(parser, quiet=QUIET)
    if jobs:
        parser.add_argument(
            '--jobs', type=positive, metavar='N', help='processes (default: one per usable core)'
        )
    return parser


def add_groups(parser: argparse.ArgumentParser) -> None:
    """Add --group."""
    parser.add_argument(
        '--group',
        action='append',
        default=[],
        metavar='NAME=PATTERN',
        help="also show means of the names that match, e.g. --group 'night=*N' (default: day "
        'and night where all names are MSRS frames such as 00123D)',
    )


def add_boxes(parser: argparse.ArgumentParser, *, required: bool = False, text: str) -> None:
    """Add --boxes and how its files are read; `text` says what the boxes are for."""
    parser.add_argument('--boxes', type=Path, required=required, metavar='DIR', help=text)
    parser.add_argument(
        '--min-score',
        type=unit,
        metavar='S',
        help="leave out a detector's boxes with a lower score (default: take all)",
    )
    parser.add_argument(
        '--box-classes',
        nargs='+',
        metavar='NAME',
        help='names of the ids 0, 1, ... in the box files (default: person bike car)',
    )


def add_goals(parser: argparse.ArgumentParser) -> None:
    """Add --goals."""
    parser.add_argument(
        '--goals',
        type=Path,
        metavar='FILE',
        help='YAML file of scores to reach; says of each whether it is',
    )


def add_weights(parser: argparse.ArgumentParser, *, classical: bool = True) -> None:
    """Add --weights; `classical`: the fusion without a network will do as well."""
    names = (
        "weights file, 'default' (shipped) or 'classical'"
        if classical
        else ("weights file or 'default' (shipped)")
    )
    parser.add_argument(
        '--weights', default='default', metavar='FILE', help=f'{names} (default: %(default)s)'
    )


def add_split(parser: argparse.ArgumentParser) -> None:
    """Add --split."""
    parser.add_argument('--split', default='val', help='folder below ROOT (default: %(default)s)')


def add_limit(parser: argparse.ArgumentParser) -> None:
    """Add --limit of a data set."""
    parser.add_argument('--limit', type=positive, metavar='N', help='use N pairs, evenly spread')


def add_data(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """Add what names a data set, or several of one class table, but its split."""
    parser.add_argument(
        '--data',
        type=Path,
        required=True,
        nargs='+' if several else None,
        metavar='ROOT',
        help='root of the data set: folders ir/ and vi/, or one for each split',
    )
    parser.add_argument(
        '--dataset',
        default='msrs',
        metavar='NAME|FILE',
        help='class table of its labels (default: %(default)s)',
    )
    parser.add_argument(
        '--label-dir',
        metavar='NAME',
        help='folder of label images below the split (default: the first of '
        'Segmentation_labels, label, labels, Label, label_silver that is there)',
    )


def add_topics(parser: argparse.ArgumentParser) -> None:
    """Add the topics of a bag."""
    for option, what in (('--rgb-topic', 'visible'), ('--thermal-topic', 'thermal')):
        parser.add_argument(
            option,
            metavar='TOPIC',
            help=f'{what} images of a bag (default: the only topic that fits)',
        )


def add_runtime(parser: argparse.ArgumentParser) -> None:
    """Add what chooses device, backend and threads."""
    add_device(parser)
    parser.add_argument('--backend', default='auto', help='runtime (default: %(default)s)')
    parser.add_argument('--precision', default='auto', help='default: %(default)s')


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add what chooses device and threads."""
    parser.add_argument(
        '--device', default='auto', help='auto, cpu, cuda, cuda:N (default: %(default)s)'
    )
    parser.add_argument(
        '--threads',
        type=positive,
        metavar='N',
        help="CPU threads (default: the libraries' choice)",
    )


def positive(text: str) -> int:
    """Parse a whole number from 1."""
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f'expected a whole number from 1, got {text!r}')
    return value


def seconds(text: str) -> float:
    """Parse a number of seconds from 0 to 10."""
    return bounded(text, 0.0, 10.0, 'a number of seconds from 0 to 10')


def share(text: str) -> float:
    """Parse a share from 0 to 0.999."""
    return bounded(text, 0.0, 0.999, 'a number from 0 to 0.999')


def unit(text: str) -> float:
    """Parse a number from 0 to 1."""
    return bounded(text, 0.0, 1.0, 'a number from 0 to 1')


def rate(text: str) -> float:
    """Parse frames per second."""
    return bounded(text, 0.1, 240.0, 'a number of frames per second from 0.1 to 240')


def offset(text: str) -> float | str:
    """Parse auto or a number of seconds from -10 to 10."""
    return (
        text
        if text == 'auto'
        else bounded(text, -10.0, 10.0, 'auto or a number of seconds from -10 to 10')
    )


def level(text: str) -> float:
    """Parse the coverage of an interval."""
    return bounded(text, 0.5, 0.9999, 'a number from 0.5 to 0.9999')


def bounded(text: str, low: float, high: float, expected: str) -> float:
    """Parse a number in a range."""
    try:
        value = float(text)
    except ValueError:
        value = float('nan')
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f'expected {expected}, got {text!r}')
    return value
