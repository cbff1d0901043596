"""The command ``mafs-calibrate``: place and time of a thermal camera beside a visible one."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
import json
from pathlib import Path
import sys
from typing import Any, TYPE_CHECKING

from mafs_calibration.defaults import DURATION_S
from mafs_model.command_line import (
    add_common_options,
    add_thermal_camera,
    complete,
    EXIT_OK,
    EXIT_PARTIAL,
    OneLineParser,
    parse,
    quiet_start,
    run,
)
from mafs_model.errors import CalibrationError, ConfigError
from mafs_model.version import __version__

if TYPE_CHECKING:
    from mafs_calibration.recordings import Recording, Stills
    from mafs_model.calibration.calibration import Calibration
    from mafs_model.types import Size, UInt8Image

OUT = 'calibration.yaml'
_TARGET_PAIRS = 40  # looked for boards in a recording


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command line.

    Args:
        argv: arguments without the program name; None for those of the process.

    Returns:
        0 success, 1 `check` says that a calibration does not hold, 2 wrong usage or nothing sure
        could be found, 130 interrupted.

    """
    with quiet_start('mafs-calibrate'):
        parser = build_parser()
        complete(parser)
        arguments = parse(parser, argv)
    return run(
        f'mafs-calibrate {arguments.command}',
        lambda: arguments.run(arguments),
        verbose=arguments.verbose,
    )


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all subcommands."""
    parser = OneLineParser(
        prog='mafs-calibrate',
        description='Calibrate a thermal camera beside a visible one from what they recorded: '
        'a bag, a folder with vi/ and ir/ (pictures or films), or --rgb and --thermal. Live '
        'topics: record a bag of a minute first. All parts go into one file, which the node '
        'takes as calibration_file.',
    )
    parser.add_argument('--version', action='version', version=f'mafs-calibrate {__version__}')
    add_common_options(parser)
    commands = parser.add_subparsers(
        dest='command', required=True, metavar='COMMAND', parser_class=OneLineParser
    )
    target = commands.add_parser(
        'target',
        help='lenses and pose from pictures of a board',
        description='Intrinsics and distortion of both cameras and their pose, from pictures in '
        'which both see a board at the same moment. Heated, cooled and inverted boards are tried.',
    )
    _add_input(target)
    target.add_argument(
        '--board',
        required=True,
        metavar='BOARD',
        help='chessboard:9x6:25 (inner corners, square in mm), circles:4x11:20 (asymmetric, '
        'step in mm), circles:FILE.csv (X,Y in mm), aruco:5x7:40:10 (marker and gap in mm; then '
        ':DICTIONARY:FIRST_ID), charuco:8x6:40:30 (square and marker in mm; then :DICTIONARY)',
    )
    _add_output(target)
    target.set_defaults(run=_run_target)
    scene = commands.add_parser(
        'scene',
        help='registration from a drive, without a target',
        description='How the thermal image lies on the visible one, from 8 or more pairs of '
        'different moments with structure in both images. Refuses what is not sure.',
    )
    _add_input(scene)
    _add_output(scene)
    scene.set_defaults(run=_run_scene)
    time = commands.add_parser(
        'time',
        help='latency of the thermal camera from what moves',
        description='The time offset, with its interval and drift, from motion that both cameras '
        'see: 15 s and more. Best after scene or target, whose registration it uses.',
    )
    _add_input(time)
    _add_output(time, report=False)
    time.set_defaults(run=_run_time)
    check = commands.add_parser(
        'check',
        help='whether a calibration still holds',
        description='Compare a calibration file with a recording. Exit code 1: it does not hold, '
        'or the recording cannot tell.',
    )
    check.add_argument('file', metavar='FILE', help='calibration file')
    _add_input(check)
    check.add_argument(
        '--distance', type=float, metavar='M', help='of the plane, for files with extrinsics'
    )
    check.set_defaults(run=_run_check)
    for command in (target, scene, time, check):
        add_common_options(command)
    return parser


def _add_input(parser: argparse.ArgumentParser) -> None:
    """Add the options that name recordings."""
    parser.add_argument(
        'input', nargs='?', metavar='INPUT', help='bag, or folder that holds both cameras'
    )
    group = parser.add_argument_group('input')
    group.add_argument('--rgb', metavar='WHAT', help='visible: folder, pattern or film')
    group.add_argument('--thermal', metavar='WHAT', help='thermal: folder, pattern or film')
    add_thermal_camera(group)
    group.add_argument('--rgb-topic', metavar='TOPIC', help='of a bag (default: by its name)')
    group.add_argument('--thermal-topic', metavar='TOPIC', help='of a bag')
    group.add_argument(
        '--duration',
        type=float,
        default=DURATION_S,
        metavar='S',
        help=f'how much of a recording is read, 1 to 3600 (default: {DURATION_S:g})',
    )


def _add_output(parser: argparse.ArgumentParser, report: bool = True) -> None:
    """Add the options that name results."""
    parser.add_argument(
        '--out',
        default=OUT,
        metavar='FILE',
        help=f'calibration file; one that is there keeps its other parts (default: {OUT})',
    )
    if report:
        parser.add_argument(
            '--report', metavar='PNG', help='picture for you to judge (default: beside --out)'
        )


def _open(arguments: argparse.Namespace) -> Stills | Recording:
    """Return what is calibrated from."""
    from mafs_calibration.recordings import open_input

    if not 1 <= arguments.duration <= 3600:
        raise ConfigError(f'--duration {arguments.duration:g}: expected 1 to 3600 s')
    return open_input(
        arguments.input,
        arguments.rgb,
        arguments.thermal,
        topics=(arguments.rgb_topic, arguments.thermal_topic),
        duration_s=arguments.duration,
        thermal_camera=arguments.thermal_camera,
    )


def _run_target(arguments: argparse.Namespace) -> int:
    """Calibrate from pictures of a board."""
    from mafs_calibration.boards import detect, parse_board
    from mafs_calibration.recordings import Stills
    from mafs_calibration.report import target_report
    from mafs_calibration.target import calibrate_camera, calibrate_pair, check_sizes
    from mafs_model.calibration.rig_registration import plane_homography
    from mafs_model.images.image_files import write_png

    board = parse_board(arguments.board)
    source = _open(arguments)
    found: dict[str, dict[str, Any]] = {'visible': {}, 'thermal': {}}
    sizes: dict[str, dict[str, Size]] = {'visible': {}, 'thermal': {}}
    images = (
        source.each()
        if isinstance(source, Stills)
        else iter(source.pairs(_TARGET_PAIRS, _rough(source)))
    )
    for name, visible, thermal in images:
        for camera, image in (('visible', visible), ('thermal', thermal)):
            if image is not None:
                found[camera][name] = detect(board, image)
                sizes[camera][name] = image.shape[0], image.shape[1]
        _say(arguments, f'{name}: ' + _seen(found, name, len(board.points)))
    cameras = [camera for camera in ('visible', 'thermal') if found[camera]]
    if not cameras:
        raise CalibrationError('no image could be read' + _first_problem(source.problems))
    results = {
        camera: calibrate_camera(board, found[camera], check_sizes(sizes[camera], camera), camera)
        for camera in cameras
    }
    scores: dict[str, float] = {}
    for camera, result in results.items():
        scores[f'{camera}_rms_px'] = result.rms_px
        scores[f'{camera}_images'] = len(result.views)
        scores[f'{camera}_coverage'] = result.coverage
    parts: dict[str, Any] = {camera: result.camera for camera, result in results.items()}
    if len(results) == 2:
        pair = calibrate_pair(board, results['thermal'], results['visible'])
        parts['extrinsics'] = pair.extrinsics
        scores |= {'pair_rms_px': pair.rms_px, 'board_distance_m': pair.distance_m}
    calibration = _updated(
        arguments.out,
        results['thermal'].camera.size if 'thermal' in results else None,
        results['visible'].camera.size if 'visible' in results else None,
        parts,
        scores,
    )
    if calibration.extrinsics is not None:
        calibration = replace(
            calibration, homography=plane_homography(calibration, scores['board_distance_m'])
        )
    calibration.save(Path(arguments.out).expanduser())
    report = _report_path(arguments)
    write_png(report, target_report(results))
    for camera, result in results.items():
        for name, reason in sorted(result.left_out.items()):
            _say(arguments, f'{camera} {name} left out: {reason}', error=True)
        for name, view in sorted(result.views.items()):
            _say(arguments, f'{camera} {name}: {view.rms_px:.2f} px')
        _say(
            arguments,
            f'{camera}: {result.rms_px:.2f} px rms in {len(result.views)} images, '
            f'{result.coverage:.0%} of the image covered',
        )
    if 'pair_rms_px' in scores:
        _say(arguments, f'both cameras: {scores["pair_rms_px"]:.2f} px rms')
    _finish(arguments, calibration, report)
    return EXIT_OK


def _run_scene(arguments: argparse.Namespace) -> int:
    """Register from a scene."""
    from mafs_calibration.joint import register_recording
    from mafs_calibration.recordings import Recording
    from mafs_calibration.report import scene_report
    from mafs_calibration.scene import PAIRS, register
    from mafs_model.images.image_files import write_png
    from mafs_model.images.registration import Registration

    source = _open(arguments)
    if isinstance(source, Recording):
        found, pairs, offset = register_recording(source, _known_offset(arguments.out, source))
        _say(arguments, f'images were brought together by a time offset of {offset:+.3f} s')
    else:
        pairs = source.pairs(PAIRS)
        found = register([pair.visible for pair in pairs], [pair.thermal for pair in pairs])
    for problem in source.problems[:3]:
        _say(arguments, problem, error=True)
    visible, thermal = pairs[len(pairs) // 2].visible, pairs[len(pairs) // 2].thermal
    calibration = _updated(
        arguments.out,
        _size(thermal),
        _size(visible),
        {'homography': found.homography},
        {
            'scene_agreement': found.agreement,
            'scene_margin': found.margin,
            'scene_uniqueness': found.uniqueness,
            'scene_spread': found.spread,
            'scene_pairs': len(pairs),
        },
    )
    calibration.save(Path(arguments.out).expanduser())
    report = _report_path(arguments)
    after = Registration(found.homography)
    spread = found.spread * visible.shape[1]
    write_png(report, scene_report(visible, thermal, Registration(), after, found.tiles))
    _say(
        arguments,
        f'{len(pairs)} pairs agree by {found.agreement:.2f}, {found.margin:.1f} standard errors '
        f'better than pairs of different moments; halves of them are {spread:.1f} px apart',
    )
    _finish(arguments, calibration, report)
    return EXIT_OK


def _run_time(arguments: argparse.Namespace) -> int:
    """Measure the time offset."""
    from mafs_calibration.recordings import require_timed
    from mafs_calibration.time_offset import measure
    from mafs_model.calibration.calibration import Calibration
    from mafs_model.calibration.rig_registration import create_registration

    source = require_timed(_open(arguments))
    registration = None
    if Path(arguments.out).expanduser().is_file():
        known = create_registration(Calibration.load(arguments.out))
        registration = None if known.is_identity else known
    found = measure(source, registration)
    pairs = source.pairs(1, found.latency.offset_s)
    if not pairs:
        raise CalibrationError('no two images of one moment remain with this offset')
    calibration = _updated(
        arguments.out,
        _size(pairs[0].thermal),
        _size(pairs[0].visible),
        {'latency': found.latency},
        {'time_correlation': found.content.correlation, 'time_peak': found.content.prominence},
    )
    calibration.save(Path(arguments.out).expanduser())
    latency = found.latency
    _say(
        arguments,
        f'thermal.time_offset {latency.offset_s:+.4f} s (+- {1e3 * latency.interval_s:.1f} ms)',
    )
    if found.clock_difference_s:
        _say(
            arguments,
            f'the clocks of the cameras differ by {found.clock_difference_s:+.3f} s by their '
            'receive times; that is part of it',
        )
    if latency.drift_ppm is not None and latency.drift_interval_ppm is not None:
        sure = abs(latency.drift_ppm) > latency.drift_interval_ppm
        _say(
            arguments,
            f'drift {latency.drift_ppm:+.0f} +- {latency.drift_interval_ppm:.0f} us per s'
            + (': the clocks run apart, synchronise them' if sure else ', none for certain'),
        )
    _finish(arguments, calibration, None)
    return EXIT_OK


def _run_check(arguments: argparse.Namespace) -> int:
    """Compare a calibration with a recording."""
    from mafs_calibration.check import check
    from mafs_model.calibration.calibration import Calibration

    calibration = Calibration.load(arguments.file)
    verdict = check(calibration, _open(arguments), arguments.distance)
    if arguments.json:
        print(
            json.dumps(
                {
                    'holds': verdict.holds,
                    'registration': verdict.registration_text,
                    'registration_holds': verdict.registration_holds,
                    'shift_px': verdict.registration and verdict.registration.shift_px,
                    'time': verdict.time_text,
                    'time_holds': verdict.time_holds,
                    'offset_s': verdict.offset_s,
                },
                indent=2,
            )
        )
    else:
        print(calibration.describe())
        print(verdict.registration_text)
        print(verdict.time_text)
    return EXIT_OK if verdict.holds else EXIT_PARTIAL


def _known_offset(path: str, source: Recording) -> float:
    """Return the time offset of the file that is there, else what motion says roughly."""
    from mafs_model.calibration.calibration import Calibration

    if Path(path).expanduser().is_file():
        latency = Calibration.load(path).latency
        if latency is not None:
            return latency.offset_s
    return _rough(source)


def _rough(source: Recording) -> float:
    """Return a time offset that is good enough to pair images."""
    from mafs_calibration.time_offset import rough_offset

    return rough_offset(source)


def _updated(
    path: str,
    thermal_size: Size | None,
    visible_size: Size | None,
    parts: dict[str, Any],
    scores: dict[str, float],
) -> Calibration:
    """Return the calibration of a file, or a new one, with parts replaced."""
    from mafs_model.calibration.calibration import Calibration
    from mafs_model.images.preprocessing import format_size

    new = Calibration(thermal_size, visible_size)
    file = Path(path).expanduser()
    if not file.is_file():
        return replace(new, scores=scores, **parts)
    old = Calibration.load(path)
    for name, before, now in (
        ('thermal', old.thermal_size, thermal_size),
        ('visible', old.visible_size, visible_size),
    ):
        if before is not None and now is not None and before != now:
            raise ConfigError(
                f"calibration file '{path}' is of {name} images of {format_size(before)}, these "
                f'have {format_size(now)}: name another file with --out'
            )
    return replace(
        old,
        thermal_size=thermal_size or old.thermal_size,
        visible_size=visible_size or old.visible_size,
        date=new.date,
        software=new.software,
        scores={**old.scores, **scores},
        **parts,
    )


def _report_path(arguments: argparse.Namespace) -> Path:
    """Return where the picture goes."""
    if arguments.report:
        return Path(arguments.report).expanduser()
    out = Path(arguments.out).expanduser()
    return out.with_name(f'{out.stem}_{arguments.command}.png')


def _finish(arguments: argparse.Namespace, calibration: Calibration, report: Path | None) -> None:
    """Say what was written, as text or JSON."""
    if arguments.json:
        print(json.dumps(calibration.to_dict(), indent=2))
        return
    _say(arguments, f'{arguments.out}: {calibration.describe()}')
    if report is not None:
        _say(arguments, f'{report}: look at it')


def _seen(found: dict[str, dict[str, Any]], name: str, total: int) -> str:
    """Return what was found in the images of one name."""
    words = []
    for camera, detections in found.items():
        detection = detections.get(name)
        if detection is None:
            continue
        if isinstance(detection, str):
            words.append(f'{camera} {detection}')
        else:
            words.append(f'{camera} {len(detection.ids)} of {total} points, {detection.variant}')
    return '; '.join(words)


def _first_problem(problems: Sequence[str]) -> str:
    """Return the first problem behind a colon."""
    return f': {problems[0]}' if problems else ''


def _size(image: UInt8Image) -> Size:
    """Return (height, width)."""
    return int(image.shape[0]), int(image.shape[1])


def _say(arguments: argparse.Namespace, text: str, error: bool = False) -> None:
    """Print a line of the summary; problems go to stderr."""
    if arguments.quiet or (arguments.json and not error):
        return
    print(text, file=sys.stderr if error else sys.stdout)


if __name__ == '__main__':
    sys.exit(main())
