"""`mafs-eval panels`: which pairs are shown, and what is on the sheets."""

from __future__ import annotations

from pathlib import Path

import cv2
from mafs_training.datasets.layouts import PairFiles
from mafs_training.evaluation.cli import main
from mafs_training.evaluation.panels.run import CELL_WIDTH, choose, Ranking, Scored
import numpy as np
import pytest


def ranking(**sizes):
    """Return pairs of several sets, scored by their number."""
    pairs = [
        Scored(PairFiles(f'{i}', Path('v'), Path('t'), None), name, {'Qabf': float(i)})
        for name, size in sizes.items()
        for i in range(size)
    ]
    return Ranking('Qabf', sorted(pairs, key=lambda one: one.scores['Qabf']))


def test_half_are_the_worst_and_the_best_is_there():
    chosen = choose(ranking(a=40), 8)
    assert [int(one.files.name) for _, one in chosen] == [0, 1, 2, 3, 4, 16, 27, 39]
    assert chosen[0][0] == 'worst 1 of 40'
    assert chosen[-1][0] == 'rank 40 of 40'


def test_data_sets_share_the_places():
    chosen = choose(ranking(b=30, a=30), 5)
    assert [one.set_name for _, one in chosen] == ['a', 'a', 'a', 'b', 'b']
    assert [int(one.files.name) for _, one in chosen] == [0, 1, 29, 0, 29]
    # What a small set leaves free is not filled: no set crowds out another.
    assert len(choose(ranking(a=2, b=30), 8)) == 6


@pytest.fixture
def dataset(tmp_path, triple):
    """Five pairs, the third one labelled."""
    _, thermal, visible = triple
    for index in range(5):
        for kind, image in (('ir', thermal), ('vi', visible)):
            (tmp_path / 'val' / kind).mkdir(parents=True, exist_ok=True)
            image = np.roll(image, 5 * index, axis=0)
            cv2.imwrite(str(tmp_path / 'val' / kind / f'p{index}.png'), image)
    (tmp_path / 'val' / 'label').mkdir()
    label = np.full(thermal.shape, 2, np.uint8)
    cv2.imwrite(str(tmp_path / 'val' / 'label' / 'p2.png'), label)
    return tmp_path


def run(dataset, *extra):
    common = ['--data', str(dataset), '--out', str(dataset / 'out'), '--quiet']
    return main(['panels', *common, '--device', 'cpu', *map(str, extra)])


def test_sheets_of_a_network(dataset, weights, capsys):
    assert run(dataset, '--weights', weights, '--backend', 'torch', '--threads', '1') == 0
    printed = capsys.readouterr().out
    name = f'{dataset.name}/val'
    assert sum(line.startswith(('worst', 'rank')) for line in printed.splitlines()) == 5
    assert f'{name}/p2' in printed
    assert 'mIoU' in printed
    first, second = (
        cv2.imread(str(dataset / 'out' / f'sheet_0{i}.png'))[..., ::-1] for i in (1, 2)
    )
    # 96x128 pixels are shown 360 high: four rows with captions, titles and legend.
    assert first.shape[0] > 4 * 360
    # The sheet with the labelled pair has a column more.
    widths = sorted((first.shape[1], second.shape[1]))
    assert widths in ([4 * CELL_WIDTH + 18, 5 * CELL_WIDTH + 24], [4 * CELL_WIDTH + 18] * 2)
    # The first cell is the thermal image of the worst pair.
    worst = next(line for line in printed.splitlines() if line.startswith('worst 1'))
    file = worst.split()[4].rpartition('/')[2]
    thermal = cv2.imread(str(dataset / 'val' / 'ir' / f'{file}.png'))
    shown = cv2.resize(thermal, (CELL_WIDTH, 360), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_array_equal(first[26:386, :CELL_WIDTH], shown)


def test_classical_fusion_has_three_columns(dataset):
    assert run(dataset, '--weights', 'classical', '--count', '2', '--rank', 'EN') == 0
    sheet = cv2.imread(str(dataset / 'out' / 'sheet_01.png'))
    assert sheet.shape == (26 + 2 * (360 + 26), 3 * CELL_WIDTH + 12, 3)


def test_ranking_by_labels_takes_labelled_pairs_only(dataset, weights, capsys):
    arguments = ['--weights', weights, '--backend', 'torch', '--threads', '1', '--rank', 'mIoU']
    assert run(dataset, *arguments) == 0
    assert '1 of 1 pairs' in capsys.readouterr().out
    assert run(dataset, '--weights', 'classical', '--rank', 'mIoU') == 2
    assert 'no pair can be ranked by mIoU' in capsys.readouterr().err


def test_wrong_use(dataset, capsys):
    assert run(dataset, '--weights', 'classical', '--rank', 'FID') == 2
    assert "--rank 'FID': expected one of Qabf" in capsys.readouterr().err
    (dataset / 'val' / 'vi' / 'p1.png').write_bytes(b'no image')
    assert run(dataset, '--weights', 'classical') == 1
    assert 'p1.png: not a readable image' in capsys.readouterr().err
    assert (dataset / 'out' / 'sheet_01.png').is_file()
