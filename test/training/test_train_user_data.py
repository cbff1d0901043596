"""Data as people have it: folders, names, labels and thermal images of public issue trackers."""

from __future__ import annotations

from pathlib import Path

import cv2
from mafs_model.errors import ConfigError, DatasetError
from mafs_training.class_tables import choose_classes
from mafs_training.cli import main_data
from mafs_training.datasets.layouts import find_pairs, read_pair
from mafs_training.datasets.palette_png import palette_indices
from mafs_training.datasets.spec import parse_source
from mafs_training.datasets.store import load_sources
from mafs_training.options import JointConfig, MAEConfig
import numpy as np
import pytest

SIZE = (32, 48)
RNG = np.random.default_rng(3)
GREY = RNG.integers(0, 255, SIZE, dtype=np.uint8)
COLOUR = RNG.integers(0, 255, (*SIZE, 3), dtype=np.uint8)


def write(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return path


# What lies in the folder (visible, thermal), how it is named, and the common names that come out.
CASES = {
    'MSRS': (['train/vi/1.png', 'train/ir/1.png'], 'msrs:{}', ['1']),
    'FMB': (['train/Visible/1.png', 'train/Infrared/1.png'], 'fmb:{}', ['1']),
    'lower case FMB': (['train/visible/1.png', 'train/infrared/1.png'], 'fmb:{}', ['1']),
    'LLVIP': (['visible/train/1.jpg', 'infrared/train/1.jpg'], 'llvip:{}', ['1']),
    'M3FD': (['Vis/00.png', 'Ir/00.png'], 'm3fd:{}', ['00']),
    'TNO': (['VIS/a.bmp', 'IR/a.bmp'], 'tno:{}', ['a']),
    'VI and IR': (['VI/a.png', 'IR/a.png'], '{}', ['a']),
    'RGB and Thermal': (['RGB/a.png', 'Thermal/a.png'], '{}', ['a']),
    'KAIST': (
        ['set00/V000/visible/I0.jpg', 'set00/V000/lwir/I0.jpg'],
        'kaist:{}',
        ['set00/V000/I0'],
    ),
    'PST900 raw': (['train/rgb/1.png', 'train/thermal_raw/1.png'], 'pst900:{}', ['1']),
    'PST900 raw beside': (
        ['train/rgb/1.png', 'train/thermal/1.png', 'train/thermal_raw/1.png'],
        'pst900:{}?ir=thermal_raw',
        ['1'],
    ),
    'LASNet suffixes': (['vi/a_rgb.png', 'vi/a_th.png'], '{}', ['a']),
    'FLIR suffixes': (['f_RGB.jpg', 'f_IR.jpg'], '{}', ['f']),
    'own suffixes': (
        ['rgb/a-left.png', 'ir/a-right.png'],
        '{}?vi_suffix=-left&ir_suffix=-right',
        ['a'],
    ),
    'own folders': (['camera/front/a.png', 'flir/a.png'], '{}?vi=camera/front&ir=flir', ['a']),
    'another suffix of file': (['vi/a.jpg', 'ir/a.png'], '{}', ['a']),
}


@pytest.mark.parametrize('case', CASES)
def test_folders_and_names(tmp_path, case):
    files, source, names = CASES[case]
    for file in files:
        thermal = any(word in file.lower() for word in ('ir', 'infrared', 'th', 'lwir', 'right'))
        write(tmp_path / file, GREY if thermal else COLOUR)
    found = find_pairs(parse_source(source.format(tmp_path)))
    assert [pair.name for pair in found] == names
    assert found[0].visible != found[0].thermal
    assert str(found[0].visible.relative_to(tmp_path)) == files[0]
    assert str(found[0].thermal.relative_to(tmp_path)) == files[-1]


def test_a_list_of_names_as_cmx_has_it(tmp_path):
    for name in 'abc':
        write(tmp_path / 'RGB' / f'{name}.jpg', COLOUR)
        write(tmp_path / 'Modal' / f'{name}.png', GREY)
    (tmp_path / 'test.txt').write_text('RGB/c.jpg Label/c.png\nRGB\\a.jpg\n\n')
    found = find_pairs(parse_source(f'{tmp_path}?list=test.txt'))
    assert [pair.name for pair in found] == ['c', 'a']
    (tmp_path / 'test.txt').write_text('x\n')
    with pytest.raises(DatasetError, match=r"1 of 1 names of test\.txt have no pair, first 'x'"):
        find_pairs(parse_source(f'{tmp_path}?list=test.txt'))


@pytest.mark.parametrize('path', ['C:\\data\\mine', 'C:/data/mine', 'd:\\x'])
def test_windows_paths(path):
    assert parse_source(f'{path}?weight=2').path == path
    assert parse_source(path).kind == 'generic'
    assert (parse_source(f'msrs:{path}').kind, parse_source(f'msrs:{path}').path) == ('msrs', path)


def labelled(tmp_path, label, query=''):
    """Read one pair with a label image; return the ids that training sees."""
    write(tmp_path / 'vi' / 'a.png', COLOUR)
    write(tmp_path / 'ir' / 'a.png', GREY)
    if isinstance(label, bytes):
        (tmp_path / 'label').mkdir()
        (tmp_path / 'label' / 'a.png').write_bytes(label)
    else:
        write(tmp_path / 'label' / 'a.png', label)
    return load_sources([f'{tmp_path}{query}'], 9).pairs[0].label


def palette_png(ids: np.ndarray, bits: int) -> bytes:
    """Encode ids as a palette PNG by hand, all colours of the palette alike."""
    import struct
    import zlib

    def chunk(kind, body):
        crc = struct.pack('>I', zlib.crc32(kind + body))
        return struct.pack('>I', len(body)) + kind + body + crc

    height, width = ids.shape
    weights = 2 ** np.arange(bits)[::-1]
    rows = b''.join(
        b'\0' + np.packbits((row[:, None] // weights % 2).astype(np.uint8).ravel()).tobytes()
        for row in ids
    )
    header = struct.pack('>IIBBBBB', width, height, bits, 3, 0, 0, 0)
    return (
        b'\x89PNG\r\n\x1a\n'
        + chunk(b'IHDR', header)
        + chunk(b'PLTE', bytes(3 * 2**bits))
        + chunk(b'IDAT', zlib.compress(rows))
        + chunk(b'IEND', b'')
    )


@pytest.mark.parametrize('bits', [1, 2, 4, 8])
def test_palette_labels_hold_the_ids(tmp_path, bits):
    ids = RNG.integers(0, min(9, 2**bits), SIZE, dtype=np.uint8)
    ids[0, 0] = 1
    data = palette_png(ids, bits)
    assert np.array_equal(palette_indices(data, 'x'), ids)
    assert np.array_equal(labelled(tmp_path, data), ids)


def test_a_damaged_palette_png_is_one_line(tmp_path):
    with pytest.raises(DatasetError, match=r'a\.png: damaged palette PNG'):
        labelled(tmp_path, palette_png(np.zeros(SIZE, np.uint8), 8)[:60])


IDS = np.zeros(SIZE, np.uint8)
IDS[:, 10:20], IDS[:, 20:30], IDS[:, 40:] = 1, 3, 255


def test_masks_of_0_and_255_are_refused_or_mapped(tmp_path):
    mask = np.where(IDS > 0, 255, 0).astype(np.uint8)
    with pytest.raises(DatasetError, match='hold 0 and 255 only, where 255 means no class: masks'):
        labelled(tmp_path, mask)
    assert np.array_equal(labelled(tmp_path, mask, '?map=255:1'), (mask > 0).astype(np.uint8))


@pytest.mark.parametrize(
    ('query', 'expected'),
    [
        ('?ignore=0', {0: 255, 1: 1, 3: 3, 255: 255}),
        ('?map=1:0,3:2', {0: 0, 1: 0, 3: 2, 255: 255}),
        ('?shift=1', {0: 1, 1: 2, 3: 4, 255: 255}),
        ('?shift=-1&ignore=0', {0: 255, 1: 0, 3: 2, 255: 255}),
        ('?map=255:8', {0: 0, 1: 1, 3: 3, 255: 8}),
    ],
)
def test_labels_are_changed(tmp_path, query, expected):
    found = labelled(tmp_path, IDS, query)
    for value, wanted in expected.items():
        assert set(found[value == IDS]) == {wanted}, value


@pytest.mark.parametrize(
    ('query', 'message'),
    [
        ('?shift=-1', 'label value 0 is shifted to -1, expected 0 to 255'),
        ('?map=1', "map='1', expected pairs of label values"),
        ('?ignore=300', "ignore='300', expected label values of 0 to 255"),
        ('?shift=x', "shift='x', expected an integer of -255 to 255"),
        ('?every=0', "every='0', expected an integer >= 1"),
        ('?vi=none', 'no visible images, expected the folder none'),
        ('?list=none', "no list of names 'none'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, query, message):
    with pytest.raises(DatasetError, match=message.replace('[', r'\[')):
        labelled(tmp_path, IDS, query)


def test_labels_of_another_size(tmp_path):
    half = IDS[::2, ::2]
    assert np.array_equal(labelled(tmp_path, half)[::2, ::2], half)
    with pytest.raises(DatasetError, match='label is 32x32'):
        labelled(tmp_path / 'x', IDS[:, :32])


class TestThermalInColour:
    def read(self, tmp_path, thermal):
        write(tmp_path / 'vi' / 'a.png', COLOUR)
        write(tmp_path / 'ir' / 'a.png', thermal)
        return read_pair(find_pairs(parse_source(str(tmp_path)))[0]).thermal

    def test_three_equal_channels_are_grey(self, tmp_path):
        assert np.array_equal(self.read(tmp_path, np.dstack([GREY] * 3)), GREY)

    def test_a_palette_is_inverted(self, tmp_path):
        ramp = np.tile(np.linspace(0, 255, SIZE[1]).astype(np.uint8), (SIZE[0], 1))
        found = self.read(tmp_path, cv2.applyColorMap(ramp, cv2.COLORMAP_INFERNO))
        assert np.corrcoef(found.ravel(), ramp.ravel())[0, 1] > 0.99

    def test_other_colours_are_refused(self, tmp_path):
        with pytest.raises(DatasetError, match='no known palette, expected grey levels'):
            self.read(tmp_path, COLOUR)


@pytest.mark.parametrize('form', ['grey', 'three equal channels', 'false colours'])
def test_swapped_modalities_are_found(tmp_path, capsys, form):
    ramp = np.tile(np.linspace(0, 255, SIZE[1]).astype(np.uint8), (SIZE[0], 1))
    forms = {
        'grey': GREY,
        'three equal channels': np.dstack([GREY] * 3),
        'false colours': cv2.applyColorMap(ramp, cv2.COLORMAP_INFERNO),
    }
    write(tmp_path / 'vi' / 'a.png', forms[form])
    write(tmp_path / 'ir' / 'a.png', COLOUR)
    assert main_data(['check', str(tmp_path)]) == 1
    assert 'in colour: swapped?: a' in capsys.readouterr().out


def test_check_and_training_agree_on_sizes(tmp_path, capsys):
    write(tmp_path / 'vi' / 'a.png', COLOUR)
    write(tmp_path / 'ir' / 'a.png', GREY[::2, ::2])
    assert main_data(['check', str(tmp_path)]) == 0
    assert load_sources([str(tmp_path)], 9).pairs[0].thermal.shape == SIZE


class TestClassTable:
    @pytest.mark.parametrize(
        ('train', 'wanted', 'dataset'),
        [
            (['pst900:x'], '', 'pst900'),
            (['fmb:x', 'generic:y'], '', 'fmb'),
            (['msrs:x', 'mfnet:y', 'synthetic:4'], '', 'mfnet'),
            (['generic:x'], '', 'mfnet'),
            (['generic:x'], 'fmb', 'fmb'),
            (['pst900:x', 'roadscene:y', 'fmb:z?labels=none'], '', 'pst900'),
            (['fmb:x?map=1:0'], 'mfnet', 'mfnet'),
        ],
    )
    def test_that_of_the_sources(self, train, wanted, dataset):
        config = JointConfig()
        config.data.train, config.model.classes = train, wanted
        assert choose_classes(config).dataset == dataset

    @pytest.mark.parametrize(
        ('train', 'wanted'), [(['pst900:x'], 'mfnet'), (['fmb:x', 'msrs:y'], '')]
    )
    def test_a_conflict_names_both(self, train, wanted):
        config = JointConfig()
        config.data.train, config.model.classes = train, wanted
        with pytest.raises(ConfigError, match=r'has the classes of .* those of .*one table'):
            choose_classes(config)

    def test_a_stage_without_labels_does_not_look(self):
        config = MAEConfig()
        config.data.train = ['fmb:x', 'msrs:y']
        assert choose_classes(config).dataset == 'mfnet'
