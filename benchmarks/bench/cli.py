"""The command line of the benchmark."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
import shlex
import sys
import tempfile
from typing import Any

from benchmarks.bench.machine import (
    cpu_count,
    describe_machine,
    describe_run,
    machine_name,
    ROOT,
)
from benchmarks.bench.options import (
    CLASSICAL,
    CONFIGURATIONS,
    Options,
    SECTIONS,
    STAGES,
    WITH_ROS,
)
from benchmarks.bench.results import empty_results, merge, read_results, write_results
from benchmarks.bench.table import render
from mafs_model.errors import ConfigError, MafsError
from mafs_model.images.preprocessing import parse_size
from mafs_model.network.config import VARIANTS
from mafs_model.runtime import PRECISIONS

_BACKENDS = sorted({name for known in CONFIGURATIONS.values() for name in known} | {'auto'})
_BUSY = 0.3  # load per core above which times say little


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.bench',
        description='Measure predictor, node and training on this machine. Results go into '
        'OUT/<machine>.json, where rows measured before are kept unless measured again, and into '
        'the table OUT.md. Anything else that runs meanwhile spoils them.',
    )
    parser.add_argument(
        '--only',
        nargs='+',
        choices=SECTIONS,
        default=SECTIONS,
        metavar='PART',
        help=f'{", ".join(SECTIONS)} (default: all)',
    )
    parser.add_argument(
        '--variants',
        nargs='+',
        choices=VARIANTS,
        metavar='NAME',
        help='networks (default: mafs_t mafs_s); floor, node and training take the first',
    )
    parser.add_argument(
        '--backends',
        nargs='+',
        choices=_BACKENDS,
        default=(),
        metavar='NAME',
        help=f'{", ".join(_BACKENDS)} (default: those installed; auto and classical for the node)',
    )
    parser.add_argument(
        '--precisions',
        nargs='+',
        choices=PRECISIONS,
        default=(),
        metavar='NAME',
        help='default: all that a backend knows',
    )
    parser.add_argument(
        '--sizes',
        nargs='+',
        metavar='WxH',
        help='default: 640x480 640x512 1280x720; floor, node and outputs take the first',
    )
    parser.add_argument(
        '--devices',
        nargs='+',
        metavar='NAME',
        help='cpu, cuda:N (default: cpu, and the first GPU if there is one)',
    )
    parser.add_argument('--rounds', type=int, help='turns (default 20)')
    parser.add_argument('--block', type=int, help='counted calls in a turn (default 5)')
    parser.add_argument(
        '--threads', type=int, default=min(2, cpu_count()), help='CPU threads (default 2)'
    )
    parser.add_argument(
        '--stages',
        nargs='+',
        choices=STAGES,
        metavar='NAME',
        help=f'of training: {", ".join(STAGES)} (default: all)',
    )
    parser.add_argument('--node-seconds', type=float, help='length of a run (default 20)')
    parser.add_argument('--node-runs', type=int, help='runs of each setting (default 3)')
    parser.add_argument('--node-rate', type=float, default=30.0, help='Hz (default 30)')
    parser.add_argument(
        '--out',
        type=Path,
        metavar='DIR',
        help='folder of the results (default docs/benchmarks; with --quick out/bench/quick)',
    )
    parser.add_argument('--name', help='name of the result file (default: from processor and GPU)')
    parser.add_argument(
        '--quick',
        action='store_true',
        help='small images and few calls: shows that it works, measures nothing; '
        'without --only it leaves out node and outputs',
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parsed = build_parser().parse_args(given)
    try:
        machine = describe_machine()
        folder = parsed.out or ROOT / ('out/bench/quick' if parsed.quick else 'docs/benchmarks')
        path = folder / f'{parsed.name or machine_name(machine)}.json'
        table = folder.with_name(f'{folder.name}.md')
        results = read_results(path) if path.is_file() else empty_results(machine)
        run = describe_run(_command(given))
        if run['load_before'] > _BUSY * machine['cores']:
            print(
                f'bench: the load is {run["load_before"]:g}: times will say little',
                file=sys.stderr,
            )
        with tempfile.TemporaryDirectory(prefix='mafs-bench-') as work:
            options = read_options(parsed, machine, Path(work))
            for section in options.sections:
                rows = {section: measure(section, options)}
                # After every part, so that an interruption costs one part only.
                results = merge(results, machine, run, rows)
                write_results(path, results)
                table.write_text(render(folder), encoding='utf-8')
    except MafsError as error:
        print(f'bench: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print(f'{path}\n{table}')
    return 0


def measure(section: str, options: Options) -> list[dict[str, Any]]:
    """Return the rows of a section."""
    if section == 'runtime':
        from benchmarks.bench.runtime import measure_runtime as function
    elif section == 'floor':
        from benchmarks.bench.floor import measure_floor as function
    elif section == 'node':
        from benchmarks.bench.node import measure_node as function
    elif section == 'outputs':
        from benchmarks.bench.outputs import measure_outputs as function
    else:
        from benchmarks.bench.training import measure_training as function
    return function(options, _report)


def read_options(parsed: argparse.Namespace, machine: dict[str, Any], work: Path) -> Options:
    """Return the options; raises ConfigError."""
    quick = parsed.quick
    for name in ('rounds', 'block', 'threads', 'node_runs'):
        value = getattr(parsed, name)
        if value is not None and value < 1:
            raise ConfigError(f'--{name.replace("_", "-")} {value}: expected at least 1')
    sections = tuple(parsed.only)
    if quick and sections == SECTIONS:
        sections = tuple(section for section in SECTIONS if section not in WITH_ROS)
    sizes = parsed.sizes or (['128x96'] if quick else ['640x480', '640x512', '1280x720'])
    return Options(
        sections=sections,
        variants=tuple(parsed.variants or (['mafs_t'] if quick else ['mafs_t', 'mafs_s'])),
        backends=tuple(parsed.backends or (['torch', CLASSICAL] if quick else [])),
        precisions=tuple(parsed.precisions or (['fp32'] if quick else [])),
        sizes=tuple(parse_size(size) for size in sizes),
        devices=tuple(parsed.devices or ['cpu', *(['cuda:0'] if machine['gpus'] else [])]),
        rounds=parsed.rounds or (2 if quick else 20),
        block=parsed.block or (1 if quick else 5),
        threads=parsed.threads,
        stages=tuple(parsed.stages or (STAGES[:1] if quick else STAGES)),
        crop=64 if quick else 256,
        batch=2 if quick else 8,
        node_seconds=parsed.node_seconds or (2.0 if quick else 20.0),
        node_runs=parsed.node_runs or (1 if quick else 3),
        node_rate_hz=parsed.node_rate,
        work=work,
        quick=quick,
    )


def _command(given: Sequence[str]) -> str:
    """Return the command without where its results went, which is nobody else's concern."""
    kept, skip = [], False
    for argument in given:
        if not skip and argument not in {'--out', '--name'}:
            kept.append(argument)
        skip = argument in {'--out', '--name'}
    return shlex.join(['python', '-m', 'benchmarks.bench', *kept])


def _report(text: str) -> None:
    """Show a step."""
    print(text, file=sys.stderr, flush=True)
