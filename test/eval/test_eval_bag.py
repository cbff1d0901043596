"""`mafs-eval bag`: pairing, outputs and damaged bags, without a node."""

from __future__ import annotations

import json
from pathlib import Path
import shutil
import sys

import cv2
from mafs_model.bags.reader import BagWriter, open_bag
from mafs_model.bags.topics import choose_topics
from mafs_model.images.registration import Registration
from mafs_model.images.thermal import ThermalScaler
from mafs_model.predictor import Predictor
from mafs_training.evaluation.bag.pairs import BagPairing, PairingSettings
from mafs_training.evaluation.bag.run import KeepingScaler, registered, Samples
from mafs_training.evaluation.cli import main
import numpy as np
import pytest

RGB, THERMAL = '/rgb/image_raw', '/thermal/image_raw'
START, PERIOD = 1_700_000_000_000_000_000, 100_000_000
# The thermal frame 3 and the visible frame 6 are missing; the offset is 4 ms.
COUNT, LOST_THERMAL, LOST_VISIBLE, OFFSET = 10, 3, 6, 4_000_000
SHAPE = (72, 96)


def frames(index: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a scene that moves; 16-bit thermal whose range drifts."""
    rng = np.random.default_rng(2)
    scene = cv2.GaussianBlur(rng.uniform(0, 255, SHAPE), (0, 0), 4)
    scene = np.roll((scene - scene.min()) / np.ptp(scene), 2 * index, axis=1)
    visible = np.dstack([scene * 200, scene * 150 + 20, 255 - scene * 180]).astype(np.uint8)
    thermal = (29000 + 40 * index + 1500 * scene**2).astype(np.uint16)
    return visible, thermal


def write_bag(path: Path, **options) -> Path:
    with BagWriter(path, **options) as bag:
        for index in range(COUNT):
            visible, thermal = frames(index)
            stamp = START + index * PERIOD
            if index != LOST_VISIBLE:
                bag.write_image(RGB, stamp, 'rgb', visible, 'rgb8', stamp + 1_000_000)
            if index != LOST_THERMAL:
                bag.write_image(
                    THERMAL,
                    stamp + OFFSET,
                    'thermal',
                    thermal,
                    'mono16',
                    stamp + OFFSET + 1_000_000,
                )
    return path


@pytest.fixture
def bag(tmp_path):
    return write_bag(tmp_path / 'bag')


def run(bag: Path, *extra: str) -> int:
    return main(
        [
            'bag',
            str(bag),
            '--quiet',
            '--weights',
            'classical',
            '--metrics-every',
            '4',
            '--json',
            f'{bag.parent}/out.json',
            *extra,
        ]
    )


def document(bag: Path) -> dict:
    return json.loads((bag.parent / 'out.json').read_text())


def test_pairs_are_those_that_were_recorded(bag, capsys):
    assert run(bag, '--rgb-topic', RGB, '--thermal-topic', THERMAL) == 0
    result = document(bag)
    kept = [i for i in range(COUNT) if i not in (LOST_THERMAL, LOST_VISIBLE)]
    assert [row['visible_ns'] for row in result['pairs']] == [START + i * PERIOD for i in kept]
    assert all(row['thermal_ns'] - row['visible_ns'] == OFFSET for row in result['pairs'])
    pairing = result['pairing']
    assert pairing['frames'] == {'visible': 9, 'thermal': 9}
    assert pairing['dropped']['visible'] == {'no_partner': 1}
    assert pairing['dropped']['thermal'] == {'no_partner': 1}
    assert pairing['offset_max_ms'] == pytest.approx(4.0)
    assert pairing['largest_gap_ms'] == pytest.approx(200.0)
    # Pairs 0, 4 and so on are measured, the baselines beside the model.
    assert result['names'] == [str(START + kept[i] * PERIOD) for i in (0, 4)]
    assert result['methods']['classical']['EN']['n'] == 2
    assert result['methods']['maximum']['EN']['n'] == 2
    printed = capsys.readouterr().out
    assert 'pairs: 8 (88.9 % of the slower stream), offset mean 4.00 ms' in printed
    assert 'no_partner 1 visible, no_partner 1 thermal' in printed


def test_outputs_are_those_of_the_predictor_fed_by_hand(bag):
    assert run(bag, '--out-bag', f'{bag.parent}/fused.mcap') == 0
    predictor = Predictor.create('classical', thermal_scaler=ThermalScaler())
    written = {}
    with open_bag(bag.parent / 'fused.mcap') as reader:
        assert {t.count for t in reader.topics.values()} == {8}
        for image in reader.images():
            written.setdefault(image.topic, []).append(image)
    fused = written['/mafs_fusion/fused/image']
    kept = [i for i in range(COUNT) if i not in (LOST_THERMAL, LOST_VISIBLE)]
    for index, image in zip(kept, fused, strict=True):
        np.testing.assert_array_equal(image.image, predictor.predict(*frames(index)).fused)
        assert image.stamp_ns == START + index * PERIOD
        assert image.frame_id == 'rgb'
    assert not any(image.image.any() for image in written['/mafs_fusion/semantic/labels'])
    assert not list(bag.parent.glob('.mafs-eval-*'))


def test_two_runs_are_the_same(bag):
    results = []
    for _ in range(2):
        assert run(bag) == 0
        result = document(bag)
        results.append(
            (
                result['methods'],
                result['pairing'],
                [(row['visible_ns'], row['thermal_ns']) for row in result['pairs']],
            )
        )
    assert results[0] == results[1]


def test_an_output_that_is_there_is_not_replaced(bag, capsys):
    (bag.parent / 'fused.mcap').write_text('mine')
    assert run(bag, '--out-bag', f'{bag.parent}/fused.mcap') == 2
    assert 'exists already, choose another --out-bag' in capsys.readouterr().err
    assert (bag.parent / 'fused.mcap').read_text() == 'mine'


def test_report_opens_without_network(bag):
    assert run(bag, '--html', f'{bag.parent}/r.html') == 0
    text = (bag.parent / 'r.html').read_text(encoding='utf-8')
    for heading in ('Pairs along the bag', 'Pairing', 'Metrics over time', 'Latency'):
        assert f'<h2>{heading}</h2>' in text
    assert 'http' not in text.replace('http-equiv', '')


# --- bags that are not as they should be --------------------------------------------------------


def test_truncated_bag_is_evaluated_as_far_as_it_goes(bag, capsys):
    file = next(bag.glob('*.mcap'))
    file.write_bytes(file.read_bytes()[: int(0.6 * file.stat().st_size)])
    assert run(bag, '--rgb-topic', RGB, '--thermal-topic', THERMAL) == 1
    output = capsys.readouterr()
    assert 'is damaged, what could be read is evaluated' in output.err
    assert 'Traceback' not in output.err
    pairs = [row['visible_ns'] for row in document(bag)['pairs']]
    assert 2 <= len(pairs) < 8
    assert pairs[0] == START


def test_compressed_chunks_change_nothing(bag):
    packed = write_bag(bag.parent / 'packed', compress=True)
    assert run(bag) == 0
    plain = document(bag)
    assert run(packed) == 0
    assert document(packed)['methods'] == plain['methods']


def test_truncated_compressed_bag(bag, capsys):
    packed = write_bag(bag.parent / 'packed', compress=True)
    file = next(packed.glob('*.mcap*'))
    file.write_bytes(file.read_bytes()[:-400])
    assert run(packed) == 1
    output = capsys.readouterr()
    assert 'Traceback' not in output.err
    assert 'damaged' in output.err


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (
            ['--thermal-topic', '/nope'],
            f'has no topic /nope; topics there: {RGB} (sensor_msgs/msg/Image, 9), {THERMAL} ',
        ),
        (['--rgb-topic', THERMAL, '--thermal-topic', THERMAL], f'are both {THERMAL}'),
        (['--slop', '0.001'], 'no pair could be formed of 9 visible and 9 thermal frames: '),
        (['--homography', 'none.yaml'], 'none.yaml'),
        (['--weights', 'none.safetensors'], 'none.safetensors'),
        (['--labels', 'none'], 'label folder not found: none'),
    ],
)
def test_wrong_use_is_one_line(bag, capsys, arguments, message):
    assert run(bag, *arguments) == 2
    lines = [
        line for line in capsys.readouterr().err.splitlines() if line.startswith('mafs-eval: ')
    ]
    assert len(lines) == 1
    assert message in lines[0]


def test_no_bag_and_no_image_topic(tmp_path, capsys):
    assert run(tmp_path / 'none') == 2
    assert 'none does not exist' in capsys.readouterr().err
    with BagWriter(tmp_path / 'other') as bag:
        bag.write(
            '/chatter', 'std_msgs/msg/String', START, b'\x00\x01\x00\x00\x03\x00\x00\x00ab\x00\x00'
        )
    assert run(tmp_path / 'other') == 2
    message = capsys.readouterr().err
    assert 'cannot tell the thermal topic' in message
    assert '/chatter (std_msgs/msg/String)' in message
    assert run(tmp_path / 'other', '--rgb-topic', '/chatter', '--thermal-topic', '/chatter2') == 2
    assert 'has type std_msgs/msg/String, expected sensor_msgs/msg/Image' in (
        capsys.readouterr().err
    )


def test_unusable_frames_are_counted_and_left_out(tmp_path, capsys):
    path = write_bag(tmp_path / 'first')
    with open_bag(path) as reader, BagWriter(tmp_path / 'second') as bag:
        for number, message in enumerate(reader.messages()):
            data = message.data
            if number in (4, 9):  # cut in the middle of the pixels
                data = data[:2000]
            bag.write(message.topic, message.type, message.receive_ns, data)
    assert run(tmp_path / 'second') == 1
    assert ' frames left out: ' in capsys.readouterr().err
    result = json.loads((tmp_path / 'out.json').read_text())
    assert sum(sum(c.values()) for c in result['pairing']['unusable'].values()) == 2
    assert len(result['pairs']) == 6


def test_topics_are_guessed_only_where_it_is_safe(tmp_path):
    image = np.zeros(SHAPE, np.uint8)
    with BagWriter(tmp_path / 'bag') as bag:
        for topic in ('/left/image', '/right/image', '/lwir/image'):
            bag.write_image(topic, START, 'x', image, 'mono8')
    with open_bag(tmp_path / 'bag') as reader:
        with pytest.raises(Exception, match=r'cannot tell the visible topic.*--rgb-topic'):
            choose_topics(reader, None, None)
        assert choose_topics(reader, '/left/image', None) == {
            'visible': '/left/image',
            'thermal': '/lwir/image',
        }


def test_time_offset_is_added_to_thermal_stamps(bag):
    with open_bag(bag) as reader:
        for offset, expected in ((-OFFSET, 0), (1_000_000, OFFSET + 1_000_000)):
            pairing = BagPairing(reader, RGB, THERMAL, PairingSettings(time_offset_ns=offset))
            pairs = list(pairing)
            assert len(pairs) == 8
            assert {pair.offset_ns for pair in pairs} == {expected}
            # What was recorded stays what it was.
            assert pairs[0].thermal_ns == START + OFFSET


def test_defaults_are_those_of_the_node():
    parameters = pytest.importorskip('mafs_ros.parameters', reason='needs the ROS package')
    table = {parameter.name: parameter.default for parameter in parameters.TABLE}
    settings = PairingSettings()
    assert settings.slop_ns == round(1e9 * table['sync.slop'])
    assert settings.queue_size == table['sync.queue_size']
    assert settings.time_offset_ns == table['thermal.time_offset']
    from mafs_training.evaluation.arguments import build_parser
    from mafs_training.evaluation.bag.pairs import JUMP_BACK_NS

    assert round(1e9 * table['stamps.jump_back']) == JUMP_BACK_NS
    options = build_parser().parse_args(['bag', 'x'])
    assert options.slop == table['sync.slop']
    assert options.queue_size == table['sync.queue_size']
    assert options.thermal_scaling == table['thermal.scaling']
    assert options.thermal_smoothing == table['thermal.smoothing']
    assert options.weights == table['weights']


def test_thermal_image_of_the_metrics_is_the_one_of_the_model(monkeypatch):
    # Registered to the right by 10 px: what the model gets is caught inside its engine.
    homography = np.array([[1.0, 0, 10], [0, 1, 0], [0, 0, 1]])
    predictor = Predictor.create(
        'classical', registration=Registration(homography), thermal_scaler=KeepingScaler()
    )
    seen = []
    infer = predictor.engine.infer
    monkeypatch.setattr(
        predictor.engine,
        'infer',
        lambda visible, thermal, outputs: (
            seen.append(thermal.copy()),
            infer(visible, thermal, outputs),
        )[1],
    )
    visible, thermal = frames(0)
    predictor.predict(visible, thermal)
    ours = registered(predictor.thermal_scaler.last, visible, predictor.registration)
    difference = np.abs(ours.astype(int) - seen[0])
    assert difference[:, 10:].max() == 0
    assert difference.max() <= 1  # two roundings of the luminance outside
    assert (ours[:, :8] != np.asarray(predictor.thermal_scaler.last)[:, :8]).any()


def test_labels_are_scored_against_the_pair_of_their_stamp(bag, weights, capsys):
    folder = bag.parent / 'labels'
    folder.mkdir()
    with Predictor.create(weights, device='cpu', backend='torch', threads=1) as predictor:
        own = predictor.predict(*frames(0)).labels
    cv2.imwrite(str(folder / f'{START}.png'), own)
    cv2.imwrite(str(folder / '17.png'), own)
    assert (
        run(
            bag,
            '--weights',
            str(weights),
            '--labels',
            str(folder),
            '--limit',
            '2',
            '--device',
            'cpu',
            '--backend',
            'torch',
            '--threads',
            '1',
            '--html',
            f'{bag.parent}/r.html',
        )
        == 1
    )
    assert '17: label image, but no pair has a visible image of that stamp' in (
        capsys.readouterr().err
    )
    result = document(bag)
    assert result['labels']['names'] == [str(START)]
    assert result['labels']['overall']['pixel_accuracy'] == 1.0
    assert result['model']['classical'] is False
    assert len(result['pairs']) == 2


def test_samples_are_spread_evenly():
    samples = Samples(most=4)
    for index in range(100):
        samples.offer(index)  # type: ignore[arg-type]
    assert len(samples.kept) <= 4
    steps = np.diff(samples.kept)
    assert len(set(steps.tolist())) == 1
    assert samples.kept[0] == 0


def test_damaged_folder_without_files(tmp_path, capsys):
    path = write_bag(tmp_path / 'bag')
    for file in path.glob('*.mcap'):
        file.unlink()
    assert run(path) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    shutil.rmtree(path)


def test_without_ros_live_is_one_line(bag, monkeypatch, capsys):
    # Importing the replay needs no ROS; starting it says what is missing.
    monkeypatch.setitem(sys.modules, 'rclpy', None)
    assert run(bag, '--live', '--rgb-topic', RGB, '--thermal-topic', THERMAL) == 2
    error = capsys.readouterr().err
    assert '--live: ' in error
    assert 'needs ROS 2' in error
    assert error.count('\n') == 1
