"""The shared model: inference core without ROS and without training dependencies."""

from __future__ import annotations

from mafs_model.version import __version__

__all__ = ['__version__']
