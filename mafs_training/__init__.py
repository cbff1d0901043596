"""Offline training, data preparation and evaluation; never imported by a node."""

from __future__ import annotations

from mafs_model.version import __version__

__all__ = ['__version__']
