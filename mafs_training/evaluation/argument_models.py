"""The arguments of the commands of `mafs-eval` that run a model."""

from __future__ import annotations

import argparse
from pathlib import Path

from mafs_training.evaluation.argument_parts import (
    add_command,
    add_device,
    add_groups,
    add_limit,
    add_runtime,
    add_split,
    add_topics,
    add_weights,
    Commands,
    offset,
    positive,
    rate,
    seconds,
    share,
)


def add_model(commands: Commands) -> None:
    """Add `mafs-eval model`."""
    parser = add_command(
        commands, 'model', 'Measure weights on a data set: fusion, labels, speed and robustness.'
    )
    add_weights(parser)
    add_data(parser)
    add_split(parser)
    parser.add_argument(
        '--labelled', action='store_true', help='leave out pairs without label image'
    )
    add_limit(parser)
    parser.add_argument(
        '--robustness',
        choices=('full', 'quick', 'missing', 'off'),
        default='full',
        help='curves over disturbances: all, three steps of each, only those of a missing camera, '
        'none (default: %(default)s)',
    )
    parser.add_argument(
        '--save',
        type=Path,
        metavar='DIR',
        help='write fused/, labels/ and confidence/ images here',
    )
    add_runtime(parser)
    add_groups(parser)


def add_bag(commands: Commands) -> None:
    """Add `mafs-eval bag`."""
    parser = add_command(
        commands, 'bag', 'Fuse a rosbag2 recording offline and measure the result.'
    )
    parser.add_argument('bag', type=Path, metavar='BAG', help='folder, .mcap or .db3 file')
    add_topics(parser)
    parser.add_argument(
        '--labels',
        type=Path,
        metavar='DIR',
        help='reference class ids, named by the stamp of the visible image in nanoseconds',
    )
    parser.add_argument(
        '--out-bag', type=Path, metavar='OUT.mcap', help='write fused, label and overlay images'
    )
    add_weights(parser)
    parser.add_argument(
        '--slop',
        type=seconds,
        default=0.03,
        metavar='S',
        help='largest stamp difference of a pair in seconds (default: %(default)s)',
    )
    parser.add_argument(
        '--queue-size',
        type=positive,
        default=30,
        metavar='N',
        help='frames a stream may wait for partners (default: %(default)s)',
    )
    parser.add_argument(
        '--time-offset',
        type=offset,
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
        type=share,
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
        type=positive,
        default=30,
        metavar='N',
        help='measure every Nth pair (default: %(default)s)',
    )
    parser.add_argument('--limit', type=positive, metavar='N', help='stop after N pairs')
    parser.add_argument(
        '--live',
        action='store_true',
        help='also play the bag to the node over DDS and compare its outputs '
        'with the offline ones (needs a ROS 2 environment)',
    )
    add_runtime(parser)


def add_flicker(commands: Commands) -> None:
    """Add `mafs-eval flicker`."""
    parser = add_command(
        commands,
        'flicker',
        'Measure the change of fused images from frame to frame against that of the sources.',
        jobs=False,
    )
    parser.add_argument(
        'sequence',
        metavar='SEQUENCE',
        help='folder with vi/ and ir/ in the order of names, bag, or synthetic[:SECONDS]',
    )
    add_weights(parser)
    parser.add_argument(
        '--fused',
        nargs='+',
        action='extend',
        default=[],
        metavar='[NAME=]DIR',
        help='fused images of further methods, named as the frames',
    )
    add_topics(parser)
    parser.add_argument(
        '--rate',
        type=rate,
        default=15.0,
        metavar='HZ',
        help='frames per second of the synthetic drive (default: %(default)s)',
    )
    parser.add_argument('--limit', type=positive, metavar='N', help='stop after N frames')
    add_runtime(parser)


def add_calibrate(commands: Commands) -> None:
    """Add `mafs-eval calibrate`."""
    parser = add_command(
        commands,
        'calibrate',
        'Fit the temperature of weights to labelled pairs, so that their confidence is true.',
        jobs=False,
        html=False,
    )
    add_weights(parser, classical=False)
    add_data(parser)
    parser.add_argument(
        '--split', default='train', help='folder below ROOT to fit on (default: %(default)s)'
    )
    parser.add_argument(
        '--check',
        nargs='+',
        default=[],
        metavar='SPLIT',
        help='splits on which the fit is only measured',
    )
    parser.add_argument(
        '--out', type=Path, metavar='FILE', help='weights file to write (default: only measure)'
    )
    add_device(parser)


def add_panels(commands: Commands) -> None:
    """Add `mafs-eval panels`."""
    parser = add_command(
        commands,
        'panels',
        'Draw contact sheets of pairs, fused images and labels, the worst ones first.',
        jobs=False,
        html=False,
        json=False,
    )
    add_weights(parser)
    add_data(parser, several=True)
    add_split(parser)
    parser.add_argument(
        '--count',
        type=positive,
        default=24,
        metavar='N',
        help='pairs to show: half of them the worst, the rest up to the best '
        '(default: %(default)s)',
    )
    parser.add_argument(
        '--rank',
        default='Qabf',
        metavar='METRIC',
        help='what is worst: a fusion metric, or mIoU among labelled pairs (default: %(default)s)',
    )
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('out/panels'),
        metavar='DIR',
        help='folder of the sheets (default: %(default)s)',
    )
    add_runtime(parser)


def add_agree(commands: Commands) -> None:
    """Add `mafs-eval agree`."""
    parser = add_command(
        commands,
        'agree',
        'Compare two backends or precisions of the same weights on a data set.',
        jobs=False,
        html=False,
    )
    add_weights(parser, classical=False)
    add_data(parser)
    add_split(parser)
    add_limit(parser)
    for which, default in (('first', 'torch:fp32'), ('second', 'openvino:int8')):
        parser.add_argument(
            f'--{which}',
            default=default,
            metavar='BACKEND:PRECISION',
            help=f'the {which} engine (default: %(default)s)',
        )
    add_device(parser)


def add_card(commands: Commands) -> None:
    """Add `mafs-eval card`."""
    parser = add_command(
        commands,
        'card',
        'Write the numbers of a model card from weights and results of the other commands.',
        jobs=False,
        html=False,
        json=False,
    )
    parser.add_argument(
        'card', type=Path, metavar='CARD.md', help='the card; made if it is not there'
    )
    add_weights(parser, classical=False)
    parser.add_argument(
        '--results',
        type=Path,
        nargs='+',
        default=[],
        metavar='FILE',
        help='JSON of mafs-eval fusion, model, flicker and agree with these weights',
    )
    parser.add_argument(
        '--check',
        action='store_true',
        help='write nothing; say where the card differs from the results or waits for words',
    )


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
