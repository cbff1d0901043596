"""The topics of the demo; no ROS import, so that reports can use them."""

from __future__ import annotations

NODE = '/mafs_fusion'
IMAGE_TOPICS = {
    'fused': f'{NODE}/fused/image',
    'labels': f'{NODE}/semantic/labels',
    'confidence': f'{NODE}/semantic/confidence',
    'overlay': f'{NODE}/semantic/overlay',
}
STATUS_TOPIC = f'{NODE}/status'
CLASSES_TOPIC = f'{NODE}/semantic/classes'
INFO_TOPIC = f'{NODE}/fused/camera_info'
DIAGNOSTICS_TOPIC = '/diagnostics'
INPUT_TOPICS = {'visible': '/rgb/image_raw', 'thermal': '/thermal/image_raw'}
INPUT_DEPTH = 15  # frames; as many 640x480 images fit into the shared-memory segment
INPUT_FRAMES = {'visible': 'rgb_optical_frame', 'thermal': 'thermal_optical_frame'}
INPUT_INFO_TOPIC = '/rgb/camera_info'
