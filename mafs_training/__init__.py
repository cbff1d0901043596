"""Training and evaluation of the networks in `mafs_model`."""

from __future__ import annotations

from mafs_model.version import __version__

__all__ = ['__version__']
