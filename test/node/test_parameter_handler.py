"""Parameters of the real node: declaration, refusals, changes between frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip('rclpy')
pytest.importorskip('mafs_ros.msg')

from mafs_model.errors import ConfigError
from mafs_ros.parameter_handler import ParameterHandler
from mafs_ros.parameters import TABLE
from rclpy.parameter import Parameter

pytestmark = pytest.mark.ros
MakeNode = Callable[..., Any]


def handler_of(node: Any) -> ParameterHandler:
    handler: ParameterHandler = node._handler
    return handler


def set_one(node: Any, name: str, value: Any) -> Any:
    return node.set_parameters([Parameter(name, value=value)])[0]


def test_every_row_is_declared_with_its_description(make_node: MakeNode) -> None:
    node = make_node()
    for row in TABLE:
        assert node.has_parameter(row.name)
        descriptor = node.describe_parameter(row.name)
        assert descriptor.description
        assert row.kind in descriptor.additional_constraints
        assert not descriptor.read_only, 'it could not be corrected while unconfigured'
    assert handler_of(node).load().sync_slop == 0.03


@pytest.mark.parametrize(
    ('name', 'value', 'expectation'),
    [
        ('sync.slop', 'abc', 'a number 0.0001 to 10 s'),
        ('sync.slop', 99.0, 'a number 0.0001 to 10 s'),
        ('device', 'gpu0', "'cuda:N'"),
        ('overlay.legend', 3, 'true or false'),
        ('weights', [1, 2], 'path of a safetensors file'),
    ],
)
def test_refused_update_answers_name_value_expectation(
    make_node: MakeNode, name: str, value: Any, expectation: str
) -> None:
    node = make_node()
    before = node.get_parameter(name).value
    result = set_one(node, name, value)
    assert not result.successful
    assert result.reason.startswith(f'{name}: got {value!r}, expected ')
    assert expectation in result.reason
    assert node.get_parameter(name).value == before


def test_parameter_cannot_be_deleted(make_node: MakeNode) -> None:
    node = make_node()
    result = node.set_parameters([Parameter('sync.slop', Parameter.Type.NOT_SET)])[0]
    assert not result.successful
    assert node.get_parameter('sync.slop').value == 0.03


def test_whole_number_is_good_enough_for_a_double(make_node: MakeNode) -> None:
    node = make_node(sync__slop=1)
    assert handler_of(node).load().sync_slop == 1.0
    assert set_one(node, 'sync.slop', 2).successful
    assert handler_of(node).load().sync_slop == 2.0


@pytest.mark.parametrize('row', TABLE, ids=lambda row: row.name)
def test_description_has_type_and_range(make_node: MakeNode, row: Any) -> None:
    node = make_node()
    # Whatever is refused, the description stays: rclpy notes the type of what was asked.
    assert not set_one(node, row.name, [b'x']).successful
    shown = node.describe_parameter(row.name)
    kinds = Parameter.Type
    expected = {
        'bool': kinds.BOOL, 'int': kinds.INTEGER, 'double': kinds.DOUBLE, 'string': kinds.STRING,
        'double_array': kinds.DOUBLE_ARRAY, 'string_array': kinds.STRING_ARRAY,
    }  # fmt: skip
    if row.kind in expected:
        assert shown.type == expected[row.kind].value
        assert not shown.dynamic_typing
        assert node.get_parameter(row.name).type_ == expected[row.kind]
    limits = [*shown.floating_point_range, *shown.integer_range]
    if row.minimum is None:
        assert not limits
    else:
        assert [(r.from_value, r.to_value) for r in limits] == [(row.minimum, row.maximum)]


def test_whole_numbers_become_doubles(make_node: MakeNode) -> None:
    node = make_node(sync__slop=1, thermal__homography=[1, 0, 0, 0, 1, 0, 0, 0, 1])
    assert node.get_parameter('sync.slop').type_ == Parameter.Type.DOUBLE
    assert node.get_parameter('thermal.homography').type_ == Parameter.Type.DOUBLE_ARRAY
    if hasattr(node, 'add_pre_set_parameters_callback'):
        assert set_one(node, 'sync.slop', 2).successful
        assert node.get_parameter('sync.slop').type_ == Parameter.Type.DOUBLE


def test_empty_lists_of_a_file_are_taken(make_node: MakeNode, tmp_path: Path) -> None:
    # What `ros2 param dump` writes of the defaults: the parser of ROS makes 'not set' of [].
    parameters = {'thermal': {'homography': []}, 'classes': {'keep': [], 'merge': ['a=car+bike']}}
    content = {'mafs_fusion': {'ros__parameters': parameters}}
    dump = tmp_path / 'dump.yaml'
    dump.write_text(yaml.safe_dump(content), encoding='utf-8')
    node = make_node(arguments=['--ros-args', '--params-file', str(dump)])
    settings = handler_of(node).load()
    assert settings.thermal_homography is None
    assert settings.classes_keep == ()
    assert settings.classes_merge == (('a', ('car', 'bike')),)
    assert node.get_parameter('classes.keep').type_ == Parameter.Type.STRING_ARRAY
    assert node.get_parameter('thermal.homography').type_ == Parameter.Type.DOUBLE_ARRAY


def test_wrong_type_from_a_file_does_not_end_the_node(make_node: MakeNode) -> None:
    node = make_node(sync__slop='abc')
    with pytest.raises(ConfigError, match=r"^sync\.slop: got 'abc', expected a number"):
        handler_of(node).load()
    assert set_one(node, 'sync.slop', 0.05).successful
    assert handler_of(node).load().sync_slop == 0.05


def test_a_name_of_an_earlier_release_is_told_its_new_one(
    make_node: MakeNode, capfd: pytest.CaptureFixture[str]
) -> None:
    make_node(classes='mfnet')
    log = capfd.readouterr().err
    assert "parameter 'classes' is unknown and ignored: it is called 'classes.table' now" in log


def test_misspelt_name_is_reported(make_node: MakeNode, capfd: pytest.CaptureFixture[str]) -> None:
    make_node(sync__slopp=0.1)
    assert "parameter 'sync.slopp' is unknown and ignored" in capfd.readouterr().err


class TestWhileConfigured:
    """What needs a reload is refused, what does not is taken over."""

    def test_reload_is_refused_with_a_way_out(self, make_node: MakeNode) -> None:
        node = make_node()
        handler_of(node).locked = True
        result = set_one(node, 'device', 'cpu')
        assert not result.successful
        assert result.reason == (
            "device: got 'cpu', expected no change while configured (clean up the node, set it, "
            'configure again)'
        )

    def test_same_value_is_no_change(self, make_node: MakeNode) -> None:
        node = make_node()
        handler_of(node).locked = True
        assert set_one(node, 'device', 'auto').successful

    def test_dynamic_one_is_in_force_after_the_next_refresh(self, make_node: MakeNode) -> None:
        node = make_node()
        handler = handler_of(node)
        handler.load()
        handler.locked = True
        before = handler.settings.current
        handler.refresh()
        assert handler.settings.current is before, 'nothing was set'
        assert set_one(node, 'overlay.opacity', 0.25).successful
        assert handler.settings.current is before, 'taken over between two frames only'
        handler.refresh()
        assert handler.settings.current.overlay_opacity == 0.25

    def test_atomic_update_is_refused_as_a_whole(self, make_node: MakeNode) -> None:
        node = make_node()
        handler_of(node).locked = True
        result = node.set_parameters_atomically(
            [Parameter('overlay.opacity', value=0.25), Parameter('sync.slop', value='x')]
        )
        assert not result.successful
        assert node.get_parameter('overlay.opacity').value == 0.5

    def test_combination_is_checked(self, make_node: MakeNode) -> None:
        node = make_node()
        handler_of(node).locked = True
        result = set_one(node, 'thermal.percentile_low', 99.5)
        assert not result.successful
        assert 'thermal.percentile_high (99)' in result.reason
