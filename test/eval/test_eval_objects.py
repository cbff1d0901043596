"""`mafs-eval objects`, and boxes in `mafs-eval fusion` and `model`."""

from __future__ import annotations

import json

import cv2
from mafs_training.evaluation.cli import main
import numpy as np
import pytest

NAMES = ('00001D', '00002D', '00003N', '00004N')


@pytest.fixture
def split(tmp_path, triple):
    """Four pairs with label images and boxes: one person found, one missed, one car invented."""
    _, thermal, visible = triple
    folder = tmp_path / 'set' / 'val'
    for kind in ('ir', 'vi', 'mine', 'boxes'):
        (folder / kind).mkdir(parents=True)
    labels = np.zeros(thermal.shape, np.uint8)  # 96x128
    labels[30:70, 20:40] = 2
    labels[10:20, 90:100] = 1
    height, width = labels.shape
    boxes = [(0, 30, 50, 20, 40), (0, 80, 50, 10, 20)]
    lines = [
        f'{kind} {x / width} {y / height} {w / width} {h / height} {score}'
        for (kind, x, y, w, h), score in zip(boxes, (0.9, 0.4), strict=True)
    ]
    for name in NAMES:
        cv2.imwrite(str(folder / 'ir' / f'{name}.png'), thermal)
        cv2.imwrite(str(folder / 'vi' / f'{name}.png'), visible)
        cv2.imwrite(str(folder / 'mine' / f'{name}.png'), labels)
        (folder / 'boxes' / f'{name}.txt').write_text('\n'.join(lines))
    return folder


def objects(split, *extra):
    out = ['--json', f'{split}/o.json', '--jobs', '1', '--quiet']
    code = main(['objects', '--boxes', f'{split}/boxes', *map(str, extra), *out])
    path = split / 'o.json'
    return code, json.loads(path.read_text()) if path.exists() else None


def test_label_folders_are_judged_by_boxes(split, capsys):
    (split / 'boxes' / '00004N.txt').write_text('')
    code, result = objects(
        split, '--labels', f'{split}/mine', '--vi', f'{split}/vi', '--html', split / 'o.html'
    )
    assert code == 0
    assert result['kind'] == 'objects'
    scores = result['objects']['scores']['all']['mine']
    assert scores['person']['found'] == {'value': 0.5, 'ci95': [0.5, 0.5], 'n': 6}
    assert scores['person']['found_tall']['value'] == 1
    assert scores['person']['found_small']['value'] == 0
    # The person marked in the frame without boxes is an invention.
    assert scores['person']['precision']['value'] == 3 / 4
    assert scores['person']['false_per_frame']['value'] == 1 / 4
    assert scores['car']['false_per_frame']['value'] == 1
    assert 'found' not in scores['car']
    night = result['objects']['scores']['night']['mine']['person']
    assert (night['images'], night['found']['n']) == (2, 2)
    counts = result['objects']['per_image']['mine']['00001D']['person']
    assert (counts['boxes'], counts['found'], counts['right'], counts['wrong']) == (2, 1, 1, 0)
    line = next(row for row in capsys.readouterr().out.splitlines() if 'all: mine' in row)
    assert line.split()[:6] == ['all:', 'mine', 'person', '6', '0.500', '(0.50..0.50)']
    report = (split / 'o.html').read_text(encoding='utf-8')
    assert '00001D: 1 missed, 1 in no box' in report
    assert report.count('<img ') == 4


def test_a_detectors_weak_boxes_can_be_left_out(split):
    _, result = objects(split, '--labels', f'{split}/mine', '--min-score', '0.5')
    assert result['objects']['min_score'] == 0.5
    assert result['objects']['scores']['all']['mine']['person']['found']['value'] == 1


def test_ids_and_classes_have_the_names_they_are_given(split):
    _, result = objects(split, '--labels', f'{split}/mine', '--box-classes', 'car', 'person')
    scores = result['objects']['scores']['all']['mine']
    assert list(scores) == ['car', 'person']
    # The boxes are cars now, and neither is filled with cars.
    assert scores['car']['found']['value'] == 0
    assert scores['person']['false_per_frame']['value'] == 1


def test_labels_of_weights_are_those_of_the_predictor(split, weights):
    runtime = ['--device', 'cpu', '--backend', 'torch', '--threads', '1']
    images = ['--ir', f'{split}/ir', '--vi', f'{split}/vi']
    code, result = objects(
        split, '--weights', weights, *images, *runtime, '--save', split / 'kept'
    )
    assert code == 0
    own = result['objects']['per_image']['random']
    assert result['model']['weights_id'].startswith('random') or result['model']['weights_id']
    code, saved = objects(split, '--labels', f'random={split}/kept')
    assert saved['objects']['per_image']['random'] == own
    # One camera alone will do.
    code, result = objects(split, '--weights', weights, '--ir', f'{split}/ir', *runtime)
    assert code == 0
    assert set(result['objects']['per_image']['random']) == set(NAMES)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([], 'expected --labels DIR or --weights FILE'),
        (['--weights', 'default'], 'expected --ir DIR, --vi DIR or both'),
        (['--weights', 'classical', '--ir', 'x'], 'it has no labels, expected a network'),
        (['--labels', 'nowhere'], 'label (nowhere) folder not found: nowhere'),
        (['--labels', 'a=x', 'a=y'], "method 'a' is given twice"),
        (['--labels', '{}/mine', '--save', 'x'], 'expected both, or neither'),
        (['--labels', '{}/mine', '--classes', 'pst900'], 'none of the boxed classes'),
        (['--labels', '{}/mine', '--vi', 'nowhere'], 'visible folder not found'),
    ],
)
def test_mistakes_are_one_line(split, capsys, arguments, message):
    code, result = objects(split, *(text.format(split) for text in arguments))
    assert (code, result) == (2, None)
    error = capsys.readouterr().err
    assert message in error
    assert error.count('\n') == 1


def test_a_bad_box_file_costs_its_frame_alone(split, capsys):
    (split / 'boxes' / '00002D.txt').write_text('0 320 240 64 48\n')
    code, result = objects(split, '--labels', f'{split}/mine')
    assert code == 1
    assert len(result['objects']['per_image']['mine']) == 3
    assert '00002D.txt, line 1: expected ' in capsys.readouterr().err


def test_fusion_says_how_clear_boxed_objects_are(split, capsys):
    code = main(
        [
            'fusion',
            '--ir',
            f'{split}/ir',
            '--vi',
            f'{split}/vi',
            '--boxes',
            f'{split}/boxes',
            '--jobs',
            '1',
            '--quiet',
            '--json',
            f'{split}/f.json',
            '--html',
            f'{split}/f.html',
        ]
    )
    assert code == 0
    result = json.loads((split / 'f.json').read_text())
    scores = result['clear']['scores']
    assert set(scores) == {'all', 'day', 'night'}
    for source in ('thermal', 'visible'):
        # Contrast in one of the sources is the better camera's own.
        assert scores['all'][source]['person']['clear']['n'] == 8
    kept = [scores['all'][source]['person']['kept']['value'] for source in ('thermal', 'visible')]
    assert max(kept) >= 0.5
    assert 'boxed objects in the fused images' in capsys.readouterr().out
    assert 'How clear boxed objects are' in (split / 'f.html').read_text(encoding='utf-8')
    assert {'visible_kept', 'thermal_kept'} <= set(result['metrics'])


def test_model_takes_the_boxes_beside_the_images(split, weights, capsys):
    def model(*extra):
        common = ['--device', 'cpu', '--backend', 'torch', '--threads', '1', '--jobs', '1']
        out = ['--json', f'{split}/m.json', '--html', f'{split}/m.html', '--quiet']
        code = main(
            [
                'model',
                '--weights',
                str(weights),
                '--data',
                str(split.parent),
                '--robustness',
                'off',
                *common,
                *out,
                *map(str, extra),
            ]
        )
        return code, json.loads((split / 'm.json').read_text())

    code, result = model()
    assert code == 0
    assert result['clear']['scores']['all']['random']['person']['clear']['n'] == 8
    assert result['objects']['scores']['night']['random']['person']['found']['n'] == 4
    report = (split / 'm.html').read_text(encoding='utf-8')
    assert 'Objects found, missed and invented' in report
    assert 'Worst frames: objects' in report
    assert 'labels against boxes' in capsys.readouterr().out
    (split / 'boxes' / '00001D.txt').unlink()
    code, result = model('--boxes', split / 'boxes', '--min-score', '0.5')
    assert code == 1
    assert '00001D: no boxes in ' in result['problems'][0]
    assert result['objects']['scores']['all']['random']['person']['found']['n'] == 3
