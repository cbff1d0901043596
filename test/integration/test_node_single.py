"""One camera stops: the node works with the other one, and with both when it is back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('mafs_ros.msg')

from mafs_ros.msg import FusionStatus

pytestmark = pytest.mark.ros
TOPICS = {'visible': 'rgb/image_raw', 'thermal': 'thermal/image_raw'}
MODES = {
    'visible': FusionStatus.MODE_VISIBLE_ONLY,
    'thermal': FusionStatus.MODE_THERMAL_ONLY,
}


@pytest.fixture(scope='module', params=['rgb', 'thermal'])
def rig(make_rig: Callable[..., Any], request: pytest.FixtureRequest) -> Any:
    rig = make_rig(
        weights='classical', reference=request.param, on_missing='single', single_after=0.3
    )
    rig.reference = request.param
    rig.listen_to_images('fused/image', 'semantic/labels')
    rig.start()
    yield rig
    rig.close()


@pytest.mark.parametrize('alone', ['visible', 'thermal'])
def test_the_other_camera_alone_until_it_is_back(
    rig: Any, image: Callable[..., Any], samples: Any, alone: str
) -> None:
    rig.good_pair()
    messages = {'visible': image(samples[0], 'bgr8'), 'thermal': image(samples[1], 'mono16')}
    sent = []

    def send() -> None:
        message = messages[alone]
        message.header.stamp = rig.next_stamp()
        message.header.frame_id = TOPICS[alone].split('/')[0] + '_optical'
        sent.append(message.header.stamp)
        rig.send(TOPICS[alone], message)

    def single() -> Any:
        status = rig.last('/mafs_fusion/status')
        return status if status.mode == MODES[alone] else None

    status = rig.wait(single, 'status of a single image', meanwhile=send)
    stamps = {'visible': status.visible_stamp, 'thermal': status.thermal_stamp}
    assert stamps.pop(alone) in sent
    assert stamps.popitem()[1].sec == 0, 'the missing one has no stamp'
    assert status.header.stamp in sent
    assert status.header.frame_id == f'{rig.reference}_optical', 'as with both cameras'
    fused = rig.wait(lambda: rig.at('/mafs_fusion/fused/image', status.header.stamp), 'its image')
    assert (fused.height, fused.width) == samples[0].shape[:2], 'the size stays'
    assert np.frombuffer(fused.data, np.uint8).std() > 10.0
    assert rig.at('/mafs_fusion/semantic/labels', status.header.stamp)
    rig.wait(
        lambda: rig.health()[0] == 1 and 'camera alone' in rig.health()[1],
        'diagnostics',
        meanwhile=send,
    )
    name = {'visible': 'visible (rgb)', 'thermal': 'thermal'}[alone]
    rig.wait(
        lambda: any(f'state WARN: The {name} camera alone' in t for t in rig.log()),
        'line in the log',
        meanwhile=send,
    )
    values = {v.key: v.value for v in rig.last('/diagnostics').status[0].values}
    assert values['mode'] == f'{alone}_only'
    pairs = status.pairs

    # The first image of the one that was never gone may still be processed alone.
    def paired() -> bool:
        status = rig.last('/mafs_fusion/status')
        return bool(status.pairs > pairs and status.mode == FusionStatus.MODE_CLASSICAL)

    rig.wait(paired, 'status of a pair', meanwhile=rig.send_pair)
    rig.wait(lambda: rig.health()[0] == 0, 'state OK', meanwhile=rig.send_pair)
