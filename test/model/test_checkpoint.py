"""Weights files: round trip, strictness, and every kind of file that must be refused."""

from __future__ import annotations

import json
import pickle

from mafs_model import checkpoint as module
from mafs_model.checkpoint import (
    build_metadata,
    convert_lightning,
    load_checkpoint,
    load_model,
    load_state,
    save_checkpoint,
)
from mafs_model.classes import ClassTable
from mafs_model.errors import CheckpointError
from mafs_model.network.config import create_config
from mafs_model.network.mafs import MAFS
import pytest
from safetensors.torch import load_file, save_file
import torch


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    return MAFS(create_config('mafs_t', num_classes=9)).eval()


@pytest.fixture(scope='module')
def metadata(network):
    return build_metadata(
        network.config.to_dict(),
        ClassTable.load('mfnet'),
        data={'train': 'synthetic'},
        command='mafs-train joint --seed 1',
        metrics={'miou': 0.5},
        extra={'temperature': 1.25},
    )


@pytest.fixture
def weights(tmp_path, network, metadata):
    path = tmp_path / 'w.safetensors'
    save_checkpoint(path, network.state_dict(), metadata)
    return path


def refused(path):
    with pytest.raises(CheckpointError) as caught:
        load_model(path)
    message = str(caught.value)
    assert str(path) in message
    assert '\n' not in message
    return message


def test_round_trip_of_tensors_and_metadata(weights, network, metadata):
    loaded = load_checkpoint(weights)
    assert loaded.state_dict.keys() == network.state_dict().keys()
    assert all(torch.equal(v, loaded.state_dict[k]) for k, v in network.state_dict().items())
    assert {k: loaded.metadata[k] for k in metadata} == metadata
    assert loaded.classes == ClassTable.load('mfnet')
    assert loaded.weights_id == f'mafs_t-{loaded.metadata["sha256"][:8]}'


def test_metadata_says_what_a_reader_needs(metadata):
    assert metadata['architecture']['variant'] == 'mafs_t'
    assert metadata['normalisation']['visible']['order'] == 'RGB'
    assert set(metadata['versions']) >= {'mafs', 'torch', 'numpy', 'python'}
    assert metadata['command'] == 'mafs-train joint --seed 1'
    assert metadata['temperature'] == 1.25


def test_loaded_network_computes_the_same(weights, network):
    loaded, metadata = load_model(weights)
    assert not loaded.training
    assert metadata['metrics'] == {'miou': 0.5}
    visible, thermal = torch.rand(1, 3, 64, 96), torch.rand(1, 1, 64, 96)
    with torch.inference_mode():
        first, second = network(visible, thermal), loaded(visible, thermal)
    assert torch.equal(first.fused_rgb, second.fused_rgb)
    assert torch.equal(first.logits, second.logits)


def test_equal_tensors_have_equal_checksums_whatever_their_order(network):
    state = network.state_dict()
    reverse = dict(reversed(list(state.items())))
    assert module.tensor_checksum(state) == module.tensor_checksum(reverse)
    changed = {k: v.clone() for k, v in state.items()}
    next(iter(changed.values())).view(-1)[0] += 1
    assert module.tensor_checksum(state) != module.tensor_checksum(changed)


def test_missing_file(tmp_path):
    assert 'no such file, expected a .safetensors file' in refused(tmp_path / 'no.safetensors')


def test_folder(tmp_path):
    assert 'is a folder' in refused(tmp_path)


@pytest.mark.parametrize('kept', [0, 4, 9, 500, 0.5, 0.999])
def test_truncated_file(weights, kept):
    data = weights.read_bytes()
    weights.write_bytes(data[: kept if isinstance(kept, int) else int(kept * len(data))])
    assert 'truncated or damaged' in refused(weights)


def test_flipped_bit_is_found_by_the_checksum(weights):
    data = bytearray(weights.read_bytes())
    data[-1000] ^= 1
    weights.write_bytes(data)
    message = refused(weights)
    assert 'checksum is' in message
    assert 'changed after it was written' in message


@pytest.mark.parametrize('zipped', [True, False])
def test_pickle_is_never_opened(tmp_path, zipped, monkeypatch):
    path = tmp_path / 'w.pth'
    torch.save({'a': torch.zeros(3)}, path, _use_new_zipfile_serialization=zipped)

    def forbidden(*unused, **also_unused):
        raise AssertionError('unpickled')

    monkeypatch.setattr(torch, 'load', forbidden)
    monkeypatch.setattr(pickle, 'load', forbidden)
    message = refused(path)
    assert 'pickle' in message
    assert 'never loaded' in message


@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
def test_plain_pickle(tmp_path, protocol):
    path = tmp_path / 'w.safetensors'
    path.write_bytes(pickle.dumps({'weights': [1.0] * 100}, protocol))
    assert 'pickle' in refused(path)


def test_text_file(tmp_path):
    path = tmp_path / 'w.safetensors'
    path.write_text('these are no weights, only words that go on for a while')
    assert 'truncated or damaged' in refused(path)


def test_foreign_safetensors_file(tmp_path):
    path = tmp_path / 'w.safetensors'
    save_file({'a': torch.zeros(3)}, path)
    assert "no metadata 'mafs' inside" in refused(path)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{', 'metadata is not JSON'),
        ('[]', 'metadata is list, expected a mapping'),
        ('{}', "no mapping 'architecture'"),
        ('{"architecture": {}}', "no mapping 'classes'"),
        ('{"architecture": {}, "classes": {}}', "'dataset' is None"),
    ],
)
def test_damaged_metadata(tmp_path, text, message):
    path = tmp_path / 'w.safetensors'
    save_file({'a': torch.zeros(3)}, path, {'mafs': text})
    assert message in refused(path)


def test_newer_format(tmp_path, metadata):
    path = tmp_path / 'w.safetensors'
    text = json.dumps({**metadata, 'format_version': 99})
    save_file({'a': torch.zeros(3)}, path, {'mafs': text})
    assert 'format version 99, expected 1' in refused(path)


def test_wrong_architecture_lists_keys_and_shapes(tmp_path, network, metadata):
    path = tmp_path / 'w.safetensors'
    other = create_config('mafs_t', num_classes=5).to_dict()
    save_checkpoint(
        path,
        network.state_dict(),
        {**metadata, 'architecture': other, 'classes': ClassTable.load('pst900').to_dict()},
    )
    message = refused(path)
    assert 'keys of another shape' in message
    assert 'segmentation_decoder' in message
    assert 'expected (' in message


def test_other_variant_lists_missing_and_unexpected_keys(tmp_path, network, metadata):
    path = tmp_path / 'w.safetensors'
    save_checkpoint(
        path, network.state_dict(), {**metadata, 'architecture': create_config('mafs_s').to_dict()}
    )
    message = refused(path)
    assert 'missing keys' in message
    assert 'more' in message
    assert len(message) < 4000


def test_missing_and_unexpected_keys_are_named(network):
    state = dict(network.state_dict())
    name = next(iter(state))
    state['intruder'] = state.pop(name)
    with pytest.raises(CheckpointError) as caught:
        load_state(network, state, 'here')
    assert f'1 missing keys: {name} (' in str(caught.value)
    assert '1 unexpected keys: intruder (' in str(caught.value)


def test_unknown_architecture_key(tmp_path, network, metadata):
    path = tmp_path / 'w.safetensors'
    save_checkpoint(path, network.state_dict(), {**metadata, 'architecture': {'wings': 2}})
    assert 'wings' in refused(path)


def test_class_table_of_another_length(tmp_path, network, metadata):
    path = tmp_path / 'w.safetensors'
    save_checkpoint(
        path, network.state_dict(), {**metadata, 'classes': ClassTable.load('fmb').to_dict()}
    )
    assert '15 classes in the table, expected 9' in refused(path)


def test_nan_weights_are_refused(tmp_path, network, metadata):
    path = tmp_path / 'w.safetensors'
    state = {k: v.clone() for k, v in network.state_dict().items()}
    name = next(k for k, v in state.items() if v.is_floating_point())
    state[name].view(-1)[0] = float('nan')
    save_checkpoint(path, state, metadata)
    assert f'NaN or Inf in {name}' in refused(path)


def test_failed_write_keeps_the_old_file(weights, network, metadata):
    before = weights.read_bytes()
    with pytest.raises(CheckpointError, match='metadata is not JSON'):
        save_checkpoint(weights, network.state_dict(), {**metadata, 'metrics': {'x': object()}})
    assert weights.read_bytes() == before
    assert [p.name for p in weights.parent.iterdir()] == [weights.name]


def test_unwritable_folder(tmp_path, network, metadata):
    (tmp_path / 'file').write_text('')
    with pytest.raises(CheckpointError, match='cannot be written'):
        save_checkpoint(tmp_path / 'file' / 'w.safetensors', network.state_dict(), metadata)


def test_tied_tensors_are_saved(tmp_path, metadata):
    shared = torch.rand(4)
    save_checkpoint(tmp_path / 'w.safetensors', {'a': shared, 'b': shared[1:]}, metadata)
    assert torch.equal(load_file(tmp_path / 'w.safetensors')['b'], shared[1:])


def test_lightning_checkpoint_is_converted(tmp_path, network, metadata):
    source, target = tmp_path / 'last.ckpt', tmp_path / 'w.safetensors'
    state = {f'network.{k}': v for k, v in network.state_dict().items()}
    torch.save(
        {
            'state_dict': {**state, 'teacher.weight': torch.zeros(2)},
            'pytorch-lightning_version': '2.2.0',
            'mafs': json.dumps(metadata),
        },
        source,
    )
    convert_lightning(source, target)
    loaded, found = load_model(target)
    assert found['command'] == metadata['command']
    assert all(torch.equal(v, loaded.state_dict()[k]) for k, v in network.state_dict().items())


class Evil:
    """Runs code when unpickled."""

    def __reduce__(self):
        return print, ('code ran',)


def test_conversion_runs_no_code(tmp_path, capsys):
    source = tmp_path / 'evil.ckpt'
    torch.save({'state_dict': {}, 'x': Evil()}, source)
    with pytest.raises(CheckpointError, match='cannot be read as plain tensors') as caught:
        convert_lightning(source, tmp_path / 'w.safetensors')
    assert '\n' not in str(caught.value)
    assert 'code ran' not in capsys.readouterr().out


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({'weights': {}}, "no 'state_dict' inside"),
        (
            {'state_dict': {'model.a': torch.zeros(1)}},
            "no tensor begins with 'network.', it has mod",
        ),
        (
            {'state_dict': {'network.a': torch.zeros(1)}},
            "no metadata 'mafs' inside and none given",
        ),
        ({'state_dict': {'network.a': torch.zeros(1)}, 'mafs': '{'}, 'metadata is not JSON'),
    ],
)
def test_refused_lightning_checkpoints(tmp_path, content, message):
    source = tmp_path / 'last.ckpt'
    torch.save(content, source)
    with pytest.raises(CheckpointError) as caught:
        convert_lightning(source, tmp_path / 'w.safetensors')
    assert message in str(caught.value)
    assert str(source) in str(caught.value)


def test_conversion_of_a_missing_file(tmp_path):
    with pytest.raises(CheckpointError, match='no such file'):
        convert_lightning(tmp_path / 'no.ckpt', tmp_path / 'w.safetensors')
