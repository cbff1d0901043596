"""Objects over DDS: those of drawn labels, computed only while somebody listens."""

from __future__ import annotations

from collections.abc import Callable
import math
from types import SimpleNamespace
from typing import Any

from mafs_model.prediction import Outputs, Prediction
from mafs_model.topics import absolute, DETECTIONS_TOPIC, OBJECTS_TOPIC
import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('mafs_ros.msg')

from mafs_ros.detection_outputs import vision_message
from mafs_ros.msg import SemanticObjects
from mafs_ros.publishers import load_vision_msgs
from std_msgs.msg import Header

pytestmark = pytest.mark.ros

LABELS = np.zeros((96, 128), np.uint8)
LABELS[10:50, 20:40] = 2
LABELS[60:80, 60:110] = 1
LABELS[90:96, 120:128] = 3  # smaller than detections.min_area
COUNTS = np.random.default_rng(3).integers(29_000, 29_400, (48, 64), np.uint16)
COUNTS[5:25, 10:20] = 31_015  # 37 degrees Celsius where the person is


def draw(rig: Any, wanted: list[Outputs]) -> None:
    """Let the engine of a node answer with the labels above, and keep what it is asked for."""
    predictor = rig.node._inference.predictor

    def infer(visible: Any, thermal: Any, outputs: Outputs) -> Prediction:
        wanted.append(outputs)
        return Prediction(
            fused=visible if outputs.fused else None,
            labels=LABELS.copy() if outputs.labels else None,
            confidence=np.full_like(LABELS, 204) if outputs.confidence else None,
        )

    predictor.engine.infer = infer


@pytest.mark.skipif(load_vision_msgs() is not None, reason='~/detections is of vision_msgs')
def test_objects_have_class_box_temperature_and_number(
    make_rig: Callable[..., Any], image: Callable[..., Any]
) -> None:
    rig = make_rig(weights='classical')
    rig.listen_to_images('fused/image')
    assert rig.transition('configure')
    wanted: list[Outputs] = []
    draw(rig, wanted)
    assert rig.transition('activate')
    pair = {'thermal': image(COUNTS, 'mono16')}
    rig.good_pair(**pair)
    assert wanted
    assert not any(outputs.labels or outputs.confidence for outputs in wanted)

    both = [absolute(OBJECTS_TOPIC), absolute(DETECTIONS_TOPIC)]
    for topic in both:
        rig.listen(topic, SemanticObjects, 5)
    for topic in both:
        rig.wait(
            lambda topic=topic: len(rig.messages[topic]) > 2,
            topic,
            meanwhile=lambda: rig.send_pair(**pair),
            every_s=0.2,
        )
    for topic in both:
        first, second = rig.messages[topic][:2]
        assert first.header.frame_id == 'rgb_optical'
        assert rig.at('/mafs_fusion/fused/image', first.header.stamp) is not None
        boxes = [
            (o.class_id, o.class_name, o.left, o.top, o.width, o.height, o.area)
            for o in first.objects
        ]
        assert boxes == [
            (1, 'car', 60, 60, 50, 20, 1000),
            (2, 'person', 20, 10, 20, 40, 800),
        ]
        assert [o.confidence for o in first.objects] == pytest.approx([0.8, 0.8])
        assert [o.track_id for o in first.objects] == [1, 2]
        assert [o.track_id for o in second.objects] == [1, 2]
        car, person = first.objects
        assert person.has_temperature
        assert person.temperature_max == pytest.approx(37.0, abs=0.01)
        assert car.temperature_min >= 290.0 - 273.15 - 0.01
        assert car.temperature_min < car.temperature_mean < car.temperature_max < 20.9
    assert rig.set_parameter('detections.min_area', 900).successful
    rig.wait(
        lambda: len(rig.last(both[0]).objects) == 1,
        'the car alone',
        meanwhile=lambda: rig.send_pair(**pair),
        every_s=0.2,
    )
    grey = {'thermal': image((COUNTS >> 7).astype(np.uint8), 'mono8')}
    message = rig.wait(
        lambda: (
            rig.last(both[0]).objects
            and not rig.last(both[0]).objects[0].has_temperature
            and rig.last(both[0])
        ),
        'no temperature of grey levels',
        meanwhile=lambda: rig.send_pair(**grey),
        every_s=0.2,
    )
    assert math.isnan(message.objects[0].temperature_mean)
    for topic in both:
        rig.ignore(topic)
    wanted.clear()
    rig.wait(
        lambda: wanted and not wanted[-1].labels,
        'labels no longer asked for',
        meanwhile=lambda: rig.send_pair(**pair),
        every_s=0.2,
    )
    rig.close()


def namespace(**fields: Any) -> Callable[..., Any]:
    """Return a constructor of what stands in for a message of vision_msgs."""
    return lambda **given: SimpleNamespace(**{k: make() for k, make in fields.items()}, **given)


STAND_IN = SimpleNamespace(
    Detection2DArray=namespace(detections=list),
    Detection2D=namespace(
        results=list,
        bbox=lambda: SimpleNamespace(center=SimpleNamespace(position=SimpleNamespace())),
    ),
    ObjectHypothesisWithPose=namespace(hypothesis=SimpleNamespace),
)


def test_message_of_vision_msgs() -> None:
    from mafs_model.detections import Detection

    header = Header(frame_id='rgb')
    found = [Detection(2, 'person', 0.75, 20, 10, 21, 40, 800, None, 7)]
    message = vision_message(load_vision_msgs() or STAND_IN, found, header)
    (detection,) = message.detections
    assert message.header == detection.header == header
    assert detection.id == '7'
    (result,) = detection.results
    assert (result.hypothesis.class_id, result.hypothesis.score) == ('person', 0.75)
    box = detection.bbox
    assert (box.center.position.x, box.center.position.y) == (30.0, 29.5)
    assert (box.size_x, box.size_y) == (21.0, 40.0)
