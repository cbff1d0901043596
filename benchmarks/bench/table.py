"""The document with the tables of all machines, made from their results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.bench.results import read_results

Row = dict[str, Any]
Column = tuple[str, Callable[[Row], str]]
_HEAD = """# Benchmarks

Made by `make bench` from the files in `docs/benchmarks/`; do not edit. What the columns mean and
how to read them is in [performance.md](performance.md).

"""
_EMPTY = 'No results are committed yet.\n'


def render(folder: Path) -> str:
    """Return the document for all results in a folder."""
    parts = [_machine(read_results(path), path) for path in sorted(folder.glob('*.json'))]
    return _HEAD + ('\n'.join(parts) if parts else _EMPTY)


def _machine(results: dict[str, Any], path: Path) -> str:
    """Return the part of one machine."""
    machine = results['machine']
    title = ', '.join([machine['cpu'], f'{machine["cores"]} cores', *machine['gpus']])
    flags = ', '.join(machine['instructions']) or 'none of those that matter'
    about = f'{machine["system"]}, {machine["memory_gb"]:g} GB, instruction sets: {flags}.'
    lines = [f'## {title}', '', f'{about} [{path.name}](benchmarks/{path.name})', '']
    for section, render_section in _SECTIONS.items():
        if results.get(section):
            lines += [*render_section(results[section]), '']
    lines += ['Runs:', '']
    for number, run in enumerate(results['runs'], 1):
        versions = ', '.join(f'{name} {value}' for name, value in run['versions'].items())
        lines.append(
            f'{number}. {run["date"]}, commit {run["commit"]}, load before '
            f'{run["load_before"]:g}: `{run["command"]}` ({versions})'
        )
    return '\n'.join(lines) + '\n'


def _runtime(rows: list[Row]) -> list[str]:
    columns: list[Column] = [
        ('variant', _text('variant')),
        ('backend', _text('backend')),
        ('precision', _precision),
        ('device', _text('device')),
        ('median ms', _number('median_ms', 1)),
        ('p99', _number('p99_ms', 1)),
        ('pairs/s', _number('pairs_per_s', 1)),
        ('units', _number('units', 2)),
        ('conv', _number('convolutions', 2)),
        ('camera: pre / net / post ms', _stages),
        ('memory MB', _memory),
        ('J/pair', _number('joules_per_pair', 3)),
        ('fused off mean / max', _fused_off),
        ('labels equal', _equal),
        ('weights', _weights),
        ('run', _run),
    ]
    lines = ['### Predictor, uint8 in to uint8 out, batch 1', '']
    sizes = sorted({row['size'] for row in rows}, key=_pixels)
    for size in sizes:
        chosen = [row for row in rows if row['size'] == size]
        chosen.sort(key=lambda row: (row['variant'], row['device'], row['median_ms']))
        lines += [f'{size}, {_threads(chosen)}:', '', *_table(chosen, columns), '']
    if any(row['calibrated_for_this_run'] for row in rows):
        lines += ['\\*: int8 graph calibrated for the run, on rendered scenes.', '']
    return lines[:-1]


def _floor(rows: list[Row]) -> list[str]:
    columns: list[Column] = [
        ('variant', _text('variant')),
        ('backend', _text('backend')),
        ('precision', _text('precision')),
        ('device', _text('device')),
        ('size', _text('size')),
        ('GFLOP', _number('gflops', 2)),
        ('matmul / conv GFLOP/s', lambda r: _rates(r, 'matmul', 'convolutions')),
        ('memory GB/s', lambda r: _rates(r, 'memory')),
        ('up / down GB/s', lambda r: _rates(r, 'upload', 'download')),
        ('compute + transfer ms', _parts),
        ('floor ms', _number('floor_ms', 3)),
        ('median ms', _number('median_ms', 2)),
        ('times the floor', _number('ratio', 2)),
        ('run', _run),
    ]
    rows = sorted(rows, key=lambda row: (row['device'], row['median_ms']))
    return ['### Distance to the floor', '', *_table(rows, columns)]


def _node(rows: list[Row]) -> list[str]:
    columns: list[Column] = [
        ('weights', _weights),
        ('setting', _text('setting')),
        ('computes', _text('backend')),
        ('size', _text('size')),
        ('input Hz', _number('rate_hz', 0)),
        ('pairs/s', _number('pairs_per_s', 2)),
        ('possible', _number('pairs_possible_per_s', 2)),
        ('fused', lambda r: f'{100 * r["fused_share"]:.1f} %'),
        ('latency p50 ms', _number('latency_p50_ms', 1)),
        ('p99', _number('latency_p99_ms', 1)),
        ('p99 of the worst run', _number('worst_run_p99_ms', 1)),
        ('inference p50', _number('inference_p50_ms', 1)),
        ('unit ms', _number('unit_ms', 1)),
        ('runs x s', lambda r: f'{r["runs"]} x {r["seconds"]:g}'),
        ('run', _run),
    ]
    return [
        '### Node over DDS, with cameras and recorder on the same cores',
        '',
        *_table(rows, columns),
    ]


def _outputs(rows: list[Row]) -> list[str]:
    columns: list[Column] = [
        ('listened to', _text('output')),
        ('size', _text('size')),
        ('input Hz', _number('rate_hz', 0)),
        ('CPU ms per pair', _number('cpu_ms', 2)),
        ('more than without', _number('extra_ms', 2)),
        ('least to most', lambda r: f'{r["extra_least_ms"]:.2f} to {r["extra_most_ms"]:.2f}'),
        ('arrived', lambda r: f'{100 * r["arrived"]:.0f} %' if 'arrived' in r else ''),
        ('unit ms', _number('unit_ms', 1)),
        ('turns x pairs', lambda r: f'{r["turns"]} x {r["pairs"]}'),
        ('run', _run),
    ]
    rows = sorted(rows, key=lambda row: row['place'])
    return [
        '### CPU time of the node by what somebody listens to, without the network',
        '',
        *_table(rows, columns),
    ]


def _training(rows: list[Row]) -> list[str]:
    columns: list[Column] = [
        ('stage', _text('stage')),
        ('variant', _text('variant')),
        ('device', _text('device')),
        ('crops', lambda r: f'{r["batch"]} of {r["crop"]}x{r["crop"]}'),
        ('step ms', _number('step_ms', 0)),
        ('crops/s', _number('crops_per_s', 2)),
        ('units per crop', _number('units_per_crop', 2)),
        ('unit ms', _number('unit_ms', 1)),
        ('memory MB', _memory),
        ('run', _run),
    ]
    return ['### Training', '', *_table(rows, columns)]


_SECTIONS: dict[str, Callable[[list[Row]], list[str]]] = {
    'runtime': _runtime,
    'floor': _floor,
    'node': _node,
    'outputs': _outputs,
    'training': _training,
}


def _table(rows: Sequence[Row], columns: Sequence[Column]) -> list[str]:
    """Return a table; a column that nothing is known for is left out."""
    cells = {title: [show(row) for row in rows] for title, show in columns}
    shown = [title for title, values in cells.items() if any(values)]
    lines = [f'| {" | ".join(shown)} |', f'|{"---|" * len(shown)}']
    for index in range(len(rows)):
        values = [cells[title][index] or '-' for title in shown]
        lines += [f'| {" | ".join(values)} |']
    return lines


def _text(key: str) -> Callable[[Row], str]:
    return lambda row: f'`{row[key]}`' if key in {'backend', 'setting'} else str(row[key])


def _number(key: str, digits: int) -> Callable[[Row], str]:
    return lambda row: f'{row[key]:.{digits}f}' if key in row else ''


def _precision(row: Row) -> str:
    return str(row['precision']) + (r'\*' if row['calibrated_for_this_run'] else '')


def _stages(row: Row) -> str:
    stages = row['camera_stages_ms']
    return ' / '.join(f'{stages[s]:.1f}' for s in ('preprocess', 'inference', 'postprocess'))


def _memory(row: Row) -> str:
    if 'gpu_memory_mb' in row:
        return f'{row["gpu_memory_mb"]:.0f} GPU'
    return f'{row["rss_growth_mb"]:.0f}' if 'rss_growth_mb' in row else ''


def _fused_off(row: Row) -> str:
    off = row.get('against_torch_fp32')
    return '' if off is None else f'{off["fused_mean"]:.2f} / {off["fused_max"]}'


def _equal(row: Row) -> str:
    off = row.get('against_torch_fp32')
    return '' if off is None else f'{100 * off["equal_labels"]:.2f} %'


def _weights(row: Row) -> str:
    if row['weights'] == 'none' or row['variant'] == '-':
        return 'none'
    return row['weights'] if row['trained'] else 'random'


def _rates(row: Row, *names: str) -> str:
    values = [row['rates'][name] for name in names if name in row['rates']]
    return ' / '.join(f'{value:.0f}' for value in values)


def _parts(row: Row) -> str:
    bound = max(row['compute_ms'], row['memory_ms'])
    return f'{bound:.3f} + {row["transfer_ms"]:.3f}'


def _run(row: Row) -> str:
    return str(row['run'] + 1)


def _threads(rows: list[Row]) -> str:
    counts = sorted({row['threads'] for row in rows})
    return ', '.join(str(c) for c in counts) + (' thread' if counts == [1] else ' threads')


def _pixels(size: str) -> int:
    width, height = size.split('x')
    return int(width) * int(height)
