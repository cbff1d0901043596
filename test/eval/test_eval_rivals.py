"""`mafs-eval fusion`: reference rows, the network's own images, and the verdict on each metric."""

from __future__ import annotations

import json

import cv2
from mafs_model.errors import ConfigError, DatasetError
from mafs_model.predictor import Predictor
from mafs_training.evaluation.cli import main
from mafs_training.evaluation.fusion.references import read_references
from mafs_training.evaluation.fusion.verdicts import headline, verdict_table, verdicts
from mafs_training.evaluation.results import summarize
from mafs_training.metrics.fusion import fusion_metrics
import numpy as np
import pytest


def document(**methods):
    """Return a document of methods given as metric to values per image."""
    tables = {
        name: summarize({str(i): {m: v[i] for m, v in rows.items()} for i in range(2)}, list(rows))
        for name, rows in methods.items()
    }
    return {
        'metrics': list(next(iter(methods.values()))),
        'baselines': ['average', 'maximum', 'visible'],
        'methods': tables,
        'references': {'theirs (ref)': {'EN': 5.0}},
    }


def test_verdicts_by_hand():
    rows = verdicts(
        document(
            mine={'EN': [6.0, 4.0], 'SD': [3.0, 5.0], 'MSE': [2.0, 2.0], 'SSIM': [0.98, 1.0]},
            average={'EN': [4.0, 4.0], 'SD': [4.0, 5.0], 'MSE': [3.0, 2.0], 'SSIM': [0.9, 0.9]},
            maximum={'EN': [4.0, 5.0], 'SD': [1.0, 1.0], 'MSE': [9.0, 9.0], 'SSIM': [1.0, 1.0]},
            # A copy of a source is no rival, however high its SD.
            visible={'EN': [9.0, 9.0], 'SD': [9.0, 9.0], 'MSE': [0.0, 0.0], 'SSIM': [1.0, 1.0]},
        ),
        'mine',
    )
    assert (rows['EN']['value'], rows['EN']['best']) == (5.0, 5.0)
    assert rows['EN']['rival'] == 'theirs (ref)'
    assert rows['EN']['at_least'] is True
    assert np.isnan(rows['EN']['difference_ci95']).all()
    assert (rows['SD']['best'], rows['SD']['rival'], rows['SD']['at_least']) == (
        4.5,
        'average',
        False,
    )
    # Differences of the two images: -1 and 0.
    assert rows['SD']['difference'] == -0.5
    assert rows['SD']['difference_ci95'] == [-1.0, 0.0]
    # Of squared errors the smaller one is better.
    assert (rows['MSE']['best'], rows['MSE']['at_least']) == (2.5, True)
    text = headline(rows, 'mine')
    # The sentence says what the table says, rival by rival.
    assert text == (
        'mine: at or above the best rival in 2 of 4 metrics (not SD: average, SSIM: maximum)'
    )
    table = verdict_table(rows, 'mine').splitlines()
    assert table[3].split()[-1] == 'NO'
    assert table[2].split()[-1] == 'yes'


def test_what_is_undefined_is_left_out():
    rows = verdicts(
        document(
            mine={'EN': [6.0, 4.0], 'SCD': [np.nan, np.nan], 'VIF': [1.0, 1.0]},
            maximum={'EN': [4.0, 5.0], 'SCD': [1.0, 1.0], 'VIF': [np.nan, np.nan]},
        ),
        'mine',
    )
    assert list(rows) == ['EN']


def test_reference_files(tmp_path):
    file = tmp_path / 'r.json'
    file.write_text(
        json.dumps(
            {
                'methods': {
                    'A': {'val': {'EN': 1, 'SCD': None, 'note': 'x'}, 'train': {'EN': 2}},
                    'B': {'val': {'EN': 3.5, 'SD': 4}, 'train': {'EN': 2}},
                }
            }
        )
    )
    metrics = ('EN', 'SD', 'SCD')
    assert read_references(file, metrics, 'val') == {
        'A (ref)': {'EN': 1.0},
        'B (ref)': {'EN': 3.5, 'SD': 4.0},
    }
    assert read_references(file, metrics, 'train', ['B']) == {'B (ref)': {'EN': 2.0}}
    with pytest.raises(ConfigError, match="one of val, train, got 'all'"):
        read_references(file, metrics, 'all')
    with pytest.raises(ConfigError, match=r"'C': .*r\.json has A, B"):
        read_references(file, metrics, 'val', ['C'])
    with pytest.raises(DatasetError, match='no method has a value of SD'):
        read_references(file, ('SD',), 'train')
    file.write_text('{"methods": {"A": {"EN": 7}}}')
    assert read_references(file, metrics, 'anything') == {'A (ref)': {'EN': 7.0}}
    for text, message in (
        ('[]', "expected a mapping 'methods'"),
        ('{"methods": {"A": 3}}', "expected a mapping 'methods'"),
        ('{', 'not a JSON file'),
    ):
        file.write_text(text)
        with pytest.raises(DatasetError, match=message):
            read_references(file, metrics)
    with pytest.raises(DatasetError, match='cannot read'):
        read_references(tmp_path / 'none.json', metrics)


@pytest.fixture
def folders(tmp_path, triple):
    """Two pairs in ir/ and vi/."""
    _, thermal, visible = triple
    for kind, image in (('ir', thermal), ('vi', visible)):
        (tmp_path / 'val' / kind).mkdir(parents=True)
        for name, flip in (('a', 0), ('b', 1)):
            cv2.imwrite(str(tmp_path / 'val' / kind / f'{name}.png'), cv2.flip(image, flip))
    return tmp_path / 'val'


def evaluate(folders, *extra):
    common = ['--ir', f'{folders}/ir', '--vi', f'{folders}/vi', '--jobs', '1', '--quiet']
    return main(['fusion', *common, '--json', f'{folders}/out.json', *map(str, extra)])


def test_one_command_fuses_measures_and_judges(folders, weights, capsys):
    reference = folders / 'ref.json'
    reference.write_text('{"methods": {"Theirs": {"val": {"EN": 99.0}}}}')
    kept = folders / 'kept'
    runtime = ['--backend', 'torch', '--device', 'cpu', '--threads', '1']
    assert (
        evaluate(
            folders,
            '--weights',
            weights,
            '--save',
            kept,
            '--reference',
            reference,
            '--html',
            folders / 'r.html',
            *runtime,
        )
        == 0
    )
    result = json.loads((folders / 'out.json').read_text())
    assert result['references'] == {'Theirs (ref)': {'EN': 99.0}}
    assert result['verdicts']['random']['EN']['rival'] == 'Theirs (ref)'
    assert result['verdicts']['random']['EN']['at_least'] is False
    # The values are those of the predictor's own output.
    thermal = cv2.imread(str(folders / 'ir' / 'b.png'), cv2.IMREAD_GRAYSCALE)
    visible = cv2.imread(str(folders / 'vi' / 'b.png'))[..., ::-1].copy()
    with Predictor.create(weights, device='cpu', backend='torch', threads=1) as predictor:
        fused = predictor.predict(visible, thermal).fused
    expected = fusion_metrics(fused, thermal, visible)
    for metric in ('EN', 'VIF', 'Qabf'):
        measured = result['methods']['random'][metric]['values']['b']
        assert measured == pytest.approx(expected[metric], rel=1e-12)
    np.testing.assert_array_equal(cv2.imread(str(kept / 'b.png'))[..., ::-1], fused)
    printed = capsys.readouterr().out
    assert 'Theirs (ref)' in printed
    assert 'random: at or above the best rival in ' in printed
    report = (folders / 'r.html').read_text(encoding='utf-8')
    assert 'random against the best rival' in report
    assert 'Theirs (ref)' in report


def test_images_made_for_a_run_leave_no_path(folders):
    assert evaluate(folders, '--weights', 'classical') == 0
    result = json.loads((folders / 'out.json').read_text())
    assert result['inputs']['fused'] == {'classical': ''}
    # The classical engine on grey images is the baseline of the same name.
    for metric, row in result['methods']['classical'].items():
        assert row['mean'] == pytest.approx(result['methods']['laplacian'][metric]['mean'])


def test_a_folder_of_the_same_name_is_refused(folders, capsys):
    (folders / 'ir').joinpath('x').mkdir()
    assert evaluate(folders, '--weights', 'classical', '--fused', f'classical={folders}/vi') == 2
    assert "'classical' is the name of --weights" in capsys.readouterr().err
