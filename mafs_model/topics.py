"""
The names of the node's topics, for everybody who publishes, records, replays or reads them.

Names are as the node creates them: relative ones can be remapped, `~` is the name of the node.
"""

from __future__ import annotations

NODE_NAME = 'mafs_fusion'

INPUT_TOPICS = {'visible': 'rgb/image_raw', 'thermal': 'thermal/image_raw'}
CAMERA_INFO_INPUT = 'rgb/camera_info'
# As depth_image_proc names what it makes of a depth image for another camera.
DEPTH_INPUT = 'depth_registered/image_rect'

IMAGE_TOPICS = {
    'fused': '~/fused/image',
    'labels': '~/semantic/labels',
    'confidence': '~/semantic/confidence',
    'overlay': '~/semantic/overlay',
}
# As image_transport names them.
COMPRESSED_TOPICS = {
    name: f'{IMAGE_TOPICS[name]}/compressed' for name in ('fused', 'labels', 'overlay')
}
OBJECTS_TOPIC = '~/semantic/objects'
DETECTIONS_TOPIC = '~/detections'
POINTS_TOPIC = '~/semantic/points'
CAMERA_INFO_TOPIC = '~/fused/camera_info'
STATUS_TOPIC = '~/status'
CLASSES_TOPIC = '~/semantic/classes'
LABEL_INFO_TOPIC = '~/semantic/label_info'
DIAGNOSTICS_TOPIC = '/diagnostics'

SNAPSHOT_SERVICE = '~/snapshot'
RECORD_SERVICE = '~/record'
SET_WEIGHTS_SERVICE = '~/set_weights'


def absolute(name: str) -> str:
    """Return the full name of a topic of a node that nobody has renamed or remapped."""
    if name.startswith('/'):
        return name
    return f'/{NODE_NAME}{name[1:]}' if name.startswith('~') else f'/{name}'
