"""
Every pairing policy through the real node over DDS.

message_filters is taken where it is installed; elsewhere a stand-in with the same calls shows
that the node uses its subscriber and its synchronisers.
"""

from __future__ import annotations

from collections.abc import Callable
import importlib.util
import sys
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('mafs_ros.msg')

pytestmark = pytest.mark.ros


class SimpleFilter:
    """Hands messages on to what has registered."""

    def __init__(self) -> None:
        self.callbacks: list[Any] = []

    def registerCallback(self, callback: Any) -> None:  # noqa: N802
        self.callbacks.append(callback)

    def signalMessage(self, *messages: Any) -> None:  # noqa: N802
        for callback in self.callbacks:
            callback(*messages)


class Subscriber(SimpleFilter):
    """A subscription as a filter."""

    def __init__(self, node: Any, *arguments: Any, **options: Any) -> None:
        super().__init__()
        self.sub = node.create_subscription(*arguments, self._on_message, **options)

    def _on_message(self, message: Any) -> None:
        self.signalMessage(message)


class TimeSynchronizer(SimpleFilter):
    """Pairs equal stamps of two filters."""

    def __init__(self, filters: list[SimpleFilter], queue_size: int, slop: float = 0.0) -> None:
        super().__init__()
        self.newest: list[Any] = [None, None]
        self.slop_ns = round(slop * 1e9)
        for index, source in enumerate(filters):
            source.registerCallback(lambda message, index=index: self.add(index, message))

    def add(self, index: int, message: Any) -> None:
        self.newest[index] = message
        if all(self.newest):
            stamps = [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in self.newest]
            if abs(stamps[0] - stamps[1]) <= self.slop_ns:
                pair, self.newest = self.newest, [None, None]
                self.signalMessage(*pair)


@pytest.fixture
def message_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec('message_filters') is not None:
        return
    module = ModuleType('message_filters')
    for name, value in {
        'SimpleFilter': SimpleFilter,
        'Subscriber': Subscriber,
        'TimeSynchronizer': TimeSynchronizer,
        'ApproximateTimeSynchronizer': TimeSynchronizer,
    }.items():
        setattr(module, name, value)
    monkeypatch.setitem(sys.modules, 'message_filters', module)


@pytest.mark.parametrize('policy', ['nearest', 'approximate', 'exact'])
def test_pairs_come_through_and_bad_images_are_refused(
    message_filters: None,
    make_rig: Callable[..., Any],
    image: Callable[..., Any],
    samples: Any,
    policy: str,
) -> None:
    rig = make_rig(weights='classical', sync__policy=policy)
    try:
        rig.listen_to_images('fused/image')
        rig.start()
        # The approximate policy may take images of two pairs that came right after one another.
        assert abs(rig.good_pair().offset) <= (0.03 if policy == 'approximate' else 0.0)
        bad = image(samples[0], 'bgr8', step=1)

        def send() -> None:
            bad.header.stamp = rig.next_stamp()
            rig.send('rgb/image_raw', bad)

        rig.wait(lambda: rig.drops('step'), "drop counted as 'step'", meanwhile=send, every_s=0.2)
        rig.good_pair()
        assert rig.transition('deactivate')
        assert len([s for s in rig.node.subscriptions if 'image_raw' in s.topic_name]) == 0
        assert rig.transition('activate')
        rig.good_pair()
    finally:
        rig.close()
