"""`mafs-eval bag` over several bags: one table, resumed, a broken bag a row."""

from __future__ import annotations

import json
import os
from pathlib import Path
import shutil

import cv2
from mafs_model.bags.writer import BagWriter
from mafs_model.errors import BagError
from mafs_training.evaluation.bag import many
from mafs_training.evaluation.bag.find import find_bags
from mafs_training.evaluation.cli import main
import numpy as np
import pytest

START, PERIOD = 1_700_000_000_000_000_000, 100_000_000


def write_bag(path: Path, count: int) -> Path:
    scene = cv2.GaussianBlur(np.random.default_rng(2).uniform(0, 255, (72, 96)), (0, 0), 4)
    scene = (scene - scene.min()) / np.ptp(scene)
    with BagWriter(path) as bag:
        for index in range(count):
            moved = np.roll(scene, 2 * index, axis=1)
            visible = np.dstack([moved * 200, moved * 150, 255 - moved * 180]).astype(np.uint8)
            thermal = (255 * moved**2).astype(np.uint8)
            stamp = START + index * PERIOD
            bag.write_image('/rgb/image_raw', stamp, 'c', visible, 'rgb8', stamp)
            bag.write_image('/thermal/image_raw', stamp, 'c', thermal, 'mono8', stamp)
    return path


@pytest.fixture
def folder(tmp_path):
    """Two good bags, one of them deeper, and a broken one."""
    write_bag(tmp_path / 'bags' / 'first', 4)
    write_bag(tmp_path / 'bags' / 'monday' / 'second', 6)
    broken = write_bag(tmp_path / 'bags' / 'third', 3)
    for file in broken.glob('*.mcap'):
        file.write_bytes(b'no bag at all')
    return tmp_path / 'bags'


def run(folder, *extra):
    out = folder.parent / 'out.json'
    common = ['--weights', 'classical', '--metrics-every', '2', '--quiet', '--jobs', '1']
    code = main(['bag', str(folder), *common, '--json', str(out), *map(str, extra)])
    return code, json.loads(out.read_text()) if out.exists() else None


def test_bags_are_found_where_they_lie(folder, tmp_path):
    names = [path.name for path in find_bags([folder])]
    assert names == ['first', 'second', 'third']
    assert find_bags([folder / 'first']) == [folder / 'first']
    assert find_bags([folder / 'first', folder]) == find_bags([folder])
    (tmp_path / 'empty').mkdir()
    with pytest.raises(BagError, match='neither a bag nor a folder of bags'):
        find_bags([tmp_path / 'empty'])
    # A link that leads back does not make the search endless.
    os.symlink(folder, folder / 'monday' / 'loop')
    assert [path.name for path in find_bags([folder])] == names


def test_one_table_with_a_broken_bag_as_a_row(folder, capsys):
    code, result = run(folder, '--html', folder.parent / 'o.html')
    assert code == 1
    assert result['kind'] == 'bags'
    rows = {Path(row['bag']).name: row for row in result['bags']}
    assert [rows[n]['pairs'] for n in ('first', 'second')] == [4, 6]
    assert rows['third']['error']
    assert rows['first']['error'] is None
    assert rows['second']['metrics']['EN'] > 0
    printed = capsys.readouterr()
    lines = [line for line in printed.out.splitlines() if str(folder) in line]
    assert len(lines) == 3
    assert lines[2].endswith('not usable')
    assert len(printed.err.splitlines()) == len(result['problems'])
    report = (folder.parent / 'o.html').read_text(encoding='utf-8')
    assert 'not usable' in report


def test_what_was_measured_is_not_measured_again(folder, monkeypatch):
    results = folder.parent / 'results'
    _, first = run(folder, '--results', results)
    assert len(list(results.glob('*.json'))) == 2
    measured = []
    evaluate = many.evaluate

    def counted(options, bag):
        measured.append(bag.name)
        return evaluate(options, bag)

    monkeypatch.setattr(many, 'evaluate', counted)
    _, again = run(folder, '--results', results)
    assert measured == ['third']  # the broken one has no result
    for old, new in zip(first['bags'], again['bags'], strict=True):
        assert {**old, 'kept': None} == {**new, 'kept': None}
    assert [row['kept'] for row in again['bags']] == [True, True, False]
    # Another setting, a changed bag and a result that was cut off are measured again.
    measured.clear()
    run(folder, '--results', results, '--slop', '0.01')
    assert measured == ['first', 'second', 'third']
    measured.clear()
    shutil.rmtree(folder / 'first')
    write_bag(folder / 'first', 5)
    kept = next(results.glob('second-*.json'))
    kept.write_text(kept.read_text()[:100])
    _, last = run(folder, '--results', results, '--slop', '0.01')
    assert measured == ['first', 'second', 'third']
    assert last['bags'][0]['pairs'] == 5


def test_several_processes_give_the_same_table(folder):
    _, one = run(folder)
    _, two = run(folder, '--jobs', '2')
    for first, second in zip(one['bags'], two['bags'], strict=True):
        assert first.get('metrics') == second.get('metrics')
        assert first['error'] == second['error']


def test_workers_of_a_cluster_give_the_same_table(folder):
    distributed = pytest.importorskip('distributed')
    _, one = run(folder)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        code, two = run(folder, '--executor', cluster.scheduler_address)
    assert code == 1
    for first, second in zip(one['bags'], two['bags'], strict=True):
        assert first.get('metrics') == second.get('metrics')
        assert first['error'] == second['error']


def test_without_the_engine_the_extra_is_named(folder, capsys, monkeypatch):
    monkeypatch.setattr('mafs_model.extras.is_installed', lambda package: package != 'distributed')
    assert run(folder, '--executor', 'tcp://nowhere:1')[0] == 2
    said = capsys.readouterr().err
    assert "'distributed' is not installed, install mafs_ros[cluster]" in said


def test_a_scheduler_that_does_not_answer_is_one_line(folder, capsys, monkeypatch):
    pytest.importorskip('distributed')
    monkeypatch.setattr('mafs_training.evaluation.parallel._CONNECT_S', 0.2)
    for address in ('tcp://127.0.0.1:9', 'nonsense'):
        assert run(folder, '--executor', address)[0] == 2
        said = capsys.readouterr().err.splitlines()[-1]
        assert f'--executor {address!r}: no Dask scheduler, expected its address such as' in said


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--live'], '--live is for one bag, got 3'),
        (['--out-bag', 'x.mcap'], '--out-bag is for one bag, got 3'),
        (['--labels', 'x'], '--labels is for one bag, got 3'),
    ],
)
def test_what_is_for_one_bag_is_refused(folder, capsys, arguments, message):
    code, result = run(folder, *arguments)
    assert (code, result) == (2, None)
    assert message in capsys.readouterr().err


def test_results_of_one_bag_are_its_json(folder, capsys):
    assert run(folder / 'first', '--results', 'x')[0] == 2
    assert 'expected more than one' in capsys.readouterr().err
    assert run(folder / 'first', '--executor', 'tcp://x:1')[0] == 2
    assert '--executor is for several bags, got one' in capsys.readouterr().err
