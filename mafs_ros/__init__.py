"""
The ROS 2 side of the project, and the only place that imports rclpy or message types.

The generated messages (`mafs_ros.msg`) exist only in the install space of colcon. Extending the
search path joins them with the modules of the source tree, so that both are one package
whichever of the two Python finds first.
"""

from __future__ import annotations

from pkgutil import extend_path

from mafs_model.version import __version__

__path__ = extend_path(__path__, __name__)

__all__ = ['__version__']
