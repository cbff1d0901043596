"""The benchmark of the network runs, interleaves its turns and writes what it prints."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
import sys

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / 'benchmarks' / 'network_speed.py'


@pytest.fixture(scope='module')
def network_speed():
    spec = importlib.util.spec_from_file_location('network_speed', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_prints_a_row_per_backend_and_writes_json(network_speed, tmp_path, capsys):
    target = tmp_path / 'new' / 'speed.json'
    code = network_speed.main(
        [
            '--size',
            '64',
            '64',
            '--threads',
            '1',
            '--rounds',
            '1',
            '--block',
            '1',
            '--backends',
            'eager',
            'module',
            '--json',
            str(target),
        ]
    )
    assert code == 0
    printed = capsys.readouterr().out
    report = json.loads(target.read_text(encoding='utf-8'))
    assert [row['backend'] for row in report['rows']] == ['matmul', 'eager', 'module']
    assert report['rows'][0]['units'] == 1.0
    assert report['size'] == [64, 64]
    assert all(row['median_ms'] > 0 for row in report['rows'])
    assert all(row['backend'] in printed for row in report['rows'])


def test_turns_are_interleaved(network_speed):
    calls = []
    runners = {'a': lambda: calls.append('a'), 'b': lambda: calls.append('b')}
    times = network_speed.measure(runners, rounds=2, block=1, clock='cpu')
    warm_up, turn = ['a', 'a', 'b', 'b'], ['a', 'a', 'b', 'b']  # one uncounted call a block
    assert calls == warm_up + turn + turn
    assert {name: len(values) for name, values in times.items()} == {'a': 2, 'b': 2}


def test_units_are_medians_over_the_median_of_the_matrix_product(network_speed):
    rows = network_speed.summarise({'matmul': [2.0, 4.0, 6.0], 'x': [1.0, 6.0, 20.0]})
    assert rows[1]['units'] == 1.5
    assert rows[1]['best_units'] == 0.5
    assert rows[1]['median_ms'] == 6.0
