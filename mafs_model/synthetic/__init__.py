"""Synthetic thermal and visible street scenes with exact labels; no ROS, no training."""

from mafs_model.synthetic.config import CLASS_IDS, random_scene, SceneConfig
from mafs_model.synthetic.scene import NightDrive, SceneFrame

__all__ = ['CLASS_IDS', 'NightDrive', 'SceneConfig', 'SceneFrame', 'random_scene']
