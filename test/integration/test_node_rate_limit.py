"""`rate.limit` through the real node: what goes beyond it is dropped before inference."""

from __future__ import annotations

from collections.abc import Callable
import time
from typing import Any

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('mafs_ros.msg')

pytestmark = pytest.mark.ros


def test_pairs_beyond_the_limit_are_counted_and_the_limit_changes_while_running(
    make_rig: Callable[..., Any],
) -> None:
    rig = make_rig(weights='classical', rate__limit=2.0)
    rig.listen_to_images('fused/image')
    rig.start()
    rig.good_pair()
    started = time.monotonic()
    rig.wait(
        lambda: rig.drops('rate') >= 40,
        "40 pairs dropped as 'rate'",
        meanwhile=rig.send_pair,
        every_s=0.02,
    )
    counters = rig.node._statistics.counters()
    assert counters.processed + rig.drops('overtaken') <= 2.0 * (time.monotonic() - started) + 4
    assert counters.pairs >= counters.processed + rig.drops('rate')
    status = rig.last('/mafs_fusion/status')
    assert 'rate' in status.drop_reasons or status.processed == 1
    rig.wait(
        lambda: rig.health()[0] == 0,
        'a healthy node although it drops pairs',
        meanwhile=rig.send_pair,
        every_s=0.05,
    )

    refused = rig.set_parameter('rate.limit', -1.0)
    assert not refused.successful
    assert refused.reason == 'rate.limit: got -1.0, expected a number 0 to 1000 Hz'
    assert rig.set_parameter('rate.limit', 0.0).successful
    rig.good_pair()
    dropped = rig.drops('rate')
    for _ in range(5):
        rig.good_pair()
    assert rig.drops('rate') == dropped
    rig.close()
