"""Good pairs through the real node over DDS: what comes out, and when nothing has to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('mafs_ros.msg')

from mafs_model.images.overlay import OverlayStyle
from mafs_model.prediction import Outputs
from mafs_ros.msg import FusionStatus, SemanticClasses
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo

pytestmark = pytest.mark.ros
IMAGES = ('fused/image', 'semantic/labels', 'semantic/confidence', 'semantic/overlay')
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


@pytest.fixture(scope='module')
def rig(make_rig: Callable[..., Any]) -> Iterator[Any]:
    rig = make_rig(weights='classical')
    rig.listen_to_images(*IMAGES)
    rig.listen('/mafs_fusion/fused/camera_info', CameraInfo)
    rig.start()
    return rig


def array_of(message: Any) -> np.ndarray:
    channels = 3 if message.encoding == 'rgb8' else 1
    data = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, channels)
    return data if channels == 3 else data[..., 0]


def received(rig: Any, name: str, stamp: Any) -> Any:
    topic = f'/mafs_fusion/{name}'
    return rig.wait(lambda: rig.at(topic, stamp), topic)


def test_all_images_carry_size_encoding_and_header_of_the_visible_one(rig: Any) -> None:
    stamp = rig.good_pair().header.stamp
    for name in IMAGES:
        message = received(rig, name, stamp)
        assert (message.height, message.width) == (96, 128)
        assert message.encoding == ('rgb8' if name.endswith(('image', 'overlay')) else 'mono8')
        assert message.step == message.width * (3 if message.encoding == 'rgb8' else 1)
        assert len(message.data) == message.step * message.height
        assert message.header.frame_id == 'rgb_optical'


def test_images_are_those_of_the_predictor(rig: Any, samples: Any) -> None:
    from mafs_model.predictor import Predictor

    bgr, counts = samples
    stamp = rig.good_pair().header.stamp
    with Predictor.create('classical', device='cpu') as predictor:
        expected = predictor.predict(np.ascontiguousarray(bgr[..., ::-1]), counts)
    np.testing.assert_array_equal(array_of(received(rig, 'fused/image', stamp)), expected.fused)
    np.testing.assert_array_equal(
        array_of(received(rig, 'semantic/labels', stamp)), expected.labels
    )


def test_status_accounts_for_the_pair(rig: Any) -> None:
    status = rig.good_pair()
    assert status.visible_stamp == status.thermal_stamp == status.header.stamp
    assert status.offset == 0.0
    assert status.mode == FusionStatus.MODE_CLASSICAL
    assert status.device == 'cpu'
    assert status.pairs >= status.processed > 0
    assert status.visible_received >= status.pairs
    assert 0 < status.inference_ms < status.latency_ms < 5000
    assert status.publish_ms > 0
    assert status.preprocess_ms > 0
    assert len(status.drop_reasons) == len(status.drop_counts)


def test_classical_overlay_says_so(rig: Any) -> None:
    stamp = rig.good_pair().header.stamp
    fused = array_of(received(rig, 'fused/image', stamp))
    overlay = array_of(received(rig, 'semantic/overlay', stamp))
    assert not np.array_equal(fused, overlay), 'the notice is missing'


def test_calibration_follows_with_the_fused_stamp(rig: Any) -> None:
    rig.send(
        'rgb/camera_info',
        CameraInfo(width=256, height=192, k=[100.0, 0.0, 127.5, 0.0, 100.0, 95.5, 0.0, 0.0, 1.0]),
    )

    def halved() -> Any:
        return next(
            (m for m in rig.messages['/mafs_fusion/fused/camera_info'] if m.width == 128), None
        )

    info = rig.wait(halved, 'camera_info', meanwhile=rig.send_pair, every_s=0.2)
    assert list(info.k) == [50.0, 0.0, 63.5, 0.0, 50.0, 47.5, 0.0, 0.0, 1.0]
    assert info.header.frame_id == 'rgb_optical'
    assert rig.wait(lambda: rig.at('/mafs_fusion/fused/image', info.header.stamp), 'its image')


def test_late_subscriber_gets_the_classes(rig: Any) -> None:
    rig.listen('/mafs_fusion/semantic/classes', SemanticClasses, LATCHED)
    message = rig.wait(lambda: rig.last('/mafs_fusion/semantic/classes'), 'classes')
    assert message.dataset == 'mfnet'
    assert [c.id for c in message.classes] == list(range(9))
    assert message.classes[2].name == 'person'
    assert message.classes[2].color.a == 1.0


def test_diagnostics_say_ok_with_numbers(rig: Any) -> None:
    def fine() -> Any:
        status = rig.last('/diagnostics')
        return (
            status
            if status
            and status.status[0].level == b'\x00'
            and ('pairs/s' in status.status[0].message)
            else None
        )

    status = rig.wait(fine, 'diagnostics', meanwhile=rig.send_pair).status[0]
    values = {v.key: v.value for v in status.values}
    assert status.name == '/mafs_fusion: fusion'
    assert values['visible size'] == '128x96'
    assert values['thermal encoding'] == 'mono16'
    assert values['state'] == 'active'
    assert float(values['match rate'].split()[0]) > 50


def test_opacity_changes_between_frames(rig: Any) -> None:
    assert rig.set_parameter('overlay.opacity', 0.9).successful
    rig.good_pair()
    assert rig.node._handler.settings.current.overlay_opacity == 0.9


def test_what_needs_a_reload_is_refused(rig: Any) -> None:
    result = rig.set_parameter('weights', 'other.safetensors')
    assert not result.successful
    assert 'while configured' in result.reason
    rig.good_pair()


def test_nobody_listens_nothing_is_computed(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    predict = rig.node._inference.predictor.predict

    def spy(visible: Any, thermal: Any, outputs: Any) -> Any:
        asked.append(outputs)
        return predict(visible, thermal, outputs)

    monkeypatch.setattr(rig.node._inference.predictor, 'predict', spy)
    style = OverlayStyle()

    def wanted() -> Outputs:
        return rig.node._outputs.wanted(style)

    for name in ('semantic/labels', 'semantic/confidence', 'semantic/overlay'):
        rig.ignore(f'/mafs_fusion/{name}')
    alone = Outputs(labels=False, confidence=False)
    rig.wait(
        lambda: wanted() == alone,
        'only the fused image being wanted',
    )
    rig.good_pair()
    assert asked[-1].fused
    assert not asked[-1].labels
    assert not asked[-1].confidence
    rig.ignore('/mafs_fusion/fused/image')
    rig.wait(lambda: not wanted().any, 'no image being wanted')
    rig.wait(lambda: not rig.node._processor._worker.waiting, 'empty mailbox')
    rig.good_pair()
    asked.clear()
    before = rig.node._statistics.counters().processed
    status = rig.good_pair()
    assert status.mode == FusionStatus.MODE_IDLE
    assert status.inference_ms == 0.0
    assert status.processed > before, 'pairs still count'
    assert asked == []
