"""Compressed outputs over DDS: the same pictures as the raw ones, only while somebody listens."""

from __future__ import annotations

from collections.abc import Callable
import threading
from typing import Any

import cv2
from mafs_model.topics import absolute, COMPRESSED_TOPICS, IMAGE_TOPICS
import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('mafs_ros.msg')

pytestmark = pytest.mark.ros


def encoders() -> int:
    return sum(thread.name == 'fusion_encoder' for thread in threading.enumerate())


def test_compressed_images_are_those_of_the_raw_topics(
    make_rig: Callable[..., Any], image: Callable[..., Any]
) -> None:
    from sensor_msgs.msg import CompressedImage

    y, x = np.mgrid[0:96, 0:128]
    smooth = np.stack([x, 2 * y, 255 - x], axis=2).astype(np.uint8)
    pair = {
        'visible': image(smooth, 'bgr8'),
        'thermal': image((28_000 + 20 * x).astype(np.uint16), 'mono16'),
    }
    rig = make_rig(weights='classical', output__jpeg_quality=95)
    raw = {name: absolute(IMAGE_TOPICS[name]) for name in COMPRESSED_TOPICS}
    compressed = {name: absolute(topic) for name, topic in COMPRESSED_TOPICS.items()}
    rig.listen_to_images('fused/image', 'semantic/labels', 'semantic/overlay')
    rig.start()
    rig.good_pair(**pair)
    assert encoders() == 0, 'nobody listens: no thread, no cost'
    for topic in compressed.values():
        rig.listen(topic, CompressedImage, 5)

    def both(name: str) -> Any:
        for message in rig.messages[compressed[name]]:
            image = rig.at(raw[name], message.header.stamp)
            if image is not None:
                return message, image
        return None

    for name in compressed:
        message, image = rig.wait(
            lambda name=name: both(name),
            f'{name} in both forms',
            meanwhile=lambda: rig.send_pair(**pair),
            every_s=0.2,
        )
        decoded = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_UNCHANGED)
        expected = np.frombuffer(image.data, np.uint8).reshape(decoded.shape)
        if name == 'labels':
            assert np.array_equal(decoded, expected)
            assert message.format == 'mono8; png compressed '
        else:
            assert cv2.PSNR(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), expected) > 30.0
        assert message.header.frame_id == image.header.frame_id
    assert encoders() == 1
    assert rig.transition('deactivate')
    assert encoders() == 0
    rig.close()
