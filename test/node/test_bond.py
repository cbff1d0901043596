"""The heartbeat for Nav2's lifecycle manager."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('mafs_ros.msg')

from mafs_ros import bond

pytestmark = pytest.mark.ros


class Status:
    """Stands for bond/Status: exactly its fields."""

    def __init__(self, **fields: Any) -> None:
        assert set(fields) == {
            'id', 'instance_id', 'active', 'heartbeat_timeout', 'heartbeat_period'
        }  # fmt: skip
        self.__dict__ |= fields
        self.header = SimpleNamespace(stamp=None)


@pytest.fixture
def said(make_node: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[Any]]:
    """Return a node where the package bond is installed, and what it says there."""
    messages: list[Any] = []
    monkeypatch.setattr(bond, 'load_bond_msgs', lambda: SimpleNamespace(Status=Status))
    node = make_node(weights='classical')
    create = node.create_publisher

    def create_publisher(kind: Any, topic: str, *rest: Any, **options: Any) -> Any:
        if kind is Status:
            assert topic == 'bond'
            return SimpleNamespace(publish=messages.append)
        return create(kind, topic, *rest, **options)

    monkeypatch.setattr(node, 'create_publisher', create_publisher)
    return node, messages


def test_heartbeat_while_active(said: tuple[Any, list[Any]]) -> None:
    node, messages = said
    node.trigger_configure()
    assert messages == []
    node.trigger_activate()
    assert [(m.id, m.active) for m in messages] == [('mafs_fusion', True)]
    assert messages[0].heartbeat_period < messages[0].heartbeat_timeout / 4
    (timer,) = [t for t in node.timers if t.timer_period_ns == int(bond.PERIOD_S * 1e9)]
    timer.callback()
    assert [m.active for m in messages] == [True, True]
    node.trigger_deactivate()
    assert [m.active for m in messages] == [True, True, False]
    assert timer not in list(node.timers)
    node.trigger_activate()
    node.trigger_shutdown()
    assert [m.active for m in messages] == [True, True, False, True, False]
    assert len({m.instance_id for m in messages}) == 1


def test_nothing_without_the_package(make_node: Callable[..., Any]) -> None:
    node = make_node(weights='classical')
    node.trigger_configure()
    before = len(list(node.timers))
    node.trigger_activate()
    if bond.load_bond_msgs() is None:
        assert not [t for t in node.timers if t.timer_period_ns == int(bond.PERIOD_S * 1e9)]
        assert len(list(node.timers)) >= before
