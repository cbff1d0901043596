"""The subscriptions of the node: receiving, checking, counting."""

from __future__ import annotations

from collections.abc import Callable
import time
from typing import Any

from mafs_model.errors import ImageError
from mafs_model.streams import NS_PER_S, OTHER_STREAM
from mafs_model.topics import CAMERA_INFO_INPUT, DEPTH_INPUT, INPUT_TOPICS
from mafs_ros import qos
from mafs_ros.conversions import check_image, Frame, ImageInfo, pixels, stamp_to_ns
from mafs_ros.image_watch import CopyWatch
from mafs_ros.parameters import Settings, SettingsBox
from mafs_ros.reporting import Reporter
from rclpy.lifecycle import LifecycleNode
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

# Since Iron a callback with two arguments gets the message information as well.
HAS_MESSAGE_INFO = hasattr(Subscription, 'CallbackType')
_COMPRESSED = '/compressed'
_NO_SEQUENCE = 2**64 - 1  # what a middleware without sequence numbers reports


class CameraInputs:
    """
    Both image subscriptions and that of the calibration.

    Threads: created and destroyed by lifecycle transitions; the callbacks run in the node's
    default callback group, so that only one of them runs at a time, in any executor.

    Args:
        node: the node that owns them.
        settings: what is in force.
        reporter: counts what arrives, says what is refused.
        on_frame: called with 'visible' or 'thermal' and every usable frame.
        on_camera_info: called with every calibration message.
        subscriber: `message_filters.Subscriber` where that package synchronises, else None.

    """

    def __init__(
        self,
        node: LifecycleNode,
        settings: SettingsBox,
        reporter: Reporter,
        on_frame: Callable[[str, Frame], None],
        on_camera_info: Callable[[CameraInfo], None],
        subscriber: Any | None = None,
    ) -> None:
        self._node = node
        self._settings = settings
        self._reporter = reporter
        self._statistics = reporter.statistics
        self._on_frame = on_frame
        self.topics: dict[str, str] = {}
        self._colour_warned: set[str] = set()
        self._copies = CopyWatch()
        self._subscriptions: list[Any] = []
        try:
            for stream, transport in (
                ('visible', settings.current.rgb_transport),
                ('thermal', settings.current.thermal_transport),
            ):
                self._subscribe(stream, transport, subscriber)
            self._subscriptions.append(
                node.create_subscription(
                    CameraInfo,
                    CAMERA_INFO_INPUT,
                    on_camera_info,
                    qos.sensor_input(),
                    qos_overriding_options=qos.overridable(),
                )
            )
        except BaseException:
            self.destroy()
            raise

    def _subscribe(self, stream: str, transport: str, subscriber: Any | None) -> None:
        """Subscribe to the images of one camera."""
        message_type = Image if transport == 'raw' else CompressedImage
        self.topics[stream] = input_topic(self._node, stream, transport)
        # A resolved name must not be resolved again: rules that swap two topics would undo it.
        topic = INPUT_TOPICS[stream] if transport == 'raw' else self.topics[stream]
        options = {'qos_profile': qos.sensor_input(), 'qos_overriding_options': qos.overridable()}
        if subscriber is not None:
            source = subscriber(self._node, message_type, topic, **options)
            source.registerCallback(self._callback(stream, with_info=False))
            self._subscriptions.append(source.sub)
            return
        self._subscriptions.append(
            self._node.create_subscription(
                message_type, topic, self._callback(stream, HAS_MESSAGE_INFO), **options
            )
        )

    def _callback(self, stream: str, with_info: bool) -> Callable[..., None]:
        """Return the callback of one stream, with the signature that rclpy understands."""

        def on_message(message: Any) -> None:
            self._receive(stream, message, None)

        def on_message_with_info(message: Any, info: Any) -> None:
            self._receive(stream, message, info)

        return on_message_with_info if with_info else on_message

    def destroy(self) -> None:
        """Remove all subscriptions."""
        while self._subscriptions:
            self._node.destroy_subscription(self._subscriptions.pop())

    def publisher_counts(self) -> dict[str, int]:
        """Return how many publishers each image topic has."""
        return {
            stream: self._node.count_publishers(topic) for stream, topic in self.topics.items()
        }

    def beside(self) -> dict[str, str]:
        """Return topics of the other transport that are published, by stream."""
        others = {stream: _other_transport(topic) for stream, topic in self.topics.items()}
        return {s: topic for s, topic in others.items() if self._node.count_publishers(topic)}

    def _receive(self, stream: str, message: Any, info: Any) -> None:
        """Check one message and hand it on."""
        received_s = time.monotonic()
        silence_s = self._statistics.silence_s(stream)
        sequence = info.get('publication_sequence_number') if info else None
        self._statistics.received(
            stream, None if sequence in (None, 0, _NO_SEQUENCE) else sequence
        )
        if silence_s is not None and silence_s > self._settings.current.diagnostics_stale_after:
            self._reporter.note(
                f'{stream}_stalled', f'{self.topics[stream]}: first image after {silence_s:.1f} s'
            )
        encoding, size = self._statistics.last_image(stream)
        try:
            stamp_ns, age_s = self._check_stamp(stream, message)
            other_encoding, _ = self._statistics.last_image(OTHER_STREAM[stream])
            limit = self._settings.current.input_max_pixels
            image = check_image(message, stream, other_encoding, limit)
        except ImageError as error:
            self._reporter.drop(error.reason, f'{self.topics[stream]}: {error}')
            return
        if (encoding, size) != (image.encoding, image.size):
            self._note_change(stream, size, image)
        self._statistics.accepted(stream, age_s, image.encoding, image.size, len(message.data))
        if self._copies.is_copy(stream, pixels(message), stamp_ns / NS_PER_S):
            self._statistics.dropped('repeated')
            return
        self._on_frame(stream, Frame(message.header, stamp_ns, received_s, message))

    def _note_change(self, stream: str, size: tuple[int, int] | None, image: ImageInfo) -> None:
        """Say what a person should know when images change, the first one included."""
        topic = self.topics[stream]
        if stream == 'thermal' and image.colour and stream not in self._colour_warned:
            self._colour_warned.add(stream)
            self._reporter.note(
                'thermal_colour',
                f"{topic}: encoding '{image.encoding}' carries colour: a "
                'known palette is taken back, of others the luminance is used, which is not '
                'temperature',
            )
        if size is not None and size != image.size:
            self._reporter.note(
                f'{stream}_resolution',
                f'{topic}: size changes from {size[1]}x{size[0]} to '
                f'{image.size[1]}x{image.size[0]}',
            )

    def _check_stamp(self, stream: str, message: Any) -> tuple[int, float]:
        """Return stamp in ns and age in s; raises ImageError where it cannot be meant."""
        now = self._node.get_clock().now()
        now_ns = now.nanoseconds
        settings = self._settings.current
        prefix = 'rgb' if stream == 'visible' else 'thermal'
        if getattr(settings, f'{prefix}_stamp_source') == 'receive':
            message.header.stamp = now.to_msg()  # outputs and status carry it as well
        stamp_ns = stamp_to_ns(message.header.stamp)
        if stamp_ns <= 0:
            raise ImageError(
                'stamp_zero',
                'stamp is zero, expected the time of exposure (the driver does not set '
                f'header.stamp; {prefix}.stamp_source: receive takes the time of arrival)',
            )
        age_s = (now_ns - stamp_ns) / NS_PER_S
        limit_s = settings.stamps_max_ahead
        # Simulated time is zero until the first /clock message.
        if limit_s and now_ns and -age_s > limit_s:
            raise ImageError(
                'stamp_future',
                f'stamp is {-age_s:.1f} s ahead of the clock of this node, '
                f'expected at most {limit_s:g} s (stamps.max_ahead; are the clocks '
                'synchronised, is use_sim_time right?)',
            )
        return stamp_ns, age_s


def _other_transport(topic: str) -> str:
    """Return the topic where image_transport has the same images in the other form."""
    base = topic.removesuffix(_COMPRESSED)
    return base if base != topic else topic + _COMPRESSED


def input_topic(node: LifecycleNode, stream: str, transport: str) -> str:
    """
    Return the topic of a stream, remapped, with the suffix of its transport.

    As with image_transport, the base topic is what users remap; `/compressed` or
    `/compressedDepth` is added unless it is there.
    """
    base = str(node.resolve_topic_name(INPUT_TOPICS[stream]))
    if transport != 'raw' and not base.endswith(f'/{transport}'):
        return f'{base}/{transport}'
    return base


def overridable_subscriptions(node: LifecycleNode, settings: Settings) -> list[str]:
    """Return the topics whose QoS users can override, with namespace and remapped."""
    return [
        input_topic(node, 'visible', settings.rgb_transport),
        input_topic(node, 'thermal', settings.thermal_transport),
        str(node.resolve_topic_name(CAMERA_INFO_INPUT)),
        str(node.resolve_topic_name(DEPTH_INPUT)),
    ]
