"""`mafs-eval agree`: the same weights in two backends or precisions."""

from __future__ import annotations

from importlib.util import find_spec
import json

import cv2
from mafs_model.predictor import Predictor
from mafs_model.runtime.agreement import Tolerance
from mafs_training.evaluation.agree.run import agree_document, AgreeOutcome
from mafs_training.evaluation.cli import main
from mafs_training.metrics.fusion import FUSION_METRICS
import numpy as np
import pytest


def outcome(factor=1.0, labels=(1.0, 0.98), largest=(3.0, 9.0)):
    """Return two pairs; the second engine's metrics are those of the first times a factor."""
    found = AgreeOutcome(['a', 'b'])
    for share, most in zip(labels, largest, strict=True):
        found.rows.append(
            {'labels': share, 'fused_mean': 0.5, 'fused_max': most, 'confidence_mean': 1.0}
        )
    for number in (1.0, 3.0):
        for which, scale in enumerate((1.0, factor)):
            row = dict.fromkeys(FUSION_METRICS, number * scale)
            found.metrics[which].append({**row, 'SCD': float('nan')})
    for which, counts in enumerate(([[8, 2, 0], [0, 10, 0]], [[10, 0, 0], [0, 10, 0]])):
        found.counts[which].append(np.array(counts))
    return found


TOLERANCE = Tolerance(fused=1.0, fused_max=9, labels=0.985)


def test_document_by_hand():
    document = agree_document(outcome(1.005), TOLERANCE)
    agreement = document['agreement']
    assert agreement['labels']['value'] == pytest.approx(0.99)
    assert agreement['labels']['worst'] == 0.98
    assert agreement['labels']['within'] is True
    assert (agreement['fused_max']['value'], agreement['fused_max']['within']) == (9.0, True)
    assert agreement['confidence_mean']['within'] is None
    row = document['metrics']['EN']
    assert (row['first'], row['second']) == (2.0, pytest.approx(2.01))
    assert row['relative'] == pytest.approx(0.005)
    assert row['difference_ci95'] == pytest.approx([0.005, 0.015])
    assert row['within'] is True
    # What neither engine has is not judged.
    assert document['metrics']['SCD']['within'] is None
    # IoUs of 8/10 and 10/12 against 1 and 1: far beyond one percent, in the good direction too.
    score = document['metrics']['mIoU_present']
    assert score['first'] == pytest.approx((0.8 + 10 / 12) / 2)
    assert (score['second'], score['within']) == (1.0, False)
    assert document['within'] is False


@pytest.mark.parametrize(
    ('changed', 'part', 'name'),
    [
        ({'factor': 1.02}, 'metrics', 'VIF'),
        ({'factor': 0.98}, 'metrics', 'VIF'),
        ({'labels': (0.98, 0.98)}, 'agreement', 'labels'),
        ({'largest': (1.0, 10.0)}, 'agreement', 'fused_max'),
    ],
)
def test_each_limit_counts(changed, part, name):
    found = outcome(**changed)
    for counts in found.counts:
        counts.clear()
    document = agree_document(found, TOLERANCE)
    assert document[part][name]['within'] is False
    assert document['within'] is False
    found = outcome()
    for counts in found.counts:
        counts.clear()
    assert agree_document(found, TOLERANCE)['within'] is True


@pytest.fixture
def dataset(tmp_path, triple):
    """Two pairs, both labelled."""
    _, thermal, visible = triple
    label = np.kron(np.arange(48).reshape(6, 8) % 9, np.ones((16, 16), int)).astype(np.uint8)
    for kind, image in (('ir', thermal), ('vi', visible), ('label', label)):
        (tmp_path / 'val' / kind).mkdir(parents=True)
        for name, flip in (('a', 0), ('b', 1)):
            cv2.imwrite(str(tmp_path / 'val' / kind / f'{name}.png'), cv2.flip(image, flip))
    return tmp_path


def run(dataset, weights, second, *extra):
    arguments = ['agree', '--weights', weights, '--data', dataset, '--second', second]
    arguments += ['--device', 'cpu', '--threads', '1', '--quiet', '--json', dataset / 'a.json']
    return main([*map(str, arguments), *extra])


def test_bf16_is_measured_against_fp32(dataset, weights, capsys):
    # Random weights are far beyond any tolerance in bf16, which must not pass in silence.
    code = run(dataset, weights, 'torch:bf16')
    result = json.loads((dataset / 'a.json').read_text())
    assert code == (0 if result['within'] else 1)
    assert (result['first']['name'], result['second']['name']) == ('torch fp32', 'torch bf16')
    assert result['labelled'] == 2
    visible = cv2.imread(str(dataset / 'val' / 'vi' / 'b.png'))[..., ::-1].copy()
    thermal = cv2.imread(str(dataset / 'val' / 'ir' / 'b.png'), cv2.IMREAD_GRAYSCALE)
    predictions = []
    for precision in ('fp32', 'bf16'):
        with Predictor.create(
            weights, device='cpu', backend='torch', precision=precision, threads=1
        ) as predictor:
            predictions.append(predictor.predict(visible, thermal))
    share = np.mean(predictions[0].labels == predictions[1].labels)
    change = np.abs(predictions[0].fused.astype(int) - predictions[1].fused)
    labels = result['agreement']['labels']
    assert labels['ci95'][0] - 1e-12 <= share <= labels['ci95'][1] + 1e-12
    assert result['agreement']['fused_max']['value'] >= change.max()
    output = capsys.readouterr()
    assert ('all within' if result['within'] else 'NOT all within') in output.out
    assert ('outside the tolerance of bf16' in output.err) == (not result['within'])


@pytest.mark.skipif(find_spec('openvino') is None, reason='openvino is not installed')
def test_openvino_agrees(dataset, weights, monkeypatch, tmp_path):
    monkeypatch.setenv('MAFS_CACHE_DIR', str(tmp_path / 'cache'))
    assert run(dataset, weights, 'openvino:fp32') == 0
    result = json.loads((dataset / 'a.json').read_text())
    assert result['within'] is True
    assert result['agreement']['labels']['value'] >= 0.995


@pytest.mark.parametrize('text', ['torch', 'auto:fp32', 'torch:int4', ':fp32', 'opencv:fp32'])
def test_wrong_engines_are_refused(dataset, weights, capsys, text):
    assert run(dataset, weights, text) == 2
    assert 'expected BACKEND:PRECISION' in capsys.readouterr().err
