"""The messages of this package, as bags need them: every bag explains itself."""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from mafs_model.bags.writer import BagWriter

# In the order in which one is made of the other.
OWN_TYPES = (
    'SemanticClass',
    'SemanticClasses',
    'SemanticObject',
    'SemanticObjects',
    'FusionStatus',
)


def register_own_types(bag: BagWriter) -> None:
    """Make the messages of this package known to a writer."""
    share = Path(get_package_share_directory('mafs_ros'), 'msg')
    for name in OWN_TYPES:
        definition = (share / f'{name}.msg').read_text(encoding='utf-8')
        bag.register_type(f'mafs_ros/msg/{name}', definition)
