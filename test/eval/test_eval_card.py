"""`mafs-eval card`: prose stays, numbers come from results, wrong ones are refused."""

from __future__ import annotations

import json

import cv2
from mafs_model.checkpoint import load_checkpoint, save_checkpoint
from mafs_model.errors import DatasetError
from mafs_training.evaluation.card.card import BLOCKS, fill, TEMPLATE, unwritten
from mafs_training.evaluation.card.tables import data_name, markdown_table, value_cell
from mafs_training.evaluation.cli import main
import numpy as np
import pytest


@pytest.fixture(scope='module')
def results(weights, triple, tmp_path_factory):
    """Weights with a history, and results of every kind on two labelled pairs."""
    folder = tmp_path_factory.mktemp('card')
    _, thermal, visible = triple
    label = np.zeros(thermal.shape, np.uint8)
    label[30:60, 40:60] = 2
    (folder / 'streets' / 'val' / 'boxes').mkdir(parents=True)
    for name in ('00001D', '00002N'):
        (folder / 'streets' / 'val' / 'boxes' / f'{name}.txt').write_text('0 0.4 0.5 0.2 0.3\n')
    for kind, image in (('ir', thermal), ('vi', visible), ('label', label)):
        (folder / 'streets' / 'val' / kind).mkdir(parents=True)
        for name, flip in (('00001D', 0), ('00002N', 1)):
            changed = cv2.flip(image, flip)
            cv2.imwrite(str(folder / 'streets' / 'val' / kind / f'{name}.png'), changed)
    checkpoint = load_checkpoint(weights)
    file = folder / 'mine.safetensors'
    history = {
        'command': 'mafs-train joint --seed 1',
        'data': {'train': 'msrs | roadscene'},
        'metrics': {'mIoU': 0.4242},
        'temperature': 60.0,
        'calibration': {
            'fitted_on': 'msrs train',
            'splits': {
                'val': {
                    'images': 8,
                    'pixels': 9,
                    'ECE_before': 0.31,
                    'ECE_after': 0.02,
                    'NLL_before': 2.0,
                    'NLL_after': 1.0,
                }
            },
        },
    }
    save_checkpoint(file, checkpoint.state_dict, {**checkpoint.metadata, **history})
    data = folder / 'streets'
    common = ['--weights', str(file), '--device', 'cpu', '--threads', '1', '--quiet']
    runs = {
        'fusion': ['--ir', f'{data}/val/ir', '--vi', f'{data}/val/vi', '--jobs', '1'],
        'model': ['--data', str(data), '--robustness', 'missing', '--jobs', '1'],
        'flicker': [f'{data}/val'],
    }
    for command, arguments in runs.items():
        out = ['--json', f'{folder}/{command}.json', '--backend', 'torch']
        assert main([command, *arguments, *common, *out]) == 0
    agree = ['agree', '--data', str(data), '--second', 'torch:fp32', *common]
    assert main([*agree, '--json', f'{folder}/agree.json']) == 0
    boxes = ['--boxes', f'{data}/val/boxes', '--quiet', '--json', f'{folder}/objects.json']
    assert main(['objects', '--labels', f'silver={data}/val/label', *boxes]) == 0
    return folder, file


def card(
    results, *extra, files=('fusion', 'objects', 'model', 'flicker', 'agree'), target='CARD.md'
):
    folder, file = results
    paths = [str(folder / f'{name}.json') for name in files]
    return main(
        ['card', str(folder / target), '--weights', str(file), '--results', *paths, *extra]
    )


def test_a_card_is_made_and_says_what_the_results_say(results, capsys):
    folder, file = results
    (folder / 'CARD.md').unlink(missing_ok=True)
    assert card(results) == 0
    text = (folder / 'CARD.md').read_text(encoding='utf-8')
    assert f'`{load_checkpoint(file).weights_id}`' in text
    assert 'mafs-train joint --seed 1' in text
    assert '- train: msrs | roadscene' in text
    assert 'mIoU 0.4242' in text
    assert '| val | 8 | 0.3100 | 0.0200 | 2.0000 | 1.0000 |' in text
    fusion = json.loads((folder / 'fusion.json').read_text())
    row = fusion['verdicts']['mine']['VIF']
    assert f'| VIF | {row["value"]:.3f} |' in text
    assert '### Fusion: streets/val, 2 pairs' in text
    model = json.loads((folder / 'model.json').read_text())
    both = model['modalities']['both']['night']['mIoU_present']
    assert f'{both["value"]:.3f} ({both["ci95"][0]:.3f} to {both["ci95"][1]:.3f})' in text
    thermal = model['persons']['groups']['all']['methods']['thermal']['contrast']['value']
    assert f'| all: thermal | 2 | {thermal:.1f} (' in text
    # What the reference labels find of the boxes, and what the network does.
    assert text.count('### Labels against boxes: streets/val') == 2
    assert '| all: silver | person | 2 | ' in text
    assert '### Boxed objects in the fused image: streets/val' in text
    assert '| night: mine | person | 1 | ' in text
    assert '### Drop-out of the visible image: streets/val' in text
    assert 'Labels equal 100.00 %' in text
    assert 'mafs-eval flicker ' in text
    assert 'to be written by hand: hardware' in capsys.readouterr().out


def test_words_by_hand_stay_and_the_check_sees_old_numbers(results, capsys):
    folder, _ = results
    target = folder / 'CARD.md'
    target.unlink(missing_ok=True)
    assert card(results) == 0
    text = target.read_text(encoding='utf-8')
    for number, sentence in enumerate(unwritten(text)):
        text = text.replace(f'<!-- by hand: {sentence} -->', f'My words {number}.')
    target.write_text(text, encoding='utf-8')
    assert card(results, '--check') == 0
    target.write_text(text.replace('0.4242', '0.9999'), encoding='utf-8')
    assert card(results, '--check') == 1
    assert 'its numbers are not those of the results' in capsys.readouterr().err
    assert card(results) == 0
    assert target.read_text(encoding='utf-8') == text
    # Fewer results: the parts say so instead of keeping old numbers.
    assert card(results, files=('fusion',)) == 0
    shorter = target.read_text(encoding='utf-8')
    assert 'Drop-out' not in shorter
    assert shorter.count('Not measured.') == 5
    assert 'My words 1.' in shorter


def test_results_of_other_weights_are_refused(results, weights, capsys):
    folder, _ = results
    model = str(folder / 'model.json')
    code = main(['card', str(folder / 'x.md'), '--weights', str(weights), '--results', model])
    assert code == 2
    assert 'result of ' in capsys.readouterr().err
    assert not (folder / 'x.md').exists()


def test_wrong_files_are_one_line(results, capsys):
    folder, _ = results
    (folder / 'old.json').write_text('{"schema": "mafs-eval/1", "kind": "model", "inputs": {}}')
    assert card(results, files=('old',), target='y.md') == 0
    (folder / 'old.json').write_text(
        '{"schema": "mafs-eval/1", "kind": "model", "inputs": {}, "persons": {"groups": 3}}'
    )
    assert card(results, files=('old',), target='y.md') == 2
    assert 'lacks what this version expects' in capsys.readouterr().err
    (folder / 'seg.json').write_text('{"schema": "mafs-eval/1", "kind": "seg"}')
    assert card(results, files=('seg',), target='y.md') == 2
    assert "kind is 'seg', expected one of fusion, objects, model" in capsys.readouterr().err
    assert card(results, '--check', target='none.md') == 2
    assert 'none.md: no such file' in capsys.readouterr().err


def test_markers():
    parts = dict.fromkeys(BLOCKS, 'x <!-- /generated --> y')
    filled = fill(TEMPLATE, parts, 'card')
    # Filling again gives the same: what is inside cannot break out.
    assert fill(filled, parts, 'card') == filled
    for spoil, message in (
        (lambda t: t.replace('<!-- /generated -->', '', 1), 'is not closed'),
        (lambda t: t.replace('generated: labels', 'generated: lables'), "part 'lables'"),
        (
            lambda t: t.replace('<!-- generated: labels -->\n<!-- /generated -->', ''),
            'generated: labels -->., found 0',
        ),
        (
            lambda t: t + '<!-- generated: labels -->\n<!-- /generated -->',
            'generated: labels -->., found 2',
        ),
    ):
        with pytest.raises(DatasetError, match=message):
            fill(spoil(TEMPLATE), parts, 'card')


def test_pieces_by_hand():
    assert markdown_table(['a', 'b'], [['x|y', '1']]).splitlines() == [
        '| a | b |',
        '| --- | ---: |',
        '| x\\|y | 1 |',
    ]
    assert (
        value_cell({'value': 0.5, 'ci95': [0.25, 0.75]}, 2, signed=True) == '+0.50 (0.25 to 0.75)'
    )
    assert value_cell({'value': None, 'ci95': [None, None]}) == '-'
    assert data_name({'inputs': {'data': '../data/msrs', 'split': 'val'}}) == 'msrs/val'
    assert data_name({'inputs': {'visible': '../data/roadscene/val/vi'}}) == 'roadscene/val'
