"""Calibration of a thermal and a visible camera from what they have recorded."""

from mafs_model.version import __version__

__all__ = ['__version__']
