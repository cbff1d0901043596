"""The quality of service of every topic, and which of it users can override."""

from __future__ import annotations

from rclpy.qos import (
    QoSDurabilityPolicy,
    QoSHistoryPolicy,
    QoSPolicyKind,
    QoSProfile,
    QoSReliabilityPolicy,
)
from rclpy.qos_overriding_options import QoSOverridingOptions

try:
    from rclpy.event_handler import PublisherEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks

_OVERRIDABLE = (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY)


def sensor_input() -> QoSProfile:
    """Return the default of camera topics: best effort, the last five, as drivers publish."""
    return QoSProfile(
        history=QoSHistoryPolicy.KEEP_LAST,
        depth=5,
        reliability=QoSReliabilityPolicy.BEST_EFFORT,
        durability=QoSDurabilityPolicy.VOLATILE,
    )


def image_output() -> QoSProfile:
    """
    Return the default of output images: reliable, the newest only.

    Reliable publishers serve reliable and best-effort subscribers alike, RViz included; depth 1
    keeps a slow subscriber from seeing old images.
    """
    return QoSProfile(
        history=QoSHistoryPolicy.KEEP_LAST,
        depth=1,
        reliability=QoSReliabilityPolicy.RELIABLE,
        durability=QoSDurabilityPolicy.VOLATILE,
    )


def status_output() -> QoSProfile:
    """Return the default of the status topic: reliable, with room for a late reader."""
    return QoSProfile(
        history=QoSHistoryPolicy.KEEP_LAST,
        depth=10,
        reliability=QoSReliabilityPolicy.RELIABLE,
        durability=QoSDurabilityPolicy.VOLATILE,
    )


def latched() -> QoSProfile:
    """Return the profile of what is published once: late subscribers get it as well."""
    return QoSProfile(
        history=QoSHistoryPolicy.KEEP_LAST,
        depth=1,
        reliability=QoSReliabilityPolicy.RELIABLE,
        durability=QoSDurabilityPolicy.TRANSIENT_LOCAL,
    )


def overridable() -> QoSOverridingOptions:
    """Return options that declare `qos_overrides.<topic>...` parameters."""
    return QoSOverridingOptions(_OVERRIDABLE)


def no_publisher_events() -> PublisherEventCallbacks:
    """Return options of a publisher without event callbacks, the default ones included."""
    return PublisherEventCallbacks(use_default_callbacks=False)
