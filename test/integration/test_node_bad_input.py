"""Every kind of bad input on the real node: logged, counted by reason, and the next pair works."""

from __future__ import annotations

import array
from collections.abc import Callable
import threading
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('mafs_ros.msg')

import cv2
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo

pytestmark = pytest.mark.ros
NS_PER_S = 1_000_000_000
VISIBLE, THERMAL = 'rgb/image_raw', 'thermal/image_raw'


@pytest.fixture(scope='module')
def rig(make_rig: Callable[..., Any]) -> Any:
    rig = make_rig(weights='classical')
    rig.listen_to_images('fused/image')
    rig.start()
    rig.good_pair()
    return rig


def refused(rig: Any, topic: str, message: Any, reason: str) -> str:
    """
    Publish a bad image until the node has counted it; return the line it has logged.

    Afterwards a good pair has to go through.
    """
    rig.node._reporter.reset()  # the throttle would hide what an earlier test has shown
    before, lines = rig.drops(reason), len(rig.log())

    def send() -> None:
        message.header.stamp = rig.next_stamp()
        rig.send(topic, message)

    def line() -> Any:
        return next((t for t in rig.log()[lines:] if t.startswith(f'[{reason}] ')), None)

    send()
    rig.wait(
        lambda: rig.drops(reason) > before,
        f"drop counted as '{reason}'",
        meanwhile=send,
        every_s=0.2,
    )
    text: str = rig.wait(line, f"log line of '{reason}'")
    assert 'Traceback' not in text
    status = rig.good_pair()
    assert status.drop_counts[status.drop_reasons.index(reason)] > before
    return text


BAD_IMAGES = [
    ('unknown encoding', 'visible', 'rgb8', {'encoding': 'yuv999'}, 'encoding', "'yuv999'"),
    ('empty encoding', 'visible', 'rgb8', {'encoding': ''}, 'encoding', "''"),
    (
        'unknown thermal encoding',
        'thermal',
        'mono16',
        {'encoding': '64FC2'},
        'encoding',
        "'64FC2'",
    ),
    ('data too short', 'visible', 'bgr8', {'height': 97}, 'data', 'expected 37248'),
    ('data too long', 'visible', 'bgr8', {'height': 95}, 'data', 'expected 36480'),
    ('no data', 'thermal', 'mono16', {'data': array.array('B')}, 'data', 'data has 0 bytes'),
    ('step too small', 'visible', 'bgr8', {'step': 383}, 'step', 'expected at least 384'),
    ('step zero', 'thermal', 'mono16', {'step': 0}, 'step', 'step is 0 bytes'),
    (
        '0x0',
        'visible',
        'bgr8',
        {'height': 0, 'width': 0, 'data': array.array('B')},
        'size',
        'image is 0x0',
    ),
    (
        '20000x20000',
        'visible',
        'mono8',
        {'height': 20000, 'width': 20000, 'step': 20000},
        'size',
        'image is 20000x20000',
    ),
    (
        '20000x20000 thermal',
        'thermal',
        'mono16',
        {'height': 20000, 'width': 20000, 'step': 40000},
        'size',
        'image is 20000x20000',
    ),
    (
        'largest numbers',
        'thermal',
        'mono16',
        {'height': 2**32 - 1, 'width': 2**32 - 1, 'step': 2**32 - 1},
        'size',
        '4294967295',
    ),
]


@pytest.mark.parametrize(
    ('stream', 'encoding', 'fields', 'reason', 'words'),
    [case[1:] for case in BAD_IMAGES],
    ids=[case[0] for case in BAD_IMAGES],
)
def test_malformed_image(
    rig: Any,
    image: Callable[..., Any],
    samples: Any,
    stream: str,
    encoding: str,
    fields: dict[str, Any],
    reason: str,
    words: str,
) -> None:
    bgr, counts = samples
    topic, data = (VISIBLE, bgr) if stream == 'visible' else (THERMAL, counts)
    line = refused(rig, topic, image(data, encoding, **fields), reason)
    assert words in line
    assert f'/{topic}' in line


def test_float_thermal_without_a_finite_value(rig: Any, image: Callable[..., Any]) -> None:
    rig.node._reporter.reset()
    values = np.full((60, 80), np.nan, np.float32)
    values[0, 0] = np.inf
    values[:, 1:] = -np.inf
    values[1:, 0] = np.nan

    def send() -> None:
        rig.send_pair(thermal=image(values, '32FC1'))

    send()
    rig.wait(
        lambda: rig.drops('nonfinite'), "drop counted as 'nonfinite'", meanwhile=send, every_s=0.2
    )
    assert rig.wait(lambda: [t for t in rig.log() if t.startswith('[nonfinite] ')], 'log line')
    rig.good_pair()


def test_float_thermal_with_some_bad_pixels_is_used(
    rig: Any, image: Callable[..., Any], samples: Any
) -> None:
    values = samples[1].astype(np.float32)
    values[::7, ::5], values[3, 4], values[5, 6] = np.nan, np.inf, -np.inf
    before = rig.drops('nonfinite')
    stamp = rig.good_pair(thermal=image(values, '32FC1')).header.stamp
    fused = rig.wait(lambda: rig.at('/mafs_fusion/fused/image', stamp), 'fused image')
    assert len(set(fused.data)) > 10
    assert rig.drops('nonfinite') == before


def test_resolution_changes_while_running(
    rig: Any, image: Callable[..., Any], samples: Any
) -> None:
    for height, width in ((48, 64), (120, 161), (96, 128)):
        bgr = cv2.resize(samples[0], (width, height))
        thermal = cv2.resize(samples[1], (width // 2, height // 2))
        status = rig.good_pair(visible=image(bgr, 'bgr8'), thermal=image(thermal, 'mono16'))
        fused = rig.wait(
            lambda status=status: rig.at('/mafs_fusion/fused/image', status.header.stamp),
            'fused image',
        )
        assert (fused.height, fused.width) == (height, width)
    events = rig.node._statistics.snapshot().events
    assert events['visible_resolution'] >= 3
    assert events['thermal_resolution'] >= 3
    assert any('size changes from 128x96 to 64x48' in text for text in rig.log())


def test_swapped_topics(rig: Any, image: Callable[..., Any], samples: Any) -> None:
    bgr, counts = samples

    def swapped() -> None:
        stamp = rig.next_stamp()
        for topic, data, encoding in ((THERMAL, bgr, 'bgr8'), (VISIBLE, counts, 'mono16')):
            message = image(data, encoding)
            message.header.stamp = stamp
            rig.send(topic, message)

    swapped()
    rig.wait(
        lambda: rig.drops('swapped') > 0,
        "drop counted as 'swapped'",
        meanwhile=swapped,
        every_s=0.2,
    )
    assert rig.wait(lambda: [t for t in rig.log() if 'seem to be swapped' in t], 'log line')

    def said() -> bool:
        level, sentence = rig.health()
        return level == 2 and 'swapped' in sentence

    rig.wait(said, 'diagnostics of swapped topics', meanwhile=swapped)
    rig.good_pair()


def test_colour_mapped_thermal_is_used_and_said_once(
    rig: Any, image: Callable[..., Any], samples: Any
) -> None:
    coloured = cv2.applyColorMap(samples[0][..., 0], cv2.COLORMAP_INFERNO)
    for _ in range(3):
        rig.good_pair(thermal=image(coloured, 'bgr8'))
    assert len([t for t in rig.log() if t.startswith('[thermal_colour] ')]) == 1
    rig.good_pair()


@pytest.mark.parametrize(
    ('seconds_ahead', 'reason', 'words'),
    [(None, 'stamp_zero', 'stamp is zero'), (3600, 'stamp_future', 'ahead of the clock')],
)
def test_stamp_that_cannot_be_meant(
    rig: Any,
    image: Callable[..., Any],
    samples: Any,
    seconds_ahead: int | None,
    reason: str,
    words: str,
) -> None:
    rig.node._reporter.reset()
    before = rig.drops(reason)
    stamp = Time().to_msg()
    if seconds_ahead is not None:
        stamp = rig.next_stamp()
        stamp.sec += seconds_ahead

    def send() -> None:
        rig.send_pair(stamp=stamp)

    send()
    rig.wait(
        lambda: rig.drops(reason) >= before + 2,
        f"drops counted as '{reason}'",
        meanwhile=send,
        every_s=0.2,
    )
    assert rig.wait(lambda: [t for t in rig.log() if words in t], 'log line')
    rig.good_pair()


def test_stamps_run_backwards_and_pairing_goes_on(rig: Any) -> None:
    rig.good_pair()
    jumps = rig.node._statistics.snapshot().events.get('clock_jump', 0)
    past_ns = rig.tester.get_clock().now().nanoseconds - 60 * NS_PER_S
    stamps = []
    for i in range(10):
        stamps.append(Time(nanoseconds=past_ns + i * NS_PER_S // 30).to_msg())
        rig.send_pair(stamp=stamps[-1])
    statuses = rig.messages['/mafs_fusion/status']
    rig.wait(lambda: any(s.header.stamp in stamps for s in statuses), 'pair after the jump')
    assert rig.node._statistics.snapshot().events['clock_jump'] == jumps + 1
    assert rig.wait(lambda: [t for t in rig.log() if 'jumped back' in t], 'log line')
    rig.good_pair()


def test_one_camera_dies_and_comes_back(rig: Any, image: Callable[..., Any], samples: Any) -> None:
    assert rig.set_parameter('diagnostics.stale_after', 0.5).successful
    rig.good_pair()

    def visible_only() -> None:
        message = image(samples[0], 'bgr8')
        message.header.stamp = rig.next_stamp()
        rig.send(VISIBLE, message)

    def stale() -> bool:
        level, sentence = rig.health()
        return level == 3 and 'No thermal image' in sentence

    rig.wait(stale, 'diagnostics of a dead camera', meanwhile=visible_only)
    before = rig.node._statistics.counters()
    rig.wait(
        lambda: (
            rig.node._statistics.counters().received['visible'] >= before.received['visible'] + 5
        ),
        'visible images',
        meanwhile=visible_only,
    )
    assert rig.node._statistics.counters().pairs == before.pairs
    assert rig.wait(
        lambda: [t for t in rig.log() if 'state STALE: No thermal image' in t],
        'log line',
    )
    rig.good_pair()
    assert rig.wait(lambda: [t for t in rig.log() if t.startswith('[thermal_stalled] ')], 'line')
    assert rig.set_parameter('diagnostics.stale_after', 3.0).successful


def test_ten_seconds_of_stamps_from_one_camera_stay_bounded(
    rig: Any, image: Callable[..., Any], samples: Any
) -> None:
    start_ns = rig.tester.get_clock().now().nanoseconds - 30 * NS_PER_S
    message = image(samples[0], 'bgr8')
    received = rig.node._statistics.counters().received['visible']
    for i in range(300):
        message.header.stamp = Time(nanoseconds=start_ns + i * NS_PER_S // 30).to_msg()
        rig.send(VISIBLE, message)
        if i % 4 == 3:  # the depth of the subscription is five
            rig.wait(
                lambda i=i: rig.node._statistics.counters().received['visible'] > received + i - 2,
                'images to arrive',
            )
    assert rig.node._intake._alignment._synchronizer.queued('visible') <= 30
    rig.good_pair()


def test_flood_keeps_latency_bounded(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A network that is slower than any input: one pair is in it, the newest waits, others go.

    How many of the images reach the node depends on the machine; what becomes of them does not.
    """
    predictor, count = rig.node._inference.predictor, rig.node._statistics.counters
    predict = predictor.predict
    inside, gate = threading.Event(), threading.Event()

    def slow(*arguments: Any) -> Any:
        inside.set()
        assert gate.wait(60.0)
        return predict(*arguments)

    sent: list[Any] = []

    def flood() -> None:
        sent.append(rig.send_pair())

    def published() -> list[int]:
        stamps = [status.header.stamp for status in rig.messages['/mafs_fusion/status']]
        return [sent.index(stamp) for stamp in stamps if stamp in sent]

    monkeypatch.setattr(predictor, 'predict', slow)
    before, overtaken = count(), rig.drops('overtaken')
    rig.wait(inside.is_set, 'pair in the network', meanwhile=flood, every_s=0.005)
    rig.wait(
        lambda: rig.drops('overtaken') >= overtaken + 50,
        'fifty pairs overtaken',
        meanwhile=flood,
        every_s=0.005,  # 200 Hz
    )
    assert len(published()) <= 1, 'nothing is published past the network'
    gate.set()
    rig.wait(
        lambda: (
            count().processed - before.processed + rig.drops('overtaken') - overtaken
            >= count().pairs - before.pairs
        ),
        'every pair processed or counted as overtaken',
    )
    rig.wait(lambda: max(published(), default=0) >= 40, 'the newest pair')
    assert published() == sorted(published()), 'published in order'
    # The one that was in the network may be of this flood or, like some that it overtook, of the
    # images of an earlier test.
    assert len([index for index in published() if index < 40]) <= 1, 'the newest goes first'
    monkeypatch.undo()
    rig.good_pair()


def test_calibration_without_size(rig: Any) -> None:
    rig.listen('/mafs_fusion/fused/camera_info', CameraInfo)
    rig.send('rgb/camera_info', CameraInfo())
    rig.wait(
        lambda: rig.drops('camera_info'),
        "drop counted as 'camera_info'",
        meanwhile=rig.send_pair,
        every_s=0.2,
    )
    rig.send('rgb/camera_info', CameraInfo(width=128, height=96))
    rig.good_pair()
    rig.wait(
        lambda: rig.last('/mafs_fusion/fused/camera_info'),
        'calibration',
        meanwhile=rig.send_pair,
        every_s=0.2,
    )


def test_failing_network_is_an_error_that_ends(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from mafs_model.errors import DeviceError

    def broken(*unused: Any) -> Any:
        raise DeviceError("device 'cuda:0': lost")

    monkeypatch.setattr(rig.node._inference.predictor, 'predict', broken)

    def said() -> bool:
        level, sentence = rig.health()
        return level == 2 and 'lost' in sentence

    rig.wait(said, 'diagnostics of a lost device', meanwhile=rig.send_pair)
    assert rig.drops('inference') > 0
    monkeypatch.undo()
    assert rig.transition('deactivate')
    assert rig.transition('activate')
    rig.good_pair()
    rig.wait(lambda: rig.health()[0] == 0, 'state OK', meanwhile=rig.send_pair)


def test_unexpected_error_does_not_end_the_worker(
    rig: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*unused: Any) -> Any:
        raise ZeroDivisionError('a mistake in the code')

    monkeypatch.setattr(rig.node._inference, 'predict', broken)
    rig.wait(
        lambda: rig.drops('internal'),
        "drop counted as 'internal'",
        meanwhile=rig.send_pair,
        every_s=0.2,
    )
    monkeypatch.undo()
    rig.good_pair()
    assert rig.wait(lambda: [t for t in rig.log() if 'a mistake in the code' in t], 'log line')
