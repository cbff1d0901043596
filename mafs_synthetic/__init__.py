"""Synthetic thermal and visible street scenes with exact labels; no ROS, no training."""

from mafs_model.version import __version__
from mafs_synthetic.config import CLASS_IDS, random_scene, SceneConfig
from mafs_synthetic.scene import NightDrive, SceneFrame

__all__ = ['CLASS_IDS', 'NightDrive', 'SceneConfig', 'SceneFrame', '__version__', 'random_scene']
