"""Data sources, layouts, sampling, crops and augmentation."""

from __future__ import annotations

from collections import Counter
import json
from pathlib import Path

import cv2
from mafs_model.errors import DatasetError
from mafs_training.augment import augment, AugmentOptions, photometric_view
from mafs_training.cli import main_data
from mafs_training.datasets import docs
from mafs_training.datasets.check import check_source, guess_kind
from mafs_training.datasets.crops import collate, CropDataset, ImageDataset, random_window
from mafs_training.datasets.layouts import find_pairs, LAYOUTS, read_pair
from mafs_training.datasets.sampling import DrawSampler, DrawStream
from mafs_training.datasets.spec import parse_source, SourceSpec
from mafs_training.datasets.store import load_sources
from mafs_training.evaluation.pairs import LABEL_FOLDERS
import numpy as np
import pytest
import torch

NAMES = tuple(f'class_{i}' for i in range(4))


class TestSpec:
    def test_full(self):
        spec = parse_source('msrs:/data/MSRS?split=test&labels=silver&weight=2.5&limit=7')
        assert spec == SourceSpec('msrs', '/data/MSRS', 'test', 'silver', 2.5, 7)

    def test_plain_path_is_generic(self):
        assert parse_source('../data/mine') == SourceSpec('generic', '../data/mine')

    def test_size_is_width_by_height(self):
        assert parse_source('synthetic:8?size=320x240').size == (240, 320)

    @pytest.mark.parametrize(
        ('text', 'message'),
        [
            ('msrs:', 'expected KIND:PATH'),
            ('msrs:/x?colour=1', "unknown key 'colour'"),
            ('msrs:/x?split=dev', "split='dev', expected one of train, val, test, all"),
            ('msrs:/x?weight=0', "weight='0', expected a number > 0"),
            ('msrs:/x?limit=-3', "limit='-3', expected an integer >= 0"),
            ('synthetic:4?size=10x10', 'expected WIDTHxHEIGHT'),
        ],
    )
    def test_errors(self, text, message):
        with pytest.raises(DatasetError, match=message):
            parse_source(text)


class TestLayouts:
    @pytest.mark.parametrize('kind', sorted(LAYOUTS.keys() - {'mfnet'}))
    def test_every_layout_is_found_in_its_own_folders(self, tmp_path, pairs, kind):
        layout = LAYOUTS[kind]
        split = layout.splits[-1] if layout.splits else 'train'
        names = layout.visible[0], layout.thermal[0], next(iter(layout.label), '')
        folders = [name.replace('**/', 'deep/').format(split=split) for name in names]
        pairs.write(tmp_path, 2, folders=folders)
        found = find_pairs(SourceSpec(kind, str(tmp_path), split))
        assert [Path(item.name).name for item in found] == ['0', '1'], kind
        assert all((item.label is None) == (not layout.label) for item in found)

    def test_the_document_is_the_table(self):
        text = (Path(__file__).parents[2] / 'docs/training.md').read_text('utf-8')
        missing = [row for row in docs.layout_rows().splitlines() if row not in text]
        assert not missing, f'run python -m mafs_training.datasets.docs: {missing}'
        assert docs.filled(text) == text, 'run python -m mafs_training.datasets.docs'

    @pytest.mark.parametrize(
        ('kind', 'folders', 'split'),
        [
            ('generic', ('vi', 'ir', 'label'), 'train'),
            ('msrs', ('test/vi', 'test/ir', 'test/Segmentation_labels'), 'test'),
            ('fmb', ('train/Visible', 'train/Infrared', 'train/Label'), 'train'),
            ('pst900', ('train/rgb', 'train/thermal', 'train/labels'), 'train'),
            ('roadscene', ('crop_LR_visible', 'cropinfrared', ''), 'train'),
            ('tno', ('vi', 'ir', ''), 'train'),
            ('llvip', ('visible/test', 'infrared/test', ''), 'test'),
        ],
    )
    def test_published_folders(self, tmp_path, pairs, kind, folders, split):
        pairs.write(tmp_path, 3, folders=folders)
        found = find_pairs(SourceSpec(kind, str(tmp_path), split))
        assert [item.name for item in found] == ['0', '1', '2']
        assert all((item.label is None) == (not folders[2]) for item in found)
        visible, thermal, label = pairs.make(1)
        pair = read_pair(found[1], num_classes=4)
        assert np.array_equal(pair.visible, visible)
        assert np.array_equal(pair.thermal, thermal)
        if folders[2]:
            assert np.array_equal(pair.label, label)

    def test_all_splits(self, tmp_path, pairs):
        for split, seed in (('train', 0), ('test', 10)):
            pairs.write(
                tmp_path / split, 2, seed=seed, folders=('vi', 'ir', 'Segmentation_labels')
            )
        found = find_pairs(SourceSpec('msrs', str(tmp_path), 'all'))
        assert [item.name for item in found] == ['train/0', 'train/1', 'test/0', 'test/1']

    def test_all_splits_that_are_there(self, tmp_path, pairs, capsys):
        pairs.write(tmp_path / 'train', 2, folders=('vi', 'ir', 'Segmentation_labels'))
        found = find_pairs(SourceSpec('msrs', str(tmp_path), 'all'))
        assert [item.name for item in found] == ['0', '1']
        assert main_data(['check', str(tmp_path)]) == 0
        assert f'msrs:{tmp_path} train: 2 pairs, 2 labelled' in capsys.readouterr().out
        (tmp_path / 'test' / 'vi').mkdir(parents=True)
        with pytest.raises(DatasetError, match='no thermal images, expected the folder test/ir'):
            find_pairs(SourceSpec('msrs', str(tmp_path), 'all'))

    def test_mfnet(self, tmp_path, pairs):
        (tmp_path / 'images').mkdir()
        (tmp_path / 'labels').mkdir()
        visible, thermal, label = pairs.make(4)
        stacked = np.dstack([visible[..., ::-1], thermal])
        cv2.imwrite(str(tmp_path / 'images' / '00001D.png'), stacked)
        cv2.imwrite(str(tmp_path / 'labels' / '00001D.png'), label)
        (tmp_path / 'train.txt').write_text('00001D\n00001D_flip\n')
        pair = read_pair(find_pairs(SourceSpec('mfnet', str(tmp_path)))[0])
        assert np.array_equal(pair.visible, visible)
        assert np.array_equal(pair.thermal, thermal)
        assert np.array_equal(pair.label, label)
        (tmp_path / 'val.txt').write_text('00002N\n')
        with pytest.raises(DatasetError, match="1 listed image\\(s\\) missing, first '00002N'"):
            find_pairs(SourceSpec('mfnet', str(tmp_path), 'val'))

    def test_other_labels_and_none(self, tmp_path, pairs):
        pairs.write(tmp_path, 2)
        (tmp_path / 'silver').mkdir()
        cv2.imwrite(str(tmp_path / 'silver' / '1.png'), np.zeros((96, 96), np.uint8))
        found = find_pairs(SourceSpec('generic', str(tmp_path), labels='silver'))
        assert [item.label is not None for item in found] == [False, True]
        found = find_pairs(SourceSpec('generic', str(tmp_path), labels='none'))
        assert all(item.label is None for item in found)

    @pytest.mark.parametrize('name', LABEL_FOLDERS)
    def test_labels_are_where_the_evaluation_finds_them(self, tmp_path, pairs, name):
        pairs.write(tmp_path, 2, folders=('vi', 'ir', name))
        found = find_pairs(SourceSpec('generic', str(tmp_path)))
        assert all(item.label is not None for item in found)

    def test_limit_is_spread(self, tmp_path, pairs):
        pairs.write(tmp_path, 5, size=(32, 32))
        found = find_pairs(SourceSpec('generic', str(tmp_path), limit=3))
        assert [item.name for item in found] == ['0', '2', '4']

    def test_only_and_skip_choose_by_name(self, tmp_path, pairs):
        pairs.write(tmp_path, 12, size=(32, 32))
        source = f'generic:{tmp_path}'
        found = find_pairs(parse_source(f'{source}?only=1*&skip=*1'))
        assert [item.name for item in found] == ['10']
        with pytest.raises(DatasetError, match="none of 12 pairs is left by only='x', skip=''"):
            find_pairs(parse_source(f'{source}?only=x'))

    @pytest.mark.parametrize(
        ('spec', 'message'),
        [
            (('generic', 'nowhere'), 'no such folder'),
            (('magic', '.'), 'unknown kind, expected one of generic, msrs'),
            (('msrs', '.', 'dev'), "no split 'dev', expected one of train, test, all"),
            (('fmb', '.'), 'no visible images, expected the folder train/Visible'),
        ],
    )
    def test_errors(self, tmp_path, monkeypatch, spec, message):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(DatasetError, match=message):
            find_pairs(SourceSpec(*spec))


class TestReading:
    def test_thermal_16_bit_and_other_size(self, tmp_path, pairs):
        pairs.write(tmp_path, 1)
        ramp = np.linspace(29000, 31000, 48 * 48).reshape(48, 48).astype(np.uint16)
        cv2.imwrite(str(tmp_path / 'ir' / '0.png'), ramp)
        pair = read_pair(find_pairs(SourceSpec('generic', str(tmp_path)))[0])
        assert pair.thermal.shape == (96, 96)
        assert pair.thermal.dtype == np.uint8
        assert pair.thermal[0, 0] == 0
        assert pair.thermal[-1, -1] == 255
        assert (np.diff(pair.thermal[:, 50].astype(int)) >= 0).all()

    @pytest.mark.parametrize(
        ('target', 'image', 'message'),
        [
            ('ir', np.zeros((96, 40), np.uint8), 'the pair is not registered'),
            ('label', np.zeros((96, 40), np.uint8), 'label is 40x96, its visible partner 96x96'),
            ('label', np.full((96, 96), 9, np.uint8), r'label value\(s\) \[9\] outside the 4'),
            (
                'label',
                np.dstack([np.eye(96, dtype=np.uint8)] * 2 + [np.zeros((96, 96), np.uint8)]),
                'is a colour image',
            ),
            ('vi', np.zeros((96, 96), np.uint16), 'visible image is uint16'),
        ],
    )
    def test_refused(self, tmp_path, pairs, target, image, message):
        pairs.write(tmp_path, 1)
        cv2.imwrite(str(tmp_path / target / '0.png'), image)
        with pytest.raises(DatasetError, match=message):
            read_pair(find_pairs(SourceSpec('generic', str(tmp_path)))[0], num_classes=4)

    def test_unreadable(self, tmp_path, pairs):
        pairs.write(tmp_path, 1)
        (tmp_path / 'vi' / '0.png').write_bytes(b'no image')
        with pytest.raises(DatasetError, match=r'not a readable image \(8 bytes\)'):
            read_pair(find_pairs(SourceSpec('generic', str(tmp_path)))[0])


class TestCheck:
    def test_clean(self, tmp_path, pairs):
        pairs.write(tmp_path, 3)
        report = check_source(SourceSpec('generic', str(tmp_path)), NAMES)
        assert report.ok
        assert (report.pairs, report.labelled, report.sizes) == (3, 3, {'96x96': 3})
        expected = np.bincount(np.concatenate([pairs.make(i)[2].ravel() for i in range(3)]))
        assert list(report.class_pixels.values()) == expected.tolist()

    def test_every_problem_is_named(self, tmp_path, pairs, capsys):
        pairs.write(tmp_path, 8)
        (tmp_path / 'ir' / '0.png').unlink()
        (tmp_path / 'vi' / '1.png').unlink()
        (tmp_path / 'label' / '2.png').unlink()
        cv2.imwrite(str(tmp_path / 'ir' / '3.png'), np.zeros((50, 96), np.uint8))
        cv2.imwrite(str(tmp_path / 'label' / '4.png'), np.full((96, 96), 77, np.uint8))
        (tmp_path / 'vi' / '5.png').write_bytes(b'')
        for folder in ('vi', 'ir'):
            (tmp_path / folder / '7.png').write_bytes((tmp_path / folder / '6.png').read_bytes())
        report = check_source(SourceSpec('generic', str(tmp_path)), NAMES)
        problems = report.problems
        assert not report.ok
        assert problems['missing_partner'] == ['0 (no thermal image)', '1 (no visible image)']
        assert problems['missing_label'] == ['2']
        assert problems['orphan_label'] == ['0', '1']
        assert problems['size_mismatch'] == ['3 (thermal 96x50, visible 96x96)']
        assert problems['bad_label_values'] == ['4 (77)']
        assert len(problems['unreadable']) == 1
        assert problems['unreadable'][0].startswith('5 (')
        assert problems['duplicates'] == ['7 = 6']

        assert main_data(['check', str(tmp_path), '--json']) == 1
        printed = json.loads(capsys.readouterr().out)
        assert printed['problems']['bad_label_values'] == ['4 (77)']
        assert printed['ok'] is False
        assert main_data(['check', str(tmp_path)]) == 1
        text = capsys.readouterr().out
        assert '1 images with the same pixels as another one: 7 = 6' in text
        assert text.endswith('problems found\n')

    def test_nothing_on_disk_to_check(self, capsys):
        assert main_data(['check', 'synthetic:3']) == 2
        assert 'synthetic:3: expected a folder or KIND:FOLDER' in capsys.readouterr().err

    def test_missing_folder_is_one_line(self, tmp_path, capsys):
        assert main_data(['check', str(tmp_path / 'nothing')]) == 2
        error = capsys.readouterr().err
        assert error.count('\n') == 1
        assert error.startswith('mafs-data check: generic:')

    def test_guess(self, tmp_path, pairs):
        pairs.write(tmp_path / 'a' / 'train', 1, folders=('rgb', 'thermal', 'labels'))
        pairs.write(tmp_path / 'b', 1)
        assert guess_kind(tmp_path / 'a') == 'pst900'
        assert guess_kind(tmp_path / 'b') == 'generic'


class TestStore:
    def test_sources_and_weights(self, tmp_path, pairs):
        first = pairs.write(tmp_path / 'a', 2)
        second = pairs.write(tmp_path / 'b', 3, folders=('vi', 'ir', ''))
        store = load_sources([str(first), f'{second}?weight=3'], 4)
        assert len(store) == 5
        assert store.labelled == [0, 1]
        assert store.weights == [1, 1, 3, 3, 3]
        assert store.description[1] == 'generic:b train: 3 pairs, 0 labelled'
        assert store.nbytes == 5 * 96 * 96 * 4 + 2 * 96 * 96

    def test_nothing(self):
        with pytest.raises(DatasetError, match='no data source given'):
            load_sources([], 4)


class TestSampling:
    def test_each_pass_is_a_permutation(self):
        stream = DrawStream([3, 5, 7], [1, 1, 1], seed=1)
        draws = [stream[i] for i in range(9)]
        assert all(sorted(draws[i : i + 3]) == [3, 5, 7] for i in (0, 3, 6))

    def test_weights(self):
        stream = DrawStream([0, 1], [1.0, 2.5], seed=0)
        counts = Counter(stream[i] for i in range(stream.length * 200))
        assert counts[1] / counts[0] == pytest.approx(2.0, abs=0.6)

    def make(self, **kwargs):
        options = {'batch': 4, 'steps': 5, 'seed': 3, **kwargs}
        return DrawSampler([0, 1, 2], list(range(3, 20)), [1.0] * 20, **options)

    def test_fraction(self):
        draws = [index for index, _ in self.make(labelled_fraction=0.25)]
        assert all(sum(i < 3 for i in draws[k : k + 4]) == 1 for k in range(0, 20, 4))
        draws = [index for index, _ in self.make(labelled_fraction=0.01)]
        assert all(sum(i < 3 for i in draws[k : k + 4]) == 1 for k in range(0, 20, 4))

    @pytest.mark.parametrize('fraction', [0, 1])
    def test_all_or_none(self, fraction):
        draws = [index for index, _ in self.make(labelled_fraction=fraction)]
        assert len(draws) == 20
        assert all((index < 3) == bool(fraction) for index in draws)

    def test_epoch_is_a_function_of_its_number(self):
        first, second = self.make(), self.make()
        list(first)
        first.set_epoch(1)
        second.set_epoch(1)
        assert list(first) == list(second)
        second.set_epoch(0)
        assert list(first) != list(second)

    def test_processes_share_the_draws(self):
        parts = []
        for rank in range(2):
            sampler = self.make(rank=rank, world=2)
            parts.append(list(sampler))
        numbers = [number for part in parts for _, number in part]
        assert sorted(numbers) == list(range(40))
        # together they draw what one process with twice the steps draws
        assert sorted([*parts[0], *parts[1]]) == sorted(self.make(steps=10))


class TestCrops:
    @pytest.fixture
    def store(self, tmp_path, pairs):
        return load_sources([str(pairs.write(tmp_path, 2, size=(96, 128)))], 4)

    def test_contract(self, store):
        sample = CropDataset(store, 64, (0.75, 1.5), 0)[0, 5]
        assert sample['visible'].shape == (3, 64, 64)
        assert sample['thermal'].shape == (1, 64, 64)
        assert sample['label'].shape == (64, 64)
        assert sample['label'].dtype == torch.int64
        assert 0 <= sample['visible'].min() <= sample['visible'].max() <= 1
        batch = collate([sample, sample])
        assert batch['visible'].shape == (2, 3, 64, 64)
        assert batch['labelled'].tolist() == [True, True]

    def test_function_of_the_draw(self, store):
        dataset = CropDataset(store, 64, (0.75, 1.5), seed=4)
        again = CropDataset(store, 64, (0.75, 1.5), seed=4)
        assert torch.equal(dataset[0, 9]['visible'], again[0, 9]['visible'])
        assert not torch.equal(dataset[0, 9]['visible'], dataset[0, 10]['visible'])

    def test_images_and_label_stay_together(self, store):
        # at scale 1 nothing is resampled: thermal tells the class exactly
        for draw in range(20):
            sample = CropDataset(store, 64, (1.0, 1.0), 0)[0, draw]
            hot = (sample['thermal'][0] * 255).round()
            for index in (1, 2, 3):
                expected = hot == int((0.5 + 0.12 * index) * 255)
                assert torch.equal(sample['label'] == index, expected)

    def test_small_image_is_padded_with_ignored_pixels(self, tmp_path, pairs):
        small = load_sources([str(pairs.write(tmp_path / 'small', 1, size=(48, 96)))], 4)
        sample = CropDataset(small, 96, (1.0, 1.0), 0)[0, 0]
        assert sample['visible'].shape == (3, 96, 96)
        assert (sample['label'] == 255).sum() == 48 * 96

    def test_focus_finds_objects(self, store):
        store.pairs[0].label[:] = 0
        store.pairs[0].label[90, 120] = 3
        dataset = CropDataset(store, 32, (1.0, 1.0), 0, focus=1.0)
        assert all((dataset[0, draw]['label'] == 3).any() for draw in range(30))

    def test_window_range(self):
        rng = np.random.default_rng(0)
        windows = [random_window((100, 200), 64, (0.5, 2.0), rng) for _ in range(300)]
        assert all(t + h <= 100 and le + w <= 200 for t, le, h, w in windows)
        assert min(w for *_, w in windows) <= 36
        assert max(w for *_, w in windows) >= 120

    def test_unlabelled(self, tmp_path, pairs):
        store = load_sources([str(pairs.write(tmp_path / 'u', 1, folders=('vi', 'ir', '')))], 4)
        sample = ImageDataset(store)[0]
        assert (sample['label'] == 255).all()
        assert not sample['labelled']


class TestAugment:
    def batch(self, pairs, size=(64, 64)):
        samples = []
        for seed in range(4):
            visible, thermal, label = pairs.make(seed, size)
            samples.append(
                {
                    'visible': torch.from_numpy(visible.transpose(2, 0, 1) / 255.0).float(),
                    'thermal': torch.from_numpy(thermal[None] / 255.0).float(),
                    'label': torch.from_numpy(label).long(),
                    'labelled': torch.tensor(True),
                    'name': str(seed),
                }
            )
        return collate(samples)

    def test_off_is_identity(self, pairs):
        batch = self.batch(pairs)
        result = augment(batch, AugmentOptions(enabled=False))
        assert torch.equal(result['visible'], batch['visible'])
        assert torch.equal(result['thermal_aligned'], batch['thermal'])
        assert torch.equal(result['thermal_target'], batch['thermal'])

    def test_geometry_moves_all_together(self, pairs):
        """After a rotation the thermal image still tells the class of nearly every pixel."""
        torch.manual_seed(1)
        options = AugmentOptions(
            affine=1.0, rotate_deg=12, thermal_gain=0, thermal_offset=0, thermal_noise=0
        )
        batch = self.batch(pairs)
        result = augment(batch, options)
        label, hot = result['label'], result['thermal'][:, 0]
        assert not torch.equal(label, batch['label'])
        for index in (1, 2, 3):
            level = int((0.5 + 0.12 * index) * 255) / 255
            inside = label == index
            agree = ((hot - level).abs() < 0.06)[inside].float().mean()
            assert agree > 0.85
        assert (label != 255).float().mean() > 0.99

    def test_flip(self, pairs):
        options = AugmentOptions(
            flip=1.0,
            affine=0,
            brightness=0,
            contrast=0,
            saturation=0,
            night=0,
            visible_noise=0,
            thermal_gain=0,
            thermal_offset=0,
            thermal_noise=0,
        )
        batch = self.batch(pairs)
        result = augment(batch, options)
        assert torch.equal(result['label'], batch['label'].flip(-1))
        assert torch.allclose(result['visible'], batch['visible'].flip(-1), atol=1e-6)
        assert torch.allclose(result['thermal'], batch['thermal'].flip(-1), atol=1e-6)

    def test_deterministic_and_in_range(self, pairs):
        options = AugmentOptions(affine=1.0, night=0.5, thermal_invert=0.5, misalign_px=3)
        results = []
        for _ in range(2):
            torch.manual_seed(8)
            results.append(augment(self.batch(pairs), options))
        for key in ('visible', 'thermal', 'label', 'visible_target', 'thermal_target'):
            assert torch.equal(results[0][key], results[1][key])
        for key in ('visible', 'thermal'):
            assert 0 <= results[0][key].min() <= results[0][key].max() <= 1

    def test_targets_have_neither_noise_nor_shift(self, pairs):
        torch.manual_seed(0)
        options = AugmentOptions(
            flip=0,
            affine=0,
            brightness=0,
            contrast=0,
            saturation=0,
            night=0,
            thermal_gain=0,
            thermal_offset=0,
            visible_noise=0.1,
            thermal_noise=0,
            misalign_px=4,
        )
        batch = self.batch(pairs)
        result = augment(batch, options)
        assert torch.allclose(result['visible_target'], batch['visible'], atol=1e-6)
        assert torch.allclose(result['thermal_target'], batch['thermal'], atol=1e-6)
        assert not torch.allclose(result['thermal'], batch['thermal'], atol=1e-2)
        assert torch.equal(result['label'], batch['label'])
        assert (result['visible'] - batch['visible']).abs().max() > 0.02

    def test_night_darkens_only_visible(self, pairs):
        torch.manual_seed(0)
        options = AugmentOptions(
            flip=0,
            affine=0,
            brightness=0,
            contrast=0,
            saturation=0,
            night=1.0,
            thermal_gain=0,
            thermal_offset=0,
            visible_noise=0,
            thermal_noise=0,
        )
        batch = self.batch(pairs)
        result = augment(batch, options)
        assert (result['visible'] < batch['visible'] + 1e-3).all()
        assert result['visible'].mean() < 0.8 * batch['visible'].mean()
        assert torch.allclose(result['thermal'], batch['thermal'], atol=1e-6)

    def test_view_keeps_positions(self, pairs):
        torch.manual_seed(0)
        batch = self.batch(pairs)
        _, thermal = photometric_view(
            batch['visible'], batch['thermal'], AugmentOptions(thermal_noise=0)
        )
        for before, after in zip(batch['thermal'], thermal, strict=True):
            corr = np.corrcoef(before.ravel().numpy(), after.ravel().numpy())[0, 1]
            assert corr > 0.98


def test_synthetic_command(tmp_path, capsys):
    assert (
        main_data(['synthetic', '--out', str(tmp_path), '--count', '2', '--size', '160x128']) == 0
    )
    report = check_source(SourceSpec('generic', str(tmp_path)), tuple(map(str, range(9))))
    assert report.ok
    assert (report.pairs, report.labelled, report.sizes) == (2, 2, {'160x128': 2})


@pytest.mark.parametrize('words', [['--json'], ['--quiet'], []])
def test_what_a_command_did_is_told_as_asked(tmp_path, capsys, words):
    out = tmp_path / 'drive'
    command = ['synthetic', '--count', '1', '--size', '96x64', '--out', str(out)]
    assert main_data([*words, *command]) == 0
    told = capsys.readouterr().out
    if words == ['--json']:
        assert json.loads(told) == {'pairs': 1, 'out': str(out)}
    else:
        assert told == ('' if words else f'1 pairs in {out}\n')
    assert main_data(['check', str(out), *words]) == 0
    assert bool(capsys.readouterr().out) == (words != ['--quiet'])
