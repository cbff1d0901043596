"""The lifecycle publishers of a node by topic: made in one way, removed together."""

from __future__ import annotations

from typing import Any

from mafs_ros import qos
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile


class ManagedPublishers:
    """
    Publishers by the name of their topic in `mafs_model.topics`.

    Threads: created and destroyed by lifecycle transitions. Any thread may ask and publish; one
    that was stuck and goes on after `destroy` publishes nothing.

    Args:
        node: the node that owns them.

    """

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._by_topic: dict[str, Any] = {}

    def create(
        self,
        topic: str,
        message_type: Any,
        profile: QoSProfile | None = None,
        *,
        fixed: bool = False,
    ) -> None:
        """
        Create a publisher.

        Args:
            topic: its name, relative or with `~`.
            message_type: class of its messages.
            profile: its quality of service; None: that of images.
            fixed: users cannot override it, because it is part of what the topic means.

        """
        options = {} if fixed else {'qos_overriding_options': qos.overridable()}
        # The default callbacks would log what the subscriber's side logs as well, and the executor
        # would look at each of them before every image: 0.3 ms of CPU per pair.
        options['event_callbacks'] = qos.no_publisher_events()
        self._by_topic[topic] = self._node.create_lifecycle_publisher(
            message_type, topic, profile or qos.image_output(), **options
        )

    def destroy(self) -> None:
        """Remove all."""
        while self._by_topic:
            _, publisher = self._by_topic.popitem()
            self._node.destroy_lifecycle_publisher(publisher)

    @property
    def usable(self) -> bool:
        """Return whether there is still a ROS to publish to."""
        return bool(self._node.context.ok())

    def is_read(self, topic: str) -> bool:
        """Return whether somebody listens to a topic."""
        publisher = self._by_topic.get(topic)
        return publisher is not None and publisher.get_subscription_count() > 0

    def publish(self, topic: str, message: Any) -> None:
        """Publish a message."""
        publisher = self._by_topic.get(topic)
        if publisher is not None:
            publisher.publish(message)
