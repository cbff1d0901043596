"""The command `python -m mafs_demo`: prepare, play, report."""

from __future__ import annotations

import argparse
from collections.abc import Callable
import json
import math
from pathlib import Path
import re
import signal
import sys
import time
from typing import Any

from mafs_demo.pictures.report import ReportJob, write_report
from mafs_demo.replay import sources
from mafs_demo.replay.session import NodeOptions, require_ros, Session
from mafs_demo.replay.sources import Sequence, SequenceOptions
from mafs_demo.workspace import Workspace
from mafs_model.defaults import SLOP_S
from mafs_model.errors import ConfigError, MafsError
from mafs_model.version import __version__
from tqdm import tqdm

_SHOWN_NOTES = 5


class Bars:
    """
    Progress bars, one per phase; a line per phase where the output is no terminal.

    Args:
        stream: where they are drawn.

    """

    def __init__(self, stream: Any = None) -> None:
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._bar: Any = None
        self._phase = ''

    def __call__(self, phase: str, done: int, total: int, text: str = '') -> None:
        """Show a phase."""
        if phase != self._phase:
            self.close()
            self._phase = phase
            if self._terminal:
                self._bar = tqdm(
                    total=total,
                    desc=f'{phase:<10}',
                    mininterval=0.1,
                    file=self._stream,
                    bar_format='{desc} {bar:32} {n_fmt:>4}/{total_fmt}{postfix}',
                )
            else:
                print(f'{phase} ...', file=self._stream, flush=True)
        if self._bar is not None:
            self._bar.total = total
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """End the current bar."""
        if self._bar is not None:
            self._bar.close()
        self._bar, self._phase = None, ''


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r'(\d{2,5})x(\d{2,5})', text)
    if match is None:
        raise argparse.ArgumentTypeError(f'{text!r}: expected WIDTHxHEIGHT such as 640x480')
    width, height = int(match[1]), int(match[2])
    if not (64 <= width <= 4096 and 64 <= height <= 4096):
        raise argparse.ArgumentTypeError(f'{text}: expected 64 to 4096 a side')
    return height, width


def _number(low: float, high: float, unit: str) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f'{text!r}: expected {low:g} to {high:g} {unit}')
        return value

    return parse


def _parameter(text: str) -> tuple[str, str]:
    name, separator, value = text.partition(':=')
    if not separator or not name:
        raise argparse.ArgumentTypeError(f'{text!r}: expected NAME:=VALUE')
    return name, value


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog='python -m mafs_demo',
        description=(
            'Two simulated cameras, the fusion node and a recorder over DDS; leaves a bag, a '
            'film, a contact sheet and the figures of the run.'
        ),
    )
    parser.add_argument('--version', action='version', version=__version__)
    source = parser.add_argument_group('source (default: a rendered night drive)')
    which = source.add_mutually_exclusive_group()
    which.add_argument(
        '--images',
        type=Path,
        metavar='DIR',
        help='folder with vi/ and ir/, images of the same names',
    )
    which.add_argument('--bag', type=Path, metavar='PATH', help='rosbag2, sqlite3 or MCAP')
    source.add_argument('--rgb-topic', metavar='TOPIC', help='visible topic of the bag')
    source.add_argument('--thermal-topic', metavar='TOPIC', help='thermal topic of the bag')
    source.add_argument(
        '--duration',
        type=_number(0.2, 3600, 's'),
        metavar='S',
        help='length (default 10; of a bag all, 60 at most)',
    )
    source.add_argument(
        '--rate',
        type=_number(1, 200, 'Hz'),
        default=30.0,
        metavar='HZ',
        help='rate of both cameras (default 30; a bag has its own)',
    )
    source.add_argument(
        '--size',
        type=_size,
        default=(480, 640),
        metavar='WxH',
        help='size of rendered images (default 640x480)',
    )
    source.add_argument(
        '--seed', type=int, default=0, help='of scene, jitter and drops (default 0)'
    )
    source.add_argument(
        '--rig',
        choices=('registered', 'crooked'),
        default='registered',
        help='crooked: the rendered thermal camera is unregistered, late, of 9 Hz, with rows of '
        'telemetry; it is calibrated from a bag of its own first (default registered)',
    )
    node = parser.add_argument_group('node')
    node.add_argument(
        '--weights',
        default='default',
        help="weights file, 'default' or 'classical' (default: default)",
    )
    node.add_argument('--device', default='auto', help='auto, cpu, cuda or cuda:N')
    node.add_argument(
        '--slop',
        type=_number(0.0001, 10, 's'),
        default=SLOP_S,
        metavar='S',
        help=f'largest offset of a pair (default {SLOP_S})',
    )
    node.add_argument(
        '-p',
        '--param',
        type=_parameter,
        action='append',
        default=[],
        metavar='NAME:=VALUE',
        help='any other parameter of the node',
    )
    output = parser.add_argument_group('output')
    output.add_argument(
        '--out',
        type=Path,
        default=Path('out/demo'),
        metavar='DIR',
        help='folder of the results (default out/demo)',
    )
    output.add_argument(
        '--raw',
        action='store_true',
        help='keep raw images in the bag (large) instead of JPEG and PNG',
    )
    output.add_argument('--no-movie', action='store_true', help='leave out the MP4')
    return parser


def _wanted(options: argparse.Namespace) -> SequenceOptions:
    return SequenceOptions(options.duration, options.rate, options.size, options.seed)


def prepare(options: argparse.Namespace, work: Path, bars: Bars) -> Sequence:
    """Return the sequence the user asked for; rendered frames are kept for the next run."""
    wanted = _wanted(options)
    if options.rig == 'crooked' and (options.images or options.bag):
        raise ConfigError(
            '--rig crooked is simulated from the rendered drive, without --images, --bag'
        )
    if options.images is not None:
        return sources.images(options.images, wanted, work, bars)
    if options.bag is not None:
        topics = {'visible': options.rgb_topic, 'thermal': options.thermal_topic}
        return sources.from_bag(options.bag, topics, options.duration, work, bars)
    if options.rgb_topic or options.thermal_topic:
        raise ConfigError('--rgb-topic and --thermal-topic need --bag')
    return sources.synthetic(wanted, options.out.parent / 'cache' / 'demo', bars)


def play(
    options: argparse.Namespace, sequence: Sequence, space: Workspace, bars: Bars
) -> dict[str, Any]:
    """Run the three processes, make the results in the work folder, return the figures."""
    from mafs_demo.pictures import movie
    from mafs_demo.pictures.summary import summarize

    for note in sequence.notes[:_SHOWN_NOTES]:
        bars.close()
        print(f'note: {note}')
    parameters = {
        'sync.slop': f'{options.slop:.6f}',
        # No camera stops here: on a first start, loading what computes one alone beside the pairs
        # would take half of two cores from them.
        'on_missing': 'wait',
        **dict(options.param),
    }
    rig = None
    if options.rig == 'crooked':
        from mafs_demo.rig.run import RigRun

        rig = RigRun.prepare(sequence, _wanted(options), space.work, bars)
        bars.close()
        sequence = rig.sequence
        parameters['calibration_file'] = str(rig.file)
    node = NodeOptions(options.weights, options.device, parameters)
    recording = Session(sequence, node, space, bars).run()
    if not recording.statuses:
        raise MafsError(f'the node fused no pair; its log is {space.logs / "fusion_node.log"}')
    schedule = sequence.schedule if rig is None else rig.true_schedule
    summary = summarize(recording, schedule, round(options.slop * 1e9), sequence.name)
    if rig is not None:
        from mafs_model.predictor import Predictor

        predictor = Predictor.create(options.weights, device=options.device)
        try:
            summary['rig'] = rig.compare(recording, _wanted(options), predictor, bars)
        finally:
            predictor.close()
    job = ReportJob(space.work, recording, sequence.store, recording.classes, summary, options.raw)
    write_report(job, not options.no_movie and movie.is_available(), bars)
    return summary


def run(options: argparse.Namespace) -> int:
    """Run the demo; return the exit code."""
    from mafs_demo.pictures.summary import table

    started = time.monotonic()
    require_ros()
    space = Workspace(options.out)
    space.prepare()
    bars = Bars()
    try:
        sequence = prepare(options, space.work, bars)
        summary = play(options, sequence, space, bars)
        summary['wall_s'] = round(time.monotonic() - started, 1)
        text = json.dumps(summary, indent=2) + '\n'
        (space.work / 'summary.json').write_text(text, encoding='utf-8')
        space.publish()
    finally:
        bars.close()
        space.clean()
    print(f'\n{table(summary)}\n')
    _print_results(options)
    return 0


def _print_results(options: argparse.Namespace) -> None:
    out = options.out
    print(f'  {out / "contact_sheet.png"}')
    if (out / 'demo.mp4').is_file():
        print(f'  {out / "demo.mp4"}')
    elif not options.no_movie:
        print('  no MP4: the package av (with libx264) is not installed')
    print(f'  {out / "bag"}  (ros2 bag play, Foxglove)')
    print(f'  {out / "summary.json"}, logs in {out / "logs"}')


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = build_parser().parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        return run(options)
    except MafsError as error:
        print(f'demo: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('demo: interrupted', file=sys.stderr)
        return 130
