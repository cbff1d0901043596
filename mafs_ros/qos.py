"""The quality of service of every topic, and which of it users can override."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mafs_model.errors import ConfigError
from mafs_model.numeric import is_whole
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

_PREFIX = 'qos_overrides'
# A queue of more images than this is a typing error: a minute of 640x480 at 30 Hz is 1.6 GB.
MAX_DEPTH = 1000
_VALUES = {
    'depth': f'a whole number 0 to {MAX_DEPTH}',
    'history': "one of 'keep_last', 'keep_all', 'system_default'",
    'reliability': "one of 'reliable', 'best_effort', 'system_default'",
}
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
    Return the default of output images: reliable, the last five.

    Reliable publishers serve reliable and best-effort subscribers alike, RViz included. A thread
    of the middleware sends, and pairs come in bursts where a camera is late: with depth 1 the
    second of a burst would replace the first before it is sent. How many old images a slow
    subscriber sees is the depth of the subscriber.
    """
    return _reliable(5, QoSDurabilityPolicy.VOLATILE)


def status_output() -> QoSProfile:
    """Return the default of the status topic: reliable, with room for a late reader."""
    return _reliable(10, QoSDurabilityPolicy.VOLATILE)


def latched() -> QoSProfile:
    """Return the profile of what is published once: late subscribers get it as well."""
    return _reliable(1, QoSDurabilityPolicy.TRANSIENT_LOCAL)


def _reliable(depth: int, durability: QoSDurabilityPolicy) -> QoSProfile:
    return QoSProfile(
        history=QoSHistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=QoSReliabilityPolicy.RELIABLE,
        durability=durability,
    )


def overridable() -> QoSOverridingOptions:
    """Return options that declare `qos_overrides.<topic>...` parameters."""
    return QoSOverridingOptions(_OVERRIDABLE)


def check_overrides(
    overrides: Mapping[str, object], publishers: Iterable[str], subscriptions: Iterable[str]
) -> list[str]:
    """
    Return the overrides that have no effect, each with what is wrong about it.

    Args:
        overrides: values by name, as given from outside; other parameters than `qos_overrides`
            are passed over.
        publishers: topics whose publisher can be overridden, with their namespace and remapped.
        subscriptions: topics whose subscription can be.

    Raises:
        ConfigError: a value that its policy does not have.

    """
    entities = {
        *(f'{topic}.publisher' for topic in publishers),
        *(f'{topic}.subscription' for topic in subscriptions),
    }
    problems = []
    for name, value in sorted(overrides.items()):
        if name.split('.')[0] != _PREFIX:
            continue
        entity, _, policy = name.removeprefix(f'{_PREFIX}.').rpartition('.')
        if entity not in entities:
            problems.append(
                f"parameter '{name}' is ignored: '{entity or policy}' is none of "
                + ', '.join(sorted(entities))
            )
        elif policy not in _VALUES:
            problems.append(
                f"parameter '{name}' is ignored: '{policy}' is none of {', '.join(_VALUES)}"
            )
        elif not _is_value(policy, value):
            raise ConfigError(f'{name}: got {value!r}, expected {_VALUES[policy]}')
    return problems


def _is_value(policy: str, value: object) -> bool:
    """Return whether a policy has a value."""
    if policy == 'depth':
        return is_whole(value) and 0 <= value <= MAX_DEPTH
    names = QoSHistoryPolicy if policy == 'history' else QoSReliabilityPolicy
    return (
        isinstance(value, str)
        and value.upper() in names.__members__
        and value.upper() != 'UNKNOWN'
    )


def no_publisher_events() -> PublisherEventCallbacks:
    """Return options of a publisher without event callbacks, the default ones included."""
    return PublisherEventCallbacks(use_default_callbacks=False)
