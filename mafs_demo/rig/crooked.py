"""The crooked rig: what such a thermal camera would have made of registered frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import math
from pathlib import Path
import random

import cv2
from mafs_demo.replay.export import JPEG_QUALITY
from mafs_demo.replay.schedule import Event, Schedule
from mafs_demo.replay.sources import Sequence, thermal_encoding
from mafs_demo.replay.store import FrameStore, FrameWriter
from mafs_demo.topics import INPUT_FRAMES, INPUT_TOPICS
from mafs_model.bags.writer import BagWriter
from mafs_model.streams import NS_PER_S
from mafs_model.types import Size
import numpy as np
from numpy.typing import NDArray

BOSON_SIZE: Size = (512, 640)  # of a Boson
TELEMETRY_ROWS = 2
CROOKED_HZ = 9.0
_EPOCH_NS = 1_700_000_000 * NS_PER_S  # of the bag: stamps near zero look like stamps nobody set


@dataclass(frozen=True)
class CrookedRig:
    """
    How a thermal camera is mounted, and how late it is.

    Attributes:
        homography: thermal to visible px, pixel centres at whole numbers, float64 [3,3].
        latency_s: by which its stamps and its images are late.
        phase_s: moment of its first image.

    """

    homography: NDArray[np.float64]
    latency_s: float
    phase_s: float

    @classmethod
    def draw(cls, seed: int, visible_size: Size) -> CrookedRig:
        """Return a rig that sees all of the visible image and somewhat more."""
        rng = random.Random(seed)
        height, width = visible_size
        scale = rng.uniform(1.08, 1.15) * max(width / BOSON_SIZE[1], height / BOSON_SIZE[0])
        turn = math.radians(rng.choice((-1, 1)) * rng.uniform(0.5, 1.2))
        shift = [rng.choice((-1, 1)) * rng.uniform(0.01, 0.02) * width for _ in range(2)]
        a, b = scale * math.cos(turn), scale * math.sin(turn)
        centre = np.array([(BOSON_SIZE[1] - 1) / 2, (BOSON_SIZE[0] - 1) / 2])
        rotation = np.array([[a, -b], [b, a]])
        place = np.array([(width - 1) / 2, (height - 1) / 2]) + shift - rotation @ centre
        homography = np.vstack([np.column_stack([rotation, place]), [0.0, 0.0, 1.0]])
        return cls(homography, rng.uniform(0.1, 0.2), rng.uniform(0.0, 1 / CROOKED_HZ))

    def frame(self, thermal: NDArray[np.uint16], number: int) -> NDArray[np.uint16]:
        """
        Return what the camera sends of a registered image.

        Args:
            thermal: counts uint16 [H,W], as the visible camera would see them.
            number: of the image, for the telemetry.

        Returns:
            uint16 [h + rows of telemetry,w].

        """
        height, width = BOSON_SIZE
        seen = cv2.warpPerspective(
            thermal,
            self.homography,
            (width, height),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        telemetry = np.zeros((TELEMETRY_ROWS, width), np.uint16)
        # Revision, time and counter in big and small words, and many reserved ones.
        words = np.random.default_rng(number).integers(0, 65536, 64)
        telemetry[0, :64], telemetry[0, 64:66] = words, (number >> 16, number & 0xFFFF)
        return np.vstack([np.asarray(seen, np.uint16), telemetry])


def make_crooked(
    sequence: Sequence,
    rig: CrookedRig,
    rate_hz: float,
    work: Path,
    progress: Callable[[str, int, int], None],
) -> Sequence:
    """
    Return a sequence as the rig would have seen it.

    Args:
        sequence: registered frames of both cameras, frame by frame of the same moment.
        rig: how the thermal camera is mounted.
        rate_hz: rate of the frames.
        work: folder for the frames.
        progress: called with (phase, done, total) now and then.

    """
    store = FrameStore(sequence.store)
    count = max(event.index for event in sequence.schedule.events) + 1
    wanted = [
        round(moment * rate_hz)
        for moment in np.arange(rig.phase_s, (count - 1) / rate_hz, 1 / CROOKED_HZ)
    ]
    writer = FrameWriter(work / 'crooked')
    events = [e for e in sequence.schedule.events if e.stream == 'visible']
    try:
        for index in range(count):
            writer.add_image('visible', store.frame('visible', index))
        for number, index in enumerate(wanted):
            progress('crooking', number + 1, len(wanted))
            writer.add_image('thermal', rig.frame(store.frame('thermal', index), number))
            stamp_s = index / rate_hz + rig.latency_s
            events.append(Event('thermal', number, round(stamp_s * NS_PER_S)))
        writer.close(moments=wanted)
    except BaseException:
        writer.abort()
        raise
    events.sort(key=lambda event: (event.stamp_ns, event.stream))
    name = f'{sequence.name}, seen by a crooked rig'
    # Whole frame numbers of a slow camera are no partners of those of a fast one.
    return Sequence(name, work / 'crooked', Schedule(tuple(events), False))


def write_input_bag(sequence: Sequence, path: Path) -> None:
    """Write what the cameras send as a bag, as `ros2 bag record` would."""
    store = FrameStore(sequence.store)
    with BagWriter(path, overwrite=True) as bag:
        for event in sequence.schedule.events:
            stamp_ns = _EPOCH_NS + event.stamp_ns
            image = store.frame(event.stream, event.index)
            topic, frame_id = INPUT_TOPICS[event.stream], INPUT_FRAMES[event.stream]
            if event.stream == 'thermal':
                bag.write_image(
                    topic, stamp_ns, frame_id, image, thermal_encoding(image), stamp_ns
                )
                continue
            bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
            _, stream = cv2.imencode('.jpg', bgr, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
            bag.write_compressed(
                f'{topic}/compressed',
                stamp_ns,
                frame_id,
                'rgb8; jpeg compressed bgr8',
                stream,
                stamp_ns,
            )
