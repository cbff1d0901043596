"""Overrides of QoS: the names that count, and what is said about the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('mafs_ros.msg')

from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import QoSReliabilityPolicy

pytestmark = pytest.mark.ros
REMAPPED = ['--ros-args', '-r', '__ns:=/robot', '-r', 'rgb/image_raw:=/camera/image']


@pytest.fixture
def configured(ros_context: Any, capfd: pytest.CaptureFixture[str]) -> Any:
    """Return a function that configures and activates a node with overrides."""
    from mafs_ros.node import FusionNode

    nodes = []

    def make(arguments: list[str], **overrides: Any) -> tuple[Any, str, Any]:
        given = [Parameter('weights', value='classical')]
        given += [Parameter(f'qos_overrides.{n}', value=v) for n, v in overrides.items()]
        node = FusionNode(
            context=ros_context,
            parameter_overrides=given,
            enable_communication_interface=False,
            cli_args=arguments,
        )
        nodes.append(node)
        result = node.trigger_configure()
        if result == TransitionCallbackReturn.SUCCESS:
            node.trigger_activate()
        return node, capfd.readouterr().err, result

    yield make
    for node in nodes:
        node.destroy_node()


def test_names_follow_namespace_and_remapping(configured: Callable[..., Any]) -> None:
    node, log, _ = configured(
        REMAPPED,
        **{
            '/camera/image.subscription.reliability': 'reliable',
            '/robot/mafs_fusion/fused/image.publisher.depth': 3,
        },
    )
    assert 'is ignored' not in log
    profiles = {s.topic_name: s.qos_profile for s in node.subscriptions}
    assert profiles['/camera/image'].reliability == QoSReliabilityPolicy.RELIABLE
    (fused,) = [p for p in node.publishers if p.topic_name.endswith('fused/image')]
    assert fused.qos_profile.depth == 3


@pytest.mark.parametrize(
    ('name', 'said'),
    [
        ('/rgb/image_raw.subscription.depth', "'/rgb/image_raw.subscription' is none of "),
        ('camera/image.subscription.depth', "'camera/image.subscription' is none of "),
        ('/camera/image.publisher.depth', "'/camera/image.publisher' is none of "),
        ('/camera/image.subscription.durability', "'durability' is none of depth, history, reli"),
        ('/camera/image.subscription.dept', "'dept' is none of depth"),
        ('/robot/mafs_fusion/semantic/classes.publisher.depth', "classes.publisher' is none of"),
        ('/camera/image/compressed.subscription.depth', 'is none of '),
        ('depth', "'depth' is none of "),
    ],
)
def test_override_without_effect_is_warned_of(
    configured: Callable[..., Any], name: str, said: str
) -> None:
    _, log, result = configured(REMAPPED, **{name: 4})
    assert result == TransitionCallbackReturn.SUCCESS
    (line,) = [line for line in log.splitlines() if 'is ignored' in line]
    assert f"parameter 'qos_overrides.{name}' is ignored: " in line
    assert said in line


@pytest.mark.parametrize(
    ('policy', 'value', 'expected'),
    [
        ('depth', -1, 'a whole number 0 to 1000'),
        ('depth', 'five', 'a whole number 0 to 1000'),
        ('depth', True, 'a whole number 0 to 1000'),
        ('depth', 10**9, 'a whole number 0 to 1000'),
        ('history', 'keep_some', "one of 'keep_last', 'keep_all', 'system_default'"),
        ('reliability', 'unknown', "one of 'reliable', 'best_effort', 'system_default'"),
        ('reliability', 1, "one of 'reliable'"),
    ],
)
def test_bad_value_is_one_line(
    configured: Callable[..., Any], policy: str, value: Any, expected: str
) -> None:
    name = f'/camera/image.subscription.{policy}'
    _, log, result = configured(REMAPPED, **{name: value})
    assert result == TransitionCallbackReturn.FAILURE
    assert 'Traceback' not in log
    (line,) = [line for line in log.splitlines() if 'configure failed' in line]
    assert f'qos_overrides.{name}: got {value!r}, expected {expected}' in line
