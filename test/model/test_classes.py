"""Class tables: shipped data, own YAML files and the errors they promise."""

from __future__ import annotations

from mafs_model.classes import available, ClassTable, SemanticClass
from mafs_model.errors import ConfigError, ImageError
import numpy as np
import pytest
import yaml

VALID = {
    'dataset': 'own',
    'classes': [
        {'id': 0, 'name': 'none', 'color': [0, 0, 0]},
        {'id': 1, 'name': 'cat', 'color': [255, 128, 0]},
    ],
}


def with_class(**changes):
    return {**VALID, 'classes': [VALID['classes'][0], {**VALID['classes'][1], **changes}]}


def test_shipped_tables_have_the_sizes_of_the_data_sets():
    assert available() == ('fmb', 'mfnet', 'msrs', 'pst900')
    assert {n: len(ClassTable.load(n)) for n in available()} == {
        'fmb': 15,
        'mfnet': 9,
        'msrs': 9,
        'pst900': 5,
    }


def test_msrs_is_mfnet():
    assert ClassTable.load('MSRS') == ClassTable.load('mfnet')


def test_mfnet_names_and_colours_are_those_of_the_field():
    table = ClassTable.load('mfnet')
    assert table.names == (
        'unlabelled',
        'car',
        'person',
        'bike',
        'curve',
        'car_stop',
        'guardrail',
        'color_cone',
        'bump',
    )
    assert table.palette[1].tolist() == [64, 0, 128]
    assert table.palette[2].tolist() == [64, 64, 0]
    assert table.ignore_index == 255


@pytest.mark.parametrize('name', ['fmb', 'mfnet', 'pst900'])
def test_colours_are_distinct(name):
    table = ClassTable.load(name)
    assert len({c.color for c in table.classes}) == len(table)


def test_palette_is_indexed_by_label_value_and_black_outside():
    palette = ClassTable.from_dict(VALID).palette
    assert palette.shape == (256, 3)
    assert palette.dtype == np.uint8
    assert palette[1].tolist() == [255, 128, 0]
    assert not palette[2:].any()


def test_own_yaml_round_trip(tmp_path):
    path = tmp_path / 'own.yaml'
    path.write_text(yaml.safe_dump({**VALID, 'ignore_index': 7}))
    table = ClassTable.load(path)
    assert table == ClassTable(
        'own', (SemanticClass(0, 'none', (0, 0, 0)), SemanticClass(1, 'cat', (255, 128, 0))), 7
    )
    assert ClassTable.from_dict(table.to_dict()) == table


@pytest.mark.parametrize(
    ('data', 'message'),
    [
        ([1, 2], "expected a mapping with 'dataset' and 'classes', got list"),
        ({**VALID, 'colour': 1}, 'unknown keys: colour'),
        ({**VALID, 'dataset': 5}, "'dataset' is 5, expected a name"),
        ({**VALID, 'classes': 'cat'}, "'classes' is 'cat', expected a list of classes"),
        ({**VALID, 'classes': []}, '0 classes, expected 1 to 255'),
        ({**VALID, 'ignore_index': 'x'}, "'ignore_index' is 'x', expected an integer"),
        ({**VALID, 'ignore_index': 1}, 'ignore_index 1, expected 2 to 255'),
        (with_class(id=2), 'ids [0, 2], expected 0..1 in order'),
        (with_class(id=True), "'id' is True, expected an integer"),
        (with_class(name=''), "'name' is '', expected a non-empty text"),
        (with_class(name='none'), 'class names used twice: none'),
        (with_class(color=[0, 0]), "'color' is [0, 0], expected [red, green, blue], 0..255"),
        (with_class(color=[0, 0, 256]), "'color' is [0, 0, 256], expected"),
        (with_class(color=[0, 0, 0.5]), "'color' is [0, 0, 0.5], expected"),
        (with_class(extra=1), "expected keys 'id', 'name', 'color'"),
    ],
)
def test_refused_tables_name_value_and_expectation(data, message):
    with pytest.raises(ConfigError) as caught:
        ClassTable.from_dict(data)
    assert message in str(caught.value)
    assert '\n' not in str(caught.value)


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"classes 'cityscapes': neither .*mfnet.* nor a YAML"):
        ClassTable.load('cityscapes')


@pytest.mark.parametrize('text', ['{', 'a: [1', '\t- x', '!!python/object:os.system {}'])
def test_malformed_yaml_is_one_line(tmp_path, text):
    path = tmp_path / 'bad.yaml'
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        ClassTable.load(path)
    assert 'not valid YAML' in str(caught.value)
    assert str(path) in str(caught.value)
    assert '\n' not in str(caught.value)


def test_binary_class_file_is_refused(tmp_path):
    path = tmp_path / 'bad.yaml'
    path.write_bytes(b'\xff\xfe\x00')
    with pytest.raises(ConfigError, match='cannot be read'):
        ClassTable.load(path)


def test_image_error_keeps_its_reason_when_pickled():
    import pickle

    error = pickle.loads(pickle.dumps(ImageError('size', 'too big')))  # noqa: S301
    assert (error.reason, str(error)) == ('size', 'too big')
