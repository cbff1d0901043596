"""Packs: pairs on disk of which a crop is read, with the same training as from memory."""

from __future__ import annotations

from functools import partial
import json
import math

from mafs_model.errors import DatasetError
from mafs_training.cli import main_data, parse_stage
from mafs_training.data_module import class_counts
from mafs_training.datasets import store as store_module
from mafs_training.datasets.crops import CropDataset, ImageDataset
from mafs_training.datasets.packed import PackedPair, write_pack
from mafs_training.datasets.store import load_sources
from mafs_training.trainer import run
import numpy as np
import pytest
import torch


@pytest.fixture
def both(tmp_path, pairs):
    """Pack five pairs, three of them labelled, two a shard; return the folders."""
    root, out = pairs.write(tmp_path / 'a', 5, label_every=2), tmp_path / 'pack'
    write_pack(out, load_sources([str(root)], 4).pairs, shard_bytes=80_000)
    assert len(list(out.glob('*.safetensors'))) == 3
    return root, out


def test_the_command(tmp_path, pairs, capsys):
    root, out = pairs.write(tmp_path / 'a', 3, label_every=2), tmp_path / 'pack'
    assert main_data(['pack', str(root), '--out', str(out)]) == 0
    assert capsys.readouterr().out == f'3 pairs, 2 labelled, 0.1 MB in {out}\n'
    assert main_data(['pack', str(root), '--out', str(out)]) == 2
    assert 'holds index.json, expected an empty or new folder' in capsys.readouterr().err
    assert main_data(['pack', f'pack:{out}?limit=2', '--out', str(tmp_path / 'b')]) == 0
    assert capsys.readouterr().out.startswith('2 pairs, 2 labelled')


@pytest.mark.parametrize('query', ['', '?map=1:2&ignore=3', '?only=[0-3]&limit=2', '?labels=none'])
def test_the_same_pairs_as_from_memory(both, query):
    root, out = both
    direct, packed = (load_sources([f'{text}{query}'], 4) for text in (root, f'pack:{out}'))
    assert packed.packed == len(packed) == len(direct)
    assert (packed.nbytes, packed.labelled) == (0, direct.labelled)
    assert np.array_equal(class_counts(packed, 4), class_counts(direct, 4))
    for one, other in zip(direct.pairs, packed.pairs, strict=True):
        assert (one.name, one.size, one.digest) == (other.name, other.size, other.digest)
        assert np.array_equal(one.label_counts(), other.label_counts())
    for make in (partial(CropDataset, crop=64, scale=(0.5, 2.0), seed=1, focus=0.7), ImageDataset):
        first, second = make(direct), make(packed)
        for index in range(len(direct)):
            key = (index, 40 + index) if isinstance(first, CropDataset) else index
            for name, value in first[key].items():
                other = second[key][name]
                assert value == other if name == 'name' else torch.equal(value, other), name


def test_training_is_the_same_as_from_memory(both, tiny_arguments, tmp_path):
    root, out = both
    results = []
    for name, source in (('memory', str(root)), ('pack', f'pack:{out}')):
        arguments = [*tiny_arguments, '--data.train', f'[{source}]', '--trainer.steps', '2']
        result = run(parse_stage('joint', [*arguments, '--trainer.out', str(tmp_path / name)]))
        results.append({k: v for k, v in result.metrics.items() if not math.isnan(v)})
    assert results[0] == results[1]


def test_what_memory_cannot_hold_is_refused_with_the_way_out(both, monkeypatch):
    root, out = both
    monkeypatch.setattr(store_module, 'available_bytes', lambda: 200_000)
    with pytest.raises(DatasetError, match=r'5 pairs take about .* mafs-data pack puts them on'):
        load_sources([str(root)], 4)
    assert len(load_sources([f'pack:{out}'], 4)) == 5
    monkeypatch.setattr(store_module, 'available_bytes', lambda: None)
    assert len(load_sources([str(root)], 4)) == 5


def test_a_source_is_read_no_faster_than_it_is_written(tmp_path, pairs, monkeypatch):
    """Packing 40 pairs never holds more than a shard and what is being decoded."""
    root = pairs.write(tmp_path / 'a', 40)
    read = []
    real = store_module.read_pair
    monkeypatch.setattr(store_module, 'read_pair', lambda *a: read.append(1) or real(*a))
    source = store_module.iterate_source(store_module.parse_source(str(root)), threads=2)
    for asked in range(1, 41):
        next(source)
        assert len(read) <= asked + 8


class TestDamage:
    def test_wrong_labels_are_known_before_the_first_step(self, both):
        with pytest.raises(DatasetError, match=r'label value\(s\) .* outside the 2 classes'):
            load_sources([f'pack:{both[1]}'], 2)

    def test_one_that_was_broken_off(self, both, capsys):
        root, out = both
        (out / 'index.json').unlink()
        with pytest.raises(DatasetError, match=r'expected a folder that mafs-data pack has compl'):
            load_sources([f'pack:{out}'], 4)
        assert main_data(['pack', str(root), '--out', str(out)]) == 0
        assert sorted(p.name for p in out.iterdir()) == ['index.json', 'pairs-00000.safetensors']
        assert len(load_sources([f'pack:{out}'], 4)) == 5

    def test_foreign_files_are_left_alone(self, both, tmp_path):
        mine = tmp_path / 'mine'
        mine.mkdir()
        (mine / 'thesis.txt').write_text('x')
        with pytest.raises(DatasetError, match=r'holds thesis\.txt, expected an empty or new'):
            write_pack(mine, load_sources([f'pack:{both[1]}'], 4).pairs)
        assert (mine / 'thesis.txt').read_text() == 'x'

    def test_shards(self, both):
        out = both[1]
        shard = out / 'pairs-00001.safetensors'
        whole = shard.read_bytes()
        shard.write_bytes(whole[:5000])
        pair = next(p for p in load_sources([f'pack:{out}'], 4).pairs if p.shard == shard)
        with pytest.raises(DatasetError, match='no shard of mafs-data pack'):
            pair.window()
        shard.unlink()
        with pytest.raises(DatasetError, match=r'pairs-00001\.safetensors is missing'):
            load_sources([f'pack:{out}'], 4)

    @pytest.mark.parametrize(
        ('change', 'message'),
        [
            (lambda index: index.update(format='other'), "format 'other', expected 'mafs-pack 1'"),
            (lambda index: index['shards'][0].update(file='../x'), r"shard '\.\./x'"),
            (lambda index: index['shards'][0]['pairs'][0].update(size=[-1, 2]), r'size \[-1, 2\]'),
            (
                lambda index: index['shards'][0]['pairs'][0].update(values={'300': 1}),
                'label values',
            ),
        ],
    )
    def test_indices(self, both, change, message):
        path = both[1] / 'index.json'
        index = json.loads(path.read_text())
        change(index)
        path.write_text(json.dumps(index))
        with pytest.raises(DatasetError, match=message):
            load_sources([f'pack:{both[1]}'], 4)

    def test_an_index_that_lies_about_its_images(self, both):
        path = both[1] / 'index.json'
        index = json.loads(path.read_text())
        index['shards'][0]['pairs'][0]['size'] = [9000, 9000]
        path.write_text(json.dumps(index))
        pair = load_sources([f'pack:{both[1]}'], 4).pairs[0]
        assert isinstance(pair, PackedPair)
        with pytest.raises(DatasetError, match=r'visible is U8 of \[96, 96, 3\], expected U8 of'):
            pair.window(slice(0, 10), slice(0, 10))
