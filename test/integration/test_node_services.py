"""Services of the node, over DDS: what they write, what they refuse, and that images go on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
import stat
import threading
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

pytestmark = pytest.mark.ros
bags = pytest.importorskip('mafs_model.bags.reader')
pytest.importorskip('rosbags', reason='rosbags is not installed')


@pytest.fixture(scope='module')
def rig(make_rig: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp('services') / 'made' / 'by it'
    rig = make_rig(weights='classical', record__folder=str(folder), output__jpeg_quality=71)
    rig.folder = folder
    rig.start()
    rig.listen_to_images()
    return rig


class Feed:
    """Publishes pairs while a service is asked."""

    def __init__(self, rig: Any) -> None:
        self.rig = rig
        self.sent: list[Any] = []

    def __call__(self) -> None:
        self.sent.append(self.rig.send_pair())


def ask(rig: Any, name: str, kind: Any, request: Any = None, feed: Any = None) -> Any:
    """Return the response of a service, with images flowing meanwhile."""
    client = rig.tester.create_client(kind, f'/mafs_fusion/{name}')
    try:
        rig.wait(client.service_is_ready, f'service {name}')
        future = client.call_async(request or kind.Request())
        rig.wait(future.done, f'answer of {name}', meanwhile=feed, every_s=0.1)
        return future.result()
    finally:
        rig.tester.destroy_client(client)


def stored(path: Path) -> dict[str, list[bytes]]:
    """Return the messages of a bag by topic."""
    from rosbags.rosbag2 import Reader

    found: dict[str, list[bytes]] = {}
    with Reader(path) as reader:
        for connection, _, data in reader.messages():
            found.setdefault(connection.topic, []).append(bytes(data))
    return found


def modes(folder: Path) -> set[str]:
    return {
        f'{stat.filemode(path.stat().st_mode)[0]}{path.stat().st_mode & 0o777:o}'
        for path in (folder, *folder.rglob('*'))
    }


# First, because it has a node of its own: two of one name would both answer.
def test_snapshot_that_cannot_be_written_is_one_line(
    make_rig: Callable[..., Any], tmp_path: Path
) -> None:
    from std_srvs.srv import Trigger

    taken = tmp_path / 'file'
    taken.write_text('mine', encoding='utf-8')
    rig = make_rig(weights='classical', record__folder=str(taken / 'below'))
    refused = ask(rig, 'snapshot', Trigger)
    assert not refused.success
    assert refused.message == 'the node is not configured: its topics are not known'
    rig.start()
    rig.listen_to_images()
    response = ask(rig, 'snapshot', Trigger, feed=Feed(rig))
    assert not response.success
    assert 'cannot be written: Not a directory' in response.message
    assert '\n' not in response.message
    assert taken.read_text(encoding='utf-8') == 'mine'
    assert rig.good_pair(), 'the node goes on'
    rig.close()


# -- snapshot -----------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def snapshot(rig: Any) -> tuple[Path, Feed]:
    from std_srvs.srv import Trigger

    feed = Feed(rig)
    response = ask(rig, 'snapshot', Trigger, feed=feed)
    assert response.success, response.message
    (path,) = rig.folder.iterdir()
    assert response.message.startswith(f'{path}: ')
    return path, feed


def test_snapshot_has_the_pair_as_received_and_its_outputs(
    rig: Any, snapshot: tuple[Path, Feed], samples: tuple[np.ndarray, np.ndarray]
) -> None:
    from mafs_ros.msg import FusionStatus
    from rclpy.serialization import deserialize_message
    from sensor_msgs.msg import Image

    path, feed = snapshot
    messages = stored(path / 'bag')
    (visible,) = messages['/rgb/image_raw']
    (thermal,) = messages['/thermal/image_raw']
    (fused,) = messages['/mafs_fusion/fused/image']
    (status,) = messages['/mafs_fusion/status']
    pair = [deserialize_message(data, Image) for data in (visible, thermal, fused)]
    stamp = deserialize_message(status, FusionStatus).header.stamp
    assert stamp in feed.sent
    assert all(image.header.stamp == stamp for image in pair)
    rgb, counts = samples
    assert bytes(pair[0].data) == rgb.tobytes()
    assert pair[0].encoding == 'bgr8'
    assert bytes(pair[1].data) == counts.tobytes()
    png = cv2.imread(str(path / 'fused.png'))
    assert (png[:, :, ::-1].tobytes()) == bytes(pair[2].data)
    assert '/mafs_fusion/semantic/classes' in messages


def test_snapshot_says_how_the_node_was_set_up(snapshot: tuple[Path, Feed]) -> None:
    path, _ = snapshot
    written = yaml.safe_load((path / 'parameters.yaml').read_text(encoding='utf-8'))
    parameters = written['/**']['ros__parameters']
    assert parameters['weights'] == 'classical'
    assert parameters['output.jpeg_quality'] == 71
    status = yaml.safe_load((path / 'status.yaml').read_text(encoding='utf-8'))
    assert status['diagnostics']['state'] == 'active'
    assert status['software']['mafs_ros']
    assert status['topics']['/rgb/image_raw'] == 'sensor_msgs/msg/Image'


def test_snapshot_is_closed_to_others_and_nothing_is_left_beside(
    rig: Any, snapshot: tuple[Path, Feed]
) -> None:
    path, _ = snapshot
    assert modes(path) == {'d700', '-600'}
    assert modes(rig.folder) == {'d700', '-600'}, 'the folder it has made itself'
    assert [entry.name for entry in rig.folder.iterdir()] == [path.name]


def test_nothing_is_computed_for_it_afterwards(rig: Any, snapshot: tuple[Path, Feed]) -> None:
    from mafs_ros.msg import FusionStatus

    def idle() -> bool:
        return bool(rig.good_pair().mode == FusionStatus.MODE_IDLE)

    rig.wait(idle, 'idle pair')


def test_snapshot_of_an_inactive_node_has_the_rest(rig: Any, snapshot: tuple[Path, Feed]) -> None:
    from std_srvs.srv import Trigger

    before = set(rig.folder.iterdir())
    assert rig.transition('deactivate')
    response = ask(rig, 'snapshot', Trigger)
    assert response.success, response.message
    assert rig.transition('activate')
    (path,) = set(rig.folder.iterdir()) - before
    assert {entry.name for entry in path.iterdir()} == {'bag', 'parameters.yaml', 'status.yaml'}
    assert '/rgb/image_raw' not in stored(path / 'bag')


# -- record -------------------------------------------------------------------------------------


def record(rig: Any, on: bool, feed: Any = None) -> Any:
    from std_srvs.srv import SetBool

    return ask(rig, 'record', SetBool, SetBool.Request(data=on), feed)


def start_recording(rig: Any) -> Path:
    started = record(rig, True)
    assert started.success, started.message
    path, _, rest = started.message.rpartition(': ')
    assert rest == '11 topics'
    written = rig.node._answers._recording._bag._connections

    def of_both() -> bool:
        return '/rgb/image_raw' in written and '/thermal/image_raw' in written

    # Cameras come to know the subscriptions of a recording one after the other.
    rig.wait(of_both, 'recorded images of both cameras', meanwhile=Feed(rig), every_s=0.2)
    return Path(path)


def test_recording_has_inputs_and_outputs_as_they_were(
    rig: Any, samples: tuple[np.ndarray, np.ndarray]
) -> None:
    from mafs_ros.msg import FusionStatus, SemanticObjects
    from rclpy.serialization import deserialize_message
    from sensor_msgs.msg import Image

    path = start_recording(rig)
    assert not path.exists(), 'it gets its name when it is whole'

    def fused() -> bool:
        return bool(rig.good_pair().mode == FusionStatus.MODE_CLASSICAL)

    for _ in range(3):
        rig.wait(fused, 'fused pair')
    second = record(rig, True)
    assert not second.success
    assert second.message == f'{path} is being recorded: stop it first'
    stopped = record(rig, False)
    assert stopped.success, stopped.message
    messages = stored(path)
    count = sum(map(len, messages.values()))
    assert stopped.message == f'{path}: {count} messages'
    rgb, counts = samples
    inputs = [deserialize_message(data, Image) for data in messages['/rgb/image_raw']]
    assert all(bytes(image.data) == rgb.tobytes() for image in inputs)
    thermal = [deserialize_message(data, Image) for data in messages['/thermal/image_raw']]
    assert all(bytes(image.data) == counts.tobytes() for image in thermal)

    def stamps(messages: list[Any]) -> set[tuple[int, int]]:
        return {(m.header.stamp.sec, m.header.stamp.nanosec) for m in messages}

    taken = stamps(inputs)
    outputs = [deserialize_message(d, Image) for d in messages['/mafs_fusion/fused/image']]
    assert len(outputs) >= 3
    first = min(taken)  # what the node made before it, it made of images from before
    assert {stamp for stamp in stamps(outputs) if stamp >= first} <= taken
    assert len(messages['/mafs_fusion/semantic/classes']) == 1
    objects = [
        deserialize_message(data, SemanticObjects)
        for data in messages['/mafs_fusion/semantic/objects']
    ]
    assert {stamp for stamp in stamps(objects) if stamp >= first} <= taken
    assert modes(path) == {'d700', '-600'}
    assert not [p for p in rig.folder.iterdir() if p.name.startswith('.')]


def test_recorded_bag_is_an_input_of_the_tools(rig: Any) -> None:
    from mafs_model.bags.summary import summarise
    from mafs_model.bags.topics import choose_topics

    path = max(rig.folder.glob('record_*'))
    chosen = choose_topics(summarise(path), None, None, options=('--visible', '--thermal'))
    assert chosen == {'visible': '/rgb/image_raw', 'thermal': '/thermal/image_raw'}


def test_nothing_to_stop_is_one_line(rig: Any) -> None:
    response = record(rig, False)
    assert (response.success, response.message) == (False, 'nothing is being recorded')


def test_full_disk_ends_the_recording_and_not_the_node(
    rig: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mafs_ros import record as module

    path = start_recording(rig)
    rig.good_pair()
    monkeypatch.setattr(module, '_CHECK_EVERY_BYTES', 0)
    monkeypatch.setattr(module, 'SPARE_BYTES', 1 << 60)

    def said() -> list[str]:
        return [line for line in rig.log() if f'~/record: {path}' in line and 'stopped' in line]

    (line,) = rig.wait(said, 'line about the disk', meanwhile=Feed(rig), every_s=0.2)
    assert ' MB free, expected at least ' in line
    assert '\n' not in line
    assert stored(path)['/rgb/image_raw'], 'what was written before is a bag'
    rig.wait(lambda: rig.node._answers._tap is None, 'end of listening')
    assert rig.good_pair(), 'the node goes on'
    refused = record(rig, True)
    assert not refused.success
    assert ' MB free, expected at least ' in refused.message
    assert not [p for p in rig.folder.iterdir() if p.name.startswith('.')]
    monkeypatch.undo()
    stopped = record(rig, False)
    assert not stopped.success
    assert 'stopped: ' in stopped.message


@pytest.mark.parametrize('where', ['write', 'close'])
def test_failing_disk_leaves_what_can_be_read(
    rig: Any, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    import errno

    path = start_recording(rig)
    rig.good_pair()
    bag = rig.node._answers._recording._bag

    def fail(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, 'No space left on device')

    recording = rig.node._answers._recording
    monkeypatch.setattr(bag._writer, where, fail)
    if where == 'write':
        rig.wait(lambda: recording.ended, 'end by itself', meanwhile=Feed(rig), every_s=0.2)
    response = record(rig, False)
    assert not response.success
    assert response.message.endswith('No space left on device')
    assert [*path.glob('*.mcap')], 'the messages are there'
    assert (path / 'metadata.yaml').exists() == (where == 'write')
    assert rig.good_pair(), 'the node goes on'
    assert not [p for p in rig.folder.iterdir() if p.name.startswith('.')]


def test_slow_disk_leaves_messages_out_and_says_so(
    rig: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mafs_ros import record as module

    path = start_recording(rig)
    recording, free = rig.node._answers._recording, threading.Event()
    write = recording._bag._writer.write

    def slow(*arguments: Any) -> None:
        free.wait()
        write(*arguments)

    monkeypatch.setattr(recording._bag._writer, 'write', slow)
    monkeypatch.setattr(module, 'QUEUE_BYTES', 50_000)  # one visible image, and no second
    rig.wait(lambda: recording.skipped, 'full queue', meanwhile=Feed(rig), every_s=0.2)
    free.set()
    stopped = record(rig, False)
    assert stopped.success
    assert 'left out because the disk was too slow' in stopped.message
    assert path.is_dir()


def test_cleanup_closes_the_bag(rig: Any) -> None:
    path = start_recording(rig)
    rig.good_pair()
    assert rig.transition('deactivate')
    assert rig.transition('cleanup')
    assert stored(path)['/rgb/image_raw']
    rig.start()
