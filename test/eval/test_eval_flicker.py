"""`mafs-eval flicker`: folders, the synthetic drive, bad input."""

from __future__ import annotations

import json

import cv2
from mafs_model.errors import ConfigError, DatasetError
from mafs_training.evaluation.cli import main
from mafs_training.evaluation.flicker.sequences import open_sequence
from mafs_training.evaluation.fusion.baselines import fuse_baseline
import numpy as np
import pytest


@pytest.fixture
def folder(tmp_path, triple):
    """Three frames that move to the right, in an order that only numbers tell."""
    _, thermal, visible = triple
    for index, name in enumerate(('f2', 'f9', 'f10')):
        for kind, image in (('ir', thermal), ('vi', visible)):
            (tmp_path / kind).mkdir(exist_ok=True)
            moved = np.roll(image, 2 * index, axis=1)
            cv2.imwrite(str(tmp_path / kind / f'{name}.png'), moved)
    return tmp_path


def run(*arguments):
    return main(['flicker', *map(str, arguments), '--quiet'])


def test_folder_in_natural_order(folder, capsys):
    out = folder / 'out.json'
    assert run(folder, '--weights', 'classical', '--json', out, '--html', folder / 'r.html') == 0
    result = json.loads(out.read_text())
    assert (result['kind'], result['frames'], result['transitions']) == ('flicker', 3, 2)
    images = {
        kind: [
            cv2.imread(str(folder / kind / f'{n}.png'), cv2.IMREAD_GRAYSCALE).astype(int)
            for n in ('f2', 'f9', 'f10')
        ]
        for kind in ('ir', 'vi')
    }
    for kind, name in (('ir', 'thermal'), ('vi', 'visible')):
        a, b, c = images[kind]
        expected = [np.abs(b - a).mean(), np.abs(c - b).mean()]
        assert result['series'][name] == pytest.approx(expected)
        assert result['sources'][f'TD_{name}']['value'] == pytest.approx(np.mean(expected))
    average = [
        fuse_baseline('average', t.astype(np.uint8), v.astype(np.uint8)).astype(int)
        for t, v in zip(images['ir'], images['vi'], strict=True)
    ]
    change = (np.abs(average[1] - average[0]).mean() + np.abs(average[2] - average[1]).mean()) / 2
    row = result['methods']['average']
    assert row['TD']['value'] == pytest.approx(change)
    assert row['ratio_max']['value'] == pytest.approx(
        change / max(result['sources'][n]['value'] for n in ('TD_thermal', 'TD_visible'))
    )
    assert row['ratio_max']['ci95'][0] <= row['ratio_max']['value'] <= row['ratio_max']['ci95'][1]
    assert 'of larger' in capsys.readouterr().out
    report = (folder / 'r.html').read_text(encoding='utf-8')
    assert '<svg' in report
    assert '<script' not in report


def test_synthetic_drive_with_a_network(weights, tmp_path):
    out = tmp_path / 'out.json'
    runtime = ['--device', 'cpu', '--backend', 'torch', '--threads', '1']
    arguments = ['synthetic:0.3', '--rate', '10', '--weights', weights, '--json', out, *runtime]
    assert run(*arguments) == 0
    result = json.loads(out.read_text())
    assert result['transitions'] == 2
    assert set(result['methods']) == {'random', 'average', 'maximum', 'laplacian', 'lapmax'}
    # Averaging two images cannot change more than the larger of their changes, but for rounding.
    assert result['methods']['average']['excess']['value'] < 0.01


def test_folders_of_other_methods_and_missing_frames(folder):
    (folder / 'mine').mkdir()
    for name in ('f2', 'f10'):
        image = cv2.imread(str(folder / 'vi' / f'{name}.png'))
        cv2.imwrite(str(folder / 'mine' / f'{name}.png'), image)
    out = folder / 'out.json'
    arguments = [folder, '--weights', 'classical', '--fused', f'mine={folder}/mine', '--json', out]
    # The frame between is missing: there is no transition to measure.
    assert run(*arguments) == 1
    result = json.loads(out.read_text())
    assert result['problems'] == ['method mine: no two frames in a row']
    (folder / 'mine' / 'f9.png').write_bytes((folder / 'vi' / 'f9.png').read_bytes())
    assert run(*arguments) == 0
    row = json.loads(out.read_text())['methods']['mine']
    assert row['TD']['value'] == pytest.approx(
        json.loads(out.read_text())['sources']['TD_visible']['value']
    )


def test_a_broken_frame_is_named_and_ends_the_run_of_frames(folder, capsys):
    (folder / 'vi' / 'f9.png').write_bytes(b'no image')
    assert run(folder, '--weights', 'classical') == 2
    assert 'f9.png' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('source', 'error', 'message'),
    [
        ('nowhere', DatasetError, 'sequence not found: nowhere'),
        ('synthetic:x', ConfigError, 'expected synthetic:SECONDS'),
        ('synthetic:0', ConfigError, 'a number above 0'),
        ('synthetic:1e9', ConfigError, 'at most 600'),
    ],
)
def test_wrong_sequences(source, error, message):
    from contextlib import ExitStack

    with ExitStack() as stack, pytest.raises(error, match=message):
        open_sequence(source, stack)


def test_one_frame_is_not_enough(folder, capsys):
    assert run(folder, '--weights', 'classical', '--limit', '1') == 2
    assert 'expected at least two frames' in capsys.readouterr().err
