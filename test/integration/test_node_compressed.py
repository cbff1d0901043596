"""JPEG and PNG streams through the real node: good ones, damaged ones, swapped ones."""

from __future__ import annotations

import array
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('mafs_ros.msg')

import cv2
from sensor_msgs.msg import CompressedImage

pytestmark = pytest.mark.ros
VISIBLE, THERMAL = 'rgb/image_raw', 'thermal/image_raw'
JPEG, PNG = 'bgr8; jpeg compressed bgr8', '16UC1; png compressed '


@pytest.fixture(scope='module')
def rig(make_rig: Callable[..., Any]) -> Any:
    rig = make_rig(
        weights='classical', rgb__transport='compressed', thermal__transport='compressed'
    )
    rig.listen_to_images('fused/image')
    rig.start()
    return rig


def encode(data: np.ndarray, label: str) -> Any:
    done, stream = cv2.imencode('.jpg' if 'jpeg' in label else '.png', data)
    assert done
    return CompressedImage(format=label, data=array.array('B', stream.tobytes()))


def send(rig: Any, visible: Any, thermal: Any) -> None:
    stamp = rig.next_stamp()
    for topic, message in ((VISIBLE, visible), (THERMAL, thermal)):
        message.header.stamp = stamp
        rig.send(f'{topic}/compressed', message)


def good_pair(rig: Any, samples: Any) -> Any:
    """Publish good pairs until a fused image comes; return it."""
    topic = '/mafs_fusion/fused/image'
    visible, thermal = encode(samples[0], JPEG), encode(samples[1], PNG)
    count = len(rig.messages[topic])
    rig.wait(
        lambda: len(rig.messages[topic]) > count,
        'fused image',
        every_s=0.2,
        meanwhile=lambda: send(rig, visible, thermal),
    )
    return rig.last(topic)


def test_jpeg_and_16_bit_png_are_fused(rig: Any, samples: Any) -> None:
    fused = good_pair(rig, samples)
    assert (fused.height, fused.width) == (96, 128)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    'empty': lambda data: b'',
    'truncated': lambda data: data[: len(data) // 2],
    'noise': lambda data: bytes(range(256)) * 4,
    'flipped': lambda data: (
        data[: len(data) // 2] + bytes(b ^ 0x5A for b in data[len(data) // 2 : -12]) + data[-12:]
    ),
}


@pytest.mark.parametrize(
    ('stream', 'damage'),
    [
        ('visible', 'empty'),
        ('visible', 'truncated'),
        ('visible', 'noise'),
        ('thermal', 'empty'),
        ('thermal', 'truncated'),
        ('thermal', 'flipped'),
    ],
)
def test_damaged_stream_is_counted_and_the_next_pair_works(
    rig: Any, samples: Any, stream: str, damage: str
) -> None:
    good_pair(rig, samples)
    images = {'visible': encode(samples[0], JPEG), 'thermal': encode(samples[1], PNG)}
    bad = DAMAGES[damage](images[stream].data.tobytes())
    images[stream].data = array.array('B', bad)
    rig.node._reporter.reset()
    before, lines = rig.drops('decode'), len(rig.log())
    rig.wait(
        lambda: rig.drops('decode') > before,
        "drop counted as 'decode'",
        every_s=0.2,
        meanwhile=lambda: send(rig, **images),
    )
    text = rig.wait(lambda: [t for t in rig.log()[lines:] if t.startswith('[decode] ')], 'line')
    assert 'Traceback' not in text[0]
    good_pair(rig, samples)


def test_thermal_stream_on_the_visible_topic(rig: Any, samples: Any) -> None:
    before = rig.drops('encoding')
    thermal = encode(samples[1], PNG)
    rig.wait(
        lambda: rig.drops('encoding') > before,
        "drop counted as 'encoding'",
        every_s=0.2,
        meanwhile=lambda: send(rig, thermal, thermal),
    )
    good_pair(rig, samples)
