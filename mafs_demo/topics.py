"""The topics of the demo, in full; no ROS import, so that reports can use them."""

from __future__ import annotations

from mafs_model import topics
from mafs_model.topics import absolute

IMAGE_TOPICS = {name: absolute(topic) for name, topic in topics.IMAGE_TOPICS.items()}
STATUS_TOPIC = absolute(topics.STATUS_TOPIC)
OBJECTS_TOPIC = absolute(topics.OBJECTS_TOPIC)
CLASSES_TOPIC = absolute(topics.CLASSES_TOPIC)
INFO_TOPIC = absolute(topics.CAMERA_INFO_TOPIC)
DIAGNOSTICS_TOPIC = topics.DIAGNOSTICS_TOPIC
INPUT_TOPICS = {stream: absolute(topic) for stream, topic in topics.INPUT_TOPICS.items()}
INPUT_DEPTH = 15  # frames; as many 640x480 images fit into the shared-memory segment
INPUT_FRAMES = {'visible': 'rgb_optical_frame', 'thermal': 'thermal_optical_frame'}
INPUT_INFO_TOPIC = absolute(topics.CAMERA_INFO_INPUT)
