"""Results of a machine on disk: what is measured again replaces what was there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mafs_model.errors import ConfigError

FORMAT = 1
# What identifies a row of each section.
KEYS: dict[str, tuple[str, ...]] = {
    'runtime': ('variant', 'backend', 'precision', 'device', 'size', 'threads'),
    'floor': ('variant', 'backend', 'precision', 'device', 'size', 'threads'),
    'node': ('variant', 'setting', 'precision', 'size', 'rate_hz'),
    'outputs': ('output', 'size', 'rate_hz'),
    'training': ('stage', 'variant', 'device', 'crop', 'batch', 'threads'),
}


def empty_results(machine: dict[str, Any]) -> dict[str, Any]:
    """Return results without rows."""
    return {'format': FORMAT, 'machine': machine, 'runs': [], **{section: [] for section in KEYS}}


def read_results(path: Path) -> dict[str, Any]:
    """
    Read results.

    Raises:
        ConfigError: the file is not one of this benchmark.

    """
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise ConfigError(f"results '{path}': cannot be read: {error}") from None
    if not isinstance(content, dict) or content.get('format') != FORMAT:
        raise ConfigError(f"results '{path}': expected format {FORMAT} of this benchmark")
    return content


def merge(
    results: dict[str, Any],
    machine: dict[str, Any],
    run: dict[str, Any],
    rows: dict[str, list[dict[str, Any]]],
) -> dict[str, Any]:
    """
    Return results with new rows in place of those for the same configuration.

    Args:
        results: earlier ones of the same machine.
        machine: description of it.
        run: description of the run that the rows come from.
        rows: by section.

    Runs of which no row is left are dropped.

    """
    runs = results['runs'] if run in results['runs'] else [*results['runs'], run]
    number = runs.index(run)
    merged = {**results, 'machine': machine}
    for section, keys in KEYS.items():
        table = {tuple(row.get(k) for k in keys): row for row in results.get(section, [])}
        for row in rows.get(section, []):
            table[tuple(row.get(k) for k in keys)] = {**row, 'run': number}
        merged[section] = [table[key] for key in sorted(table, key=str)]
    used = sorted({row['run'] for section in KEYS for row in merged[section]})
    for section in KEYS:
        merged[section] = [{**row, 'run': used.index(row['run'])} for row in merged[section]]
    merged['runs'] = [runs[index] for index in used]
    return merged


def write_results(path: Path, results: dict[str, Any]) -> None:
    """Write results, replacing the file at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'{path.name}.part')
    temporary.write_text(json.dumps(results, indent=1) + '\n', encoding='utf-8')
    temporary.replace(path)
