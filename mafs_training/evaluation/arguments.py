"""The arguments of `mafs-eval`; importing this imports nothing heavy."""

from __future__ import annotations

import argparse
from pathlib import Path

from mafs_model.version import __version__
from mafs_training.evaluation.argument_models import (
    add_agree,
    add_bag,
    add_calibrate,
    add_card,
    add_flicker,
    add_model,
    add_panels,
)
from mafs_training.evaluation.argument_parts import (
    add_command,
    add_groups,
    add_runtime,
    Commands,
    level,
)

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
    add_model(commands)
    add_bag(commands)
    add_flicker(commands)
    add_calibrate(commands)
    add_panels(commands)
    add_agree(commands)
    add_card(commands)
    _add_compare(commands)
    return parser


def _add_fusion(commands: Commands) -> None:
    parser = add_command(commands, 'fusion', 'Measure folders of fused images and the baselines.')
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
        '--weights',
        metavar='FILE',
        help="also measure what these weights make of the pairs: a file, 'default' or 'classical'",
    )
    parser.add_argument(
        '--save', type=Path, metavar='DIR', help='keep the images of --weights in this folder'
    )
    parser.add_argument(
        '--reference',
        type=Path,
        metavar='FILE',
        help='also show rows measured elsewhere: JSON with methods (and splits), or of mafs-eval',
    )
    parser.add_argument(
        '--reference-method',
        nargs='+',
        default=[],
        metavar='NAME',
        help='rows of --reference to show (default: all)',
    )
    parser.add_argument(
        '--reference-split',
        metavar='NAME',
        help='split of --reference (default: the folder that holds --vi)',
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
    add_groups(parser)
    add_runtime(parser)


def _add_seg(commands: Commands) -> None:
    parser = add_command(commands, 'seg', 'Measure label images against reference labels.')
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
    add_groups(parser)


def _add_compare(commands: Commands) -> None:
    parser = add_command(
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
        type=level,
        default=0.95,
        metavar='P',
        help='coverage of the intervals (default: %(default)s)',
    )
