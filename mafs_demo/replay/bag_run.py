"""One bag through the live node: cameras, node and recorder as a single function of values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mafs_demo.pictures.summary import summarize
from mafs_demo.replay import sources
from mafs_demo.replay.children import DemoError
from mafs_demo.replay.export import write_bag
from mafs_demo.replay.playback import Playback
from mafs_demo.replay.session import NodeOptions, require_ros, Session
from mafs_demo.replay.store import FrameStore
from mafs_demo.workspace import Workspace


@dataclass(frozen=True)
class BagRun:
    """
    What is played to which node.

    Attributes:
        bag: folder, .mcap or .db3 file.
        visible_topic: visible images of the bag.
        thermal_topic: thermal images of the bag.
        limit_s: longest time that is played, in seconds.
        slop_s: largest offset of a pair in seconds.
        weights: file, 'default' or 'classical'.
        device: 'auto', 'cpu', 'cuda', ...
        parameters: further parameters of the node, name to value as on a ROS command line.

    """

    bag: Path
    visible_topic: str
    thermal_topic: str
    limit_s: float
    slop_s: float
    weights: str
    device: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def play_bag(run: BagRun, out: Path) -> dict[str, Any]:
    """
    Play a bag to a node of its own over DDS.

    What went in and came out is left as the bag `out/bag`, its images as they were, the logs of
    the processes in `out/logs`.

    Args:
        run: what is played.
        out: folder of the results.

    Returns:
        The figures of the run; see `mafs_demo.pictures.summary`.

    Raises:
        DemoError: ROS is not there, or a process failed; the message ends with its log.
        BagError: the bag or a topic cannot be read.
        ConfigError: the folder cannot be written.

    """
    require_ros()
    space = Workspace(out)
    space.prepare()
    try:
        topics: dict[str, str | None] = {
            'visible': run.visible_topic,
            'thermal': run.thermal_topic,
        }
        sequence = sources.from_bag(run.bag, topics, run.limit_s, space.work, _silent)
        parameters = {'sync.slop': f'{run.slop_s:.6f}', **run.parameters}
        node = NodeOptions(run.weights, run.device, parameters)
        recording = Session(sequence, node, space, _silent).run()
        if not recording.statuses:
            raise DemoError(f'the node fused no pair; its log is {space.logs / "fusion_node.log"}')
        store = FrameStore(sequence.store)
        played = Playback(recording, store)
        write_bag(space.work / 'bag', recording, store, played, True, _silent)
        slop_ns = round(1e9 * run.slop_s)
        summary = summarize(recording, sequence.schedule, slop_ns, sequence.name)
        space.publish()
    finally:
        space.clean()
    return summary


def _silent(*progress: object) -> None:
    """Show no progress."""
