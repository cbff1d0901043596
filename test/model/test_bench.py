"""The benchmark: a quick run of the real thing, and its arithmetic on figures made by hand."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.bench import cli, runtime
from benchmarks.bench.cost import Cost, floor_ms, network_cost, Rates
from benchmarks.bench.energy import CpuEnergy
from benchmarks.bench.interleave import interleave, latency_figures, Series
from benchmarks.bench.machine import describe_machine, machine_name
from benchmarks.bench.options import CLASSICAL
from benchmarks.bench.results import empty_results, merge, read_results
from benchmarks.bench.table import render
from benchmarks.bench.worker import Worker, WorkerError
from mafs_model.errors import ConfigError
from mafs_model.network.cost import count_macs
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
MACHINE = {
    'cpu': 'Chip(R) 9',
    'cores': 2,
    'instructions': ['avx2'],
    'memory_gb': 8.0,
    'system': 'Linux',
    'gpus': [],
}


def run_of(date):
    return {'date': date, 'commit': 'abc', 'command': 'c', 'load_before': 0.1, 'versions': {}}


@pytest.mark.timeout(300)
def test_quick_run_fills_results_and_table(tmp_path, capsys, monkeypatch):
    smooth = [(np.full((480, 640, 3), 90, np.uint8), np.full((480, 640), 30, np.uint8))]
    monkeypatch.setattr(runtime, 'rendered_pairs', lambda size, count: smooth * count)
    out = tmp_path / 'results'
    arguments = ['--quick', '--only', 'runtime', '--backends', 'torch', CLASSICAL]
    arguments += ['--precisions', 'fp32', '--out', str(out), '--name', 'here']
    # Precisions do not apply to the classical fusion, which has none to choose.
    assert cli.main(arguments) == 0, capsys.readouterr()
    results = json.loads((out / 'here.json').read_text())
    (torch_row,) = [r for r in results['runtime'] if r['backend'] == 'torch']
    assert torch_row['samples'] == 2
    assert torch_row['best_ms'] <= torch_row['median_ms'] <= torch_row['p99_ms']
    assert torch_row['against_torch_fp32'] == {
        'fused_mean': 0.0,
        'fused_max': 0,
        'equal_labels': 1.0,
    }
    assert torch_row['rss_growth_mb'] > 1
    assert results['runs'][0]['command'].endswith('--precisions fp32')
    table = (tmp_path / 'results.md').read_text()
    assert '| mafs_t | `torch` | fp32 | cpu |' in table
    assert table == render(out)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--rounds', '0'], '--rounds 0: expected at least 1'),
        (['--sizes', '640'], "size '640': expected WIDTHxHEIGHT"),
    ],
)
def test_wrong_usage_is_one_line(tmp_path, capsys, arguments, message):
    assert cli.main([*arguments, '--out', str(tmp_path)]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_foreign_result_file_is_not_overwritten(tmp_path, capsys):
    (tmp_path / 'x.json').write_text('{"mine": 1}')
    assert cli.main(['--quick', '--out', str(tmp_path), '--name', 'x']) == 2
    assert (tmp_path / 'x.json').read_text() == '{"mine": 1}'
    with pytest.raises(ConfigError, match='expected format 1'):
        read_results(tmp_path / 'x.json')


class Turns:
    """Notes whose turn it was; stands for a worker."""

    def __init__(self, name, log):
        self.name, self.log = name, log

    def run(self, count):
        self.log.append(self.name)
        return [{'total': 1.0}] * count, 2.5


def test_workers_take_turns():
    log, seen = [], []
    series = interleave({n: Turns(n, log) for n in 'ab'}, rounds=2, block=3, progress=seen.append)
    assert log == ['a', 'b', 'a', 'b']
    assert seen == [1, 2]
    assert len(series['a'].samples) == 6
    assert series['b'].joules == [2.5, 2.5]


def test_figures_are_medians_over_the_medians_of_the_references():
    def sample(total):
        return {'total': total, 'preprocess': 1.0, 'inference': total - 1, 'postprocess': 0.0}

    series = Series([sample(t) for t in (30.0, 20.0, 40.0)], [0.5, 0.7, 0.6])
    reference = Series([{'matmul': m, 'convolutions': 2 * m} for m in (8.0, 10.0, 50.0)])
    figures = latency_figures(series, reference)
    assert (figures['median_ms'], figures['best_ms']) == (30.0, 20.0)
    assert (figures['units'], figures['convolutions']) == (3.0, 1.5)
    assert figures['pairs_per_s'] == 33.33
    assert figures['joules_per_pair'] == 0.6
    assert figures['stages_ms']['inference'] == 29.0
    assert figures['p99_ms'] == pytest.approx(39.8)
    assert 'joules_per_pair' not in latency_figures(Series(series.samples), reference)


def test_worker_reports_what_went_wrong_in_one_line():
    with pytest.raises(WorkerError, match=r"weights '/no\.safetensors': no such file"):
        Worker(
            'predictor',
            {
                'weights': '/no.safetensors',
                'backend': 'torch',
                'precision': 'fp32',
                'device': 'cpu',
                'threads': 1,
                'pairs': '',
                'results': '',
            },
        )


def row(backend, median):
    return {'backend': backend, 'precision': 'fp32', 'variant': 'mafs_t', 'median_ms': median}


def test_measured_again_replaces_and_the_rest_stays():
    first, second = run_of('2026-01-01'), run_of('2026-01-02')
    results = merge(
        empty_results(MACHINE), MACHINE, first, {'runtime': [row('a', 1.0), row('b', 2.0)]}
    )
    results = merge(results, MACHINE, second, {'runtime': [row('b', 3.0)]})
    results = merge(results, MACHINE, second, {'training': [{'stage': 'mae'}]})
    assert [(r['backend'], r['median_ms'], r['run']) for r in results['runtime']] == [
        ('a', 1.0, 0),
        ('b', 3.0, 1),
    ]
    assert results['runs'] == [first, second]
    # A run of which nothing is left is forgotten, and the others keep their rows.
    results = merge(results, MACHINE, second, {'runtime': [row('a', 4.0)]})
    assert results['runs'] == [second]
    assert {r['run'] for r in results['runtime'] + results['training']} == {0}


def test_floor_by_hand():
    cost = Cost(flops=2e9, weights=1_000_000, map_numbers=10_000_000, bytes_up=4, bytes_down=5)
    rates = Rates(flops=1e12, memory=1e9, upload=4e3, download=1e3)
    floor = floor_ms(cost, rates, 'fp16')
    assert floor['compute_ms'] == pytest.approx(2.0)
    assert floor['memory_ms'] == pytest.approx(2.0, rel=1e-4)  # 2 MB of weights at 1 GB/s
    assert floor['transfer_ms'] == pytest.approx(1.0 + 5.0)
    assert floor['maps_through_memory_ms'] == pytest.approx(20.0)
    assert floor['floor_ms'] == pytest.approx(8.0, rel=1e-4)
    assert floor_ms(cost, Rates(flops=1e12, memory=1e12), 'fp32')['floor_ms'] == 2.0


def test_cost_of_a_network():
    from mafs_model.network.config import create_config

    cost = network_cost('mafs_t', (96, 128))
    assert cost.flops == 2 * count_macs(create_config('mafs_t', 9), (96, 128))
    assert (cost.bytes_up, cost.bytes_down) == (4 * 96 * 128, 5 * 96 * 128)
    assert cost.map_numbers > 96 * 128
    larger = network_cost('mafs_t', (192, 256))
    assert larger.weights == cost.weights
    assert larger.map_numbers == pytest.approx(4 * cost.map_numbers, rel=0.05)


def test_cpu_energy_counts_all_sockets_and_starts_over(tmp_path):
    for index, (value, limit) in enumerate([(900, 1000), (50, 1000)]):
        zone = tmp_path / f'intel-rapl:{index}'
        zone.mkdir()
        (zone / 'energy_uj').write_text(str(value))
        (zone / 'max_energy_range_uj').write_text(str(limit))
    counter = CpuEnergy(tmp_path)
    before = counter.read()
    (tmp_path / 'intel-rapl:0' / 'energy_uj').write_text('100')
    (tmp_path / 'intel-rapl:1' / 'energy_uj').write_text('150')
    assert counter.joules_since(before) == pytest.approx(300e-6)
    assert not CpuEnergy(tmp_path / 'nowhere').available


def test_name_of_a_machine_is_that_of_its_parts():
    assert machine_name(MACHINE) == 'chip-9-2-cores'
    assert machine_name({**MACHINE, 'gpus': ['NVIDIA X 80GB']}) == 'chip-9-2-cores-nvidia-x-80gb'
    import platform

    assert platform.node() not in json.dumps(describe_machine())


def test_committed_table_is_that_of_the_committed_results():
    document = ROOT / 'docs' / 'benchmarks.md'
    assert document.read_text(encoding='utf-8') == render(ROOT / 'docs' / 'benchmarks')
