"""Temperature: the fit, `mafs-eval calibrate`, and that every backend applies it."""

from __future__ import annotations

from importlib.util import find_spec
import json

import cv2
from mafs_model.checkpoint import load_checkpoint, load_model, read_metadata, save_checkpoint
from mafs_model.errors import CheckpointError, DatasetError
from mafs_model.predictor import Predictor
from mafs_training.evaluation.cli import main
from mafs_training.metrics.temperature import confidence, fit_temperature, likelihood
import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
import torch


def drawn(temperature, count=40_000, classes=5, seed=3):
    """Logits, and targets drawn with the probabilities softmax(logits / temperature)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (count, classes)).astype(np.float32)
    chances = softmax(logits / temperature, axis=1).cumsum(axis=1)
    return logits, (rng.random((count, 1)) > chances).sum(axis=1).clip(0, classes - 1)


@pytest.mark.parametrize('temperature', [0.4, 1.0, 2.5])
def test_fit_finds_the_temperature_that_made_the_labels(temperature):
    logits, targets = drawn(temperature)
    found = fit_temperature(logits, targets)
    assert found == pytest.approx(temperature, rel=0.03)
    # The same as an optimiser with an independent likelihood.
    rows = np.arange(len(targets))

    def loss(t):
        return -log_softmax(logits.astype(float) / t, axis=1)[rows, targets].mean()

    best = minimize_scalar(loss, bounds=(0.05, 20), method='bounded', options={'xatol': 1e-7})
    assert found == pytest.approx(best.x, rel=1e-4)
    assert likelihood(logits, targets, found) == pytest.approx(best.fun, rel=1e-9)
    expected = softmax(logits.astype(float) / found, axis=1).max(axis=1)
    np.testing.assert_allclose(confidence(logits, found), expected, rtol=1e-12)


def test_nothing_to_fit():
    logits, targets = drawn(1.0, 500)
    with pytest.raises(DatasetError, match='no labelled pixel'):
        fit_temperature(logits[:0], targets[:0])
    with pytest.raises(DatasetError, match=r'no temperature from 0\.01 to 1000'):
        fit_temperature(logits, logits.argmax(axis=1))
    with pytest.raises(DatasetError, match=r'no temperature from 0\.01 to 1000'):
        fit_temperature(-logits, logits.argmax(axis=1))


TRUE_TEMPERATURE = 60.0  # random weights have logits of that size


def logits_of(weights, visible, thermal):
    """Return what the network says, float32 [9, H/2, W/2], without any of our engines."""
    network, _ = load_model(weights)
    with torch.inference_mode():
        return network(
            torch.from_numpy(visible).permute(2, 0, 1)[None] / 255.0,
            torch.from_numpy(thermal)[None, None] / 255.0,
            full_logits=False,
        ).logits[0]


@pytest.fixture(scope='module')
def calibrated(weights, triple, tmp_path_factory):
    """Weights calibrated on labels drawn from their own softmax at another temperature."""
    folder = tmp_path_factory.mktemp('calibrate')
    _, thermal, visible = triple
    rng = np.random.default_rng(1)
    for split, shift in (('train', 0), ('val', 7)):
        for kind in ('vi', 'ir', 'label'):
            (folder / split / kind).mkdir(parents=True)
        images = np.roll(visible, shift, axis=1), np.roll(thermal, shift, axis=1)
        chances = logits_of(weights, np.dstack([images[0]] * 3), images[1]) / TRUE_TEMPERATURE
        edges = chances.softmax(0).numpy().cumsum(axis=0).repeat(2, axis=1).repeat(2, axis=2)
        label = (rng.random(edges.shape[1:]) > edges).sum(axis=0).clip(0, 8).astype(np.uint8)
        label[:5] = 255
        for kind, image in zip(('vi', 'ir', 'label'), (*images, label), strict=True):
            cv2.imwrite(str(folder / split / kind / 'a.png'), image)
    out, report = folder / 'calibrated.safetensors', folder / 'c.json'
    arguments = ['calibrate', '--weights', weights, '--data', folder, '--check', 'val']
    arguments += ['--out', out, '--json', report, '--device', 'cpu', '--quiet']
    assert main(list(map(str, arguments))) == 0
    return folder, out, json.loads(report.read_text())


def test_calibration_is_written_and_helps(weights, calibrated):
    _, out, document = calibrated
    metadata = read_metadata(out)
    temperature = metadata['temperature']
    assert temperature == document['temperature']
    assert temperature == pytest.approx(TRUE_TEMPERATURE, rel=0.05)
    assert document['temperature_before'] == 1.0
    for split in ('train', 'val'):
        scores = document['splits'][split]
        assert scores['after']['NLL'] < scores['before']['NLL']
        assert scores['after']['ECE'] < 0.02
        assert scores['before']['ECE'] > 0.2
        assert scores['after']['accuracy'] == scores['before']['accuracy']
    train = metadata['calibration']['splits']['train']
    assert train['ECE_after'] == pytest.approx(
        document['splits']['train']['after']['ECE'], abs=1e-5
    )
    # 96x128 pixels but five rows without label; all fit into the sample.
    assert (train['images'], train['pixels']) == (1, 91 * 128)
    # The tensors are those that were trained; what is found by the checksum is another network.
    before, after = load_checkpoint(weights), load_checkpoint(out)
    assert all(torch.equal(v, after.state_dict[k]) for k, v in before.state_dict.items())
    assert before.weights_id != after.weights_id


def test_offsets_move_the_logits_of_their_class_alone(weights, calibrated, tmp_path, capsys):
    folder, *_ = calibrated
    out = tmp_path / 'shifted.safetensors'
    arguments = ['calibrate', '--weights', weights, '--data', folder, '--out', out]
    arguments += ['--device', 'cpu', '--quiet', '--offset', 'bike=-0.5', 'car=2']
    assert main(list(map(str, arguments))) == 0
    thermal = cv2.imread(str(folder / 'val' / 'ir' / 'a.png'), cv2.IMREAD_GRAYSCALE)
    visible = cv2.imread(str(folder / 'val' / 'vi' / 'a.png'))[..., ::-1].copy()
    moved = logits_of(out, visible, thermal) - logits_of(weights, visible, thermal)
    expected = torch.zeros(9, 1, 1)
    expected[1], expected[3] = 2.0, -0.5
    torch.testing.assert_close(moved, expected.expand_as(moved), rtol=0, atol=1e-3)
    assert read_metadata(out)['calibration']['offset'] == ['bike=-0.5', 'car=2']
    for bad in ('tram=1', 'bike', 'bike=nan', 'bike=x'):
        assert main([*map(str, arguments[:-2]), bad]) != 0
        assert f"offset '{bad}': expected CLASS=VALUE" in capsys.readouterr().err


def test_peaks_go_into_the_weights_and_nothing_else_changes(weights, calibrated, tmp_path, capsys):
    folder, *_ = calibrated
    out = tmp_path / 'peaks.safetensors'
    arguments = ['calibrate', '--weights', weights, '--data', folder, '--out', out]
    arguments += ['--device', 'cpu', '--quiet', '--peak', 'person=0.8', 'car=0.75']
    assert main(list(map(str, arguments))) == 0
    assert read_metadata(out)['peaks'] == {'person': 0.8, 'car': 0.75}
    before, after = load_checkpoint(weights), load_checkpoint(out)
    assert all(torch.equal(v, after.state_dict[k]) for k, v in before.state_dict.items())

    # Calibrated again they stay, unless a new value is given; 0 takes one away.
    again = tmp_path / 'again.safetensors'
    arguments = ['calibrate', '--weights', out, '--data', folder, '--out', again]
    arguments += ['--device', 'cpu', '--quiet', '--peak', 'car=0', 'bike=0.6']
    assert main(list(map(str, arguments))) == 0
    assert read_metadata(again)['peaks'] == {'person': 0.8, 'bike': 0.6}
    capsys.readouterr()
    for bad, reason in {
        'tram=0.5': "peak 'tram=0.5': expected CLASS=VALUE with a class of car, person",
        'unlabelled=0.5': "peak 'unlabelled=0.5': expected CLASS=VALUE",
        'car=1': "peak 'car=1': expected a number from 0 to below 1",
        'car=-0.1': "peak 'car=-0.1': expected a number from 0 to below 1",
        'car=inf': "peak 'car=inf': expected CLASS=VALUE",
    }.items():
        assert main([*map(str, arguments[:-2]), bad]) != 0
        assert reason in capsys.readouterr().err


def backends():
    names = ['torch']
    if find_spec('onnx') and find_spec('onnxruntime'):
        names.append('onnxruntime')
    if find_spec('openvino'):
        names.append('openvino')
    return names


@pytest.mark.parametrize('backend', backends())
def test_every_backend_applies_it_and_no_graph_is_reused(
    weights, calibrated, backend, monkeypatch, tmp_path
):
    # One cache for both: a graph of the uncalibrated weights must not serve the others.
    monkeypatch.setenv('MAFS_CACHE_DIR', str(tmp_path))
    folder, out, document = calibrated
    thermal = cv2.imread(str(folder / 'val' / 'ir' / 'a.png'), cv2.IMREAD_GRAYSCALE)
    visible = cv2.imread(str(folder / 'val' / 'vi' / 'a.png'))[..., ::-1].copy()
    results = {}
    for name, file in (('before', weights), ('after', out)):
        with Predictor.create(
            file, device='cpu', backend=backend, precision='fp32', threads=1
        ) as predictor:
            results[name] = predictor.predict(visible, thermal)
    np.testing.assert_array_equal(results['before'].labels, results['after'].labels)
    np.testing.assert_array_equal(results['before'].fused, results['after'].fused)
    logits = logits_of(weights, visible, thermal)
    for name, temperature in (('before', 1.0), ('after', document['temperature'])):
        expected = 255 * (logits / temperature).softmax(0).amax(0).numpy()
        measured = results[name].confidence[::2, ::2]
        assert np.abs(measured - expected).max() <= 1.01


@pytest.mark.parametrize('value', [0, -1.5, float('inf'), 'warm', True, None])
def test_a_bad_temperature_is_refused(weights, tmp_path, value):
    checkpoint = load_checkpoint(weights)
    metadata = {**checkpoint.metadata, 'temperature': value}
    with pytest.raises(CheckpointError, match=r"metadata 'temperature' is .*expected a number"):
        save_checkpoint(tmp_path / 'w.safetensors', checkpoint.state_dict, metadata)


def test_a_changed_temperature_is_noticed(calibrated, tmp_path):
    _, out, document = calibrated
    data = out.read_bytes()
    text = json.dumps(document['temperature'])
    old, new = (f'\\"temperature\\": {v}' for v in (text, '9' + text[1:]))
    assert data.count(old.encode()) == 1
    forged = tmp_path / 'forged.safetensors'
    forged.write_bytes(data.replace(old.encode(), new.encode()))
    with pytest.raises(CheckpointError, match='the file was changed after it was written'):
        load_checkpoint(forged)


def test_calibration_needs_labels_and_a_network(weights, calibrated, capsys):
    folder, _, _ = calibrated
    arguments = ['calibrate', '--data', str(folder), '--quiet', '--device', 'cpu']
    assert main([*arguments, '--weights', str(weights), '--label-dir', 'vi']) == 2
    assert 'outside the 9 classes' in capsys.readouterr().err
    assert main([*arguments, '--weights', 'classical']) == 2
    assert "weights 'classical'" in capsys.readouterr().err
