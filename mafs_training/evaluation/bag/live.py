"""
The same bag through the live node, compared by what was recorded.

Training code does not import ROS code. One function of the demo plays the bag to the node over DDS
and leaves a bag of what went in and came out; that bag is read here like any other.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
import shutil
import struct
import tempfile
from typing import Any

from mafs_demo.replay.bag_run import BagRun, play_bag
from mafs_model import topics
from mafs_model.bags.reader import BagImage, BagReader, open_bag
from mafs_model.errors import BagError, ImageError, MafsError
from mafs_model.predictor import Predictor
from mafs_model.topics import absolute, IMAGE_TOPICS, INPUT_TOPICS
from mafs_model.types import BACKENDS
from mafs_training.evaluation.bag.pairs import BagPair, BagPairing, PairingSettings
import numpy as np

OUTPUTS = {name: absolute(IMAGE_TOPICS[name]) for name in ('fused', 'labels', 'confidence')}
STATUS_TOPIC = absolute(topics.STATUS_TOPIC)
INPUTS = {stream: absolute(topic) for stream, topic in INPUT_TOPICS.items()}


@dataclass
class LiveComparison:
    """What comparing a recording of the node with the offline run found."""

    offline_pairs: int = 0
    processed: int = 0
    dropped: int = 0
    unexpected: int = 0
    compared: int = 0
    identical: int = 0
    different: int = 0
    lost: int = 0
    frames_lost: int = 0
    latency_median_ms: float = float('nan')
    node_drops: dict[str, int] = field(default_factory=dict)
    differences: list[dict[str, Any]] = field(default_factory=list)

    def problems(self) -> list[str]:
        """Return what must not be, one line each."""
        lines = []
        if self.unexpected:
            why = f'; {self.frames_lost} frames were lost in transport' if self.frames_lost else ''
            lines.append(
                f'live: the node formed {self.unexpected} pairs that offline does not{why}'
            )
        if self.different:
            first = self.differences[0]
            lines.append(
                f'live: {self.different} of {self.compared} images differ from the '
                f'offline ones, first {first["output"]} of pair {first["visible_ns"]} '
                f'by up to {first["largest"]}'
            )
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Return the part 'live' of a bag document."""
        return {**vars(self), 'problems': self.problems()}


def compare_live(
    options: Namespace,
    bag: Path,
    topics: dict[str, str],
    settings: PairingSettings,
    predictor: Predictor,
) -> dict[str, Any]:
    """
    Play a bag to the node and compare its outputs with the offline ones.

    Args:
        options: command line of `mafs-eval bag`.
        bag: folder or file.
        topics: 'visible' and 'thermal' to the topics of the bag.
        settings: how frames become pairs, offline and in the node.
        predictor: the model, set up as the node's; it is reset.

    Returns:
        The part 'live' of a bag document.

    Raises:
        BagError: the node could not be run, or its recording not be read.

    """
    with tempfile.TemporaryDirectory(prefix='mafs-eval-live-') as folder:
        out = Path(folder) / 'run'
        with open_bag(bag) as reader:
            # What 'auto' has become here, the node must not choose anew.
            backend = predictor.backend if predictor.backend in BACKENDS else options.backend
            limit_s = _duration_s(reader)
            summary = play_to_node(options, bag, topics, settings, limit_s, out, backend)
            with open_bag(out / 'bag') as recording:
                pairing = BagPairing(reader, topics['visible'], topics['thermal'], settings)
                comparison = compare_recording(pairing, recording, predictor)
    comparison.node_drops = {k: int(v) for k, v in summary.get('drops', {}).items()}
    comparison.frames_lost = sum(
        max(0, int(n)) for n in summary.get('frames_lost_in_transport', {}).values()
    )
    result = comparison.to_dict()
    result['played_s'] = limit_s
    return result


def play_to_node(
    options: Namespace,
    bag: Path,
    topics: dict[str, str],
    settings: PairingSettings,
    limit_s: float,
    out: Path,
    backend: str,
) -> dict[str, Any]:
    """
    Run cameras, node and recorder over a bag; what they leave is in `out`.

    Args:
        options: command line of `mafs-eval bag`.
        bag: folder or file.
        topics: 'visible' and 'thermal' to the topics of the bag.
        settings: how frames become pairs.
        limit_s: longest time that the bag may take to play, in seconds.
        out: folder for recording and logs.
        backend: of the node.

    Returns:
        The figures of the run.

    Raises:
        BagError: the run failed, or there is no ROS 2 environment.

    """
    offset = 'auto' if settings.time_offset_ns is None else f'{settings.time_offset_ns / 1e9:.9f}'
    parameters = {
        'sync.queue_size': str(settings.queue_size),
        'thermal.time_offset': offset,
        'thermal.camera': options.thermal_camera,
        'thermal.scaling': options.thermal_scaling,
        'thermal.smoothing': f'{options.thermal_smoothing:.6f}',
        'backend': backend,
        'precision': options.precision,
        **({'thermal.homography_file': str(options.homography)} if options.homography else {}),
        **({'threads': str(options.threads)} if options.threads else {}),
    }
    run = BagRun(
        bag,
        topics['visible'],
        topics['thermal'],
        limit_s,
        settings.slop_ns / 1e9,
        options.weights,
        options.device,
        parameters,
    )
    try:
        return play_bag(run, out)
    except MafsError as error:
        raise BagError(f'--live: {_with_kept_logs(str(error), out / "logs")}') from None


def _with_kept_logs(reason: str, logs: Path) -> str:
    """Copy logs that a message names out of the folder that is about to be removed."""
    if str(logs) not in reason or not logs.is_dir():
        return reason
    kept = tempfile.mkdtemp(prefix='mafs-eval-live-logs-')
    shutil.copytree(logs, kept, dirs_exist_ok=True)
    return reason.replace(str(logs), kept)


def compare_recording(
    pairing: BagPairing, recording: BagReader, predictor: Predictor
) -> LiveComparison:
    """
    Compare pairs and outputs of the node with those of the predictor.

    The player keeps all distances between stamps, so that they differ from the bag's by one
    constant. Only the pairs that the node processed are predicted, in its order: state such as
    the smoothed thermal range then is the same even where the node dropped pairs.

    Args:
        pairing: the pairs of the original bag.
        recording: the bag of the run.
        predictor: the model.

    """
    result = LiveComparison()
    statuses = [parse_status(message.data) for message in recording.messages(STATUS_TOPIC)]
    live = [status[:2] for status in statuses]
    result.processed = len(live)
    result.latency_median_ms = float(np.median([s[2] for s in statuses])) if live else float('nan')
    shift = None
    remaining = dict.fromkeys(live)
    outputs = {
        name: _Recorded(recording, topic)
        for name, topic in OUTPUTS.items()
        if topic in recording.topics
    }
    predictor.reset()
    first_live = _first_stamp(recording)
    for pair in _with_first_stamp(pairing):
        result.offline_pairs += 1
        if shift is None:
            assert pairing.counts.first_ns is not None
            shift = first_live - pairing.counts.first_ns
        stamps = (pair.visible_ns + shift, pair.thermal_ns + shift)
        if stamps not in remaining:
            continue
        del remaining[stamps]
        _compare_pair(pair, stamps[0], predictor, outputs, result)
    result.unexpected = len(remaining)
    result.dropped = result.offline_pairs - (result.processed - result.unexpected)
    return result


def _compare_pair(
    pair: BagPair,
    live_ns: int,
    predictor: Predictor,
    outputs: dict[str, _Recorded],
    result: LiveComparison,
) -> None:
    """Compare the outputs of one pair."""
    assert not isinstance(pair.visible.image, ImageError)
    assert not isinstance(pair.thermal.image, ImageError)
    prediction = predictor.predict(pair.visible.image, pair.thermal.image)
    for name, stream in outputs.items():
        recorded = stream.at(live_ns)
        if recorded is None:
            result.lost += 1
            continue
        expected = getattr(prediction, name)
        result.compared += 1
        if isinstance(recorded.image, np.ndarray) and np.array_equal(recorded.image, expected):
            result.identical += 1
            continue
        result.different += 1
        largest = None
        if isinstance(recorded.image, np.ndarray) and recorded.image.shape == expected.shape:
            largest = int(np.abs(recorded.image.astype(int) - expected.astype(int)).max())
        result.differences.append(
            {'output': name, 'visible_ns': pair.visible_ns, 'largest': largest}
        )


class _Recorded:
    """The recorded images of one topic, asked for in the order of their stamps."""

    def __init__(self, recording: BagReader, topic: str) -> None:
        kind: Any = 'visible' if topic == OUTPUTS['fused'] else 'thermal'
        self._images = iter(recording.images(kinds={topic: kind}))
        self._ahead: BagImage | None = None

    def at(self, stamp_ns: int) -> BagImage | None:
        """Return the image of this stamp, None where it was not recorded."""
        while self._ahead is None or self._ahead.stamp_ns < stamp_ns:
            self._ahead = next(self._images, None)
            if self._ahead is None:
                return None
        return self._ahead if self._ahead.stamp_ns == stamp_ns else None


def _with_first_stamp(pairing: BagPairing) -> Iterator[BagPair]:
    """Hold the first pair back until the smallest stamp of the bag is certain to be known."""
    pairs = iter(pairing)
    held = [pair for _, pair in zip(range(3), pairs, strict=False)]
    yield from held
    yield from pairs


def _first_stamp(recording: BagReader) -> int:
    """Return the smallest stamp that was played."""
    for topic in INPUTS.values():
        if topic not in recording.topics:
            raise BagError(f'--live: the recording lacks the topic {topic}')
    # The player sends in the order of stamps, so that the first images have the smallest.
    seen: dict[str, int] = {}
    for image in recording.images(*INPUTS.values()):
        seen.setdefault(image.topic, image.stamp_ns)
        if len(seen) == len(INPUTS):
            break
    return min(seen.values())


def _duration_s(reader: BagReader) -> float:
    """Return how long the bag may take to play, from its receive times."""
    first = last = None
    for message in reader.messages(*reader.image_topics()):
        first = message.receive_ns if first is None else first
        last = message.receive_ns
    seconds = (last - first) / 1e9 if first is not None and last is not None else 0.0
    return min(max(seconds + 2.0, 2.0), 3600.0)


def parse_status(data: bytes) -> tuple[int, int, float]:
    """
    Return (visible stamp, thermal stamp, latency in ms) of a serialised FusionStatus.

    Only the fixed beginning of the message is read, so that no message definition is needed.

    Raises:
        BagError: the message is too short.

    """
    order = '<' if data[1] else '>'
    try:
        (length,) = struct.unpack_from(f'{order}I', data, 12)
        at = 16 + length
        at += -at % 4  # The encapsulation's four bytes do not change the alignment of four.
        visible_s, visible_ns, thermal_s, thermal_ns = struct.unpack_from(f'{order}iIiI', data, at)
        at += 16
        at += -(at - 4) % 8 + 2 * 8 + 1  # offset, time_offset, time_offset_estimated
        at += -at % 4
        latency_ms = struct.unpack_from(f'{order}6f', data, at)[5]
    except struct.error:
        raise BagError(f'--live: status message of {len(data)} bytes is too short') from None
    return (visible_s * 10**9 + visible_ns, thermal_s * 10**9 + thermal_ns, float(latency_ms))
