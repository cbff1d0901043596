"""Goals that a command is given: read, judged and shown."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
from mafs_model.errors import ConfigError
from mafs_training.evaluation.cli import main
from mafs_training.evaluation.goals import Goals, goals_sentence, judge, read_goals, score_of
import pytest

DOCUMENT = {
    'methods': {
        'mine': {'EN': {'mean': 6.9}, 'MSE': {'mean': 10.0}, 'visible_kept': {'mean': 0.5}}
    },
    'group_means': {'day': {'mine': {'EN': 7.5}}},
    'verdicts': {
        'mine': {
            'EN': {'value': 6.9, 'best': 7.0, 'rival': 'lapmax'},
            'MSE': {'value': 10.0, 'best': 9.9, 'rival': 'average'},
        }
    },
    'clear': {'scores': {'all': {'mine': {'person': {'clear': {'value': 0.49}}}}}},
    'objects': {'scores': {'night': {'mine': {'car': {'false_per_frame': {'value': 0.25}}}}}},
    'modalities': {'both': {'all': {'mIoU': {'value': 0.4}}}},
}


def test_goals_are_judged_by_hand():
    goals = Goals(
        rivals=('EN', 'MSE', 'SCD'),
        within=0.02,
        at_least={
            'visible_kept': 0.5,
            'day: EN': 7.6,
            'clear person': 0.49,
            'mIoU': 0.41,
            'clear bike': 1,
        },
        at_most={'night: false_per_frame car': 0.2},
    )
    rows = judge(goals, DOCUMENT, 'mine')
    assert [row['reached'] for row in rows] == [
        True,  # 6.9 of 7.0 less 2 %
        True,  # 10 of 9.9 and 2 % more
        None,
        True,
        False,
        True,
        False,
        None,
        False,
    ]
    assert rows[0]['limit'] == pytest.approx(6.86)
    assert rows[1]['goal'] == 'MSE of average, 2 % more (at most)'
    sentence = goals_sentence(rows, 'mine')
    assert sentence.startswith('mine reaches 4 of 9 goals; not day: EN, mIoU, ')
    assert sentence.endswith('not measured: SCD of the best rival, 2 % less, clear bike')
    assert score_of(DOCUMENT, 'other', 'EN') is None


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'expected a mapping of rivals, within'),
        ('- EN', 'expected a mapping'),
        ('rival: [EN]', "unknown key 'rival'"),
        ('rivals: [EN, SDD]', r"rivals \['SDD'\], expected a list of EN"),
        ('rivals: EN', "rivals 'EN', expected a list"),
        ('within: 3', 'within 3, expected a share'),
        ('within: .nan', 'within nan, expected a share'),
        ('at_least: [SSIM]', r"at_least is \['SSIM'\], expected scores"),
        ('at_least: {SSIM: high}', "'SSIM': 'high', expected a score such as"),
        ('at_most: {1: 2}', '1: 2, expected a score'),
        ('at_least: {SSIM: true}', "'SSIM': True, expected"),
        ('[' * 5000, 'not plain YAML'),
    ],
)
def test_wrong_goals_are_one_line(tmp_path, text, message):
    file = tmp_path / 'goals.yaml'
    file.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_goals(file)
    assert '\n' not in str(caught.value)


def test_the_projects_own_goals_can_be_read():
    goals = read_goals(Path(__file__).parents[2] / 'benchmarks' / 'goals.yaml')
    assert 'Qabf' in goals.rivals
    assert goals.at_least['day: clear person'] > 0.5
    with pytest.raises(ConfigError, match='no such file'):
        read_goals(Path('none.yaml'))


def test_a_command_is_given_its_goals(tmp_path, triple, capsys):
    _, thermal, visible = triple
    for kind, image in (('ir', thermal), ('vi', visible), ('mine', visible)):
        (tmp_path / kind).mkdir()
        cv2.imwrite(str(tmp_path / kind / 'a.png'), image)
    (tmp_path / 'goals.yaml').write_text('rivals: [SD]\nat_least: {EN: 99, clear person: 0.5}\n')
    folders = ['--ir', f'{tmp_path}/ir', '--vi', f'{tmp_path}/vi', '--fused', f'{tmp_path}/mine']
    out = [
        '--json',
        f'{tmp_path}/o.json',
        '--html',
        f'{tmp_path}/o.html',
        '--jobs',
        '1',
        '--quiet',
    ]
    assert main(['fusion', *folders, *out]) == 0
    printed = capsys.readouterr().out
    assert 'goal' not in printed  # nobody named any
    assert main(['fusion', *folders, *out, '--goals', f'{tmp_path}/goals.yaml']) == 0
    rows = json.loads((tmp_path / 'o.json').read_text())['goals']['mine']
    assert [row['reached'] for row in rows][1:] == [False, None]
    assert 'goals; not ' in capsys.readouterr().out
    assert 'Goals of mine' in (tmp_path / 'o.html').read_text(encoding='utf-8')


def test_a_source_is_no_winner(tmp_path, triple, capsys):
    _, thermal, visible = triple
    for kind, image in (('ir', thermal), ('vi', visible)):
        (tmp_path / kind).mkdir()
        cv2.imwrite(str(tmp_path / kind / 'a.png'), image)
    assert main(['fusion', '--ir', f'{tmp_path}/ir', '--vi', f'{tmp_path}/vi', '--quiet']) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert '*' not in rows['visible']
    assert '*' not in rows['thermal']
    assert '*' in rows['maximum']
