"""
The demo: two simulated cameras, the node and a recorder as three processes over DDS.

    python -m mafs_demo --help
"""

from __future__ import annotations

from mafs_model.version import __version__

__all__ = ['__version__']
