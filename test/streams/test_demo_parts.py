"""The parts of the demo that need no ROS: schedule, sources, figures, pictures."""

from __future__ import annotations

from dataclasses import replace
import json
from pathlib import Path

import cv2
from mafs_demo.cli import build_parser
from mafs_demo.mark import MARK
from mafs_demo.pictures import contact_sheet, movie
from mafs_demo.pictures.summary import expected_pairs, summarize, table
from mafs_demo.replay import export, sources
from mafs_demo.replay.playback import PanelMaker, Playback
from mafs_demo.replay.protocol import parse
from mafs_demo.replay.schedule import Camera, Event, Schedule, simulate
from mafs_demo.replay.session import Recording
from mafs_demo.replay.sources import SequenceOptions
from mafs_demo.replay.store import FrameStore, FrameWriter
from mafs_demo.topics import IMAGE_TOPICS, INPUT_TOPICS
from mafs_demo.workspace import Workspace
from mafs_model.bags.cdr import serialize_image
from mafs_model.bags.reader import BagWriter, open_bag
from mafs_model.bags.topics import choose_topics
from mafs_model.classes import ClassTable
from mafs_model.detections import Detection, Temperature
from mafs_model.errors import BagError, ConfigError
from mafs_model.images.encodings import ImageBuffer
import numpy as np
import pytest

MS = 1_000_000
START = 1_700_000_000 * 10**9
CAMERAS = {'visible': Camera(), 'thermal': Camera(offset_s=0.006, pauses=((40, 10),))}
HEIGHT, WIDTH = 48, 64


def options(duration_s: float | None = 1.0, rate_hz: float = 10.0) -> SequenceOptions:
    return SequenceOptions(duration_s, rate_hz, (HEIGHT, WIDTH), 0)


def silent(*_: object) -> None:
    pass


# -- schedule ------------------------------------------------------------------------------------


def test_schedule_is_deterministic_and_complete_at_the_end():
    schedule = simulate(100, 30.0, CAMERAS, seed=3)
    assert schedule == simulate(100, 30.0, CAMERAS, seed=3)
    assert schedule != simulate(100, 30.0, CAMERAS, seed=4)
    for stream in ('visible', 'thermal'):
        stamps = [e.stamp_ns for e in schedule.events if e.stream == stream]
        indices = [e.index for e in schedule.events if e.stream == stream]
        assert stamps == sorted(set(stamps))
        assert indices == sorted(set(indices))
        assert indices[-1] == 99
    assert not {e.index for e in schedule.events if e.stream == 'thermal'} & set(range(40, 50))


def test_schedule_has_the_offset_and_drops_asked_for():
    cameras = {
        'visible': Camera(jitter_s=0.0, drop_rate=0.1),
        'thermal': Camera(offset_s=0.02, jitter_s=0.0, drop_rate=0.0),
    }
    schedule = simulate(2000, 10.0, cameras, seed=1)
    assert schedule.count('thermal') == 2000
    assert 1740 < schedule.count('visible') < 1860
    assert schedule.possible_pairs() == schedule.count('visible')
    by_index = {(e.stream, e.index): e.stamp_ns for e in schedule.events}
    assert by_index['thermal', 7] == 720 * MS


def test_schedule_survives_the_file(tmp_path):
    schedule = simulate(20, 30.0, CAMERAS, seed=0)
    schedule.save(tmp_path / 's.json')
    assert Schedule.load(tmp_path / 's.json') == schedule


# -- store ---------------------------------------------------------------------------------------


def test_store_keeps_frames_of_any_size_and_repeats_once(tmp_path):
    rng = np.random.default_rng(0)
    visible = [rng.integers(0, 256, (4 + i, 5, 3), dtype=np.uint8) for i in range(3)]
    thermal = [rng.integers(0, 2**16, (3, 3 + i), dtype=np.uint16) for i in range(3)]
    writer = FrameWriter(tmp_path / 'store')
    for v, t in zip(visible, thermal, strict=True):
        for _ in range(4):
            writer.add_image('visible', v)
            writer.add_image('thermal', t)
    assert not (tmp_path / 'store').exists(), 'incomplete until it is closed'
    writer.close()
    store = FrameStore(tmp_path / 'store')
    assert list(store.preload()) == ['visible', 'thermal']
    assert store.count('visible') == 12
    assert (tmp_path / 'store' / 'visible.bin').stat().st_size == sum(v.nbytes for v in visible)
    for index in range(12):
        assert np.array_equal(store.frame('visible', index), visible[index // 4])
        assert np.array_equal(store.frame('thermal', index), thermal[index // 4])
        assert store.frame('thermal', index).dtype == np.uint16


def test_interrupted_store_leaves_nothing(tmp_path):
    writer = FrameWriter(tmp_path / 'store')
    writer.add_image('visible', np.zeros((4, 4, 3), np.uint8))
    writer.abort()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match='holds no prepared frames'):
        FrameStore(tmp_path / 'store')


def test_full_disk_is_said_before_it_happens(tmp_path, monkeypatch):
    from types import SimpleNamespace

    monkeypatch.setattr('shutil.disk_usage', lambda _: SimpleNamespace(free=200_000_000))
    writer = FrameWriter(tmp_path / 'store')
    with pytest.raises(ConfigError, match=r'0\.2 GB of disk space left .* try a shorter'):
        writer.add_image('visible', np.zeros((4, 4, 3), np.uint8))
    writer.abort()


def test_workspace_replaces_results_at_the_end_and_nothing_else(tmp_path):
    space = Workspace(tmp_path / 'demo')
    space.prepare()
    write_bag(space.work / 'bag', BAG_TOPICS)
    (space.work / 'summary.json').write_text('new')
    (space.out / 'notes.txt').write_text('mine')
    space.publish()
    space.clean()
    assert {path.name for path in space.out.iterdir()} == {
        'bag',
        'summary.json',
        'notes.txt',
        'logs',
        MARK,
    }
    space.prepare()
    assert not (space.out / 'summary.json').exists(), 'old results do not pass for new ones'
    assert (space.out / 'bag').exists(), 'it may be what is played'
    write_bag(space.work / 'bag', BAG_TOPICS, count=3)
    space.publish()
    with open_bag(space.out / 'bag') as bag:
        assert bag.topics['/flir/image'].count == 3


def test_workspace_refuses_what_it_would_have_to_destroy(tmp_path):
    (tmp_path / 'demo' / 'bag').mkdir(parents=True)
    (tmp_path / 'demo' / 'bag' / 'thesis.txt').write_text('precious')
    with pytest.raises(ConfigError, match='was not made by the demo: not replaced'):
        Workspace(tmp_path / 'demo').prepare()
    (tmp_path / 'demo' / MARK).touch()
    with pytest.raises(ConfigError, match='is not a bag: not replaced'):
        Workspace(tmp_path / 'demo').prepare()
    (tmp_path / 'file').write_text('')
    with pytest.raises(ConfigError, match='cannot write to'):
        Workspace(tmp_path / 'file').prepare()


@pytest.mark.parametrize('name', ['work', 'logs', 'summary.json', 'demo.mp4'])
def test_workspace_touches_nothing_that_the_demo_has_not_made(tmp_path, name):
    out = tmp_path / 'thesis'
    place = out / name
    place.parent.mkdir()
    if '.' in name:
        place.write_text('precious')
    else:
        place.mkdir()
        (place / 'chapter.tex').write_text('precious')
    with pytest.raises(ConfigError, match=f'{name} exists and was not made by the demo'):
        Workspace(out).prepare()
    kept = place if '.' in name else place / 'chapter.tex'
    assert kept.read_text() == 'precious'
    assert {path.name for path in out.iterdir()} == {name}


def test_workspace_follows_no_link(tmp_path):
    space = Workspace(tmp_path / 'demo')
    space.prepare()
    target = tmp_path / 'target.json'
    target.write_text('precious')
    (space.out / 'summary.json').symlink_to(target)
    with pytest.raises(ConfigError, match='is a link: not replaced'):
        space.prepare()
    assert target.read_text() == 'precious'


def test_only_renderings_of_the_demo_are_removed(tmp_path):
    foreign = tmp_path / 'night_photos'
    foreign.mkdir()
    (foreign / 'moon.png').write_text('precious')
    writer = FrameWriter(tmp_path / 'night_old')
    writer.add_image('visible', np.zeros((4, 4, 3), np.uint8))
    writer.add_image('thermal', np.zeros((4, 4), np.uint8))
    writer.close()
    (tmp_path / 'night_link').symlink_to(foreign)
    sources._remove_old_renderings(tmp_path)
    assert (foreign / 'moon.png').read_text() == 'precious'
    assert not (tmp_path / 'night_old').exists()
    with pytest.raises(ConfigError, match='was not made by the demo: not deleted'):
        FrameWriter(foreign).close()


# -- sources -------------------------------------------------------------------------------------


def write_folders(root: Path, count: int = 5) -> Path:
    for name in ('vi', 'ir'):
        (root / name).mkdir(parents=True)
    for index in range(count):
        size = (HEIGHT, WIDTH + 8 * index)  # sizes vary between frames
        cv2.imwrite(str(root / 'vi' / f'{index}.jpg'), np.full((*size, 3), 20 * index, np.uint8))
        thermal = np.full((HEIGHT // 2, WIDTH // 2), 9000 + index, np.uint16)
        cv2.imwrite(str(root / 'ir' / f'{index}.png'), thermal)
    return root


def test_image_folders_become_two_streams(tmp_path):
    folder = write_folders(tmp_path / 'data')
    (folder / 'vi' / '3.jpg').write_bytes(b'not an image')
    cv2.imwrite(str(folder / 'vi' / 'alone.png'), np.zeros((8, 8, 3), np.uint8))
    sequence = sources.images(folder, options(2.0, 10.0), tmp_path, silent)
    store = FrameStore(sequence.store)
    assert store.count('visible') == store.count('thermal') == 16, '4 images, 4 frames each'
    assert store.frame('visible', 15).shape == (HEIGHT, WIDTH + 32, 3)
    assert store.frame('thermal', 4)[0, 0] == 9001
    assert sequence.schedule.partners_known
    assert any('3.jpg' in note for note in sequence.notes)
    assert any('1 files without partner' in note for note in sequence.notes)


@pytest.mark.parametrize(
    ('make', 'text'),
    [
        (lambda root: root.mkdir(), 'has no folder vi/'),
        (lambda root: write_folders(root, 0), 'no image names in common'),
    ],
)
def test_bad_image_folders_are_named(tmp_path, make, text):
    make(tmp_path / 'data')
    with pytest.raises(ConfigError, match=text):
        sources.images(tmp_path / 'data', options(), tmp_path, silent)


def write_bag(path: Path, topics: dict[str, str], count: int = 10, zero: bool = False) -> Path:
    with BagWriter(path) as bag:
        for index in range(count):
            time_ns = START + index * 100 * MS
            for topic, encoding in topics.items():
                image = (
                    np.full((HEIGHT, WIDTH, 3), index, np.uint8)
                    if encoding == 'rgb8'
                    else np.full((HEIGHT, WIDTH), 9000 + index, np.uint16)
                )
                bag.write_image(topic, 0 if zero else time_ns, 'c', image, encoding, time_ns)
    return path


BAG_TOPICS = {'/cam/color/image': 'rgb8', '/flir/image': 'mono16'}
UNNAMED: dict[str, str | None] = {'visible': None, 'thermal': None}


@pytest.mark.parametrize('zero', [False, True])
def test_bag_becomes_two_streams_with_its_own_stamps(tmp_path, zero):
    path = write_bag(tmp_path / 'in', BAG_TOPICS, zero=zero)
    sequence = sources.from_bag(path, UNNAMED, None, tmp_path, silent)
    store = FrameStore(sequence.store)
    assert store.frame('thermal', 9)[0, 0] == 9009
    assert [e.stamp_ns for e in sequence.schedule.events if e.stream == 'visible'] == [
        index * 100 * MS for index in range(10)
    ]
    assert not sequence.schedule.partners_known
    assert expected_pairs(sequence.schedule, 30 * MS) == 10


def test_bag_is_cut_to_the_duration(tmp_path):
    path = write_bag(tmp_path / 'in', BAG_TOPICS)
    sequence = sources.from_bag(path, UNNAMED, 0.45, tmp_path, silent)
    assert sequence.schedule.count('visible') == 5
    assert sequence.notes == ('only the first 0.45 s are played',)


def test_bag_topics_are_chosen_by_name_or_asked_for(tmp_path):
    path = write_bag(
        tmp_path / 'in',
        {
            '/a/thermal/image_raw': 'mono16',
            '/a/rgb/image_raw': 'rgb8',
            '/a/rgb/image_raw/compressed': 'rgb8',
            '/b/image': 'rgb8',
            '/mafs_fusion/fused/image': 'rgb8',
            '/thermal/depth/image': 'mono16',
        },
    )
    with open_bag(path) as bag:
        assert choose_topics(bag) == {
            'visible': '/a/rgb/image_raw',
            'thermal': '/a/thermal/image_raw',
        }
        assert choose_topics(bag, '/b/image')['visible'] == '/b/image'
        with pytest.raises(BagError, match='--rgb-topic and --thermal-topic are both /b/image'):
            choose_topics(bag, '/b/image', '/b/image')


def test_bag_without_a_thermal_topic_lists_what_is_there(tmp_path):
    path = write_bag(tmp_path / 'in', {'/left': 'rgb8', '/right': 'rgb8'})
    with pytest.raises(BagError, match='name it by --thermal-topic; image topics there: /left'):
        sources.from_bag(path, UNNAMED, None, tmp_path, silent)
    with pytest.raises(BagError, match='no topic /nope; topics there: /left'):
        sources.from_bag(path, {'visible': '/left', 'thermal': '/nope'}, None, tmp_path, silent)


# -- a made-up run -------------------------------------------------------------------------------


def scene(index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    visible = np.full((HEIGHT, WIDTH, 3), (index * 5, 60, 90), np.uint8)
    thermal = (20000 + 40 * np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)).astype(np.uint16)
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[10:30, 10:30] = 2
    return visible, thermal, visible // 2 + 40, labels


def make_run(
    folder: Path, count: int = 12, classical: bool = False
) -> tuple[Recording, FrameStore, Schedule]:
    """Write what a run of `count` pairs leaves; pair 5 is missing, pair 7 has wrong partners."""
    writer = FrameWriter(folder / 'store')
    for index in range(count):
        visible, thermal, _, _ = scene(index)
        writer.add_image('visible', visible)
        writer.add_image('thermal', thermal)
    writer.close()
    events, sent, index_rows, statuses = [], [], [], []
    with (folder / 'messages.bin').open('wb') as spool:
        for index in range(count):
            stamp = START + index * 100 * MS
            thermal_stamp = stamp + 4 * MS
            events += [
                Event('visible', index, stamp - START),
                Event('thermal', index, thermal_stamp - START),
            ]
            sent += [('visible', index, stamp), ('thermal', index, thermal_stamp)]
            if index == 5:
                continue
            _, _, fused, labels = scene(index)
            for name, image, encoding in [
                ('fused', fused, 'rgb8'),
                ('labels', labels, 'mono8'),
                ('confidence', labels, 'mono8'),
                ('overlay', fused, 'rgb8'),
            ]:
                data = serialize_image(
                    stamp,
                    'rgb',
                    ImageBuffer(HEIGHT, WIDTH, encoding, False, image[0].nbytes, image.tobytes()),
                )
                index_rows.append(
                    (
                        IMAGE_TOPICS[name],
                        'sensor_msgs/msg/Image',
                        stamp + 20 * MS,
                        spool.tell(),
                        len(data),
                    )
                )
                spool.write(data)
            partner = thermal_stamp - 100 * MS if index == 7 else thermal_stamp
            statuses.append(
                {
                    'stamp_ns': stamp,
                    'visible_ns': stamp,
                    'thermal_ns': partner,
                    'receive_ns': stamp + 21 * MS,
                    'offset': (partner - stamp) / 1e9,
                    'latency_ms': 10.0 + index,
                    'inference_ms': 5.0,
                    'wait_ms': 1.0,
                    'visible_received': count,
                    'thermal_received': count - 1,
                    'pairs': count - 1,
                    'processed': count - 1,
                    'drops': {'no_partner': 2},
                    'device': 'cpu',
                    'mode': 3 if classical else 0,
                    'backend': 'torch',
                    'weights_id': 'test-weights',
                }
            )
    recording = Recording(
        folder / 'messages.bin',
        index_rows,
        statuses,
        sent,
        0.5,
        ClassTable.load('mfnet').to_dict(),
    )
    return recording, FrameStore(folder / 'store'), Schedule(tuple(events))


def test_summary_by_hand(tmp_path):
    recording, _, schedule = make_run(tmp_path)
    summary = summarize(recording, schedule, 30 * MS, 'test')
    assert summary['frames_sent'] == {'visible': 12, 'thermal': 12}
    assert summary['frames_lost_in_transport'] == {'visible': 0, 'thermal': 1}
    assert (summary['pairs'], summary['pairs_possible']) == (11, 12)
    assert summary['match_rate'] == round(11 / 12, 4)
    assert summary['true_partner_share'] == round(10 / 11, 4)
    assert summary['offset_ms'] == {'mean': round((10 * 4 + 96) / 11, 3), 'max': 96.0}
    assert summary['pairs_per_s'] == round(10 / 1.1, 2)
    assert summary['latency_ms']['p50'] == 16.0
    assert summary['outputs_lost_in_transport'] == 0
    assert (summary['mode'], summary['weights']) == ('fusion', 'test-weights')
    json.dumps(summary)
    text = table(summary)
    for part in (
        '12 visible, 11 thermal (1 lost in transport)',
        '11 of 12 possible',
        'true partners 90.9 %',
        'no_partner 2',
        'test-weights',
        'slop 30 ms',
    ):
        assert part in text


def with_objects(recording):
    """Return a run in which a warm person and two cars are in the second and third pair."""
    second, third = (status['stamp_ns'] for status in recording.statuses[1:3])
    person = Detection(
        2, 'person', 0.75, 20, 15, 10, 20, 150, Temperature(30.0, 33.0, 36.0), track=4
    )
    cars = tuple(Detection(1, 'car', 0.5, 5 + 30 * n, 30, 12, 8, 90, track=5 + n) for n in (0, 1))
    return replace(
        recording,
        objects={second: (person,), third: (replace(person, confidence=0.85), *cars), 0: ()},
    )


def test_summary_counts_objects(tmp_path):
    recording, _, schedule = make_run(tmp_path)
    summary = summarize(with_objects(recording), schedule, 30 * MS, 'test')
    assert summary['detections'] == {
        'person': {
            'detections': 2, 'per_pair': 0.67, 'tracks': 1, 'confidence': 0.8, 'temperature': 33.0,
        },
        'car': {
            'detections': 2, 'per_pair': 0.67, 'tracks': 2, 'confidence': 0.5, 'temperature': None,
        },
    }  # fmt: skip
    json.dumps(summary)
    assert 'person 0.7 per pair, 1 tracks, car 0.7 per pair, 2 tracks' in table(summary)


def test_film_frames_show_the_boxes(tmp_path):
    recording, store, _ = make_run(tmp_path)
    classes = ClassTable.load('mfnet')
    maker = PanelMaker(classes)
    pairs = list(
        zip(Playback(recording, store), Playback(with_objects(recording), store), strict=True)
    )
    for number, (plain, found) in enumerate(pairs):
        without, shown = maker.panels(plain)['labels'], maker.panels(found)['labels']
        changed = (without != shown).any(axis=2)
        assert changed.any() == (number in (1, 2))
        if number == 1:
            person = tuple(classes.classes[2].color)
            assert tuple(shown[34, 25]) == person  # lower edge of the box
            assert not changed[45:, 45:].any()


def test_summary_of_a_silent_node(tmp_path):
    recording, _, schedule = make_run(tmp_path)
    empty = Recording(recording.spool, [], [], recording.sent, 0.0, {})
    summary = summarize(empty, schedule, 30 * MS, 'test')
    assert summary['match_rate'] == 0.0
    assert summary['true_partner_share'] is None
    assert 'unknown' in table(summary)


def test_playback_returns_exactly_what_was_published(tmp_path):
    recording, store, _ = make_run(tmp_path)
    playback = Playback(recording, store)
    pairs = list(playback)
    assert len(pairs) == len(playback) == 11
    for pair, index in zip(pairs, [i for i in range(12) if i != 5], strict=True):
        visible, thermal, fused, labels = scene(index)
        assert np.array_equal(pair.visible, visible)
        assert np.array_equal(pair.thermal, thermal)
        assert np.array_equal(pair.fused, fused)
        assert np.array_equal(pair.labels, labels)
        assert pair.time_s == pytest.approx(index * 0.1)


def test_contact_sheet_shows_the_panels(tmp_path):
    recording, store, _ = make_run(tmp_path)
    text = contact_sheet.SheetText('source', 'facts', False)
    mfnet = ClassTable.load('mfnet')
    contact_sheet.write_contact_sheet(
        tmp_path / 'sheet.png', Playback(recording, store), mfnet, text
    )
    sheet = cv2.imread(str(tmp_path / 'sheet.png'))[..., ::-1]
    assert sheet.shape[1] == 4 * 480 + 3 * 10 + 2 * 28
    first = contact_sheet.pick_moments(11)[0]
    pair = Playback(recording, store).pair(first)
    panels = PanelMaker(mfnet).panels(pair)
    top, scale = 96 + 34, 480 / WIDTH
    for column, name in enumerate(PanelMaker.NAMES):
        x = 28 + column * 490 + int(40.5 * scale)
        pixel = sheet[top + int(40.5 * scale), x].astype(int)
        assert np.abs(pixel - panels[name][40, 40]).max() <= 12, name
    person = mfnet.classes[2].color
    assert (np.abs(sheet.astype(int) - person).max(-1) == 0).sum() > 100, 'in the legend'


def test_contact_sheet_with_the_bitmap_font_of_old_pillow(tmp_path, monkeypatch):
    from mafs_demo.pictures import drawing
    from PIL import ImageFont

    if hasattr(ImageFont, 'load_default_imagefont'):  # a Pillow that has both
        bitmap = ImageFont.load_default_imagefont()
        monkeypatch.setattr(ImageFont, 'load_default', lambda: bitmap)

    def no_such_font(*_: object) -> None:
        raise OSError('cannot open resource')

    monkeypatch.setattr(ImageFont, 'truetype', no_such_font)
    drawing.font.cache_clear()
    try:
        recording, store, _ = make_run(tmp_path)
        contact_sheet.write_contact_sheet(
            tmp_path / 'sheet.png',
            Playback(recording, store),
            ClassTable.load('mfnet'),
            contact_sheet.SheetText('source', 'facts', True),
        )
    finally:
        drawing.font.cache_clear()
    header = cv2.imread(str(tmp_path / 'sheet.png'))[:96]
    right = np.flatnonzero((header > 120).any(-1).any(0)).max()
    assert 1900 < right <= 28 + 4 * 480 + 3 * 10, 'the facts end at the right margin'


def test_contact_sheet_without_network_says_so(tmp_path):
    recording, store, _ = make_run(tmp_path, classical=True)
    sheets = []
    for classical in (True, False):
        path = tmp_path / f'{classical}.png'
        contact_sheet.write_contact_sheet(
            path,
            Playback(recording, store),
            ClassTable.load('mfnet'),
            contact_sheet.SheetText('source', 'facts', classical),
        )
        sheets.append(cv2.imread(str(path)))
    assert sheets[0].shape[0] < sheets[1].shape[0], 'no legend for labels that are not there'


@pytest.mark.parametrize(
    ('count', 'expected'),
    [(1, [0]), (3, [0, 1, 2]), (5, [0, 1, 2, 3, 4]), (100, [10, 30, 50, 70, 90])],
)
def test_moments_are_spread_evenly(count, expected):
    assert contact_sheet.pick_moments(count) == expected


@pytest.mark.skipif(not movie.is_available(), reason='the package av is not installed')
def test_movie_is_h264_with_frames_at_their_stamps(tmp_path):
    import av

    recording, store, _ = make_run(tmp_path)
    movie.write_movie(
        tmp_path / 'demo.mp4', Playback(recording, store), ClassTable.load('mfnet'), False, silent
    )
    with av.open(str(tmp_path / 'demo.mp4')) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ('h264', 'yuv420p')
        frames = list(container.decode(stream))
    times = [frame.time - frames[0].time for frame in frames]
    assert times == pytest.approx([0.1 * i for i in range(12) if i != 5], abs=2e-3)
    picture = frames[0].to_ndarray(format='rgb24')
    visible, _, fused, _ = scene(0)
    for expected, (x, y) in [(visible, (960, 200)), (fused, (320, 750))]:
        assert np.abs(picture[y, x].astype(int) - expected[40, 40]).max() < 16


@pytest.mark.ros
@pytest.mark.parametrize('raw', [False, True])
def test_bag_of_a_run_holds_inputs_and_outputs(tmp_path, raw):
    pytest.importorskip('mafs_ros.msg', reason='messages are not built (colcon build)')
    recording, store, _ = make_run(tmp_path)
    export.write_bag(tmp_path / 'bag', recording, store, Playback(recording, store), raw, silent)
    tail = '' if raw else '/compressed'
    with open_bag(tmp_path / 'bag') as bag:
        assert bag.topics[f'{INPUT_TOPICS["visible"]}{tail}'].count == 12
        assert bag.topics[f'{IMAGE_TOPICS["overlay"]}{tail}'].count == 11
        labels = list(bag.images(f'{IMAGE_TOPICS["labels"]}{tail}'))
        assert all(np.array_equal(image.image, scene(0)[3]) for image in labels)
        thermal = list(bag.images(f'{INPUT_TOPICS["thermal"]}{tail}'))
        assert all(np.array_equal(image.image, scene(0)[1]) for image in thermal)
        fused = next(bag.images(f'{IMAGE_TOPICS["fused"]}{tail}')).image
        assert np.abs(fused.astype(int) - scene(0)[2]).max() <= (0 if raw else 6)
        times = [message.receive_ns for message in bag.messages()]
        assert times == sorted(times)


# -- command line --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'arguments',
    [
        ['--size', '640'],
        ['--size', '8x8'],
        ['--rate', 'fast'],
        ['--duration', '-1'],
        ['--rate', 'nan'],
        ['-p', 'sync.slop=1'],
        ['--images', 'a', '--bag', 'b'],
        ['--what'],
    ],
)
def test_bad_arguments_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        build_parser().parse_args(arguments)
    assert caught.value.code == 2
    assert 'error: ' in capsys.readouterr().err


def test_child_events_are_told_from_other_output():
    assert parse('@mafs {"event": "ready"}\n') == {'event': 'ready'}
    for line in ('[INFO] hello', '@mafs {broken', '@mafs 3', ''):
        assert parse(line) is None
