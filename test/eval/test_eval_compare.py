"""`mafs-eval compare`: what seeds support, what images say, and wrong use."""

from __future__ import annotations

import json

from mafs_training.evaluation.cli import main
from mafs_training.metrics.seeds import seed_interval, student_quantile, student_share
import numpy as np
import pytest
from scipy import stats


def fusion_document(values, method='mine'):
    cells = {'mean': 0, 'values': values}
    return {
        'schema': 'mafs-eval/1',
        'kind': 'fusion',
        'baselines': [],
        'methods': {method: {'AG': cells, 'MSE': cells}},
    }


def test_comparison_of_fusion_uses_shared_images_and_knows_directions(tmp_path, capsys):
    first = {f'{i}': float(i) for i in range(20)} | {'only here': 99.0, 'undefined': None}
    second = {f'{i}': i + 1.0 + 0.01 * i for i in range(20)} | {'undefined': 3.0}
    for name, values in (('a', first), ('b', second)):
        (tmp_path / f'{name}.json').write_text(json.dumps(fusion_document(values, name)))
    assert (
        main(
            ['compare', f'{tmp_path}/a.json', f'{tmp_path}/b.json', '--json', f'{tmp_path}/c.json']
        )
        == 0
    )
    rows = json.loads((tmp_path / 'c.json').read_text())['fusion']['a -> b']
    assert rows['AG']['images'] == 20
    assert rows['AG']['difference'] == pytest.approx(1.095)
    assert rows['AG']['image_verdict'] == 'better'
    assert rows['MSE']['image_verdict'] == 'worse'  # a larger error
    capsys.readouterr()
    assert main(['compare', f'{tmp_path}/a.json', f'{tmp_path}/b.json', '--method', 'x=b']) == 2
    assert "the first file has no method 'x', it has a" in capsys.readouterr().err


@pytest.mark.parametrize('freedom', [1, 1.3, 2, 3.7, 4, 30, 500])
def test_students_distribution_is_scipys(freedom):
    for t in (0, 0.1, 1, 2.776, 12, 300):
        assert student_share(t, freedom) == pytest.approx(stats.t.cdf(t, freedom), abs=1e-8)
    for share in (0.6, 0.975, 0.995):
        expected = stats.t.ppf(share, freedom)
        assert student_quantile(share, freedom) == pytest.approx(expected, rel=1e-5)


def test_the_interval_of_seeds_is_welchs():
    rng = np.random.default_rng(2)
    first, second = rng.normal(1, 0.1, 3), rng.normal(1.2, 0.4, 5)
    ours = seed_interval(first, second)
    theirs = stats.ttest_ind(second, first, equal_var=False)
    interval = theirs.confidence_interval(0.95)
    assert ours is not None
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high), rel=1e-5)
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-5)
    assert seed_interval([1.0], second) is None
    assert seed_interval(first, [1.0, np.nan]) is None
    same = seed_interval([0.3, 0.3, 0.3], [0.3, 0.3, 0.3])
    assert same is not None
    assert (same.low, same.high, same.p_value) == (0, 0, 1)


def write_runs(folder, name, offsets, kind=fusion_document):
    """Write one result a seed: each seed moves all images together."""
    rng = np.random.default_rng(1)
    base = rng.normal(10, 1, 30)
    paths = []
    for index, offset in enumerate(offsets):
        values = {f'{i}': float(v + offset) for i, v in enumerate(base)}
        paths.append(folder / f'{name}{index}.json')
        paths[-1].write_text(json.dumps(kind(values, f'{name}-{index}')))
    return [str(path) for path in paths]


def compare(folder, before, after, *extra):
    out = ['--json', f'{folder}/c.json', '--html', f'{folder}/c.html']
    code = main(['compare', '--before', *before, '--after', *after, *out, *extra])
    return code, json.loads((folder / 'c.json').read_text())


def test_what_the_luck_of_a_seed_gives_is_not_called_better(tmp_path, capsys):
    # Every image agrees that B is higher, yet seeds scatter more than the sides differ.
    before = write_runs(tmp_path, 'a', [0.0, 1.0, 0.2])
    after = write_runs(tmp_path, 'b', [0.5, 1.4, 0.1])
    code, result = compare(tmp_path, before, after)
    assert code == 0
    row = result['fusion']['before -> after']['AG']
    assert row['image_verdict'] == 'better'
    assert row['verdict'] == ''
    assert row['ci'][0] > 0 > row['seed_ci'][0]
    assert row['difference'] == pytest.approx(2.0 / 3 - 0.4)
    assert [len(side) for side in row['runs']] == [3, 3]
    printed = capsys.readouterr().out
    assert 'means over 3 and 3 runs' in printed
    assert 'fewer than' not in printed


def test_three_seeds_that_agree_support_a_claim(tmp_path, capsys):
    before = write_runs(tmp_path, 'a', [0.0, 0.01, 0.02])
    after = write_runs(tmp_path, 'b', [0.5, 0.52, 0.51])
    _, result = compare(tmp_path, before, after)
    rows = result['fusion']['before -> after']
    assert rows['AG']['verdict'] == 'better'
    assert rows['MSE']['verdict'] == 'worse'
    assert rows['AG']['seed_p'] < 0.001
    assert ' better' in capsys.readouterr().out
    report = (tmp_path / 'c.html').read_text(encoding='utf-8')
    assert '3, 3' in report
    # Two seeds a side: an interval, and no claim.
    _, result = compare(tmp_path, before[:2], after[:2])
    row = result['fusion']['before -> after']['AG']
    assert row['verdict'] == ''
    assert row['seed_ci'][0] is not None
    assert '(better)' in capsys.readouterr().out
    assert 'fewer than 3 seeds a side' in (tmp_path / 'c.html').read_text(encoding='utf-8')


def objects_document(found, name):
    counts = {
        i: {'person': {'frames': 1, 'boxes': 4, 'found': found, 'right': 3, 'wrong': 1}}
        for i in 'abcde'
    }
    for kinds in counts.values():
        for size in ('tall', 'small', 'medium', 'large'):
            kinds['person'][f'boxes_{size}'] = kinds['person'][f'found_{size}'] = 0
    return {
        'schema': 'mafs-eval/1',
        'kind': 'objects',
        'objects': {'per_image': {name: counts}},
    }


def test_objects_are_compared_too(tmp_path):
    sides = []
    for name, values in (('a', (1, 2, 1)), ('b', (3, 4, 3))):
        sides.append([])
        for index, found in enumerate(values):
            path = tmp_path / f'{name}{index}.json'
            path.write_text(json.dumps(objects_document(found, f'{name}{index}')))
            sides[-1].append(str(path))
    _, result = compare(tmp_path, *sides)
    rows = result['objects']['before -> after']
    assert rows['found person']['difference'] == pytest.approx(0.5)
    assert rows['found person']['verdict'] == 'better'
    assert rows['precision person']['verdict'] == ''
    assert 'found_tall person' not in rows


def test_wrong_sides_are_one_line(tmp_path, capsys):
    first, second = write_runs(tmp_path, 'a', [0, 1])
    weights = [json.loads((tmp_path / f'a{i}.json').read_text()) for i in (0, 1)]
    for index, document in enumerate(weights):
        document['model'] = {'weights_id': 'same'}
        (tmp_path / f'w{index}.json').write_text(json.dumps(document))
    cases = [
        ([first], 'expected A.json B.json, or --before'),
        ([first, second, '--before', first], 'expected A.json B.json, or --before'),
        (['--before', first], 'expected A.json B.json, or --before'),
        (['--before', first, first, '--after', second], 'a0.json is given twice'),
        (
            ['--before', f'{tmp_path}/w0.json', f'{tmp_path}/w1.json', '--after', first],
            "runs 1 and 2 before are both of the weights 'same': expected one run a seed",
        ),
    ]
    for arguments, message in cases:
        assert main(['compare', *arguments]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count('\n') == 1
