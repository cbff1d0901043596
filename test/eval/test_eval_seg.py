"""`mafs-eval seg`, and comparison of its results."""

from __future__ import annotations

import json

import cv2
from mafs_training.evaluation.cli import main
import numpy as np
import pytest
from sklearn.metrics import jaccard_score


@pytest.fixture
def folders(tmp_path):
    """Labels of four images and two predictions, the second of which is better."""
    rng = np.random.default_rng(8)
    for kind in ('label', 'first', 'second', 'confidence'):
        (tmp_path / kind).mkdir()
    for index in range(4):
        label = np.kron(rng.integers(0, 4, (6, 8)), np.ones((8, 8), int)).astype(np.uint8)
        label[:4] = 255
        for kind, share in (('first', 0.7), ('second', 0.9)):
            wrong = rng.integers(0, 4, label.shape)
            kept = rng.random(label.shape) < share
            prediction = np.where(kept, label, wrong).astype(np.uint8)
            prediction[label == 255] = 0
            cv2.imwrite(str(tmp_path / kind / f'{index}.png'), prediction)
        cv2.imwrite(str(tmp_path / 'label' / f'{index}.png'), label)
        cv2.imwrite(
            str(tmp_path / 'confidence' / f'{index}.png'), np.full(label.shape, 204, np.uint8)
        )
    return tmp_path


def run(folder, which='first', *extra):
    return main(
        [
            'seg',
            '--pred',
            f'{folder}/{which}',
            '--label',
            f'{folder}/label',
            '--classes',
            'mfnet',
            '--quiet',
            '--jobs',
            '1',
            '--json',
            f'{folder}/{which}.json',
            *extra,
        ]
    )


def test_scores_agree_with_scikit_learn(folders, capsys):
    assert (
        run(
            folders,
            'first',
            '--confidence',
            f'{folders}/confidence',
            '--html',
            f'{folders}/r.html',
        )
        == 0
    )
    result = json.loads((folders / 'first.json').read_text())
    target, prediction = (
        np.stack(
            [cv2.imread(str(folders / kind / f'{i}.png'), cv2.IMREAD_UNCHANGED) for i in range(4)]
        )
        for kind in ('label', 'first')
    )
    kept = target != 255
    expected = jaccard_score(target[kept], prediction[kept], average=None)
    per_class = result['overall']['per_class']
    assert [per_class[n]['IoU'] for n in ('unlabelled', 'car', 'person', 'bike')] == (
        pytest.approx(expected, rel=1e-12)
    )
    assert per_class['bump']['IoU'] is None
    assert result['overall']['mIoU_present']['value'] == pytest.approx(expected.mean())
    assert result['overall']['mIoU']['value'] == pytest.approx(expected.sum() / 9)
    right = (target == prediction)[kept].mean()
    assert result['overall']['ECE'] == pytest.approx(abs(204 / 255 - right))
    printed = capsys.readouterr().out
    assert 'one confusion matrix for all' in printed
    report = (folders / 'r.html').read_text(encoding='utf-8')
    assert 'Confusion matrix' in report
    assert 'Calibration' in report


def test_bad_images_are_one_line_each_and_the_rest_is_measured(folders, capsys):
    good = cv2.imread(str(folders / 'first' / '0.png'), cv2.IMREAD_UNCHANGED)
    outside = good.copy()
    outside[10, 10] = 9
    cv2.imwrite(str(folders / 'first' / '0.png'), outside)
    cv2.imwrite(str(folders / 'first' / '1.png'), np.dstack([good, good + 1, good]))
    cv2.imwrite(str(folders / 'first' / '2.png'), good[:, :20])
    cv2.imwrite(str(folders / 'first' / 'extra.png'), good)
    assert run(folders) == 1
    errors = capsys.readouterr().err
    assert (
        '0: prediction has values outside the class table: 9 (expected 0..8 or 255 = ignored)'
    ) in errors
    assert '1.png: prediction is in colour, expected a single channel of class ids' in errors
    assert '2: sizes differ: prediction 20x48, label 64x48' in errors
    assert 'extra: prediction image without label partner' in errors
    assert json.loads((folders / 'first.json').read_text())['names'] == ['3']


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--classes', 'coco'], "classes 'coco': neither a known data set"),
        (['--classes', 'mfnet', '--pred', 'nowhere'], 'prediction folder not found: nowhere'),
    ],
)
def test_wrong_use_is_one_line(folders, capsys, arguments, message):
    code = main(['seg', '--pred', f'{folders}/first', '--label', f'{folders}/label', *arguments])
    assert code == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert message in errors[0]


def test_comparison_tells_the_better_one(folders, capsys):
    assert run(folders, 'first') == run(folders, 'second') == 0
    capsys.readouterr()
    assert (
        main(
            [
                'compare',
                f'{folders}/first.json',
                f'{folders}/second.json',
                '--json',
                f'{folders}/c.json',
                '--html',
                f'{folders}/c.html',
            ]
        )
        == 0
    )
    rows = json.loads((folders / 'c.json').read_text())['labels']
    values = [
        json.loads((folders / f'{n}.json').read_text())['overall']['mIoU']['value']
        for n in ('first', 'second')
    ]
    assert rows['mIoU']['difference'] == pytest.approx(values[1] - values[0])
    assert (rows['mIoU']['verdict'], rows['mIoU']['image_verdict']) == ('', 'better')
    assert rows['mIoU']['ci'][0] > 0
    printed = capsys.readouterr().out
    assert '(better)' in printed
    assert 'fewer than 3 seeds a side (1 before, 1 after)' in printed
    assert 'Comparison' in (folders / 'c.html').read_text(encoding='utf-8')
    assert (
        main(
            [
                'compare',
                f'{folders}/second.json',
                f'{folders}/first.json',
                '--json',
                f'{folders}/c.json',
            ]
        )
        == 0
    )
    assert (
        json.loads((folders / 'c.json').read_text())['labels']['mIoU']['image_verdict'] == 'worse'
    )


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('{', 'not a JSON file'),
        ('[]', "schema is None, expected 'mafs-eval/1'"),
        ('{"schema": "mafs-eval/1", "kind": "x"}', "kind is 'x', expected one of"),
        (None, 'cannot read'),
    ],
)
def test_files_of_another_kind_are_refused(tmp_path, capsys, content, message):
    path = tmp_path / 'x.json'
    if content is not None:
        path.write_text(content)
    assert main(['compare', str(path), str(path)]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert message in errors[0]
