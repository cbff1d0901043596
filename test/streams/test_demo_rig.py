"""The crooked rig of the demo: what it sends, its bag, and how its results are compared."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
from mafs_demo.cli import build_parser, prepare
from mafs_demo.pictures.summary import _rig_rows, expected_pairs
from mafs_demo.replay.schedule import Event, Schedule
from mafs_demo.replay.sources import Sequence
from mafs_demo.replay.store import FrameStore, FrameWriter
from mafs_demo.rig.crooked import CROOKED_HZ, CrookedRig, make_crooked, write_input_bag
from mafs_demo.rig.run import RigRun
from mafs_demo.rig.score import score
from mafs_model.bags.reader import open_bag
from mafs_model.bags.topics import choose_topics
from mafs_model.calibration.calibration import Calibration
from mafs_model.classes import ClassTable
from mafs_model.errors import ConfigError
from mafs_model.images.cameras import load_camera
from mafs_model.images.registration import Registration
from mafs_model.images.thermal_decoder import ThermalDecoder
import numpy as np
import pytest

SIZE = (240, 320)
COUNT, RATE_HZ = 30, 15.0


def scene(seed=0, size=SIZE):
    """Return smooth counts, as a lens makes them."""
    noise = np.random.default_rng(seed).normal(0, 1, size)
    return (29000 + 2000 * cv2.GaussianBlur(noise, (0, 0), 6)).astype(np.uint16)


def silent(*progress):
    pass


@pytest.fixture
def original(tmp_path):
    writer = FrameWriter(tmp_path / 'original')
    for index in range(COUNT):
        counts = scene(index)
        writer.add_image('thermal', counts)
        writer.add_image(
            'visible', cv2.cvtColor((counts // 256).astype(np.uint8), cv2.COLOR_GRAY2RGB)
        )
    writer.close()
    events = [
        Event(stream, index, round(index / RATE_HZ * 1e9))
        for index in range(COUNT)
        for stream in ('thermal', 'visible')
    ]
    return Sequence('a scene', tmp_path / 'original', Schedule(tuple(events)))


@pytest.mark.parametrize('size', [(480, 640), (240, 320), (720, 1280), (400, 300)])
@pytest.mark.parametrize('seed', range(4))
def test_a_rig_sees_all_of_the_visible_image_and_is_crooked(seed, size):
    rig = CrookedRig.draw(seed, size)
    height, width = size
    corners = np.array([[[0.0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]]])
    seen = cv2.perspectiveTransform(corners, np.linalg.inv(rig.homography))[0]
    assert seen.min() >= 0
    assert (seen <= (639, 511)).all()
    assert rig.latency_s > 0.5 / CROOKED_HZ, 'more than stamps could tell'
    assert np.array_equal(CrookedRig.draw(seed, size).homography, rig.homography)


def test_a_frame_is_told_apart_from_its_telemetry_and_registers_back():
    rig = CrookedRig.draw(1, SIZE)
    counts = scene()
    frame = rig.frame(counts, 70000)
    assert (frame.shape, frame.dtype) == ((514, 640), np.uint16)
    decode = ThermalDecoder(load_camera('auto'))
    seen = decode(frame)
    assert seen.shape == (512, 640)
    back = Registration(rig.homography).warp((seen // 256).astype(np.uint8), SIZE)
    assert np.abs(back.astype(int) - counts // 256).mean() < 1.0


def test_a_sequence_is_late_and_slow_and_its_bag_is_read(original, tmp_path):
    rig = CrookedRig.draw(2, SIZE)
    made = make_crooked(original, rig, RATE_HZ, tmp_path, silent)
    store = FrameStore(made.store)
    moments = store.notes['moments']
    thermal = [event for event in made.schedule.events if event.stream == 'thermal']
    assert len(thermal) == len(moments) == store.count('thermal')
    for event in thermal:
        late_s = event.stamp_ns / 1e9 - moments[event.index] / RATE_HZ
        assert late_s == pytest.approx(rig.latency_s, abs=1e-6)
    steps = np.diff(moments) / RATE_HZ
    assert steps.mean() == pytest.approx(1 / CROOKED_HZ, rel=0.1)
    assert store.count('visible') == COUNT
    assert not made.schedule.partners_known
    run = RigRun(original, made, rig, Calibration((512, 640), SIZE), tmp_path / 'rig.yaml')
    assert expected_pairs(run.true_schedule, 20 * 10**6) == len(moments)

    write_input_bag(made, tmp_path / 'bag')
    with open_bag(tmp_path / 'bag') as bag:
        topics = choose_topics(bag, None, None)
        kinds = {topic: stream for stream, topic in topics.items()}
        images = list(bag.images(kinds=kinds))
    assert len(images) == COUNT + len(moments)
    assert {image.image.shape for image in images} == {(512, 640), (*SIZE, 3)}


class Playback:
    """Two pairs of which one of two persons was missed."""

    def __init__(self, labels, fused):
        self.labels, self.fused = labels, fused

    def __len__(self):
        return len(self.labels)

    def visible_index(self, number):
        return number

    def pair(self, number):
        return SimpleNamespace(labels=self.labels[number], fused=self.fused[number])


@pytest.mark.parametrize(('seen', 'share'), [(2, 1.0), (1, 0.5)])
def test_results_are_a_share_of_those_of_registered_images(original, seen, share):
    table = ClassTable.load('mfnet')
    person = table.names.index('person')
    truth = np.zeros(SIZE, np.uint8)
    truth[50:90, 40:60] = person
    store = FrameStore(original.store)
    fused = [store.frame('visible', index) for index in range(2)]
    predictor = SimpleNamespace(
        classes=table,
        predict=lambda visible, thermal, outputs: SimpleNamespace(fused=visible, labels=truth),
    )
    found = [truth if number < seen else np.zeros_like(truth) for number in range(2)]
    figures = score(Playback(found, fused), store, lambda index: truth, predictor, silent)
    assert figures['person_iou'] == {'crooked': share, 'registered': 1.0, 'share': share}
    assert figures['qabf']['share'] == 1.0
    rows = _rig_rows(
        {**figures, 'registration_error_px': 0.4, 'time_error_ms': -3.6, 'latency_ms': 136.0}
    )
    assert rows['calibration'] == '0.4 px and -3.6 ms off, of a camera that is 136 ms late'
    assert f'{100 * share:.1f} % of the registered original' in rows['person IoU']


def test_without_labels_there_is_no_iou(original):
    store = FrameStore(original.store)
    predictor = SimpleNamespace(
        classes=ClassTable.load('mfnet'),
        predict=lambda visible, thermal, outputs: SimpleNamespace(fused=visible, labels=None),
    )
    empty = np.zeros(SIZE, np.uint8)
    playback = Playback([empty], [store.frame('visible', 0)])
    figures = score(playback, store, lambda index: empty, predictor, silent)
    assert figures['person_iou']['share'] is None


@pytest.mark.parametrize('source', [['--images', 'x'], ['--bag', 'x']])
def test_only_the_rendered_drive_has_a_crooked_rig(source, tmp_path):
    options = build_parser().parse_args([*source, '--rig', 'crooked'])
    with pytest.raises(ConfigError, match='--rig crooked is simulated from the rendered drive'):
        prepare(options, tmp_path, silent)
