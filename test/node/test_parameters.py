"""The parameter table, without ROS."""

from __future__ import annotations

from dataclasses import fields, FrozenInstanceError
import math
from pathlib import Path
import re

from mafs_model.errors import ConfigError
from mafs_ros.parameter_docs import markdown_table, yaml_file
from mafs_ros.parameters import BY_NAME, check_fields, Parameter, RENAMED, Settings, TABLE
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]

# Name, refused value, what the message must say is expected.
REFUSED = [
    ('autostart', 'yes', 'true or false'),
    ('autostart', 1, 'true or false'),
    ('weights', 3, 'path of a safetensors file'),
    ('device', 'gpu', "'cuda:N'"),
    ('device', 'cuda:', "'cuda:N'"),
    ('backend', 'tflite', "'onnxruntime'"),
    ('precision', 'fp64', "'fp32'"),
    ('threads', -1, 'a whole number 0 to 256'),
    ('threads', 2.5, 'a whole number 0 to 256'),
    ('threads', True, 'a whole number 0 to 256'),
    ('inference.size', '640', "'640x480'"),
    ('inference.size', '8x8', '16 to 8192'),
    ('output.size', '640x99999', '16 to 8192'),
    ('output.size', [640, 480], "'640x480'"),
    ('reference', 'visible', "one of 'rgb', 'thermal'"),
    ('rgb.transport', 'theora', "one of 'raw', 'compressed'"),
    ('thermal.transport', '', "one of 'raw', 'compressed', 'compressedDepth'"),
    ('thermal.unit', 'fahrenheit', "one of 'camera', 'auto', 'centikelvin'"),
    ('thermal.rotation', '45', "one of 'camera', '0', '90', '180', '270'"),
    ('thermal.polarity', 'hot', "one of 'camera', 'white_hot'"),
    ('input.max_pixels', 3, 'a whole number 1024 to'),
    ('thermal.time_offset', 'automatic', "a number -10 to 10 or 'auto' s"),
    ('thermal.time_offset', 11, "a number -10 to 10 or 'auto' s"),
    ('thermal.scaling', 'gamma', "'percentile'"),
    ('thermal.smoothing', 1.0, 'a number 0 to 0.999'),
    ('thermal.homography', [1.0, 0.0, 0.0], '9 finite numbers'),
    ('thermal.homography', [0.0] * 9, 'invertible'),
    ('thermal.homography', [1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 1.0], 'invertible'),
    ('thermal.homography', [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, math.nan], '9 finite numbers'),
    ('thermal.homography', 'identity', '9 numbers'),
    ('sync.policy', 'closest', "one of 'nearest', 'approximate', 'exact'"),
    ('sync.slop', 'abc', 'a number 0.0001 to 10 s'),
    ('sync.slop', 0.0, 'a number 0.0001 to 10 s'),
    ('sync.slop', math.nan, 'a number 0.0001 to 10 s'),
    ('sync.slop', math.inf, 'a number 0.0001 to 10 s'),
    ('sync.slop', None, 'a number 0.0001 to 10 s'),
    ('sync.queue_size', 1, 'a whole number 2 to 1000'),
    ('classes.keep', 'person', 'names of classes'),
    ('classes.keep', ['person', 3], 'names of classes'),
    ('classes.merge', ['car+truck'], "groups such as 'vehicles=car+truck'"),
    ('classes.merge', ['vehicles=car+'], "groups such as 'vehicles=car+truck'"),
    ('classes.merge', ['=car'], "groups such as 'vehicles=car+truck'"),
    ('classes.merge', ['a=car', 'a=bus'], 'each name once'),
    ('rate.limit', -1.0, 'a number 0 to 1000 Hz'),
    ('rate.limit', math.inf, 'a number 0 to 1000 Hz'),
    ('stamps.max_ahead', -1.0, 'a number 0 to'),
    ('overlay.opacity', 1.5, 'a number 0 to 1'),
    ('overlay.min_confidence', -0.1, 'a number 0 to 1'),
    ('overlay.legend', 'true', 'true or false'),
]


@pytest.mark.parametrize(('name', 'value', 'expected'), REFUSED)
def test_refused_value_is_named_with_expectation(name: str, value: object, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        BY_NAME[name].validate(value)
    message = str(caught.value)
    assert message.startswith(f'{name}: got ')
    assert repr(value)[:40] in message
    assert f'expected {expected}' in message or expected in message.split('expected', 1)[1]
    assert '\n' not in message


@pytest.mark.parametrize(
    ('name', 'value', 'parsed'),
    [
        ('output.size', '640x480', (480, 640)),
        ('output.size', '', None),
        ('sync.slop', 1, 1.0),
        ('thermal.time_offset', 'auto', 'auto'),
        ('thermal.time_offset', -0.02, -0.02),
        ('thermal.homography', [], None),
        ('thermal.homography', [2, 0, 5, 0, 2, 7, 0, 0, 1], (2.0, 0, 5, 0, 2, 7, 0, 0, 1)),
        ('device', 'cuda:3', 'cuda:3'),
        ('threads', 256, 256),
        ('classes.keep', [], ()),
        ('classes.keep', ['person', 'car'], ('person', 'car')),
        ('classes.merge', [' vehicles = car + truck'], (('vehicles', ('car', 'truck')),)),
    ],
)
def test_accepted_value_is_parsed(name: str, value: object, parsed: object) -> None:
    assert BY_NAME[name].validate(value) == parsed


def test_tiny_scale_does_not_make_a_homography_singular() -> None:
    tiny = [1e-5 * v for v in (2, 0, 5, 0, 2, 7, 0, 0, 1)]
    assert BY_NAME['thermal.homography'].validate(tiny) == pytest.approx(tuple(tiny))


def test_table_and_settings_have_the_same_order() -> None:
    assert [p.field for p in TABLE] == [f.name for f in fields(Settings)]
    assert len({p.name for p in TABLE}) == len(TABLE)


def test_no_name_is_the_group_of_another() -> None:
    # `ros2 param dump` makes a mapping of every group: a value of the same name ends it.
    names = [p.name for p in TABLE]
    assert [n for n in names if any(other.startswith(f'{n}.') for other in names)] == []
    assert set(RENAMED.values()) <= set(names)
    assert not set(RENAMED) & set(names)


def test_every_default_is_valid_and_documented() -> None:
    settings = Settings.from_values({})
    assert settings.sync_policy == 'nearest'
    for row in TABLE:
        assert row.description.endswith('.'), row.name
        assert (row.minimum is None) == (row.maximum is None), row.name


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings.from_values({}).sync_slop = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ('values', 'culprit'),
    [
        (
            {'thermal.scaling': 'range', 'thermal.range_low': 5.0, 'thermal.range_high': 5.0},
            'thermal.range_low',
        ),
        (
            {'thermal.percentile_low': 99.0, 'thermal.percentile_high': 1.0},
            'thermal.percentile_low',
        ),
    ],
)
def test_combinations_that_exclude_each_other(values: dict[str, object], culprit: str) -> None:
    with pytest.raises(ConfigError, match=f'^{culprit}: got .*expected less than '):
        Settings.from_values(values)


def test_row_without_a_field_fails_at_import_and_names_both() -> None:
    row = Parameter('overlay.tint', 'double', 0.0, 'Of no use.')
    with pytest.raises(RuntimeError, match=r"parameter 'overlay\.tint'.*field 'overlay_tint'"):
        check_fields([*TABLE, row], Settings)


def test_field_without_a_row_fails_at_import_and_is_named() -> None:
    rest = [row for row in TABLE if row.name != 'sync.slop']
    with pytest.raises(RuntimeError, match="field 'sync_slop' of Settings has no parameter"):
        check_fields(rest, Settings)


def test_shipped_parameter_file_is_made_from_the_table() -> None:
    text = (ROOT / 'config/mafs_fusion.yaml').read_text(encoding='utf-8')
    missing = [line for line in yaml_file().splitlines() if line not in text.splitlines()]
    assert not missing, f'run python -m mafs_ros.parameter_docs --write: {missing}'
    assert text == yaml_file(), 'run python -m mafs_ros.parameter_docs --write'


def test_shipped_parameter_file_holds_every_default() -> None:
    text = (ROOT / 'config/mafs_fusion.yaml').read_text(encoding='utf-8')
    values = yaml.safe_load(text)['/**']['ros__parameters']
    for row in TABLE:
        if row.default == ():
            assert f'# {row.name}: []' in text
        else:
            assert values.pop(row.name) == row.default
    assert values == {}


def test_documented_table_is_made_from_the_table() -> None:
    text = (ROOT / 'docs/node.md').read_text(encoding='utf-8')
    missing = [line for line in markdown_table().splitlines() if line not in text.splitlines()]
    assert not missing, f'run python -m mafs_ros.parameter_docs --write: {missing}'
    assert markdown_table() in text, 'run python -m mafs_ros.parameter_docs --write'


def test_every_setting_is_read_by_some_module() -> None:
    """A parameter that is checked, documented and then ignored would be silent."""
    sources = [
        path.read_text('utf-8')
        for path in (ROOT / 'mafs_ros').glob('*.py')
        if path.name != 'parameters.py'
    ]
    # Read by name, as an attribute or as a parameter; some by the stream: f'{side}_stamp_source'.
    words = {word for source in sources for word in re.findall(r"\.(\w+)|'(\w+)'", source)}
    named = {word for pair in words for word in pair if word}
    endings = {ending for source in sources for ending in re.findall(r"\}(_\w+)'", source)}
    ignored = [
        item.name
        for item in fields(Settings)
        if item.name not in named and not item.name.endswith(tuple(endings))
    ]
    assert not ignored, f'no module of mafs_ros reads the setting {ignored}'
