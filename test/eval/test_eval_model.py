"""`mafs-eval model`: data sets, modalities, disturbances, speed."""

from __future__ import annotations

import json

import cv2
from mafs_model.errors import DatasetError
from mafs_model.predictor import Predictor
from mafs_training.datasets.reading import RawPair
from mafs_training.evaluation.cli import main
from mafs_training.evaluation.model.disturbances import (
    add_noise,
    blur,
    darken,
    DISTURBANCES,
    lose_part,
    shift,
)
from mafs_training.evaluation.model.robustness import MISSING, robustness
from mafs_training.evaluation.pairs import evaluation_pairs
from mafs_training.metrics.fusion import fusion_metrics
import numpy as np
import pytest


@pytest.fixture
def dataset(tmp_path, triple):
    """Four pairs, two of them labelled, in folders as below ../data."""
    _, thermal, visible = triple
    rng = np.random.default_rng(9)
    for kind in ('ir', 'vi', 'label_silver'):
        (tmp_path / 'set' / 'val' / kind).mkdir(parents=True)
    for index, name in enumerate(('00001D', '00002D', '00003N', '00004N')):
        folder = tmp_path / 'set' / 'val'
        cv2.imwrite(str(folder / 'ir' / f'{name}.png'), np.roll(thermal, 3 * index, axis=1))
        colour = np.dstack([np.roll(visible, 3 * index, axis=1)] * 3)
        cv2.imwrite(str(folder / 'vi' / f'{name}.png'), colour)
        if index in (1, 2):
            label = np.kron(rng.integers(0, 9, (6, 8)), np.ones((16, 16), int))
            cv2.imwrite(str(folder / 'label_silver' / f'{name}.png'), label.astype(np.uint8))
    return tmp_path / 'set'


def test_model_document_has_all_parts(dataset, weights, capsys):
    out = dataset.parent
    assert (
        main(
            [
                'model',
                '--weights',
                str(weights),
                '--data',
                str(dataset),
                '--dataset',
                'msrs',
                '--split',
                'val',
                '--device',
                'cpu',
                '--backend',
                'torch',
                '--threads',
                '1',
                '--jobs',
                '1',
                '--quiet',
                '--robustness',
                'quick',
                '--json',
                f'{out}/m.json',
                '--html',
                f'{out}/m.html',
                '--save',
                f'{out}/saved',
            ]
        )
        == 0
    )
    result = json.loads((out / 'm.json').read_text())
    assert result['names'] == ['00001D', '00002D', '00003N', '00004N']
    assert result['groups'] == {'day': ['00001D', '00002D'], 'night': ['00003N', '00004N']}
    assert result['labels']['names'] == ['00002D', '00003N']
    assert set(result['modalities']) == {'both', 'visible_only', 'thermal_only'}
    assert set(result['modalities']['both']) == {'all', 'day', 'night'}
    assert 'ECE' in result['labels']['overall']
    # One labelled image by day: the gain of both inputs is the difference of two rows.
    for modality in ('visible_only', 'thermal_only'):
        scores = [result['modalities'][m]['day']['mIoU']['value'] for m in ('both', modality)]
        gain = result['gains']['day'][modality]['mIoU']
        assert gain['value'] == pytest.approx(scores[0] - scores[1])
        assert gain['ci95'] == pytest.approx([gain['value']] * 2)
    assert set(result['robustness']) == {d.name for d in DISTURBANCES}
    noise = result['robustness']['noise']
    assert noise['steps'] == [0, 10, 40]
    assert len(noise['scores']['random']['mIoU']) == 3
    assert result['speed']['size'] == '128x96'
    assert result['speed']['median_ms'] > 0
    # The saved images, read back, have the same metrics as measured in memory.
    files = [
        cv2.imread(str(folder / '00002D.png'))[..., ::-1]
        for folder in (out / 'saved' / 'fused', dataset / 'val' / 'ir', dataset / 'val' / 'vi')
    ]
    for name, value in fusion_metrics(*files).items():
        measured = result['methods']['random'][name]['values']['00002D']
        assert measured == pytest.approx(value, nan_ok=True)
    printed = capsys.readouterr().out
    assert 'all: both' in printed
    assert 'night: thermal_only' in printed
    assert 'misalignment, random, mIoU' in printed
    report = (out / 'm.html').read_text(encoding='utf-8')
    assert 'night: both - visible_only' in printed
    for heading in ('Robustness', 'Speed', 'What each camera contributes'):
        assert heading in report


def test_classical_fusion_needs_no_labels(dataset, capsys):
    out = dataset.parent
    # A bad file is named, the rest is measured.
    (dataset / 'val' / 'vi' / '00002D.png').write_bytes(b'no image')
    assert (
        main(
            [
                'model',
                '--weights',
                'classical',
                '--data',
                str(dataset),
                '--jobs',
                '2',
                '--quiet',
                '--robustness',
                'off',
                '--json',
                f'{out}/m.json',
            ]
        )
        == 1
    )
    result = json.loads((out / 'm.json').read_text())
    assert result['labels'] is None
    assert result['names'] == ['00001D', '00003N', '00004N']
    output = capsys.readouterr()
    assert 'labels: not measured, there is no network' in output.out
    assert '00002D.png: not a readable image' in output.err


def test_pairs_are_found_in_root_or_below_the_name(dataset):
    found = evaluation_pairs(dataset, 'msrs', 'val')
    assert [one.name for one in found] == ['00001D', '00002D', '00003N', '00004N']
    assert [one.label is not None for one in found] == [False, True, True, False]
    assert evaluation_pairs(dataset.parent, 'set', 'val') == found
    assert len(evaluation_pairs(dataset, 'msrs', 'val', limit=2)) == 2
    labelled = evaluation_pairs(dataset, 'msrs', 'val', labelled=True)
    assert [one.name for one in labelled] == ['00002D', '00003N']
    assert len(evaluation_pairs(dataset, 'msrs', 'val', limit=1, labelled=True)) == 1
    with pytest.raises(DatasetError, match='no pair has a label image'):
        evaluation_pairs(dataset, 'msrs', 'val', label_folder='ir/..', labelled=True)
    with pytest.raises(DatasetError, match='no folder of labels'):
        evaluation_pairs(dataset, 'msrs', 'val', label_folder='nowhere')
    with pytest.raises(DatasetError, match='data folder not found'):
        evaluation_pairs(dataset / 'none', 'msrs', 'val')
    with pytest.raises(DatasetError, match='expected test/vi and test/ir'):
        evaluation_pairs(dataset, 'other', 'test')


def test_published_layouts_are_found(dataset, tmp_path):
    (tmp_path / 'road').mkdir()
    (dataset / 'val' / 'vi').rename(tmp_path / 'road' / 'crop_LR_visible')
    (dataset / 'val' / 'ir').rename(tmp_path / 'road' / 'cropinfrared')
    assert len(evaluation_pairs(tmp_path / 'road', 'roadscene', 'val')) == 4


# --- persons ------------------------------------------------------------------------------------


def test_persons_of_a_data_set(tmp_path, capsys):
    # Thermal: persons at 200 on 100; visible: persons at 20 on 60, the night one invisible.
    for name, lit in (('00001D', 20), ('00002N', 60)):
        for kind in ('ir', 'vi', 'label'):
            (tmp_path / 'val' / kind).mkdir(parents=True, exist_ok=True)
        label = np.zeros((96, 128), np.uint8)
        label[20:40, 30:40] = 2
        if name.endswith('N'):
            label[20:40, 90:100] = 2
        thermal = np.where(label == 2, 200, 100).astype(np.uint8)
        visible = np.where(label == 2, lit, 60).astype(np.uint8)
        for kind, image in (('ir', thermal), ('vi', visible), ('label', label)):
            cv2.imwrite(str(tmp_path / 'val' / kind / f'{name}.png'), image)
    common = ['--weights', 'classical', '--quiet', '--jobs', '1', '--robustness', 'off']
    out = tmp_path / 'm.json'
    assert main(['model', '--data', str(tmp_path), *common, '--json', str(out)]) == 0
    persons = json.loads(out.read_text())['persons']
    groups = persons['groups']
    assert (groups['all']['objects'], groups['all']['images']) == (3, 2)
    assert groups['night']['objects'] == 2
    thermal, visible = (groups['all']['methods'][n] for n in ('thermal', 'visible'))
    assert thermal['contrast'] == {'value': 100.0, 'ci95': [100.0, 100.0]}
    assert thermal['brighter']['value'] == 1.0
    assert thermal['michelson']['value'] == pytest.approx(100 / 300)
    # One person 40 darker, two as bright as their surroundings: the mean is over persons.
    assert visible['contrast']['value'] == pytest.approx(-40 / 3)
    assert visible['brighter']['value'] == 0.0
    # Images are drawn: only the day image, only the night image.
    assert visible['contrast']['ci95'] == [-40.0, 0.0]
    own = groups['night']['methods']['classical']
    assert own['gain'] == {'value': 0.0, 'ci95': [0.0, 0.0]}
    gain = groups['night']['methods']['average']['gain']['value']
    average = groups['night']['methods']['average']['contrast']['value']
    assert gain == pytest.approx(own['contrast']['value'] - average)
    assert 'persons against a ring of 15 pixels' in capsys.readouterr().out


# --- disturbances -------------------------------------------------------------------------------


def test_disturbances_by_hand():
    image = np.arange(200, 212, dtype=np.uint8).reshape(3, 4)
    assert darken(image, 0.5)[0, 0] == 100
    assert darken(np.array([[1]], np.uint8), 0.97)[0, 0] == 0
    assert shift(image, 1).tolist()[0] == [200, 200, 201, 202]
    lost = lose_part(image, 1 / 3)
    assert lost is not None
    assert lost[2].tolist() == [0, 0, 0, 0]
    assert lost[:2].tolist() == image[:2].tolist()
    assert lose_part(image, 1) is None
    impulse = np.zeros((21, 21), np.uint8)
    impulse[10, 10] = 255
    # The peak of a Gaussian of sigma 1 is 1 / (2 pi).
    assert blur(impulse, 1.0)[10, 10] == pytest.approx(255 / (2 * np.pi), abs=2)


def test_noise_has_its_deviation_and_repeats():
    image = np.full((200, 200), 128, np.uint8)
    noisy = add_noise(image, 10, 3)
    assert noisy.astype(float).std() == pytest.approx(10, rel=0.03)
    np.testing.assert_array_equal(noisy, add_noise(image, 10, 3))
    assert (noisy != add_noise(image, 10, 4)).any()


@pytest.mark.parametrize('disturbance', DISTURBANCES, ids=lambda d: d.name)
def test_first_step_changes_nothing_and_inputs_stay(disturbance):
    rng = np.random.default_rng(1)
    visible = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    thermal = rng.integers(0, 256, (48, 64), dtype=np.uint8)
    before = visible.copy(), thermal.copy()
    untouched = disturbance.apply(visible, thermal, disturbance.steps[0], 0)
    np.testing.assert_array_equal(untouched[0], visible)
    np.testing.assert_array_equal(untouched[1], thermal)
    strongest = disturbance.apply(visible, thermal, disturbance.steps[-1], 0)
    assert any(
        after is None or (after != original).any()
        for after, original in zip(strongest, before, strict=True)
    )
    np.testing.assert_array_equal(visible, before[0])
    np.testing.assert_array_equal(thermal, before[1])


def test_curves_start_at_the_undisturbed_value_and_fall_with_noise(triple):
    _, thermal, visible = triple
    pair = RawPair('x', np.dstack([visible] * 3), thermal, None)
    predictor = Predictor.create('classical')
    curves = robustness(predictor, [pair], method='classical', quick=True)
    fused = predictor.predict(pair.visible, pair.thermal).fused
    expected = fusion_metrics(fused, thermal, visible)
    for curve in curves.values():
        for score in ('VIF', 'Qabf', 'SSIM'):
            assert curve['scores']['classical'][score][0] == pytest.approx(expected[score])
    noise = curves['noise']['scores']['classical']['VIF']
    assert noise[0] > noise[1] > noise[2]
    # Without the thermal image the classical result is the visible image itself.
    lost = curves['thermal_dropout']['scores']['classical']['SSIM'][-1]
    assert lost == pytest.approx(fusion_metrics(visible, thermal, visible)['SSIM'])


def test_curves_of_a_missing_camera_alone(triple):
    _, thermal, visible = triple
    pair = RawPair('x', np.dstack([visible] * 3), thermal, None)
    predictor = Predictor.create('classical')
    curves = robustness(predictor, [pair], method='classical', only=MISSING)
    assert list(curves) == ['thermal_dropout', 'visible_dropout']
    assert curves['visible_dropout']['steps'] == [0, 0.25, 0.5, 0.75, 1]


def test_weights_of_other_classes_are_refused(dataset, weights, capsys):
    assert (
        main(
            [
                'model',
                '--weights',
                str(weights),
                '--data',
                str(dataset),
                '--dataset',
                'fmb',
                '--split',
                'val',
                '--device',
                'cpu',
                '--quiet',
            ]
        )
        == 2
    )
    assert 'label images cannot be compared' in capsys.readouterr().err
