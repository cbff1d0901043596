"""What the recorder kept, put together again pair by pair."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mafs_demo.pictures.drawing import draw_objects
from mafs_demo.pictures.summary import mode_name
from mafs_demo.replay.session import Recording
from mafs_demo.replay.store import FrameStore
from mafs_demo.topics import IMAGE_TOPICS
from mafs_model.bags.cdr import parse_image
from mafs_model.bags.reader import IMAGE_TYPE
from mafs_model.classes import ClassTable
from mafs_model.detections import Detection
from mafs_model.images.encodings import ImageBuffer, view
from mafs_model.images.overlay import paint
from mafs_model.images.thermal import ThermalScaler
from mafs_model.images.visualization import colormap_thermal
from mafs_model.types import UInt8Image
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class FusedPair:
    """
    One processed pair with its inputs and outputs.

    Args:
        time_s: stamp of the outputs, from the start of the sequence.
        offset_ms: thermal minus visible stamp.
        latency_ms: from the later stamp to publication.
        mode: how it was computed.
        visible: uint8 [H,W,3] RGB.
        thermal: [h,w] in the camera's values.
        fused: uint8 [H,W,3] RGB as published.
        labels: uint8 [H,W] as published.
        objects: as published, in px of the labels.

    """

    time_s: float
    offset_ms: float
    latency_ms: float
    mode: str
    visible: UInt8Image
    thermal: NDArray[Any]
    fused: UInt8Image
    labels: UInt8Image
    objects: tuple[Detection, ...] = ()


class Playback:
    """
    Access to a recording by pair.

    Args:
        recording: what a run left behind.
        store: the frames that were played.

    """

    def __init__(self, recording: Recording, store: FrameStore) -> None:
        self._recording = recording
        self._store = store
        size = recording.spool.stat().st_size
        self._spool = np.memmap(recording.spool, np.uint8, 'r') if size else np.empty(0, np.uint8)
        self._numbers = {(s, stamp_ns): index for s, index, stamp_ns in recording.sent}
        self._start_ns = min((stamp for _, _, stamp in recording.sent), default=0)
        self._images: dict[str, dict[int, int]] = {name: {} for name in IMAGE_TOPICS}
        names = {topic: name for name, topic in IMAGE_TOPICS.items()}
        for position, (topic, _, _, _, _) in enumerate(recording.index):
            if topic in names:
                stamp_ns = parse_image(IMAGE_TYPE, self.message(position)).stamp_ns
                self._images[names[topic]][stamp_ns] = position
        self._statuses = [s for s in recording.statuses if self._complete(s)]

    def _complete(self, status: dict[str, Any]) -> bool:
        """Tell whether inputs and outputs of a status are all there."""
        return (
            ('visible', status['visible_ns']) in self._numbers
            and ('thermal', status['thermal_ns']) in self._numbers
            and all(status['stamp_ns'] in self._images[n] for n in ('fused', 'labels'))
        )

    def message(self, position: int) -> bytes:
        """Return a recorded message by its place in the index."""
        _, _, _, offset, size = self._recording.index[position]
        return self._spool[offset : offset + size].tobytes()

    def image(self, name: str, stamp_ns: int) -> NDArray[Any]:
        """Return a published image ('fused', 'labels', ...) by its stamp."""
        content = parse_image(IMAGE_TYPE, self.message(self._images[name][stamp_ns])).content
        assert isinstance(content, ImageBuffer)
        return view(content)

    def __len__(self) -> int:
        """Return the number of complete pairs."""
        return len(self._statuses)

    def visible_index(self, number: int) -> int:
        """Return which frame of the visible stream a pair has."""
        return self._numbers['visible', self._statuses[number]['visible_ns']]

    def pair(self, number: int) -> FusedPair:
        """Return a pair by its number in the order of processing."""
        status = self._statuses[number]
        stamp_ns = status['stamp_ns']
        return FusedPair(
            (stamp_ns - self._start_ns) / 1e9,
            1e3 * status['offset'],
            status['latency_ms'],
            mode_name(status['mode']),
            self._store.frame('visible', self._numbers['visible', status['visible_ns']]),
            self._store.frame('thermal', self._numbers['thermal', status['thermal_ns']]),
            self.image('fused', stamp_ns),
            self.image('labels', stamp_ns),
            self._recording.objects.get(stamp_ns, ()),
        )

    def __iter__(self) -> Iterator[FusedPair]:
        return (self.pair(number) for number in range(len(self)))


class PanelMaker:
    """
    Turns pairs into the four pictures people look at.

    Args:
        table: names and colours of the classes.

    """

    NAMES = ('thermal', 'visible', 'fused', 'labels')

    def __init__(self, table: ClassTable) -> None:
        self._table = table
        # For the eye 8-bit thermal is stretched as well: many cameras use a part of the range.
        self._scaler = ThermalScaler(scale_8bit='always')

    def panels(self, pair: FusedPair) -> dict[str, UInt8Image]:
        """Return uint8 [H,W,3] RGB pictures by name, each in its own size."""
        thermal = self._scaler(pair.thermal)
        return {
            'thermal': colormap_thermal(thermal),
            'visible': pair.visible,
            'fused': pair.fused,
            'labels': draw_objects(
                paint(pair.fused, pair.labels, self._table), pair.objects, self._table
            ),
        }
